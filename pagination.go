package pipelines

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxPageLen is the largest page that the service serves.
const maxPageLen = 100

// Page is one page of a list.
type Page[T any] struct {
	Values         []*T
	Number         int    // counted from 1, by the package where the service doesn't say
	PageLen        int    // as the service says, which is not always the number of values
	Size           int    // items on all pages; -1: not given
	Next, Previous string // empty: none
}

// pageBody is a page as the service sends it. Everything but the values may be missing.
type pageBody[T any] struct {
	Values   []*T   `json:"values"`
	Page     int    `json:"page"`
	PageLen  int    `json:"pagelen"`
	Size     *int   `json:"size"`
	Next     string `json:"next"`
	Previous string `json:"previous"`
}

func (b *pageBody[T]) page() *Page[T] {
	page := &Page[T]{Values: b.Values, Number: b.Page, PageLen: b.PageLen, Size: -1, Next: b.Next, Previous: b.Previous}
	// A null among the values is nothing that anybody should have to check for.
	page.Values = slices.DeleteFunc(page.Values, func(value *T) bool { return value == nil })
	if b.Size != nil && *b.Size >= 0 {
		page.Size = *b.Size
	}
	return page
}

// looseBody is a page, a bare list of values, or one value alone.
type looseBody[T any] struct{ pageBody[T] }

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (b *looseBody[T]) UnmarshalJSON(data []byte) error {
	if jsontext.Value(data).Kind() == '[' {
		return models.Unmarshal(data, &b.Values)
	}
	if err := models.Unmarshal(data, &b.pageBody); err != nil || b.Values != nil || b.Size != nil {
		return err
	}
	var one *T
	err := models.Unmarshal(data, &one)
	b.Values = []*T{one}
	return err
}

// Pager reads a list page by page. Nothing is sent until it is ranged over, each range starts anew, and what one range has
// seen doesn't change another: a Pager may be used by many goroutines.
//
// The list is complete: pages are asked for with 100 items each and followed to the last. A link to a page that was seen
// before or that leads to another origin is an error, and nothing is sent there. The service numbers its pages, so a list
// that changes while it is read may repeat an item or miss one.
type Pager[T any] struct {
	ctx      context.Context //nolint:containedctx // the list is read later than it is asked for
	client   *Client
	at       endpoint
	pageLen  int
	opts     []CallOption
	parallel int
	loose    bool // whether the list is a page at all isn't known
}

// ListOptions are the options of lists that have no filters.
type ListOptions struct {
	PageLen int // items a page, 1 to 100; 0: 100, the largest the service serves
}

// listParams are a list's options, made ready to be sent.
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
	orDefault(&q.pageLen, maxPageLen)
	return &Pager[T]{ctx: ctx, client: c, at: at.with(q.query).check(q.err), pageLen: q.pageLen, opts: opts}
}

