package pipelines_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestInvalidCallOptionsAreRefused(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	for name, opt := range map[string]pipelines.CallOption{
		"a query without a name":       pipelines.WithQuery("", "x"),
		"a header without a name":      pipelines.WithHeader("", "x"),
		"a header's name with a space": pipelines.WithHeader("a b", "x"),
		"a line break in a header":     pipelines.WithHeader("X-A", "a\r\nX-B: c"),
		"credentials":                  pipelines.WithHeader("authorization", "Bearer x"),
		"no place for the response":    pipelines.WithResponse(nil),
	} {
		_, err := c.Pipelines.Get(t.Context(), repo, "1", opt)
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, name)
	}
	srv.requireSent(t, 0)
	_, err := c.Pipelines.Get(nil, repo, "1") //nolint:staticcheck // a mistake that users make
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}

func TestCallOptionsVaryOneCall(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Seen", "yes")
		serveJSON(`{"build_number":3}`)(w, req)
	})
	c := newClient(t, srv.base())
	var resp *http.Response
	p, err := c.Pipelines.Get(t.Context(), repo, "3", nil, pipelines.WithQuery("fields", "a"), pipelines.WithQuery("fields", "b"),
		pipelines.WithHeader("X-A", "1"), pipelines.WithHeader("accept", "x/y"), pipelines.WithResponse(&resp))
	require.NoError(t, err)
	require.Equal(t, 3, p.BuildNumber)
	require.Equal(t, "yes", resp.Header.Get("X-Seen"))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, http.NoBody, resp.Body)
	require.Empty(t, resp.Request.Header.Get("Authorization"), "a printed response must not show it")
	got := srv.only(t)
	require.Equal(t, "fields=a&fields=b", got.Query)
	require.Equal(t, "1", got.Header.Get("X-A"))
	require.Equal(t, "x/y", got.Header.Get("Accept"))
}

func TestNilOptionsAreIgnored(t *testing.T) {
	srv := record(t, serveJSON(`{"state":{"name":"COMPLETED"},"values":[]}`))
	c := newClient(t, srv.base(), nil)
	_, err := c.Pipelines.Get(t.Context(), repo, "1", nil)
	require.NoError(t, err)
	_, err = c.Pipelines.Wait(t.Context(), repo, "1", nil, nil)
	require.NoError(t, err)
	_, err = c.Pipelines.List(t.Context(), repo, nil, nil).Collect()
	require.NoError(t, err)
	_, err = c.Variables.InRepository(repo).Plan(t.Context(), nil, nil, nil)
	require.NoError(t, err)
}

func TestCallOptionsApplyToEachRequestOfACallThatSendsSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		r := srv.AddRepository("acme", "site")
		r.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 3 * time.Second, Log: "a\nb\n"}}})
		c := srv.Client()
		run, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.NoError(t, err)
		srv.ClearRequests()
		team := pipelines.WithHeader("X-Team", "blue")
		for _, err := range c.Pipelines.Watch(t.Context(), repo, run.UUID, nil, team) {
			require.NoError(t, err)
		}
		_, err = c.Pipelines.Wait(t.Context(), repo, run.UUID, nil, team)
		require.NoError(t, err)
		for _, ids := range [][]string{{run.UUID, "1"}, {"1"}} {
			_, err = c.Pipelines.WaitAll(t.Context(), repo, ids, nil, team)
			require.NoError(t, err, "%v", ids)
		}
		steps, err := c.Steps.List(t.Context(), repo, run.UUID, nil, team).Collect()
		require.NoError(t, err)
		log, err := c.Steps.FollowLog(t.Context(), repo, run.UUID, steps[0].UUID, nil, team)
		require.NoError(t, err)
		var text strings.Builder
		n, err := log.WriteTo(&text)
		require.NoError(t, err)
		require.Equal(t, "a\nb\n", text.String())
		require.Equal(t, n, log.Offset())
		require.True(t, log.Step() == nil || log.Step().State.Done())
		require.NoError(t, log.Close())
		set := c.Variables.InRepository(repo)
		r.AddVariable(pipelines.Variable{Key: "CHANGED"})
		r.AddVariable(pipelines.Variable{Key: "GONE"})
		wanted := []pipelines.VariableRequest{{Key: "NEW"}, {Key: "CHANGED", Value: "1"}}
		plan, err := set.Plan(t.Context(), wanted, &pipelines.SyncOptions{Prune: true}, team)
		require.NoError(t, err)
		require.Equal(t, []int{1, 1, 1}, []int{len(plan.Create), len(plan.Update), len(plan.Delete)})
		require.NoError(t, set.Apply(t.Context(), plan, team))
		for _, req := range srv.Requests() {
			require.True(t, req.Storage || req.Header.Get("X-Team") == "blue", "%v", req)
		}
	})
}

func TestCallOptionsMayBeUsedByManyGoroutines(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		page, _ := strconv.Atoi(req.URL.Query().Get("page"))
		serveJSON(fmt.Sprintf(`{"page":%d,"size":800,"values":[%s{"uuid":"{u}"}]}`, max(page, 1), strings.Repeat(`{"uuid":"{u}"},`, 99)))(w, req)
	})
	c := newClient(t, srv.base())
	opts := []pipelines.CallOption{pipelines.WithHeader("x-team", "blue"), pipelines.WithQuery("fields", "values.uuid")}
	all, err := c.Pipelines.List(t.Context(), repo, nil, opts...).Parallel(8).Collect()
	require.NoError(t, err)
	require.Len(t, all, 800)
	for _, req := range srv.seen() {
		require.Equal(t, "blue", req.Header.Get("X-Team"))
	}
}

