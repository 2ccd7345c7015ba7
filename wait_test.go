package pipelines_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// waysToWait are the ways to wait for a run that is named by 1; each returns the error.
func waysToWait() map[string]func(*testing.T, *pipelines.Client) error {
	return map[string]func(*testing.T, *pipelines.Client) error{
		"Wait": func(t *testing.T, c *pipelines.Client) error {
			t.Helper()
			p, err := c.Pipelines.Wait(t.Context(), repo, "1", nil)
			if err == nil {
				require.True(t, p.State.Succeeded())
			}
			return err
		},
		"WaitAll": func(t *testing.T, c *pipelines.Client) error {
			t.Helper()
			_, err := c.Pipelines.WaitAll(t.Context(), repo, []string{"1"}, nil)
			return err
		},
		"WaitAll of two": func(t *testing.T, c *pipelines.Client) error {
			t.Helper()
			_, err := c.Pipelines.WaitAll(t.Context(), repo, []string{"1", "2"}, nil)
			return err
		},
		"Watch": func(t *testing.T, c *pipelines.Client) error {
			t.Helper()
			_, err := collect(t, t.Context(), c, "1")
			return err
		},
	}
}

// lateRun serves a run that has ended and isn't found until late has passed, then so many responses of 200 and 404 by turns.
func lateRun(start *time.Time, late time.Duration, missing http.HandlerFunc) http.HandlerFunc {
	const ended = `"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}`
	return func(w http.ResponseWriter, req *http.Request) {
		switch {
		case time.Since(*start) < late:
			missing(w, req)
		case strings.HasSuffix(req.URL.Path, "/pipelines"):
			serveJSON(`{"values":[]}`)(w, req)
		case strings.HasSuffix(req.URL.Path, "/steps"):
			serveJSON(`{"values":[]}`)(w, req)
		default:
			serveJSON(`{`+ended+`}`)(w, req)
		}
	}
}

func TestARunThatIsNotFoundAtFirstIsWaitedForTenSeconds(t *testing.T) {
	gone := serve(404, "application/json", `{"error":{"message":"Not found"}}`)
	for name, wait := range waysToWait() {
		for late, tc := range map[string]struct {
			after   time.Duration
			missing http.HandlerFunc
			takes   time.Duration
			is      error
		}{
			"found at once":              {0, gone, 0, nil},
			"found after a second":       {time.Second, gone, 2 * time.Second, nil},
			"found after nine seconds":   {9 * time.Second, gone, 10 * time.Second, nil},
			"found after eleven seconds": {11 * time.Second, gone, 10 * time.Second, pipelines.ErrNotFound},
			"never found":                {time.Hour, gone, 10 * time.Second, pipelines.ErrNotFound},
			"never found, says a page":   {time.Hour, serve(404, "text/html", "<html>"), 10 * time.Second, pipelines.ErrNotFound},
			"not to be seen":             {time.Hour, serve(403, "text/plain", ""), 0, pipelines.ErrForbidden},
			"gone":                       {time.Hour, serve(410, "text/plain", ""), 0, pipelines.ErrGone},
		} {
			t.Run(name+", "+late, func(t *testing.T) {
				var start time.Time
				inBubble(t, lateRun(&start, tc.after, tc.missing), func(t *testing.T, c *pipelines.Client, asked func() int) {
					start = time.Now()
					err := wait(t, c)
					require.ErrorIs(t, err, tc.is)
					require.Equal(t, tc.takes, time.Since(start))
					require.LessOrEqual(t, asked(), 20)
				})
			})
		}
	}
}

func TestARunThatIsNotFoundForAMomentIsWaitedFor(t *testing.T) {
	for name, wait := range waysToWait() {
		t.Run(name, func(t *testing.T) {
			var start time.Time
			inBubble(t, func(w http.ResponseWriter, req *http.Request) {
				age := time.Since(start)
				switch {
				case age == 0 && strings.HasSuffix(req.URL.Path, "/1"):
					serveJSON(`{"build_number":1,"state":{"name":"IN_PROGRESS"}}`)(w, req)
				case age < 5*time.Second: // a replica that lags behind
					serve(404, "text/plain", "")(w, req)
				default:
					lateRun(&start, 0, nil)(w, req)
				}
			}, func(t *testing.T, c *pipelines.Client, _ func() int) {
				start = time.Now()
				require.NoError(t, wait(t, c))
				require.Less(t, time.Since(start), 15*time.Second)
			})
		})
	}
}

