package pipelines_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// book is a list of n pipelines, served page by page.
type book struct {
	n       int
	noNext  bool // the service leaves "next" out
	noSize  bool
	cursor  bool // "next" carries no page number
	ignores bool // the page asked for is not looked at
	maxLen  int  // the service's own bound of a page; 0: none
}

func (b book) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	page, _ := strconv.Atoi(q.Get("page") + strings.TrimPrefix(q.Get("ctx"), "cursor"))
	pageLen, _ := strconv.Atoi(q.Get("pagelen"))
	if b.maxLen > 0 {
		pageLen = min(pageLen, b.maxLen)
	}
	if page == 0 || b.ignores {
		page = 1
	}
	var values []string
	for i := (page-1)*pageLen + 1; i <= min(b.n, page*pageLen); i++ {
		values = append(values, fmt.Sprintf(`{"build_number":%d}`, i))
	}
	members := []string{fmt.Sprintf(`"page":%d,"pagelen":%d,"values":[%s]`, page, pageLen, strings.Join(values, ","))}
	if !b.noSize {
		members = append(members, fmt.Sprintf(`"size":%d`, b.n))
	}
	if !b.noNext && page*pageLen < b.n {
		q.Set("page", strconv.Itoa(page+1))
		if b.cursor {
			q.Del("page")
			q.Set("ctx", "cursor"+strconv.Itoa(page+1))
		}
		next := url.URL{Scheme: "http", Host: req.Host, Path: req.URL.Path, RawQuery: q.Encode()}
		members = append(members, fmt.Sprintf(`"next":%q`, next.String()))
	}
	answerJSON("{"+strings.Join(members, ",")+"}")(w, req)
}

func numbers(runs []*pipelines.Pipeline) []int {
	var all []int
	for _, run := range runs {
		all = append(all, run.BuildNumber)
	}
	return all
}

func upTo(n int) []int {
	var all []int
	for i := 1; i <= n; i++ {
		all = append(all, i)
	}
	return all
}

func TestListsAreComplete(t *testing.T) {
	for name, tc := range map[string]struct {
		book     book
		pageLen  int
		requests int
	}{
		"one page":                                 {book{n: 3}, 0, 1},
		"exactly one page":                         {book{n: 100}, 0, 1},
		"no items":                                 {book{}, 0, 1},
		"three pages by next":                      {book{n: 250}, 0, 3},
		"three pages without a size":               {book{n: 250, noSize: true}, 0, 3},
		"three pages without next":                 {book{n: 250, noNext: true}, 0, 3},
		"small pages":                              {book{n: 25}, 10, 3},
		"a service that serves fewer":              {book{n: 25, maxLen: 10}, 0, 3},
		"a service that serves fewer, and no next": {book{n: 25, maxLen: 10, noNext: true}, 0, 3},
		"a cursor":                                 {book{n: 250, cursor: true}, 0, 3},
	} {
		for _, parallel := range []int{0, 2, 8} {
			t.Run(fmt.Sprintf("%s, %d at once", name, parallel), func(t *testing.T) {
				srv := record(t, tc.book.ServeHTTP)
				c := newClient(t, srv.base())
				pager := c.Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{PageLen: tc.pageLen, Branch: "main"})
				require.Empty(t, srv.seen(), "nothing is sent before it is ranged over")
				if parallel > 0 {
					pager = pager.Parallel(parallel)
				}
				for range 2 { // each range starts anew
					runs, err := pager.Collect()
					require.NoError(t, err)
					require.Equal(t, upTo(tc.book.n), numbers(runs))
				}
				require.Len(t, srv.seen(), 2*tc.requests)
				for _, req := range srv.seen() {
					require.Contains(t, req.Query, "target.branch=main")
				}
			})
		}
	}
}

func TestPagesTellWhatTheServiceSays(t *testing.T) {
	srv := record(t, book{n: 25}.ServeHTTP)
	c := newClient(t, srv.base())
	var pages []*pipelines.Page[pipelines.Pipeline]
	for page, err := range c.Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{PageLen: 10}).Pages() {
		require.NoError(t, err)
		pages = append(pages, page)
	}
	require.Len(t, pages, 3)
	require.Equal(t, []int{1, 2, 3}, []int{pages[0].Number, pages[1].Number, pages[2].Number})
	require.Equal(t, 10, pages[0].PageLen)
	require.Equal(t, 25, pages[0].Size)
	require.Contains(t, pages[0].Next, "page=2")
	require.Empty(t, pages[2].Next)

	bare := record(t, answerJSON(`{"values":[null,{"build_number":1},null],"size":null}`))
	for page, err := range newClient(t, bare.base()).Pipelines.List(t.Context(), repo, nil).Pages() {
		require.NoError(t, err)
		require.Equal(t, []int{1}, numbers(page.Values))
		require.Equal(t, -1, page.Size)
		require.Equal(t, 1, page.Number)
	}
}

