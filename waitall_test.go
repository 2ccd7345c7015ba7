package pipelines_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

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
