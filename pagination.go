package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
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
	Number         int    // counted from 1
	PageLen        int    // as the service says, which is not always len(Values)
	Size           int    // items on all pages; -1: the service doesn't say
	Next, Previous string // the service's links; empty: none. Pages follows them
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
	// Drop nulls so that callers need no nil check.
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

// Pager reads a list page by page. It sends nothing until it is ranged over, and each range starts anew. It is bound to the
// context of the call that made it: once that has ended, a range ends with its error. Several goroutines may use one Pager.
//
// The list is complete, or ends with an error after the items that were read. Pages of 100 items are followed to the last. If a
// link to the next page has lost parameters of the first request, they are put back. A link to another origin is not followed:
// the API is asked for that page by its number. A link to a page that was read before is an error, and so is a list that ends a
// page or more short of the size that the service gives.
//
// The service numbers its pages, so a list that changes while it is read may repeat an item or miss one.
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
	q.pageLen = cmp.Or(q.pageLen, maxPageLen)
	return &Pager[T]{ctx: ctx, client: c, at: at.with(q.query).withError(q.err), pageLen: q.pageLen, opts: opts}
}

// List lists the items of any path below the base URL that is served in pages, such as "/repositories/acme?role=member". It is
// for lists that have no method of their own. T is decoded as [encoding/json] does.
func List[T any](ctx context.Context, c *Client, path string, opts ...CallOption) *Pager[T] {
	at := customEndpoint("List", http.MethodGet, path)
	pageLen := maxPageLen
	if n, err := strconv.Atoi(at.query.Get("pagelen")); err == nil && n > 0 {
		pageLen = n
	}
	return &Pager[T]{ctx: ctx, client: c, at: at, pageLen: pageLen, opts: opts}
}

// Parallel returns a Pager of the same list, with the same items in the same order, that fetches up to n pages at once. With n
// below 2 it fetches one at a time. At most n pages are in memory.
//
// It asks for pages by number once the first page has said how many there are. If that can't work, it fetches one page ahead.
// Leaving the range cancels every request: use it for whole lists, since pages that were fetched ahead cost requests.
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
		w := newWalk(p)
		if p.parallel > 1 {
			w.ahead(yield)
			return
		}
		for link, more := (pageLink{}), true; more; {
			got := p.fetch(p.ctx, link)
			got.publish()
			s := w.step(got, link)
			if !s.yield(yield) {
				return
			}
			link, more = s.next, s.more
		}
	}
}

// Collect returns all items. If there is an error, it also returns the items that were read before.
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

// First returns the first item, and requests no more than that. An empty list is an [ErrEmptyList]. An [ErrNotFound] says that
// what the list belongs to doesn't exist.
func (p *Pager[T]) First() (*T, error) {
	one := *p
	one.pageLen, one.parallel = 1, 0
	for value, err := range one.All() {
		return value, err
	}
	return nil, fmt.Errorf("pipelines: %s: %w", p.at.op.Name, ErrEmptyList)
}

// fetched is a page as it was fetched. Response and JSON are handed to [WithResponse] and [WithRawBody] by the goroutine that
// ranges, and in order.
type fetched[T any] struct {
	url     *url.URL // of the request
	page    *Page[T]
	into    **http.Response
	resp    *http.Response
	rawInto *[]byte
	raw     []byte
	err     error
}

func (f *fetched[T]) publish() {
	if f.into != nil {
		*f.into = f.resp
	}
	if f.rawInto != nil {
		*f.rawInto = f.raw
	}
}

// errNotAPage is the error of a JSON object that is not a page.
var errNotAPage = errors.New("the service sent an object that is not a page of a list")

func (p *Pager[T]) fetch(ctx context.Context, link pageLink) (f fetched[T]) {
	at := p.at
	at.query = mergeQuery(at.query, url.Values{"pagelen": {strconv.Itoa(p.pageLen)}})
	k, err := p.client.newCall(ctx, at, nil, p.opts)
	if err != nil {
		f.err = err
		return f
	}
	if f.into = k.into; f.into != nil {
		k.into = &f.resp
	}
	if f.rawInto = k.raw; f.rawInto != nil {
		k.raw = &f.raw
	}
	keepPaging(k.extraQuery)
	if link.url != nil { // it has the options' parameters already
		k.url, k.extraQuery = link.url, nil
	}
	if f.url, err = k.requestURL(); err != nil {
		f.err = k.wrap(err)
		return f
	}
	var body looseBody[T]
	if p.loose {
		f.err = k.sendJSON(ctx, &body)
	} else {
		f.err = k.sendJSON(ctx, &body.pageBody)
	}
	switch {
	case f.err != nil:
	case link.url != nil && body.Values == nil && body.Next == "":
		f.err = k.wrap(errNotAPage)
	default:
		f.page = body.page()
	}
	return f
}

// keepPaging asks for the members that a list needs to be complete, where a partial response would leave them out. It reports
// whether it has changed the query.
func keepPaging(query url.Values) bool {
	fields := strings.Split(strings.Join(query["fields"], ","), ",")
	if !slices.ContainsFunc(fields, namesField) {
		return false
	}
	changed := false
	for _, member := range []string{"next", "size", "page"} {
		if !slices.Contains(fields, member) && !slices.Contains(fields, "*") {
			query["fields"][0] += "," + member
			changed = true
		}
	}
	return changed
}

// namesField reports whether an element of "fields" limits the response to what it names. "+a" and "-a" don't.
func namesField(field string) bool {
	return field != "" && !strings.HasPrefix(field, "+") && !strings.HasPrefix(field, "-")
}

// leavesValuesOut reports whether a request asks for pages without their items.
func leavesValuesOut(query url.Values) bool {
	if query.Get("pagelen") == "0" {
		return true
	}
	limited := false
	for field := range strings.SplitSeq(strings.Join(query["fields"], ","), ",") {
		member, _, nested := strings.Cut(strings.TrimSpace(field), ".")
		switch {
		case member == "-values" && !nested:
			return true
		case member == "*" || member == "values":
			return false
		case namesField(member):
			limited = true
		}
	}
	return limited
}

// search returns the first item that matches, or nil where the whole list has none.
func search[T any](p *Pager[T], match func(*T) bool) (*T, error) {
	read := false
	for one, err := range p.All() {
		switch {
		case err != nil && read:
			return nil, restUnreadError{err}
		case err != nil:
			return nil, err
		case match(one):
			return one, nil
		}
		read = true
	}
	return nil, nil //nolint:nilnil // not found is no error of the search
}

// restUnreadError is the error of a search through a list of which only a part was read. It is no [ErrNotFound], even where the
// service answered 404 in the place of a later page: what was searched for may be there.
type restUnreadError struct{ err error }

func (e restUnreadError) Error() string { return e.err.Error() }

func (e restUnreadError) Is(target error) bool {
	return target != ErrNotFound && errors.Is(e.err, target)
}

func (e restUnreadError) As(target any) bool { return errors.As(e.err, target) }
