package pipelines_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

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
				srv.requireSent(t, 0, "nothing is sent before it is ranged over")
				if parallel > 0 {
					pager = pager.Parallel(parallel)
				}
				for range 2 { // each range starts anew
					runs, err := pager.Collect()
					require.NoError(t, err)
					require.Equal(t, upTo(tc.book.n), numbers(runs))
				}
				srv.requireSent(t, 2*tc.requests)
				for _, req := range srv.seen() {
					require.Contains(t, req.Query, "target.branch=main")
				}
			})
		}
	}
}

func TestListPagesHaveWhatTheServiceSent(t *testing.T) {
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

	bare := record(t, serveJSON(`{"values":[null,{"build_number":1},null],"size":null}`))
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
					serve(403, "text/plain", "no")(w, req)
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

func TestLeavingAListSendsNoMoreRequests(t *testing.T) {
	srv := record(t, book{n: 500}.ServeHTTP)
	c := newClient(t, srv.base())
	for run, err := range c.Pipelines.List(t.Context(), repo, nil).All() {
		require.NoError(t, err)
		if run.BuildNumber == 150 {
			break
		}
	}
	srv.requireSent(t, 2)
}

func TestListFirstRequestsOneItem(t *testing.T) {
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

	failing := newClient(t, record(t, serve(403, "text/plain", "")).base())
	_, err = failing.Pipelines.List(t.Context(), repo, nil).First()
	require.ErrorIs(t, err, pipelines.ErrForbidden)
}

func TestInvalidListOptionsAreRefused(t *testing.T) {
	srv := record(t, book{n: 1}.ServeHTTP)
	c := newClient(t, srv.base())
	for _, pageLen := range []int{-1, 101} {
		t.Run(fmt.Sprint(pageLen), func(t *testing.T) {
			_, err := c.Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{PageLen: pageLen}).Collect()
			assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			_, err = c.Steps.List(t.Context(), repo, "1", &pipelines.ListOptions{PageLen: pageLen}).Parallel(3).Collect()
			assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		})
	}
	_, err := c.Pipelines.List(t.Context(), pipelines.Repo{Workspace: "acme"}, nil).First()
	require.EqualError(t, err, "pipelines: Pipelines.List: invalid argument: Repo.Slug is empty")
	srv.requireSent(t, 0)
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
	srv.requireSent(t, 1)
}

func TestAQueryOfTheUserVariesEveryPageOfAList(t *testing.T) {
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

func TestAnyPagedPathCanBeListed(t *testing.T) {
	type member struct {
		UserName string `json:"nickname"`
		Since    time.Duration
	}
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		page := req.URL.Query().Get("page")
		if page == "" {
			page = "1"
		}
		next := ""
		if page == "1" {
			next = `,"next":"http://` + req.Host + req.URL.Path + `?page=2"`
		}
		serveJSON(`{"values":[{"nickname":"m`+page+`","since":5}]`+next+`}`)(w, req)
	})
	c := newClient(t, srv.base())
	all, err := pipelines.List[member](t.Context(), c, "/workspaces/acme/members?q=x", pipelines.WithHeader("X-Team", "blue")).Collect()
	require.NoError(t, err)
	require.Equal(t, []*member{{"m1", 5}, {"m2", 5}}, all, "as encoding/json decodes")
	for _, req := range srv.seen() {
		require.Contains(t, req.Query, "q=x")
		require.Equal(t, "blue", req.Header.Get("X-Team"))
	}
	_, err = pipelines.List[member](t.Context(), c, "https://elsewhere.example/x").Collect()
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.ErrorContains(t, err, "path is a URL")
	repos, err := pipelines.List[pipelines.Repository](t.Context(), newClient(t, record(t, serveJSON(`{"values":[{"full_name":"acme/site"}]}`)).base()), "/repositories/acme").First()
	require.NoError(t, err)
	require.Equal(t, "acme/site", repos.FullName)
}

func TestAListKeepsThePageLengthOfItsPath(t *testing.T) {
	srv := record(t, book{n: 120, maxLen: 50, noSize: true}.ServeHTTP)
	runs, err := pipelines.List[pipelines.Pipeline](t.Context(), newClient(t, srv.base()), "/repositories/acme/site/x?pagelen=50").Collect()
	require.NoError(t, err)
	require.Equal(t, upTo(120), numbers(runs))
	srv.requireSent(t, 3)
	for _, req := range srv.seen() {
		require.Contains(t, req.Query, "pagelen=50")
	}
}

func TestAPartialListKeepsWhatLeadsToItsNextPage(t *testing.T) {
	for fields, want := range map[string]string{"values.uuid": "values.uuid,next,size,page,pagelen", "-values.links": "-values.links", "+values.x": "+values.x"} {
		t.Run(fields, func(t *testing.T) {
			srv := record(t, book{n: 250}.ServeHTTP)
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("fields", fields)).Collect()
			require.NoError(t, err)
			require.Len(t, runs, 250)
			for _, req := range srv.seen() {
				q, err := url.ParseQuery(req.Query)
				require.NoError(t, err)
				require.Equal(t, want, q.Get("fields"))
			}
		})
	}
}

