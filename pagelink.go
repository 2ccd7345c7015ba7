package pipelines

import (
	"hash/maphash"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/origin"
)

// pageLink leads to a page. The zero value leads to the first page.
type pageLink struct {
	url      *url.URL // on the API's own origin, with the parameters of the first request
	number   int      // of the page; 0: unknown
	built    bool     // made from the number instead of a link
	unlinked bool     // the service sent no link to this page
	key      uint64   // equal for all links to one page
}

// follow makes a safe link of the service's link to the next page. page is the URL of the page that has the link.
func (w *walk[T]) follow(text string, page *url.URL) (pageLink, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return pageLink{}, w.errorf("the link to the next page is malformed")
	}
	if u.Path == "" {
		u = page.ResolveReference(u)
	} else {
		u = w.first.ResolveReference(u) // relative to the page, a path would grow from page to page
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch base := w.pager.client.base; {
	case !origin.Same(u, base) || u.User != nil:
		return w.linkByNumber(query, "leads to another origin")
	case !below(base.Path, u.Path):
		return w.linkByNumber(query, "leads outside the API")
	case err != nil:
		return w.linkByNumber(query, "is malformed")
	}
	if w.isBackward(u, query, page) {
		return w.backward()
	}
	n, _ := pageNumber(query)
	return w.unvisited(pageLink{url: w.restore(u, query), number: max(0, n)})
}

// linkByNumber replaces a link that can't be followed by a request of the page with its number. flaw says why it can't.
func (w *walk[T]) linkByNumber(query url.Values, flaw string) (pageLink, error) {
	n, known := pageNumber(query)
	switch {
	case !known || !w.numbered():
		return pageLink{}, w.errorf("the link to the next page %s", flaw)
	case n <= w.number:
		return w.backward()
	}
	return w.unvisited(w.linkTo(n))
}

// linkTo makes a link to page n from the first request.
func (w *walk[T]) linkTo(n int) pageLink {
	return pageLink{url: withPage(w.first, n), number: n, built: true}
}

// unvisited completes a link. One that was followed before is an error.
func (w *walk[T]) unvisited(link pageLink) (pageLink, error) {
	link.key = w.key(link.url)
	if _, again := w.seen[link.key]; again {
		return w.backward()
	}
	return link, nil
}

func (w *walk[T]) backward() (pageLink, error) {
	return pageLink{}, w.errorf("the link to the next page leads back to a page that was read before")
}

// following returns the link to the page after the one that a link leads to, by its number. It is zero if it isn't certain by the
// size of the list that there is such a page.
func (w *walk[T]) following(link pageLink) pageLink {
	if link.number <= 0 || w.byCursor || (w.size-1)/max(w.pageLen, w.largest, 1) < link.number {
		return pageLink{}
	}
	u := withPage(link.url, link.number+1)
	return pageLink{url: u, number: link.number + 1, key: w.key(u)}
}

// foresee returns the link to the page after one that isn't decoded yet. It is zero if it isn't certain that it leads there.
func (w *walk[T]) foresee(a arrival) pageLink {
	if a.next == "" {
		return pageLink{}
	}
	after := *w
	if w.first == nil {
		after.start(a.page)
	}
	after.turnTo(w.link)
	link, err := after.follow(a.next, a.page)
	if err != nil || after.noValues {
		return pageLink{}
	}
	return link
}

// restore adds the parameters of the first request that a link has lost. It keeps those that the link has.
func (w *walk[T]) restore(u *url.URL, query url.Values) *url.URL {
	restored := *u
	restored.Scheme, restored.Host, restored.Fragment, restored.RawFragment = w.first.Scheme, w.first.Host, "", ""
	lost := false
	for key, values := range w.query {
		// A parameter is lost if it is empty or has only some of its values.
		if key == "page" || slices.Equal(query[key], values) || !within(query[key], values) {
			continue
		}
		query[key] = values
		lost = true
	}
	if addPagingFields(query) || lost {
		restored.RawQuery = query.Encode()
	}
	return &restored
}

// within reports whether each of some is empty or also in all.
func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(value string) bool { return value != "" && !slices.Contains(all, value) })
}

// isBackward reports whether a link leads to the latest page or one before it. If it has a parameter that the first request
// lacks, that may be a cursor, and its number doesn't count.
func (w *walk[T]) isBackward(u *url.URL, query url.Values, page *url.URL) bool {
	for key, values := range query {
		if key != "page" && !w.query.Has(key) && !within(values, nil) {
			return false
		}
	}
	n, known := pageNumber(query)
	switch {
	case sameList(u, w.first):
		return !query.Has("page") || known && n <= w.number
	case sameList(u, page): // another path than the first request's: it may number its pages from 0
		return !query.Has("page") || known && n <= w.number && n > 0
	}
	return false
}

// key returns the same hash for all URLs of one page.
func (w *walk[T]) key(u *url.URL) uint64 {
	query := u.Query()
	if n, _ := pageNumber(query); n == 1 {
		query.Del("page")
	}
	at := u
	if sameList(u, w.first) {
		at = w.first
	}
	return maphash.String(w.seed, at.Path+"?"+query.Encode())
}

// sameList reports whether two URLs seem to lead to one list. It compares only the last element and the depth, since the others
// may be named by slug or by UUID.
func sameList(a, b *url.URL) bool {
	one, other := path.Clean(a.Path), path.Clean(b.Path)
	return path.Base(one) == path.Base(other) && strings.Count(one, "/") == strings.Count(other, "/")
}

// below reports whether a path is the base path or lies below it.
func below(base, at string) bool {
	return strings.HasPrefix(path.Clean(at)+"/", strings.TrimSuffix(base, "/")+"/")
}

// withPage returns a copy of u with another page number.
func withPage(u *url.URL, n int) *url.URL {
	page, query := *u, u.Query()
	query.Set("page", strconv.Itoa(n))
	page.RawQuery = query.Encode()
	return &page
}

// pageNumber returns the page number in a query.
func pageNumber(query url.Values) (n int, known bool) {
	page, err := strconv.ParseInt(query.Get("page"), 10, 32)
	if err != nil {
		return 0, false
	}
	return int(page), true
}
