package pipelinestest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const pipelinesTemplate = "/repositories/{workspace}/{repo_slug}/pipelines"

func TestAFaultAppliesToMatchingRequests(t *testing.T) {
	for name, c := range map[string]struct {
		fault pipelinestest.Fault
		hit   bool
	}{
		"everything":            {pipelinestest.Fault{}, true},
		"the method":            {pipelinestest.Fault{Method: http.MethodGet}, true},
		"another method":        {pipelinestest.Fault{Method: http.MethodPost}, false},
		"the template":          {pipelinestest.Fault{Path: pipelinesTemplate}, true},
		"another template":      {pipelinestest.Fault{Path: pipelinesTemplate + "/{pipeline_uuid}"}, false},
		"with the prefix":       {pipelinestest.Fault{Path: "/2.0" + site + "/pipelines"}, true},
		"an escaped element":    {pipelinestest.Fault{Path: "/2.0/repositories/acme/%73ite/pipelines"}, true},
		"a pattern":             {pipelinestest.Fault{Path: "/repositories/ac*/site/pipelines"}, true},
		"a pattern of another":  {pipelinestest.Fault{Path: "/repositories/b*/site/pipelines"}, false},
		"the storage only":      {pipelinestest.Fault{Storage: true}, false},
		"a condition":           {pipelinestest.Fault{Match: func(r *http.Request) bool { return r.URL.Query().Get("page") == "1" }}, true},
		"a condition not given": {pipelinestest.Fault{Match: func(r *http.Request) bool { return r.URL.Query().Has("other") }}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			c.fault.Status = http.StatusServiceUnavailable
			f.srv.Inject(c.fault)
			require.Equal(t, c.hit, f.get(site+"/pipelines?page=1").StatusCode == http.StatusServiceUnavailable)
			f.srv.ClearFaults()
			require.Equal(t, http.StatusOK, f.get(site+"/pipelines?page=1").StatusCode)
		})
	}
}

func TestFaultsAreUsedUpInOrder(t *testing.T) {
	f := setup(t)
	f.srv.Inject(pipelinestest.Fault{Skip: 1, Times: 2, Status: 500})
	f.srv.Inject(pipelinestest.Fault{Skip: 1, Times: 1, Status: 502})
	f.srv.Inject(pipelinestest.Fault{Skip: 1, Status: 503})
	var seen []int
	for range 6 {
		seen = append(seen, f.get(site+"/pipelines").StatusCode)
	}
	require.Equal(t, []int{200, 500, 500, 502, 503, 503}, seen)
}

func TestAFaultLastsFromItsFirstUse(t *testing.T) {
	f := setup(t)
	f.srv.Inject(pipelinestest.Fault{For: 10 * time.Minute, Status: 429})
	f.clock.Advance(time.Hour)
	var seen []int
	for _, wait := range []time.Duration{0, 5 * time.Minute, 5*time.Minute - 1, 1, time.Hour} {
		f.clock.Advance(wait)
		seen = append(seen, f.get(site+"/pipelines").StatusCode)
	}
	require.Equal(t, []int{429, 429, 429, 200, 200}, seen)
}

func TestForCombinesWithSkipAndTimes(t *testing.T) {
	f := setup(t)
	f.srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Path: pipelinesTemplate, Skip: 1, Times: 2, For: time.Minute, Status: 500})
	f.srv.Inject(pipelinestest.Fault{Skip: 3, For: time.Minute, Status: 503})
	require.Equal(t, http.StatusCreated, f.run(mainBranch).StatusCode)
	var seen []int
	for range 6 {
		seen = append(seen, f.get(site+"/pipelines").StatusCode)
		f.clock.Advance(25 * time.Second)
	}
	require.Equal(t, []int{200, 500, 500, 200, 503, 503}, seen)
}