func TestWithMaxAttemptsAppliesToOneCall(t *testing.T) {
	srv := record(t, serve(503, "text/plain", ""))
	c := newClient(t, srv.base())
	for n := range 5 {
		before := len(srv.seen())
		_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithMaxAttempts(n+1))
		require.ErrorIs(t, err, pipelines.ErrServer)
		srv.requireSent(t, before+n+1)
	}
	_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithMaxAttempts(0))
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.ErrorContains(t, err, "WithMaxAttempts: 0")
}

func TestWithRawBodyReturnsTheJSONAsItCame(t *testing.T) {
	const body = ` {"build_number": 1, "brand_new": [true]} `
	c := newClient(t, record(t, serveJSON(body)).base())
	var raw []byte
	_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithRawBody(&raw))
	require.NoError(t, err)
	require.Equal(t, body, string(raw))

	failing := newClient(t, record(t, serve(404, "application/json", `{"error":{"message":"no"}}`)).base())
	_, err = failing.Pipelines.Get(t.Context(), repo, "1", pipelines.WithRawBody(&raw))
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.Nil(t, raw, "what an earlier call left is gone")
	_, err = c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithRawBody(nil))
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}

func TestWithRawBodyOfAListReturnsEachPage(t *testing.T) {
	for _, n := range []int{1, 4} {
		t.Run(fmt.Sprint(n, " at once"), func(t *testing.T) {
			c := newClient(t, record(t, book{n: 250}.ServeHTTP).base())
			var raw []byte
			pages := 0
			for page, err := range c.Pipelines.List(t.Context(), repo, nil, pipelines.WithRawBody(&raw)).Parallel(n).Pages() {
				require.NoError(t, err)
				pages++
				require.Contains(t, string(raw), fmt.Sprintf(`"build_number":%d`, page.Values[0].BuildNumber))
			}
			require.Equal(t, 3, pages)
		})
	}
}

func TestWithRawBodyOfAParallelListIsThatOfThePageAtHand(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		page := req.URL.Query().Get("page")
		if page == "" {
			page = "1"
		}
		var n int
		fmt.Sscan(page, &n)
		next := ""
		if n < 8 {
			next = fmt.Sprintf(`,"next":"http://%s%s?pagelen=1&page=%d"`, req.Host, req.URL.Path, n+1)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"size":8,"page":%d,"pagelen":1,"values":[{"key":"K%d"}]%s}`, n, n, next)
	})
	c := newClient(t, srv.base())
	var raw []byte
	n := 0
	for page, err := range c.Variables.InRepository(repo).List(t.Context(), &pipelines.ListOptions{PageLen: 1}, pipelines.WithRawBody(&raw)).Parallel(4).Pages() {
		require.NoError(t, err)
		n++
		require.Contains(t, string(raw), fmt.Sprintf(`"page":%d`, page.Number))
	}
	require.Equal(t, 8, n)
}

func TestWithResponseIsSetByFailedCallsToo(t *testing.T) {
	srv := record(t, serve(http.StatusNotFound, "text/html", "<html>"))
	c := newClient(t, srv.base())
	resp := &http.Response{}
	_, err := c.Pipelines.Get(t.Context(), repo, "3", pipelines.WithResponse(&resp))
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)

	srv.Close()
	_, err = c.Pipelines.Get(t.Context(), repo, "3", pipelines.WithResponse(&resp))
	require.Error(t, err)
	require.Nil(t, resp, "no response came")
}

func TestWithResponseIsSetWhereTheContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 503, "")
			resp.Header.Set("Retry-After", "50")
			return resp, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var resp *http.Response
		_, err := c.Pipelines.Get(ctx, repo, "1", pipelines.WithResponse(&resp))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotNil(t, resp)
		require.Equal(t, 503, resp.StatusCode)
	})
}

func TestWithResponseOfAParallelListIsThatOfThePageAtHand(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Page", req.URL.Query().Get("page"))
		book{n: 1000}.ServeHTTP(w, req)
	})
	var resp *http.Response
	n := 0
	for page, err := range newClient(t, srv.base()).Pipelines.List(t.Context(), repo, nil, pipelines.WithResponse(&resp)).Parallel(4).Pages() {
		require.NoError(t, err)
		if n++; n > 1 {
			require.Equal(t, fmt.Sprint(page.Number), resp.Header.Get("X-Page"))
		}
	}
	require.Equal(t, 10, n)
}

func TestWithHeaderRefusesWhatMakesNetHTTPSendAWriteAgain(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	for _, name := range []string{"Idempotency-Key", "x-idempotency-key"} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Pipelines.Run(t.Context(), repo, mainBranch, pipelines.WithHeader(name, ""))
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			_, err = c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader(name, "x"))
			require.NoError(t, err, "reading twice does no harm")
		})
	}
	srv.requireSent(t, 2)
}

func TestWithHeaderSendsARefererOfTheUser(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader("Referer", "https://tool.example"))
	require.NoError(t, err)
	require.Equal(t, "https://tool.example", srv.only(t).Header.Get("Referer"))
}

func TestWithHeaderRefusesWhatNetHTTPDoesNotSend(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	for _, name := range []string{"Host", "content-length", "Transfer-Encoding", "Trailer"} {
		t.Run(name, func(t *testing.T) {
			_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader(name, "x"))
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			require.ErrorContains(t, err, http.CanonicalHeaderKey(name))
		})
	}
	srv.requireSent(t, 0)
}
