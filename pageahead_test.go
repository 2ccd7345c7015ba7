package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestParallelListIsBoundedAndInOrder(t *testing.T) {
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

func TestParallelListReadsOnWhereItHasGrown(t *testing.T) {
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

func TestAParallelListThatEndsWithABadLinkLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble fails if a goroutine outlives it
		good, bad := linked{next: "http://HOST" + listPath + "?page=%d"}, linked{next: "http://[::1"}
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			serve := good.ServeHTTP
			switch req.URL.Query().Get("page") {
			case "2":
				serve = bad.ServeHTTP
			case "3":
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return hosts{"http://api.example": serve}.RoundTrip(req)
		})}
		runs, err := newClient(t, "http://api.example/2.0", pipelines.WithHTTPClient(hc)).Pipelines.List(t.Context(), repo, nil).Parallel(8).Collect()
		require.ErrorContains(t, err, "malformed")
		require.Equal(t, upTo(200), numbers(runs))
	})
}

func TestAParallelListIsTheSameListWhateverItsLinksAre(t *testing.T) {
	links := []string{
		"", "?page=%d", "http://inner/x?page=%d", "http://api.example/2.0/x?page=%d", "?page=%d&token=%d", "?ctx=after%d", "?page=1", "http://[::1", "/other?page=%d",
		"http://api.example" + listPath + "?page=%d&sort=x", "https://api.example" + listPath + "?page=9",
	}
	for seed := range 300 {
		random := rand.New(rand.NewPCG(1, uint64(seed)))
		var shown []int
		var next []string
		sum, usual := 0, links[random.IntN(len(links))]
		for range 1 + random.IntN(6) {
			shown = append(shown, max(0, 5-random.IntN(4)*random.IntN(3)))
			sum += shown[len(shown)-1]
			if random.IntN(5) == 0 {
				usual = links[random.IntN(len(links))]
			}
			next = append(next, usual)
		}
		next[len(next)-1] = ""
		size := sum + []int{0, 0, 1, 3, 5, 12, -2}[random.IntN(7)]
		beyond := []string{"an empty page", "null", "404", "another object"}[random.IntN(4)]
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			q := req.URL.Query()
			page, _ := strconv.Atoi(q.Get("page") + strings.TrimPrefix(q.Get("ctx"), "after"))
			if page = max(1, page); page > len(shown) {
				noPages[beyond](w, req)
				return
			}
			var values []string
			for i := range shown[page-1] {
				values = append(values, fmt.Sprintf(`{"build_number":%d}`, page*100+i))
			}
			link := strings.ReplaceAll(next[page-1], "%d", strconv.Itoa(page+1))
			serveJSON(fmt.Sprintf(`{"size":%d,"values":[%s],"next":%q}`, size, strings.Join(values, ","), link))(w, req)
		}}}
		list := newClient(t, "http://api.example/2.0", pipelines.WithHTTPClient(hc)).Pipelines.List(t.Context(), repo, &pipelines.ListPipelinesOptions{PageLen: 5})
		want, wantErr := list.Collect()
		once := make(map[int]bool)
		for _, run := range want {
			require.False(t, once[run.BuildNumber], "seed %d: run %d comes twice, links %q, shown %v", seed, run.BuildNumber, next, shown)
			once[run.BuildNumber] = true
		}
		for _, parallel := range []int{2, 3, 8} {
			got, err := list.Parallel(parallel).Collect()
			require.Equal(t, numbers(want), numbers(got), "seed %d, links %q", seed, next)
			require.Equal(t, fmt.Sprint(wantErr), fmt.Sprint(err), "seed %d, links %q", seed, next)
		}
	}
}

func TestAParallelListFindsALinkToAPageOfLongAgo(t *testing.T) {
	var n atomic.Int32
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		serveJSON(fmt.Sprintf(`{"values":[{}],"next":"http://%s/2.0/p?page=%d"}`, req.Host, n.Add(1)%12))(w, req)
	})
	_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil).Parallel(4).Collect()
	require.ErrorContains(t, err, "read before")
	srv.requireSent(t, 13)
}

func TestATransportThatEndsItsGoroutineEndsAParallelList(t *testing.T) {
	hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil })}
	c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.List(t.Context(), repo, nil).Parallel(3).Collect()
	require.ErrorContains(t, err, "Pipelines.List")
}