func TestWaitAllowsTenSecondsOnlyForRunsThatAreNotFound(t *testing.T) {
	inBubble(t, serve(404, "text/plain", ""), func(t *testing.T, _ *pipelines.Client, asked func() int) {
		start := time.Now()
		c, err := pipelines.NewClient(pipelines.WithBaseURL("http://api.example"), pipelines.WithTokenURL("http://api.example/token"),
			pipelines.WithClientCredentials("id", "s3cret"), pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": serve(404, "text/plain", "")}}))
		require.NoError(t, err)
		_, err = c.Pipelines.Wait(t.Context(), repo, "1", nil)
		require.ErrorContains(t, err, "credentials", "it is the token endpoint that isn't found")
		require.Zero(t, time.Since(start))
		require.Zero(t, asked())
	})
}

func TestWaitAllWaitsForTheOthersThoughOneRunIsNotFound(t *testing.T) {
	var start time.Time
	inBubble(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/pipelines"):
			serveJSON(`{"values":[]}`)(w, req)
		case strings.HasSuffix(req.URL.Path, "/1"):
			serve(404, "text/plain", "")(w, req)
		case time.Since(start) < time.Hour:
			serveJSON(`{"build_number":2,"state":{"name":"IN_PROGRESS"}}`)(w, req)
		default:
			serveJSON(`{"build_number":2,"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
		}
	}, func(t *testing.T, c *pipelines.Client, _ func() int) {
		start = time.Now()
		runs, err := c.Pipelines.WaitAll(t.Context(), repo, []string{"1", "2"}, nil)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
		var failed *pipelines.WaitError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "1", failed.ID)
		require.GreaterOrEqual(t, time.Since(start), time.Hour)
		require.Nil(t, runs[0])
		require.True(t, runs[1].State.Succeeded())
	})
}

func TestWaitAllAsksForEachRunWhereTheListCannotBeRead(t *testing.T) {
	for name, list := range map[string]http.HandlerFunc{
		"another run is strange":  serveJSON(`{"values":[{"uuid":"{9}","state":"COMPLETED"}]}`),
		"the list is not allowed": serve(403, "text/plain", ""),
	} {
		t.Run(name, func(t *testing.T) {
			var start time.Time
			var lists atomic.Int64
			inBubble(t, func(w http.ResponseWriter, req *http.Request) {
				switch {
				case strings.HasSuffix(req.URL.Path, "/pipelines"):
					lists.Add(1)
					list(w, req)
				case time.Since(start) < time.Minute:
					serveJSON(`{"build_number":1,"state":{"name":"IN_PROGRESS"}}`)(w, req)
				default:
					serveJSON(`{"build_number":1,"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
				}
			}, func(t *testing.T, c *pipelines.Client, _ func() int) {
				start = time.Now()
				runs, err := c.Pipelines.WaitAll(t.Context(), repo, []string{"1", "2", "3"}, nil)
				require.NoError(t, err)
				for _, run := range runs {
					require.True(t, run.State.Succeeded())
				}
				require.LessOrEqual(t, lists.Load(), int64(3))
			})
		})
	}
}

// requestsByKind counts what the API was asked for.
func requestsByKind(srv *pipelinestest.Server) map[string]int {
	kinds := map[string]int{}
	for _, req := range srv.Requests() {
		switch {
		case req.Storage:
		case strings.HasSuffix(req.Path, "/pipelines"):
			kinds["list"]++
		case strings.HasSuffix(req.Path, "/steps"):
			kinds["steps"]++
		case strings.HasSuffix(req.Path, "/log"):
			kinds["log"]++
		default:
			kinds["get"]++
		}
	}
	return kinds
}

