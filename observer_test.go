package pipelines_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// sleepy holds every request back for a second.
func sleepy() pipelines.Option {
	return pipelines.WithLimiter(limiterFunc(func(context.Context) error { time.Sleep(time.Second); return nil }))
}

func TestAnObserverIsToldOfEveryAttemptLostOnesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []pipelines.Attempt
		errLost := errors.New("lost")
		sent := 0
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			n, ok := pipelines.AttemptFromContext(req.Context())
			require.True(t, ok)
			require.Equal(t, sent+1, n)
			switch sent++; sent {
			case 1:
				return nil, errLost
			case 2:
				resp := respond(req, 503, "")
				resp.Header.Set("Retry-After", "7")
				return resp, nil
			}
			return respond(req, 200, `{"build_number":1}`), nil
		}, sleepy(), pipelines.WithRetry(pipelines.RetryPolicy{MinWait: 2, MaxWait: 3}), pipelines.WithObserver(func(a pipelines.Attempt) { seen = append(seen, a) }))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Len(t, seen, 3)
		for i, a := range seen {
			require.Equal(t, i+1, a.Number)
			require.Equal(t, pipelines.Operation{Name: "Pipelines.Get", Method: "GET", Path: "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}"}, a.Operation)
			require.Equal(t, 100*time.Millisecond, a.Duration)
		}
		require.ErrorIs(t, seen[0].Err, errLost)
		require.Nil(t, seen[0].Response)
		require.Equal(t, 503, seen[1].Response.StatusCode)
		require.Empty(t, seen[1].Response.Request.Header.Get("Authorization"))
		require.Equal(t, time.Second, seen[0].Held)
		require.Equal(t, 8*time.Second, seen[2].Held, "a Retry-After of 7 s and the limiter")
	})
}

func TestAnObserverIsToldOfWhatWasNeverSent(t *testing.T) {
	errFull := errors.New("full")
	var mu sync.Mutex
	var seen []pipelines.Attempt
	full := pipelines.WithLimiter(limiterFunc(func(context.Context) error { return errFull }))
	c := viaFunc(t, nil, full, pipelines.WithRetry(quick), pipelines.WithObserver(func(a pipelines.Attempt) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, a)
	}))
	_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, errFull)
	require.Len(t, seen, quick.MaxAttempts)
	for _, a := range seen {
		require.ErrorIs(t, a.Err, errFull)
		require.Zero(t, a.Duration)
	}
}

func TestTheAttemptIsInNoOtherContext(t *testing.T) {
	_, ok := pipelines.AttemptFromContext(t.Context())
	require.False(t, ok)
}