func TestAnErrorOnALaterPageIsYieldedOnceAndEndsTheList(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			b := book{n: 500}
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Query().Get("page") == "2" {
					answer(403, "text/plain", "no")(w, req)
					return
				}
				b.ServeHTTP(w, req)
			})
			pager := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel)
			runs, err := pager.Collect()
			require.ErrorIs(t, err, pipelines.ErrForbidden)
			require.Equal(t, upTo(100), numbers(runs), "what was read comes with the error")

			items, failures := 0, 0
			for run, err := range pager.All() {
				if err != nil {
					failures++
					require.Nil(t, run)
					continue
				}
				items++
			}
			require.Equal(t, 100, items)
			require.Equal(t, 1, failures)
		})
	}
}

func TestLeavingAListAsksForNoMore(t *testing.T) {
	srv := record(t, book{n: 500}.ServeHTTP)
	c := newClient(t, srv.base())
	for run, err := range c.Pipelines.List(t.Context(), repo, nil).All() {
		require.NoError(t, err)
		if run.BuildNumber == 150 {
			break
		}
	}
	require.Len(t, srv.seen(), 2)
}

func TestLeavingAParallelListLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble fails if a goroutine outlives it
		b := book{n: 5000}
		ended := 0
		var mu sync.Mutex
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			defer func() { mu.Lock(); ended++; mu.Unlock() }()
			if req.URL.Query().Get("page") != "" {
				<-req.Context().Done() // a slow page
				return nil, req.Context().Err()
			}
			return hosts{"http://api.example": b.ServeHTTP}.RoundTrip(req)
		})}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
		for range c.Pipelines.List(t.Context(), repo, nil).Parallel(8).All() {
			synctest.Wait() // until all pages that may be asked for are
			break
		}
		require.Equal(t, 8, ended, "the first page, and seven ahead of it")
	})
}

func TestParallelPagesAreBoundedAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		b := book{n: 2000}
		var mu sync.Mutex
		flying, most := 0, 0
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			flying++
			most = max(most, flying)
			mu.Unlock()
			page, _ := strconv.Atoi(req.URL.Query().Get("page"))
			time.Sleep(time.Duration(1+page*7%5) * time.Second) // the bubble's clock: pages come out of order
			mu.Lock()
			flying--
			mu.Unlock()
			return hosts{"http://api.example": b.ServeHTTP}.RoundTrip(req)
		})}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithStallTimeout(time.Hour))
		runs, err := c.Pipelines.List(t.Context(), repo, nil).Parallel(n).Collect()
		require.NoError(t, err)
		require.Equal(t, upTo(2000), numbers(runs))
		require.Equal(t, n, most)
	})
}

func TestParallelReadsOnWhereTheListHasGrown(t *testing.T) {
	b := book{n: 250}
	var mu sync.Mutex
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b.ServeHTTP(w, req)
		b.n = 350 // after the first page
	})
	runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(3).Collect()
	require.NoError(t, err)
	require.Equal(t, upTo(350), numbers(runs))
}

func TestFirstAsksForOneItem(t *testing.T) {
	srv := record(t, book{n: 250}.ServeHTTP)
	c := newClient(t, srv.base())
	run, err := c.Pipelines.List(t.Context(), repo, nil).First()
	require.NoError(t, err)
	require.Equal(t, 1, run.BuildNumber)
	require.Equal(t, "pagelen=1", srv.only(t).Query)

	empty := newClient(t, record(t, book{}.ServeHTTP).base())
	run, err = empty.Pipelines.List(t.Context(), repo, nil).First()
	require.ErrorIs(t, err, pipelines.ErrEmptyList)
	require.NotErrorIs(t, err, pipelines.ErrNotFound)
	require.Nil(t, run)

	failing := newClient(t, record(t, answer(403, "text/plain", "")).base())
	_, err = failing.Pipelines.List(t.Context(), repo, nil).First()
	require.ErrorIs(t, err, pipelines.ErrForbidden)
}