func TestWaitAllOfManyRunsCostsLittleMoreThanWaitOfOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		var ids []string
		for i := range 20 {
			result := pipelines.ResultSuccessful
			if i%3 == 0 {
				result = pipelines.ResultFailed
			}
			r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: 40*time.Minute + time.Duration(i)*time.Minute, Result: result}}})
			run := start(t, c)
			ids = append(ids, run.UUID)
			if i%2 == 0 {
				ids[i] = strconv.Itoa(run.BuildNumber)
			}
		}
		srv.ClearRequests()
		runs, err := c.Pipelines.WaitAll(t.Context(), repo, ids, nil)
		require.NoError(t, err)
		require.Len(t, runs, 20)
		for i, p := range runs {
			require.Equal(t, i+1, p.BuildNumber, "in the order asked for")
			require.Equal(t, i%3 != 0, p.State.Succeeded())
			require.Equal(t, "main", p.Target.RefName, "whole, though polls ask for a part")
			require.NotNil(t, p.Creator)
		}
		kinds := requestsByKind(srv)
		t.Log(kinds)
		require.LessOrEqual(t, kinds["list"]+kinds["get"], 200)
		for _, req := range srv.RequestsTo(http.MethodGet, "/repositories/{workspace}/{repo_slug}/pipelines") {
			require.Equal(t, "-created_on", req.Query.Get("sort"))
		}
	})
}

func TestWaitAllFindsRunsThatAreNotAmongTheNewest(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour}}})
		old := []string{start(t, c).UUID, start(t, c).UUID, start(t, c).UUID}
		for range 450 {
			start(t, c)
		}
		newest := start(t, c).UUID
		srv.ClearRequests()
		runs, err := c.Pipelines.WaitAll(t.Context(), repo, append(old, newest, old[0]), nil)
		require.NoError(t, err)
		for i, number := range []int{1, 2, 3, 454, 1} {
			require.Equal(t, number, runs[i].BuildNumber)
			require.True(t, runs[i].State.Succeeded())
		}
		require.LessOrEqual(t, requestsByKind(srv)["list"]+requestsByKind(srv)["get"], 180+9, "the budget holds for all, the last look apart")
	})
}

func TestWaitAllReturnsWhatItSawWithAnError(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour}}})
		ids := []string{start(t, c).UUID, start(t, c).UUID}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		runs, err := c.Pipelines.WaitAll(ctx, repo, ids, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, runs, 2)
		require.Equal(t, ids[1], runs[1].UUID)
		require.False(t, runs[1].State.Done())

		runs, err = c.Pipelines.WaitAll(t.Context(), repo, append(ids, "4711"), nil)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
		require.Nil(t, runs[2])

		srv.ClearRequests()
		runs, err = c.Pipelines.WaitAll(t.Context(), repo, nil, nil)
		require.NoError(t, err)
		require.Empty(t, runs)
		_, err = c.Pipelines.WaitAll(t.Context(), repo, []string{"1", ""}, nil)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		require.Empty(t, srv.Requests())
	})
}

func TestWaitAllReturnsWhereAPersonIsNeededAndSurvivesMoments(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "A", Duration: time.Minute}, {Name: "B", Manual: true}}})
		paused := start(t, c).UUID
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "A", Duration: 5 * time.Minute}}})
		other := start(t, c).UUID
		srv.Inject(pipelinestest.Fault{Status: 503, Times: 12})
		runs, err := c.Pipelines.WaitAll(t.Context(), repo, []string{paused, other}, nil)
		require.NoError(t, err)
		require.True(t, runs[0].State.Paused(), fmt.Sprint(runs[0].State))
		require.True(t, runs[1].State.Succeeded())
	})
}

func TestWaitReturnsThePipelineAtItsEnd(t *testing.T) {
	for result, succeeded := range map[pipelines.ResultName]bool{pipelines.ResultSuccessful: true, pipelines.ResultFailed: false, pipelines.ResultError: false} {
		bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
			r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 10 * time.Minute, Result: result}}})
			begin := time.Now()
			p, err := c.Pipelines.Wait(t.Context(), repo, start(t, c).UUID, nil)
			require.NoError(t, err, "a failed build is a result")
			require.Equal(t, string(result), p.State.String())
			require.Equal(t, succeeded, p.State.Succeeded())
			require.Less(t, time.Since(begin), 10*time.Minute+31*time.Second)
			require.Less(t, len(srv.Requests()), 50)
		})
	}
}

