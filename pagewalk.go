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

// walk is one way through a list: it decides where the next page is, and whether the list is complete.
type walk[T any] struct {
	pager *Pager[T]

	first    *url.URL // of the first request
	query    url.Values
	pageLen  int  // items a page, as asked for
	noValues bool // the caller asked for pages without items

	number   int      // of the page at hand; 0: not known
	byCursor bool     // a link led to a page without a number
	skipped  int      // pages before the first request's; negative: not known
	last     *Page[T] // the page before
	size     int      // items of the whole list, as last told; -1: not told
	items    int      // read so far
	empty    int      // pages without items, in a row
	largest  int      // items of the largest page
	repeated bool     // more than one page has that many
	told     int      // the page length that the service tells

	seed maphash.Seed
	seen map[uint64]struct{} // pages asked for, as hashes to keep a long list's memory small
}

func newWalk[T any](p *Pager[T]) *walk[T] {
	return &walk[T]{pager: p, size: -1, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
}

// step is what the range does next: it yields the page, then the error, then reads on.
type step[T any] struct {
	page *Page[T] // nil: none
	err  error
	next pageLink
	more bool
}

// yield reports whether the range goes on.
func (s step[T]) yield(yield func(*Page[T], error) bool) bool {
	if s.page != nil && !yield(s.page, nil) {
		return false
	}
	if s.err != nil {
		yield(nil, s.err)
	}
	return s.err == nil
}

// step takes the page that was fetched for link.
func (w *walk[T]) step(got fetched[T], link pageLink) (s step[T]) {
	if got.err == nil && link.url == nil {
		w.start(got)
	}
	if got.err == nil {
		got.err = w.check(got.page, link)
	}
	if got.err != nil {
		s.err = w.failure(got.err, link)
		return s
	}
	w.note(got.page, link)
	s.page = got.page
	s.next, s.more, s.err = w.next(got)
	return s
}

// start notes the parameters of the first request.
func (w *walk[T]) start(got fetched[T]) {
	w.first, w.query = got.url, got.url.Query()
	w.pageLen = w.pager.pageLen
	if n, err := strconv.Atoi(w.query.Get("pagelen")); err == nil && n > 0 {
		w.pageLen = n
	}
	w.noValues = leavesValuesOut(w.query)
	w.number = 1
	if w.query.Has("page") {
		w.number, _ = pageNumber(w.query)
	}
	w.skipped = w.number - 1
	w.seen[w.key(w.first)] = struct{}{}
}

// check finds pages that are not the ones that were asked for, and lists that lead round in circles.
func (w *walk[T]) check(page *Page[T], link pageLink) error {
	if w.empty++; len(page.Values) > 0 {
		w.empty = 0
	}
	switch {
	case page.Next != "" && w.empty > maxEmptyPages:
		return w.errorf("%d pages in a row have no items and link to another", w.empty)
	case len(page.Values) == 0 || link.number == 0 || link.number == page.Number:
		return nil
	case page.Number > 0 && link.ours:
		return w.errorf("page %d was asked for and page %d came", link.number, page.Number)
	case (page.Number > 0 || link.ours) && reflect.DeepEqual(page.Values, w.last.Values):
		return w.errorf("page %d was asked for and the one before came again", link.number)
	}
	return nil
}

// note counts a page.
func (w *walk[T]) note(page *Page[T], link pageLink) {
	switch {
	case link.url == nil:
	case link.number > 0:
		w.number = link.number
	default:
		w.number++
		w.byCursor = true
	}
	if page.Number <= 0 {
		page.Number = max(1, w.number)
	}
	if page.Size >= 0 {
		w.size = page.Size
	}
	n := len(page.Values)
	w.items += n
	w.repeated = w.repeated && n <= w.largest || n > 0 && n == w.largest
	w.largest = max(w.largest, n)
	if w.told == 0 {
		w.told = page.PageLen
	}
	w.last = page
}

// next tells where the page after the one at hand is.
func (w *walk[T]) next(got fetched[T]) (next pageLink, more bool, err error) {
	switch {
	case w.noValues:
		return next, false, nil
	case got.page.Next != "":
		next, err = w.follow(got.page.Next, got.url)
		return next, err == nil, err
	case len(got.page.Values) > 0 && w.items < w.size && w.counts():
		// The service leaves "next" out on some lists though there are more pages.
		next = w.numbered(w.number + 1)
		next.guessed = true
		next, err = w.visit(next)
		return next, err == nil, err
	}
	return next, false, w.short(nil)
}

// failure is the error of a page that did not come, or nil where that page is past the list's end. A list that hides some
// items from the caller ends before its size, and the page that was asked for then is not there.
func (w *walk[T]) failure(err error, link pageLink) error {
	if link.url != nil && errors.Is(err, ErrNotFound) { // the list itself was found
		err = restUnreadError{err}
	}
	if !link.guessed || !isNoPage(err) {
		return err
	}
	pageLen := max(w.pageLen, w.largest)
	if w.repeated && w.told == w.largest {
		pageLen = w.told // the service serves fewer than were asked for
	}
	if (link.number-1)*pageLen < w.size {
		return w.shortError(err) // the service says that this page has items
	}
	return w.short(err)
}

// isNoPage reports whether err is a response that a service may send in the place of a page that does not exist.
func isNoPage(err error) bool {
	var refused *APIError
	return errors.Is(err, errNotAPage) || errors.Is(err, errNullBody) || errors.Is(err, errEmptyBody) ||
		errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}

// counts reports whether the number of the page at hand is one that the service would know.
func (w *walk[T]) counts() bool { return w.number > 0 && !w.byCursor }

// short is the error of a list that ends a page or more before its size. cause, if not nil, came in the place of another page.
func (w *walk[T]) short(cause error) error {
	if w.skipped < 0 || w.size-w.read() < w.tolerable() {
		return nil
	}
	return w.shortError(cause)
}

// read is how many items lie before the end of the page at hand.
func (w *walk[T]) read() int { return w.skipped*w.pageLen + w.items }

// tolerable is the length of a page. Fewer items may be missing from a list, because some are hidden from the caller. The
// service serves pages of another length than the one asked for, and doesn't always tell which.
func (w *walk[T]) tolerable() int {
	switch {
	case w.repeated:
		return w.largest
	case w.told > 0 && w.largest <= w.told && w.told <= w.pageLen:
		return w.told
	case w.largest > 0:
		return w.largest
	}
	return w.pageLen
}

func (w *walk[T]) shortError(cause error) error {
	if cause == nil {
		return w.errorf("the list ended after %d of %d items", w.read(), w.size)
	}
	return w.errorf("the list ended after %d of %d items: %w", w.read(), w.size, cause)
}

func (w *walk[T]) errorf(format string, args ...any) error {
	return fmt.Errorf("pipelines: %s: "+format, append([]any{w.pager.at.op.Name}, args...)...)
}