// library serves a book in process and counts the requests.
type library struct {
	book     book
	requests atomic.Int32
	pages    map[string]http.HandlerFunc // by the page number of the request, in place of the book's
	latency  time.Duration               // of each response
	slow     time.Duration               // that each body takes to arrive after its response
}

func (l *library) RoundTrip(req *http.Request) (*http.Response, error) {
	l.requests.Add(1)
	select {
	case <-time.After(l.latency):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	serve := l.book.ServeHTTP
	if own := l.pages[req.URL.Query().Get("page")]; own != nil {
		serve = own
	}
	resp, err := hosts{"http://api.example": serve}.RoundTrip(req)
	if err == nil {
		resp.Header.Set("X-Page", req.URL.Query().Get("page"))
		resp.Body = &lateBody{resp.Body, l.slow}
	}
	return resp, err
}

func (l *library) client(t *testing.T) *pipelines.Client {
	t.Helper()
	return newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: l}))
}

// lateBody arrives after a while.
type lateBody struct {
	io.ReadCloser
	after time.Duration
}

func (b *lateBody) Read(p []byte) (int, error) {
	time.Sleep(b.after)
	b.after = 0
	return b.ReadCloser.Read(p)
}

func TestCollectWaitsForNothingButTheLatencyOfEachPage(t *testing.T) {
	for name, tc := range map[string]struct {
		book book
		want time.Duration
	}{
		"by number, with the response":         {book{n: 10_000}, 100*20*time.Millisecond + 3*5*time.Millisecond}, // the number is known from the third page on
		"by the link, once the body is there":  {book{n: 10_000, noSize: true}, 100 * 25 * time.Millisecond},
		"by a cursor, once the body is there":  {book{n: 10_000, cursor: true}, 100 * 25 * time.Millisecond},
		"without links, once it is decoded":    {book{n: 10_000, noNext: true}, 100 * 25 * time.Millisecond},
		"a list of one page has nothing ahead": {book{n: 100}, 25 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &library{book: tc.book, latency: 20 * time.Millisecond, slow: 5 * time.Millisecond}
				began := time.Now()
				runs, err := l.client(t).Pipelines.List(t.Context(), repo, nil).Collect()
				require.NoError(t, err)
				require.Equal(t, upTo(tc.book.n), numbers(runs))
				require.EqualValues(t, tc.book.n/100, l.requests.Load())
				require.LessOrEqual(t, time.Since(began), tc.want)
			})
		})
	}
}

func TestARangeReadsAheadFromTheThirdPageOn(t *testing.T) {
	for name, b := range map[string]book{
		"by number": {n: 550}, "by the link": {n: 550, noSize: true}, "by a cursor": {n: 550, cursor: true}, "without links": {n: 550, noNext: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &library{book: b, latency: time.Second, slow: time.Second}
				page := 0
				for _, err := range l.client(t).Pipelines.List(t.Context(), repo, nil).Pages() {
					require.NoError(t, err)
					page++
					synctest.Wait()
					want := page
					if page >= 3 {
						want = min(6, page+1)
					}
					require.EqualValues(t, want, l.requests.Load(), "requests while page %d is used", page)
				}
				require.Equal(t, 6, page)
			})
		})
	}
}

func TestNoListIsReadBeyondItsEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		book  book
		pages map[string]http.HandlerFunc
		items int
		want  int
	}{
		"empty":                         {book{}, nil, 0, 1},
		"one page":                      {book{n: 99}, nil, 99, 1},
		"one full page":                 {book{n: 100}, nil, 100, 1},
		"two pages":                     {book{n: 101}, nil, 101, 2},
		"two full pages":                {book{n: 200}, nil, 200, 2},
		"three pages":                   {book{n: 201}, nil, 201, 3},
		"three full pages":              {book{n: 300}, nil, 300, 3},
		"ten pages":                     {book{n: 1000}, nil, 1000, 10},
		"without links":                 {book{n: 950, noNext: true}, nil, 950, 10},
		"without a size":                {book{n: 950, noSize: true}, nil, 950, 10},
		"by cursor":                     {book{n: 950, cursor: true}, nil, 950, 10},
		"in shorter pages":              {book{n: 950, maxLen: 50}, nil, 950, 19},
		"in shorter pages, full":        {book{n: 900, maxLen: 50}, nil, 900, 18},
		"with an empty page at its end": {book{n: 390}, map[string]http.HandlerFunc{"4": serveJSON(`{"values":[],"size":390}`)}, 300, 4},
	} {
		for way, read := range map[string]func(*pipelines.Pager[pipelines.Pipeline]) (int, error){"Collect": collected, "All": ranged} {
			t.Run(name+" "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &library{book: tc.book, pages: tc.pages, latency: time.Second, slow: time.Second}
					n, err := read(l.client(t).Pipelines.List(t.Context(), repo, nil))
					require.NoError(t, err)
					require.Equal(t, tc.items, n)
					require.EqualValues(t, tc.want, l.requests.Load())
				})
			})
		}
	}
}