func TestLinksOfTheServiceAreNotTrusted(t *testing.T) {
	foreign := record(t, answerJSON(`{"values":[{"build_number":666}]}`))
	for name, tc := range map[string]struct{ next, says string }{
		"to another origin":          {foreign.URL + "/2.0/x", "another origin"},
		"to another scheme":          {"https://HOST/2.0/x", "another origin"},
		"to a file":                  {"file:///etc/passwd", "another origin"},
		"with credentials":           {"http://u:p@HOST/2.0/x", "another origin"},
		"to the same host, opaquely": {"http:HOST/2.0/x", "another origin"},
		"to the first page again":    {"http://HOST/2.0/repositories/acme/site/pipelines?page=2", "read before"},
		"that does not parse":        {"http://[::1", "malformed"},
	} {
		for _, parallel := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s, %d at once", name, parallel), func(t *testing.T) {
				srv := record(t, func(w http.ResponseWriter, req *http.Request) {
					next := strings.ReplaceAll(tc.next, "HOST", req.Host)
					answerJSON(fmt.Sprintf(`{"values":[{"build_number":1}],"next":%q}`, next))(w, req)
				})
				_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
				require.ErrorContains(t, err, tc.says)
				require.LessOrEqual(t, len(srv.seen()), 2)
				require.Empty(t, foreign.seen())
			})
		}
	}
}

func TestALinkToAPageOfLongAgoIsFound(t *testing.T) {
	n := 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		n++
		answerJSON(fmt.Sprintf(`{"values":[{}],"next":"http://%s/2.0/p?page=%d"}`, req.Host, n%12))(w, req)
	})
	_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.ErrorContains(t, err, "read before")
	require.Len(t, srv.seen(), 13)
}

func TestALinkMayBeRelativeToTheOrigin(t *testing.T) {
	srv := record(t, sequence(answerJSON(`{"values":[{}],"next":"/2.0/p?page=2"}`), answerJSON(`{"values":[{}]}`)))
	runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.NoError(t, err)
	require.Len(t, runs, 2)
	require.Equal(t, "/2.0/p", srv.seen()[1].Path)
}

func TestAServiceThatAlwaysServesTheFirstPageIsFoundOut(t *testing.T) {
	srv := record(t, book{n: 250, noNext: true, ignores: true}.ServeHTTP)
	_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
	require.ErrorContains(t, err, "page 2 was asked for and page 1 came")
	require.Len(t, srv.seen(), 2)
}

func TestListOptionsThatCannotWorkAreRefused(t *testing.T) {
	srv := record(t, book{n: 1}.ServeHTTP)
	c := newClient(t, srv.base())
	for _, pageLen := range []int{-1, 101} {
		_, err := c.Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{PageLen: pageLen}).Collect()
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		_, err = c.Steps.List(t.Context(), repo, "1", &pipelines.ListOptions{PageLen: pageLen}).Parallel(3).Collect()
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	}
	_, err := c.Pipelines.List(t.Context(), pipelines.Repo{Workspace: "acme"}, nil).First()
	require.EqualError(t, err, "pipelines: Pipelines.List: invalid argument: repo_slug is empty")
	require.Empty(t, srv.seen())
}

func TestAListEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv := record(t, book{n: 500}.ServeHTTP)
	var last error
	for _, err := range newClient(t, srv.base()).Pipelines.List(ctx, repo, nil).All() {
		cancel()
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Len(t, srv.seen(), 1)
}

func TestAQueryOfTheUserVariesEveryPage(t *testing.T) {
	srv := record(t, book{n: 25}.ServeHTTP)
	pager := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("pagelen", "10"), pipelines.WithQuery("fields", "values.uuid,next"))
	runs, err := pager.Collect()
	require.NoError(t, err)
	require.Len(t, runs, 25)
	for _, req := range srv.seen() {
		require.Contains(t, req.Query, "pagelen=10")
		require.Contains(t, req.Query, "fields=values.uuid%2Cnext")
	}
}

func TestALongListNeedsLittleMemory(t *testing.T) {
	b := book{n: 20_000}
	hc := &http.Client{Transport: hosts{"http://api.example": b.ServeHTTP}}
	c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for _, err := range c.Pipelines.List(t.Context(), repo, nil).All() {
		require.NoError(t, err)
		if n++; n == b.n {
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
	}
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(4<<20))
}