func TestTheClientWaitsOutTenMinutesOf429sInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		repo := srv.AddRepository("acme", "site")
		repo.AddPipelines(1)
		srv.Inject(pipelinestest.Fault{For: 10 * time.Minute, Status: 429})
		client, start := srv.Client(pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})), time.Now()
		for {
			_, err := client.Pipelines.Get(t.Context(), repo.Repo(), "1")
			if err == nil {
				break
			}
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
			time.Sleep(time.Minute)
		}
		require.Equal(t, 10*time.Minute, time.Since(start))
	})
}

func TestAFaultRespondsInsteadOfTheServer(t *testing.T) {
	f := setup(t)
	f.srv.Inject(pipelinestest.Fault{Times: 1, Status: 429, Header: http.Header{"retry-after": {"7"}}, Body: "slow down"})
	a := f.run(mainBranch)
	require.Equal(t, 429, a.StatusCode)
	require.Equal(t, "7", a.Header.Get("Retry-After"))
	require.Equal(t, "text/plain", a.Header.Get("Content-Type"))
	require.Equal(t, "slow down", a.text)
	require.Empty(t, f.repo.Pipelines(), "the request has no effect")
	require.Equal(t, 429, f.srv.Requests()[0].Status)

	f.srv.Inject(pipelinestest.Fault{Times: 1, Status: 502, Header: http.Header{"Content-Type": {"text/html"}}})
	require.Equal(t, "text/html", f.get(site+"/pipelines").Header.Get("Content-Type"))
}

func TestAMatchMayReadTheBody(t *testing.T) {
	f := setup(t)
	f.srv.Inject(pipelinestest.Fault{Status: 500, Match: func(r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		return err == nil && strings.Contains(string(body), "strike me")
	}})
	require.Equal(t, http.StatusCreated, f.run(mainBranch).StatusCode)
	require.Equal(t, 500, f.run(`"strike me"`).StatusCode)
}

func TestAFaultThatMatchesNoRequestPanics(t *testing.T) {
	for message, fault := range map[string]pipelinestest.Fault{
		"malformed path /[":                              {Path: "/["},
		`unknown method "get"`:                           {Method: "get"},
		`unknown method "FETCH"`:                         {Method: "FETCH"},
		"a Fault with a Header or a Body needs a Status": {Body: "slow down"},
		"a Fault cannot last for -1s":                    {For: -time.Second},
	} {
		require.PanicsWithValue(t, "pipelinestest: "+message, func() { setup(t).srv.Inject(fault) })
	}
	require.Panics(t, func() { setup(t).srv.Inject(pipelinestest.Fault{Header: http.Header{"Retry-After": {"7"}}}) })
}

// ways are the two transports to a server: a socket, and none.
var ways = map[string]func(t *testing.T) *fixture{
	"over a socket": func(t *testing.T) *fixture {
		t.Helper()
		return setup(t)
	},
	"in process": func(t *testing.T) *fixture {
		t.Helper()
		f := setup(t, pipelinestest.WithInProcess())
		f.client.Transport = f.srv.Transport()
		return f
	},
}

// do sends a request whose response may fail.
func (f *fixture) do(ctx context.Context, method, path, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.srv.URL()+path, strings.NewReader(body))
	require.NoError(f.t, err)
	req.Header.Set("Authorization", "Bearer token")
	return f.client.Do(req)
}

func TestADroppedConnection(t *testing.T) {
	for name, c := range map[string]struct {
		drop pipelinestest.Drop
		runs int
	}{
		"before the effect": {pipelinestest.DropBefore, 0},
		"after the effect":  {pipelinestest.DropAfter, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for way, setup := range ways {
				t.Run(way, func(t *testing.T) {
					f := setup(t)
					f.get(site + "/pipelines") // leaves a connection that may be reused
					f.srv.Inject(pipelinestest.Fault{Times: 1, Drop: c.drop})
					resp, err := f.do(t.Context(), http.MethodPost, site+"/pipelines", `{"target":`+mainBranch+`}`)
					if err == nil {
						resp.Body.Close()
					}
					require.True(t, errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET), "%v", err)
					require.Len(t, f.repo.Pipelines(), c.runs)
					require.Zero(t, f.srv.Requests()[1].Status)
				})
			}
		})
	}
}