func collected(p *pipelines.Pager[pipelines.Pipeline]) (int, error) {
	runs, err := p.Collect()
	return len(runs), err
}

func ranged(p *pipelines.Pager[pipelines.Pipeline]) (n int, err error) {
	for _, err = range p.All() {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func TestLeavingARangeCostsAtMostOneRequest(t *testing.T) {
	for page, want := range []int{1: 1, 2: 2, 3: 4, 4: 5, 9: 10, 10: 10} {
		if want == 0 {
			continue
		}
		for name, b := range map[string]book{"by number": {n: 1000}, "by cursor": {n: 1000, cursor: true}} {
			t.Run(fmt.Sprint(name, " on page ", page), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // a bubble fails if a goroutine outlives it
					l := &library{book: b, latency: time.Second, slow: time.Second}
					for run, err := range l.client(t).Pipelines.List(t.Context(), repo, nil).All() {
						require.NoError(t, err)
						if run.BuildNumber > 100*(page-1) {
							time.Sleep(time.Hour) // all that may be requested is
							break
						}
					}
					require.EqualValues(t, want, l.requests.Load())
				})
			})
		}
	}
}

func TestAnOptionsVariableHasThePageThatTheLoopHas(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		synctest.Test(t, func(t *testing.T) {
			l := &library{book: book{n: 1000}, latency: time.Second}
			var resp *http.Response
			var raw []byte
			pager := l.client(t).Pipelines.List(t.Context(), repo, nil, pipelines.WithResponse(&resp), pipelines.WithRawBody(&raw)).Parallel(parallel)
			for page, err := range pager.Pages() {
				require.NoError(t, err)
				time.Sleep(time.Minute) // the next page arrives
				if page.Number > 1 {
					require.Equal(t, strconv.Itoa(page.Number), resp.Header.Get("X-Page"))
				}
				require.Contains(t, string(raw), fmt.Sprintf(`"page":%d,`, page.Number))
			}
		})
	}
}

func TestAPageThatWasReadAheadIsNotYieldedAfterTheContextsEnd(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := &library{book: book{n: 1000}}
			pages := 0
			var last error
			for _, err := range l.client(t).Pipelines.List(ctx, repo, nil).Parallel(parallel).Pages() {
				if last = err; err == nil {
					pages++
				}
				if pages == 4 {
					synctest.Wait() // until the next page is there
					cancel()
				}
			}
			require.ErrorIs(t, last, context.Canceled)
			require.Equal(t, 4, pages)
		})
	}
}

func TestAFailureThatWasReadAheadComesAfterThePagesBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &library{book: book{n: 1000}, pages: map[string]http.HandlerFunc{"5": serve(403, "text/plain", "no")}, latency: time.Second, slow: time.Second}
		list := l.client(t).Pipelines.List(t.Context(), repo, nil)
		runs, err := list.Collect()
		require.ErrorIs(t, err, pipelines.ErrForbidden)
		require.Equal(t, upTo(400), numbers(runs))
		require.EqualValues(t, 5, l.requests.Load())

		n, err := ranged(list)
		require.ErrorIs(t, err, pipelines.ErrForbidden)
		require.Equal(t, 400, n)
	})
}

// cutOffOnce has a page whose body is cut off when it is first requested.
func cutOffOnce() *library {
	var tries atomic.Int32
	b := book{n: 1000}
	return &library{book: b, pages: map[string]http.HandlerFunc{"4": func(w http.ResponseWriter, req *http.Request) {
		if tries.Add(1) == 1 {
			serveJSON(`{"size":1000,"next":"?page=9","values":[{`)(w, req)
			return
		}
		b.ServeHTTP(w, req)
	}}, latency: time.Second, slow: time.Second}
}

