package pipelines

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// A list is read in these steps, each in its file:
//
//	pagination.go  Pager.Pages ranges over the pages
//	pageahead.go   walk.inTurn requests them one after the other, walk.parallel several at once
//	pagefetch.go   Pager.fetch requests one page and decodes it
//	pagewalk.go    walk.accept verifies the page, and notices a list that ends too early
//	pagelink.go    walk.follow makes the next request of the service's link

// maxPageLen is the largest page that the service serves.
const maxPageLen = 100

// Page is one page of a list.
type Page[T any] struct {
	Values         []*T
	Number         int    // counted from 1
	PageLen        int    // as the service states it; it may differ from len(Values)
	Size           int    // items on all pages; -1: the service doesn't state it
	Next, Previous string // the service's links, which Pages follows; empty: none
}

// Pager reads a list page by page. It sends nothing until it is ranged over, and each range starts at the first page. It is bound
// to the context of the call that made it: once that context has ended, a range ends with its error. Several goroutines may use
// one Pager.
//
// A range yields the complete list, or ends with an error after the items that were read. It requests pages of 100 items and
// follows the links to the last page. Where the service sends no links, it goes by the size of the list, and without one it
// requests the page after each full one. If a link has lost parameters of the first request, they are restored. A link to another
// origin is not followed: the page is requested from the API by its number. A link to a page that was read before is an error.
// So is an object that was sent in place of a page, with neither items nor a size, unless nothing but a full page says that there
// is another; and a list that ends a page or more short of the size that the service states. A 404 on a page after the first is an
// [*APIError], but not an [ErrNotFound], because the list exists.
//
// The third page and those after it are read ahead: while one is decoded and used, the next is requested. So leaving a range
// costs at most one request in vain, and none on the first two pages. [Pager.Collect] reads ahead from the first page on.
//
// The service numbers its pages. If a list changes while it is read, an item may therefore be repeated or missing.
type Pager[T any] struct {
	ctx      context.Context //nolint:containedctx // the list is read later than it is asked for
	client   *Client
	at       endpoint
	pageLen  int
	opts     []CallOption
	parallel int
}

// ListOptions are the options of lists that have no filters.
type ListOptions struct {
	PageLen int // items per page, 1 to 100; 0: 100, the largest that the service serves
}

// listParams are the options of a list in the form of a request.
type listParams struct {
	pageLen int
	query   url.Values
	err     error
}

func (q *ListOptions) params() listParams {
	if q == nil {
		return listParams{}
	}
	return listParams{pageLen: q.PageLen}
}

// list makes the pager of an operation that lists.
func list[T any](ctx context.Context, c *Client, at endpoint, q listParams, opts []CallOption) *Pager[T] {
	if q.err == nil && (q.pageLen < 0 || q.pageLen > maxPageLen) {
		q.err = invalidArgument("PageLen %d is not between 1 and %d", q.pageLen, maxPageLen)
	}
	q.pageLen = cmp.Or(q.pageLen, maxPageLen)
	return &Pager[T]{ctx: ctx, client: c, at: at.with(q.query).withError(q.err), pageLen: q.pageLen, opts: opts}
}

// List lists the items of any path below the base URL that is served in pages, such as "/repositories/acme?role=member". Use it
// for lists without a method of their own. A pagelen in the path is kept, for lists whose pages may not have 100 items. It decodes T as
// [encoding/json] does.
func List[T any](ctx context.Context, c *Client, path string, opts ...CallOption) *Pager[T] {
	at := customEndpoint("List", http.MethodGet, path)
	pageLen := maxPageLen
	if n, err := strconv.Atoi(at.query.Get("pagelen")); err == nil && n > 0 {
		pageLen = n
	}
	return &Pager[T]{ctx: ctx, client: c, at: at, pageLen: pageLen, opts: opts}
}

// Parallel returns a Pager of the same list, with the same items in the same order, that fetches up to n pages at once. If n is
// below 2, it is the list without Parallel. At most n pages are in memory.
//
// It requests pages by number once the first page has stated how many there are. If that can't work, it fetches one page ahead.
// Leaving the range early cancels the requests, but pages that were fetched ahead count against the quota: use Parallel for
// whole lists.
func (p *Pager[T]) Parallel(n int) *Pager[T] {
	parallel := *p
	parallel.parallel = n
	return &parallel
}

// All ranges over the items of all pages. An error is yielded once, with a nil item, and ends the range.
func (p *Pager[T]) All() iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for page, err := range p.Pages() {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, value := range page.Values {
				if !yield(value, nil) {
					return
				}
			}
		}
	}
}

// Pages ranges over the pages. An error is yielded once, with a nil page, and ends the range.
func (p *Pager[T]) Pages() iter.Seq2[*Page[T], error] { return p.pages(firstAhead) }

// firstAhead is the page, counted from 1, from which on a range that may be left requests the next page ahead. Whoever reads three pages
// probably reads more.
const firstAhead = 3

// pages ranges over the pages. From one on, counted from 1, the next page is requested while one is decoded.
func (p *Pager[T]) pages(aheadFrom int) iter.Seq2[*Page[T], error] {
	return func(yield func(*Page[T], error) bool) {
		w := newWalk(p)
		if p.parallel > 1 {
			w.parallel(yield)
		} else {
			w.inTurn(aheadFrom, yield)
		}
	}
}

// yieldPage yields a page, if there is one, and then an error, if there is one. It reports whether the range goes on.
func yieldPage[T any](yield func(*Page[T], error) bool, page *Page[T], err error) bool {
	if page != nil && !yield(page, nil) {
		return false
	}
	if err != nil {
		yield(nil, err)
	}
	return err == nil
}

// Collect returns all items. If there is an error, it also returns the items that were read before.
func (p *Pager[T]) Collect() ([]*T, error) {
	var all []*T
	for page, err := range p.pages(1) {
		if err != nil {
			return all, err
		}
		all = append(all, page.Values...)
	}
	return all, nil
}

// First returns the first item, and requests only that one. If the list is empty, the error is an [ErrEmptyList]. An
// [ErrNotFound] says that the resource that the list belongs to doesn't exist.
func (p *Pager[T]) First() (*T, error) {
	one := *p
	one.pageLen, one.parallel = 1, 0
	for value, err := range one.All() {
		return value, err
	}
	if err := one.requires("values"); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("pipelines: %s: %w", p.at.op.Name, ErrEmptyList)
}

// find returns the first item that matches, or nil if none of the whole list does.
func (p *Pager[T]) find(match func(*T) bool) (*T, error) {
	for one, err := range p.All() {
		if err != nil || match(one) {
			return one, err
		}
	}
	return nil, nil //nolint:nilnil // not found is no error here
}
