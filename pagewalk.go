package pipelines

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
)

// maxEmptyPages is how many pages without items a list may have in a row.
const maxEmptyPages = 10

// walk is the state of one range over a list. It decides which page is next, and whether the list is complete.
type walk[T any] struct {
	pager *Pager[T]

	link pageLink // of the page to fetch next
	done bool     // no page is left to fetch

	first    *url.URL // of the first request
	query    url.Values
	pageLen  int  // as requested
	noValues bool // the caller asked for pages without items

	number       int  // of the latest page; 0: unknown
	byCursor     bool // a link led to a page without a number
	linked       bool // a page had a link to the next
	pagesBefore  int  // the first requested page; negative: unknown
	certain      bool // the latest page is the requested one by its own number
	last         []*T // the items of the latest page, unless it is certain
	size         int  // of the whole list, as last stated; -1: not stated
	items        int  // on the pages so far
	emptyPages   int  // in a row
	largest      int  // items on the largest page
	largestTwice bool // at least two pages have that many
	statedLen    int  // the page length that the service states; 0: none

	seed maphash.Seed
	seen map[uint64]struct{} // keys of the requested pages, hashed so that a long list takes little memory
}

func newWalk[T any](p *Pager[T]) *walk[T] {
	return &walk[T]{pager: p, size: -1, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
}

// accept takes the page that was fetched from w.link, and sets the link to the next one. If the list ends too early, or the next
// link can't be followed, it returns both the page and an error.
func (w *walk[T]) accept(got fetched[T]) (*Page[T], error) {
	link := w.link
	w.link, w.done = pageLink{}, true
	if got.err == nil && link.url == nil {
		w.start(got.url)
	}
	guessed := link.unlinked && w.size < 0 // by nothing but a full page before it
	if got.err == nil && guessed && w.isNoNewPage(got.page, link) {
		return nil, nil
	}
	if got.err == nil {
		got.err = w.verify(got.page, link)
	}
	if got.err != nil {
		return nil, w.pageError(got.err, link)
	}
	certain := link.number > 0 && got.page.Number == link.number
	w.count(got.page, link)
	next, err := w.next(got)
	if w.link, w.done = next, next.url == nil; !w.done {
		w.seen[next.key] = struct{}{}
	}
	w.last = got.page.Values
	if w.certain = certain && !next.built; w.certain {
		w.last = nil // which the next page need not be compared with
	}
	return got.page, err
}

// start records the parameters of the first request.
func (w *walk[T]) start(first *url.URL) {
	w.first, w.query = first, first.Query()
	w.pageLen = w.pager.pageLen
	if n, err := strconv.Atoi(w.query.Get("pagelen")); err == nil && n > 0 {
		w.pageLen = n
	}
	w.noValues = omitsValues(w.query)
	w.number = 1
	if w.query.Has("page") {
		w.number, _ = pageNumber(w.query)
	}
	w.pagesBefore = w.number - 1
	w.seen[w.key(w.first)] = struct{}{}
}

// verify returns an error if the page is not the requested one, or if the list seems to have no end.
func (w *walk[T]) verify(page *Page[T], link pageLink) error {
	if w.emptyPages++; len(page.Values) > 0 {
		w.emptyPages = 0
	}
	switch {
	case page.Next != "" && w.emptyPages > maxEmptyPages:
		return w.errorf("%d pages in a row have no items and link to another", w.emptyPages)
	case len(page.Values) == 0 || link.number == 0 || link.number == page.Number:
		return nil
	case page.Number > 0 && link.built:
		return w.errorf("requested page %d, got page %d", link.number, page.Number)
	case (page.Number > 0 || link.built) && w.repeats(page):
		return w.errorf("requested page %d, got the one before again", link.number)
	}
	return nil
}

// repeats reports whether a page that isn't the requested one is the one before it.
func (w *walk[T]) repeats(page *Page[T]) bool {
	if w.certain {
		return page.Number == w.number
	}
	return reflect.DeepEqual(page.Values, w.last)
}

// isNoNewPage reports whether the service, asked for a page that it has not announced, served one that it served before.
func (w *walk[T]) isNoNewPage(page *Page[T], link pageLink) bool {
	return page.Number > 0 && page.Number != link.number || w.repeats(page)
}

// count updates what is known about the list.
func (w *walk[T]) count(page *Page[T], link pageLink) {
	w.turnTo(link)
	if page.Number <= 0 {
		page.Number = max(1, w.number)
	}
	if page.Size >= 0 {
		w.size = page.Size
	}
	n := len(page.Values)
	w.items += n
	w.largestTwice = w.largestTwice && n <= w.largest || n > 0 && n == w.largest
	w.largest = max(w.largest, n)
	if w.statedLen == 0 {
		w.statedLen = page.PageLen
	}
}

// turnTo makes the page behind a link the latest one.
func (w *walk[T]) turnTo(link pageLink) {
	switch {
	case link.url == nil:
	case link.number > 0:
		w.number = link.number
	default:
		w.number++
		w.byCursor = true
	}
}

// next returns the link to the page after this one. It is zero at the end of the list.
func (w *walk[T]) next(got fetched[T]) (pageLink, error) {
	switch {
	case w.noValues:
		return pageLink{}, nil
	case got.page.Next != "":
		w.linked = true
		return w.follow(got.page.Next, got.url)
	case len(got.page.Values) > 0 && (w.items < w.size || w.mayGoOn(got.page)) && w.numbered():
		// On some lists the service omits the link though there are more pages.
		link := w.linkTo(w.number + 1)
		link.unlinked = true
		return w.unvisited(link)
	}
	return pageLink{}, w.incomplete(nil)
}

// leastDefault is the length of the service's shortest pages. If it states less, that is not a page's bound: lists of two items with a
// pagelen of 1 have been recorded.
const leastDefault = 10

// mayGoOn reports whether only another request can tell whether this is the last page: it is full, and the service has sent neither a
// link nor the size of the list.
func (w *walk[T]) mayGoOn(page *Page[T]) bool {
	n := len(page.Values)
	return !w.linked && w.size < 0 && (n >= w.pageLen || n >= leastDefault && n == page.PageLen)
}

// pageError returns the error of a page that could not be read, or nil if the list ended before that page. If the service hides
// some items from the caller, the list ends before its size, and a page that was requested because of the size doesn't exist.
func (w *walk[T]) pageError(err error, link pageLink) error {
	if link.url != nil && errors.Is(err, ErrNotFound) {
		err = laterPageError{err}
	}
	if !link.unlinked || !isMissingPage(err) {
		return err
	}
	pageLen := max(w.pageLen, w.largest)
	if w.largestTwice && w.statedLen == w.largest {
		pageLen = w.statedLen // the service serves shorter pages than requested
	}
	if (link.number-1)*pageLen < w.size { // by the size this page has items
		return w.tooShort(err)
	}
	return w.incomplete(err)
}

// laterPageError is a 404 on a page after the first. It is not an [ErrNotFound]: the list itself exists, and an item that a
// caller looks for may be on the pages that were not read.
type laterPageError struct{ err error }

func (e laterPageError) Error() string { return e.err.Error() }

func (e laterPageError) Is(target error) bool {
	return target != ErrNotFound && errors.Is(e.err, target)
}

func (e laterPageError) As(target any) bool { return errors.As(e.err, target) }

// isMissingPage reports whether err is a response that a service may send for a page that does not exist.
func isMissingPage(err error) bool {
	var refused *APIError
	return errors.Is(err, errNotAPage) || errors.Is(err, errNullBody) || errors.Is(err, errEmptyBody) ||
		errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}

// numbered reports whether w.number is the service's number of the latest page.
func (w *walk[T]) numbered() bool { return w.number > 0 && !w.byCursor }

// incomplete returns an error if the list ends a page or more short of its size. Fewer items may be missing: the service hides
// some from the caller. cause is the error of the page after the last, or nil.
func (w *walk[T]) incomplete(cause error) error {
	if w.pagesBefore < 0 || w.size-w.itemsSoFar() < w.servedLen() {
		return nil
	}
	return w.tooShort(cause)
}

// itemsSoFar counts the items up to the end of the latest page, those of skipped pages included.
func (w *walk[T]) itemsSoFar() int { return w.pagesBefore*w.pageLen + w.items }

// servedLen is the length of a full page. The service may serve another length than requested, and doesn't always state it.
func (w *walk[T]) servedLen() int {
	switch {
	case w.largestTwice:
		return w.largest
	case w.statedLen > 0 && w.largest <= w.statedLen && w.statedLen <= w.pageLen:
		return w.statedLen
	case w.largest > 0:
		return w.largest
	}
	return w.pageLen
}

func (w *walk[T]) tooShort(cause error) error {
	if cause == nil {
		return w.errorf("the list ended after %d of %d items", w.itemsSoFar(), w.size)
	}
	return w.errorf("the list ended after %d of %d items: %w", w.itemsSoFar(), w.size, cause)
}

func (w *walk[T]) errorf(format string, args ...any) error {
	return fmt.Errorf("pipelines: %s: "+format, append([]any{w.pager.at.op.Name}, args...)...)
}