func TestABodyThatIsCutOffIsRequestedAgainWhileTheNextPageArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := cutOffOnce()
		runs, err := l.client(t).Pipelines.List(t.Context(), repo, nil).Collect()
		require.NoError(t, err)
		require.Equal(t, upTo(1000), numbers(runs))
		require.EqualValues(t, 11, l.requests.Load())
	})
}

func TestAPanicOfTheTransportReachesWhoeverReadsTheList(t *testing.T) {
	for _, parallel := range []int{0, 4} {
		synctest.Test(t, func(t *testing.T) {
			lost := errors.New("the transport is broken")
			l := &library{book: book{n: 1000}, pages: map[string]http.HandlerFunc{"5": func(http.ResponseWriter, *http.Request) { panic(lost) }}}
			list := l.client(t).Pipelines.List(t.Context(), repo, nil).Parallel(parallel)
			require.PanicsWithValue(t, lost, func() { _, _ = list.Collect() })
			require.PanicsWithValue(t, lost, func() { _, _ = ranged(list) })
			require.PanicsWithValue(t, "of the loop", func() {
				for page := range list.Pages() {
					if page.Number == 4 {
						synctest.Wait() // until page 5 has failed
						panic("of the loop")
					}
				}
			})
		})
	}
}

func TestAWrongGuessOfTheNextPageIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := func(number int, values, next string) http.HandlerFunc {
			return serveJSON(fmt.Sprintf(`{"page":%d,"size":1000,"values":[%s],"next":"http://api.example%s?page=%s"}`, number, values, listPath[4:], next))
		}
		l := &library{book: book{n: 1000}, pages: map[string]http.HandlerFunc{
			"3": page(3, `{"build_number":300}`, "5"), // not 4
			"5": page(5, `{"build_number":500}`, "10"),
		}}
		runs, err := l.client(t).Pipelines.List(t.Context(), repo, nil).Collect()
		require.ErrorContains(t, err, "of 1000 items")
		want := append(upTo(200), 300, 500)
		for i := 901; i <= 1000; i++ {
			want = append(want, i)
		}
		require.Equal(t, want, numbers(runs))
	})
}

func TestAPollReadsNothingAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const run = `{"build_number":%d,"state":{"name":"COMPLETED"}}`
		beyond := false
		page := func(number int, runs string) http.HandlerFunc {
			return func(w http.ResponseWriter, req *http.Request) {
				if !strings.HasSuffix(req.URL.Path, "/pipelines") { // one run by itself
					serveJSON(fmt.Sprintf(run, 1))(w, req)
					return
				}
				beyond = beyond || number > 3
				serveJSON(fmt.Sprintf(`{"size":2000,"values":[%s],"next":"?page=%d"}`, runs, number+1))(w, req)
			}
		}
		l := &library{latency: time.Second, slow: time.Second, pages: map[string]http.HandlerFunc{
			"": page(1, `{"build_number":9}`), "2": page(2, `{"build_number":8}`), "3": page(3, fmt.Sprintf(run+","+run+","+run+","+run, 1, 2, 3, 4)), "4": page(4, ""),
		}}
		_, err := l.client(t).Pipelines.WaitAll(t.Context(), repo, []string{"1", "2", "3", "4"}, nil)
		require.NoError(t, err)
		require.False(t, beyond, "the page that has the runs is the last to be requested")
	})
}

// slowItem takes a millisecond to decode.
type slowItem struct{}

func (*slowItem) UnmarshalJSON([]byte) error {
	time.Sleep(time.Millisecond)
	return nil
}

func TestTheNextPageIsRequestedWhileOneIsDecoded(t *testing.T) {
	for name, b := range map[string]book{"by number": {n: 1000}, "by the link": {n: 1000, noSize: true}, "by a cursor": {n: 1000, cursor: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &library{book: b, latency: 200 * time.Millisecond}
				began := time.Now()
				items, err := pipelines.List[slowItem](t.Context(), l.client(t), "/repositories/acme/site/pipelines").Collect()
				require.NoError(t, err)
				require.Len(t, items, 1000)
				require.Equal(t, 10*200*time.Millisecond+100*time.Millisecond, time.Since(began), "ten latencies, and the last page's decoding")
			})
		})
	}
}