func TestAnEmptyListIsNoMissingPipeline(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	run := r.AddPipeline(pipelines.Pipeline{})
	c := srv.Client()
	_, err := c.Steps.List(t.Context(), repo, run.UUID, nil).First()
	require.ErrorIs(t, err, pipelines.ErrEmptyList)
	require.NotErrorIs(t, err, pipelines.ErrNotFound)
	_, err = c.Steps.List(t.Context(), repo, "4711", nil).First()
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.NotErrorIs(t, err, pipelines.ErrEmptyList)
}

func TestAPartialListOfAPathKeepsWhatLeadsToItsNextPage(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		fields := req.URL.Query().Get("fields")
		next := ""
		if req.URL.Query().Get("page") == "" && strings.Contains(fields, "next") {
			next = fmt.Sprintf(`,"next":"http://%s%s?page=2"`, req.Host, req.URL.Path)
		}
		serveJSON(`{"values":[{"full_name":"a"},{"full_name":"b"}]`+next+`}`)(w, req)
	})
	c := newClient(t, srv.base())
	pager := pipelines.List[pipelines.Repository](t.Context(), c, "/repositories/acme?fields=values.full_name")
	var group sync.WaitGroup
	for range 4 { // several goroutines may use one Pager
		group.Go(func() {
			repos, err := pager.Collect()
			assert.NoError(t, err)
			assert.Len(t, repos, 4)
		})
	}
	group.Wait()
	repos, err := pipelines.List[pipelines.Repository](t.Context(), c, "/repositories/acme?fields=values.uuid",
		pipelines.WithQuery("fields", "values.full_name")).Collect()
	require.NoError(t, err)
	require.Len(t, repos, 4, "an option's fields replace the path's")
	for _, req := range srv.seen() {
		q, err := url.ParseQuery(req.Query)
		require.NoError(t, err)
		require.Equal(t, []string{"values.full_name,next,size,page,pagelen"}, q["fields"])
	}
}

func TestAnUnseenItemIsNoEmptyList(t *testing.T) {
	srv := record(t, serveJSON(`{"size":250}`))
	_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("fields", "size")).First()
	require.Error(t, err)
	require.NotErrorIs(t, err, pipelines.ErrEmptyList)
}

func TestAListThatLeavesItsLinksOutIsComplete(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		fields := strings.Split(req.URL.Query().Get("fields"), ",")
		book{n: 250, noNext: slices.Contains(fields, "-next"), noSize: slices.Contains(fields, "-size")}.ServeHTTP(w, req)
	})
	runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("fields", "-next,-size,-values.links")).Collect()
	require.NoError(t, err)
	require.Len(t, runs, 250)
}

// Some lists of the service have been seen without links, and neither links nor a size are required members of its pages.
func TestAListWithNeitherLinksNorASizeIsComplete(t *testing.T) {
	for name, tc := range map[string]struct {
		book     book
		items    int
		requests int
	}{
		"empty":                  {book{}, 0, 1},
		"a part of a page":       {book{n: 99}, 99, 1},
		"a full page":            {book{n: 100}, 100, 2},
		"three pages":            {book{n: 250}, 250, 3},
		"full pages":             {book{n: 300}, 300, 4},
		"shorter pages":          {book{n: 25, maxLen: 10}, 25, 3},
		"a pagelen of so few":    {book{n: 2, maxLen: 2}, 2, 1},
		"one page for any":       {book{n: 100, ignores: true}, 100, 2},
		"one short page for any": {book{n: 10, maxLen: 10, ignores: true}, 10, 2},
	} {
		for _, parallel := range []int{0, 4} {
			t.Run(fmt.Sprint(name, " ", parallel), func(t *testing.T) {
				tc.book.noNext, tc.book.noSize = true, true
				srv := record(t, tc.book.ServeHTTP)
				runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(parallel).Collect()
				require.NoError(t, err)
				require.Equal(t, upTo(tc.items), numbers(runs))
				srv.requireSent(t, tc.requests)
			})
		}
	}
	t.Run("of some members", func(t *testing.T) {
		srv := record(t, func(w http.ResponseWriter, req *http.Request) {
			b := book{n: 25, maxLen: 10, noNext: true, noSize: true, noLen: !strings.Contains(req.URL.Query().Get("fields"), "pagelen")}
			b.ServeHTTP(w, req)
		})
		runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithQuery("fields", "values.build_number")).Collect()
		require.NoError(t, err)
		require.Equal(t, upTo(25), numbers(runs))
	})
	for name, beyond := range noPages {
		if name == "an empty page that knows size" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Query().Get("page") == "2" {
					beyond(w, req)
					return
				}
				book{n: 100, noNext: true, noSize: true}.ServeHTTP(w, req)
			})
			runs, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Collect()
			require.NoError(t, err)
			require.Len(t, runs, 100)
		})
	}
}