// Parallel returns a pager of the same list that fetches up to n pages at once, for the same items in the same order; with n
// below 2 it is the list as it was. It asks for pages by number once the first page has told how many there are; where that
// can't work it fetches one page ahead. At most n pages are kept in memory, and leaving the range ends every fetch: what was
// fetched ahead by then was asked for in vain, so for the first few pages of a long list it costs more requests than it
// saves.
func (p *Pager[T]) Parallel(n int) *Pager[T] {
	ahead := *p
	ahead.parallel = n
	return &ahead
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
func (p *Pager[T]) Pages() iter.Seq2[*Page[T], error] {
	return func(yield func(*Page[T], error) bool) {
		w := walk[T]{pager: p, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
		if p.parallel > 1 {
			w.ahead(yield)
			return
		}
		link, more := pageLink{}, true
		for more {
			f := p.fetch(p.ctx, link)
			f.publish()
			if f.err == nil {
				link, more, f.err = w.next(f.page, link)
			}
			if f.err != nil {
				yield(nil, f.err)
				return
			}
			if !yield(f.page, nil) {
				return
			}
		}
	}
}

// Collect returns all items. With an error it returns those that were read before.
func (p *Pager[T]) Collect() ([]*T, error) {
	var all []*T
	for page, err := range p.Pages() {
		if err != nil {
			return all, err
		}
		all = append(all, page.Values...)
	}
	return all, nil
}

// First returns the first item and asks for no more than that one. An empty list is an [ErrNotFound].
func (p *Pager[T]) First() (*T, error) {
	one := *p
	one.pageLen, one.parallel = 1, 0
	for value, err := range one.All() {
		return value, err
	}
	return nil, fmt.Errorf("pipelines: %s: the list is empty: %w", p.at.op.Name, ErrNotFound)
}

// pageLink says where a page is: behind a link of the service, or at a number. Zero: the first page.
type pageLink struct {
	url    *url.URL
	number int
}

// fetched is a page as it was fetched. The response is handed to [WithResponse] by the goroutine that ranges, and in order.
type fetched[T any] struct {
	link pageLink
	page *Page[T]
	into **http.Response
	resp *http.Response
	err  error
}

func (f *fetched[T]) publish() {
	if f.into != nil {
		*f.into = f.resp
	}
}

func (p *Pager[T]) fetch(ctx context.Context, link pageLink) (f fetched[T]) {
	f.link = link
	at := p.at
	at.query = mergeQuery(at.query, url.Values{"pagelen": {strconv.Itoa(p.pageLen)}})
	if link.number > 0 {
		at.query.Set("page", strconv.Itoa(link.number))
	}
	k, err := p.client.newCall(ctx, at, nil, p.opts)
	if err != nil {
		f.err = err
		return f
	}
	if f.into = k.into; f.into != nil {
		k.into = &f.resp
	}
	switch {
	case link.url != nil: // it has the options' parameters already
		k.url, k.extraQuery = link.url, nil
	case link.number > 0:
		k.extraQuery.Del("page")
	}
	keepPaging(k.extraQuery)
	var body looseBody[T]
	if p.loose {
		f.err = k.sendJSON(ctx, &body)
	} else {
		f.err = k.sendJSON(ctx, &body.pageBody)
	}
	if f.err == nil {
		f.page = body.page()
	}
	return f
}

// pagingFields are the members of a page that a list needs to be complete.
const pagingFields = "next,size,page"

// keepPaging asks for the members that lead to the next page where a partial response would leave them out.
func keepPaging(query url.Values) {
	for i, fields := range query["fields"] {
		if !strings.HasPrefix(fields, "+") && !strings.HasPrefix(fields, "-") {
			query["fields"][i] = fields + "," + pagingFields
			return
		}
	}
}

// walk is one way through a list.
type walk[T any] struct {
	pager *Pager[T]
	items int
	empty int      // pages without items, in a row
	last  *Page[T] // the one before
	seed  maphash.Seed
	seen  map[uint64]struct{} // links followed, as hashes to keep a long list's memory small
}

// maxEmptyPages is how many pages without items a list may have in a row.
const maxEmptyPages = 10

// next tells where the page after this one is. link is where this one was.
func (w *walk[T]) next(page *Page[T], link pageLink) (next pageLink, more bool, err error) {
	if err := w.check(page, link); err != nil {
		return next, false, err
	}
	w.last = page
	w.items += len(page.Values)
	if page.Number <= 0 {
		page.Number = max(1, link.number)
	}
	if page.Next != "" {
		next.url, err = w.follow(page.Next)
		return next, err == nil, err
	}
	// The service leaves "next" out on some lists though there are more pages.
	if len(page.Values) > 0 && w.items < page.Size {
		return pageLink{number: page.Number + 1}, true, nil
	}
	return next, false, nil
}

// check finds pages that lead round in circles.
func (w *walk[T]) check(page *Page[T], link pageLink) error {
	if w.empty++; len(page.Values) > 0 {
		w.empty = 0
	}
	switch {
	case page.Next != "" && w.empty > maxEmptyPages:
		return w.errorf("%d pages in a row have no items and link to another", w.empty)
	case link.number == 0:
		return nil
	case page.Number > 0 && page.Number != link.number:
		return w.errorf("page %d was asked for and page %d came", link.number, page.Number)
	case page.Number <= 0 && len(page.Values) > 0 && reflect.DeepEqual(page.Values, w.last.Values):
		return w.errorf("page %d was asked for and the one before came again", link.number)
	}
	return nil
}

// follow checks a link of the service before anything is sent there.
func (w *walk[T]) follow(link string) (*url.URL, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, w.errorf("the link to the next page is malformed")
	}
	base := w.pager.client.base
	u = base.ResolveReference(u)
	if !sameOrigin(u, base) || u.User != nil {
		return nil, w.errorf("the link to the next page leads to another origin")
	}
	key := maphash.String(w.seed, u.String())
	if _, again := w.seen[key]; again {
		return nil, w.errorf("the link to the next page leads back to a page that was read before")
	}
	w.seen[key] = struct{}{}
	return u, nil
}

func (w *walk[T]) errorf(format string, args ...any) error {
	return fmt.Errorf("pipelines: %s: "+format, append([]any{w.pager.at.op.Name}, args...)...)
}

// ahead walks with fetches under way: pages by number where the first page tells how many there are, else the next page.
func (w *walk[T]) ahead(yield func(*Page[T], error) bool) {
	if w.pager.ctx == nil {
		yield(nil, w.pager.fetch(nil, pageLink{}).err) //nolint:staticcheck // which says so
		return
	}
	ctx, cancel := context.WithCancel(w.pager.ctx)
	f := fetches[T]{ctx: ctx, pager: w.pager}
	defer f.drain()
	defer cancel()

	limit := w.pager.parallel
	f.start(pageLink{})
	for first := true; len(f.pending) > 0; first = false {
		got := f.receive()
		got.publish()
		var next pageLink
		var more bool
		if got.err == nil {
			next, more, got.err = w.next(got.page, got.link)
		}
		if got.err != nil {
			yield(nil, got.err)
			return
		}
		page := got.page
		if first {
			f.plan(page, next, more)
		}
		if f.planned() {
			f.fill(limit - 1) // the page at hand is the one more
		} else if more && len(f.pending) == 0 {
			f.start(next)
		}
		if !yield(page, nil) || (!more && len(page.Values) == 0) {
			return
		}
		f.fill(limit)
	}
}

// fetches are pages under way, in their order.
type fetches[T any] struct {
	ctx        context.Context //nolint:containedctx // of one walk
	pager      *Pager[T]
	pending    []chan fetched[T]
	template   *url.URL // of a link with a page number; nil: the list's own URL
	next, last int      // numbers of the planned pages that were not started yet
}

func (f *fetches[T]) start(link pageLink) {
	ch := make(chan fetched[T], 1)
	f.pending = append(f.pending, ch)
	go func() { ch <- f.pager.fetch(f.ctx, link) }()
}

func (f *fetches[T]) receive() fetched[T] {
	got := <-f.pending[0]
	f.pending = f.pending[1:]
	return got
}

// drain waits for the fetches that nobody will receive.
func (f *fetches[T]) drain() {
	for _, ch := range f.pending {
		<-ch
	}
}

// plan works out from the first page which numbers the others have. "pagelen" isn't to be relied on; how many items came is.
func (f *fetches[T]) plan(first *Page[T], next pageLink, more bool) {
	if !more || first.Size <= 0 || len(first.Values) == 0 {
		return
	}
	if next.url != nil && next.url.Query().Get("page") != strconv.Itoa(first.Number+1) {
		return // the service links pages in a way of its own
	}
	f.template = next.url
	f.next, f.last = first.Number+1, (first.Size+len(first.Values)-1)/len(first.Values)
}

func (f *fetches[T]) planned() bool { return f.next > 0 && f.next <= f.last }

// fill starts planned pages until there are n under way.
func (f *fetches[T]) fill(n int) {
	for ; f.planned() && len(f.pending) < n; f.next++ {
		link := pageLink{number: f.next}
		if f.template != nil {
			u := *f.template
			query := u.Query()
			query.Set("page", strconv.Itoa(f.next))
			u.RawQuery = query.Encode()
			link.url = &u
		}
		f.start(link)
	}
}