func TestADroppedReadIsNotRepeatedByTheHTTPClient(t *testing.T) {
	for way, setup := range ways {
		t.Run(way, func(t *testing.T) {
			f := setup(t)
			f.get(site + "/pipelines")
			f.srv.Inject(pipelinestest.Fault{Times: 1, Drop: pipelinestest.DropBefore})
			resp, err := f.do(t.Context(), http.MethodGet, site+"/pipelines", "")
			if err == nil {
				resp.Body.Close()
			}
			require.Error(t, err)
			require.Len(t, f.srv.Requests(), 2)
		})
	}
}

func TestABodyIsCutOff(t *testing.T) {
	for way, setup := range ways {
		t.Run(way, func(t *testing.T) {
			f := setup(t)
			whole := f.get(site + "/pipelines").text
			f.srv.Inject(pipelinestest.Fault{Times: 1, Cut: true, After: 10})
			resp, err := f.do(t.Context(), http.MethodGet, site+"/pipelines", "")
			require.NoError(t, err)
			defer resp.Body.Close()
			require.EqualValues(t, len(whole), resp.ContentLength, "Content-Length is that of the whole body")
			body, err := io.ReadAll(resp.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Equal(t, whole[:10], string(body))

			f.srv.Inject(pipelinestest.Fault{Cut: true, After: 1000})
			require.Equal(t, whole, f.get(site+"/pipelines").text, "a shorter body is sent whole")
		})
	}
}

func TestABodyStallsUntilTheClientDisconnects(t *testing.T) {
	for way, setup := range ways {
		t.Run(way, func(t *testing.T) {
			f := setup(t)
			f.srv.Inject(pipelinestest.Fault{Stall: true, After: 5})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			resp, err := f.do(ctx, http.MethodGet, site+"/pipelines", "")
			require.NoError(t, err)
			defer resp.Body.Close()
			body := make([]byte, 5)
			_, err = io.ReadFull(resp.Body, body)
			require.NoError(t, err)
			require.Equal(t, `{"pag`, string(body))
			cancel()
			_, err = resp.Body.Read(body)
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

func TestAFaultAtTheStorage(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(time.Hour)
	f.srv.Inject(pipelinestest.Fault{Storage: true, Path: "/logs/{step}/{log}", Times: 1, Status: 503})
	link := f.get(f.step(path, 0) + "/log").Header.Get("Location")
	require.Equal(t, http.StatusServiceUnavailable, f.get(link, "Authorization", "").StatusCode)
	require.Equal(t, http.StatusOK, f.get(link, "Authorization", "").StatusCode)
}

func TestConcurrentRequests(t *testing.T) {
	f := setup(t, pipelinestest.WithQuota(1000))
	f.srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 5, Times: 5, Status: http.StatusServiceUnavailable})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				resp, err := f.do(t.Context(), method, site+"/pipelines", `{"target":`+mainBranch+`}`)
				if assert.NoError(t, err) {
					resp.Body.Close()
				}
			}
			f.repo.AddBranch("main", "1")
			f.repo.Pipelines()
			f.srv.Requests()
		})
	}
	wg.Wait()
	require.Len(t, f.repo.Pipelines(), 20)
	struck := 0
	for _, r := range f.srv.Requests() {
		if r.Status == http.StatusServiceUnavailable {
			struck++
		}
	}
	require.Equal(t, 5, struck)
}

func TestLatencyUsesTheClockOfTheBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		repo := srv.AddRepository("acme", "site")
		f := &fixture{t: t, srv: srv, repo: repo, client: &http.Client{Transport: srv.Transport()}}
		srv.Inject(pipelinestest.Fault{Times: 2, Latency: time.Hour})
		start := time.Now()
		require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode)
		require.Equal(t, time.Hour, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, err := f.do(ctx, http.MethodPost, site+"/pipelines", `{"target":`+mainBranch+`}`)
		if err == nil {
			resp.Body.Close()
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Empty(t, repo.Pipelines(), "the request had no effect")
	})
}
