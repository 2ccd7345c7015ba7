package pipelines_test

import (
	"fmt"
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
