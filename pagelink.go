package pipelines

import (
	"hash/maphash"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/origin"
)

// pageLink says where a page is. Zero: the first page.
type pageLink struct {
	url     *url.URL // on the API's own origin, with the parameters of the first request
	number  int      // of the page; 0: not known
	ours    bool     // made from a number, in place of a link of the service
	guessed bool     // the service doesn't link to this page
	key     uint64   // the same for two links to one page
}

// follow makes a request of the service's link to the next page. page is the URL of the page that has the link.
func (w *walk[T]) follow(text string, page *url.URL) (pageLink, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return pageLink{}, w.errorf("the link to the next page is malformed")
	}
	if u.Path == "" {
		u = page.ResolveReference(u)
	} else {
		u = w.first.ResolveReference(u) // a relative path would grow from page to page
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch base := w.pager.client.base; {
	case !origin.Same(u, base) || u.User != nil:
		return w.byNumber(query, "leads to another origin")
	case !below(base.Path, u.Path):
		return w.byNumber(query, "leads outside the API")
	case err != nil:
		return w.byNumber(query, "is malformed")
	}
	if w.isBack(u, query, page) {
		return w.leadsBack()
	}
	n, _ := pageNumber(query)
	return w.visit(pageLink{url: w.complete(u, query), number: max(0, n)})
}

// byNumber is the page of a link that can't be followed, asked for by its number. flaw is what is wrong with the link.
func (w *walk[T]) byNumber(query url.Values, flaw string) (pageLink, error) {
	n, known := pageNumber(query)
	switch {
	case !known || !w.counts():
		return pageLink{}, w.errorf("the link to the next page %s", flaw)
	case n <= w.number:
		return w.leadsBack()
	}
	return w.visit(w.numbered(n))
}

// numbered is the first request, for the page with another number.
func (w *walk[T]) numbered(n int) pageLink {
	u, query := *w.first, maps.Clone(w.query)
	query.Set("page", strconv.Itoa(n))
	u.RawQuery = query.Encode()
	return pageLink{url: &u, number: n, ours: true}
}

// visit notes a link that is about to be followed, once.
func (w *walk[T]) visit(link pageLink) (pageLink, error) {
	link.key = w.key(link.url)
	if _, again := w.seen[link.key]; again {
		return w.leadsBack()
	}
	w.seen[link.key] = struct{}{}
	return link, nil
}

func (w *walk[T]) leadsBack() (pageLink, error) {
	return pageLink{}, w.errorf("the link to the next page leads back to a page that was read before")
}

// complete puts back the parameters of the first request that a link has lost. What the link says itself is kept.
func (w *walk[T]) complete(u *url.URL, query url.Values) *url.URL {
	completed := *u
	completed.Scheme, completed.Host, completed.Fragment, completed.RawFragment = w.first.Scheme, w.first.Host, "", ""
	lost := false
	for key, values := range w.query {
		// A parameter whose value is empty is lost, and so is one that has only some of its values left.
		if key == "page" || slices.Equal(query[key], values) || !within(query[key], values) {
			continue
		}
		query[key] = values
		lost = true
	}
	if keepPaging(query) || lost {
		completed.RawQuery = query.Encode()
	}
	return &completed
}

// within reports whether each of some values is empty or one of all.
func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(value string) bool { return value != "" && !slices.Contains(all, value) })
}

// isBack reports whether a link names a page at or before the one at hand. A link with a parameter that the first request
// doesn't have may be a cursor, and says nothing of that.
func (w *walk[T]) isBack(u *url.URL, query url.Values, page *url.URL) bool {
	for key, values := range query {
		if key != "page" && !w.query.Has(key) && !within(values, nil) {
			return false
		}
	}
	n, known := pageNumber(query)
	switch {
	case sameList(u, w.first):
		return !query.Has("page") || known && n <= w.number
	case sameList(u, page): // a path of the service's own, where it may count from 0
		return !query.Has("page") || known && n <= w.number && n > 0
	}
	return false
}

// key is the same for two URLs of one page.
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

// sameList reports whether two URLs lead to one list. A workspace, a repository and others have two names, slug and UUID.
func sameList(a, b *url.URL) bool {
	one, other := path.Clean(a.Path), path.Clean(b.Path)
	return path.Base(one) == path.Base(other) && strings.Count(one, "/") == strings.Count(other, "/")
}

// below reports whether a path lies within the base URL's.
func below(base, at string) bool {
	return strings.HasPrefix(path.Clean(at)+"/", strings.TrimSuffix(base, "/")+"/")
}

// pageNumber is the number that a query names a page by.
func pageNumber(query url.Values) (n int, known bool) {
	page, err := strconv.ParseInt(query.Get("page"), 10, 32)
	if err != nil {
		return 0, false
	}
	return int(page), true
}