func TestWaitAsksAtMostAsOftenAsItsBudgetAllows(t *testing.T) {
	for perHour, most := range map[int]int{0: 150, 30: 91} {
		bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
			r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour}}})
			id := start(t, c).UUID
			srv.ClearRequests()
			_, err := c.Pipelines.Wait(t.Context(), repo, id, &pipelines.WaitOptions{RequestsPerHour: perHour})
			require.NoError(t, err)
			require.LessOrEqual(t, len(srv.Requests()), most)
		})
	}
}

func TestWaitReturnsWhereAPersonIsNeeded(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{
			{Name: "Build", Duration: time.Minute}, {Name: "Deploy", Duration: time.Minute, Manual: true},
		}})
		id := start(t, c).UUID
		p, err := c.Pipelines.Wait(t.Context(), repo, id, nil)
		require.NoError(t, err)
		require.True(t, p.State.Paused())
		require.False(t, p.State.Done())

		time.AfterFunc(time.Hour, func() { assert.NoError(t, r.Resume(id)) })
		p, err = c.Pipelines.Wait(t.Context(), repo, id, &pipelines.WaitOptions{ThroughPause: true})
		require.NoError(t, err)
		require.True(t, p.State.Succeeded())
	})
}

func TestWaitThatIsCancelledIsNoSuccess(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", fourSteps())
		id := start(t, c).UUID
		ctx, cancel := context.WithTimeout(t.Context(), 31*time.Second)
		defer cancel()
		begin := time.Now()
		p, err := c.Pipelines.Wait(ctx, repo, id, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "RUNNING", p.State.String(), "as last seen")
		require.Equal(t, 31*time.Second, time.Since(begin))
	})
}

func TestWaitSurvivesMoments(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", fourSteps())
		id := start(t, c).UUID
		srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 2, Times: 12, Status: 503})
		p, err := c.Pipelines.Wait(t.Context(), repo, id, nil)
		require.NoError(t, err)
		require.True(t, p.State.Succeeded())
	})
}

func TestWaitEndsOnErrorsThatStay(t *testing.T) {
	for name, tc := range map[string]struct {
		fault pipelinestest.Fault
		is    error
		most  int
	}{
		"the service is down":     {pipelinestest.Fault{Method: http.MethodGet, Skip: 1, Status: 503}, pipelines.ErrServer, 40},
		"the token was withdrawn": {pipelinestest.Fault{Method: http.MethodGet, Skip: 1, Status: 401}, pipelines.ErrUnauthorized, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
				r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: 24 * time.Hour}}})
				id := start(t, c).UUID
				srv.ClearRequests()
				srv.Inject(tc.fault)
				p, err := c.Pipelines.Wait(t.Context(), repo, id, nil)
				require.ErrorIs(t, err, tc.is)
				require.NotNil(t, p, "as last seen")
				require.LessOrEqual(t, len(srv.Requests()), tc.most)
			})
		})
	}
}

func TestWaitHonoursALongRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", fourSteps())
		id := start(t, c).UUID
		srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Times: 1, Status: 429, Header: http.Header{"Retry-After": {"600"}}})
		begin := time.Now()
		_, err := c.Pipelines.Wait(t.Context(), repo, id, nil)
		require.NoError(t, err)
		require.Equal(t, 10*time.Minute, time.Since(begin))
	})
}

func TestWaitGoesOnThroughAnUnknownState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if time.Since(begin) < time.Minute {
				return respond(req, 200, `{"state":{"name":"DREAMING"}}`), nil
			}
			return respond(req, 200, `{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`), nil
		})}
		p, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Wait(t.Context(), repo, "1", nil)
		require.NoError(t, err)
		require.True(t, p.State.Succeeded())
	})
}

func TestWaitEndsWhereRetryAfterIsYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 429, "")
			resp.Header.Set("Retry-After", "999999999999")
			return resp, nil
		})}
		start := time.Now()
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Wait(t.Context(), repo, "1", nil)
		require.ErrorIs(t, err, pipelines.ErrRateLimited)
		require.Zero(t, time.Since(start))
	})
}
