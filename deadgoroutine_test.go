package pipelines_test

import (
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove that following ends where what the caller has set ends the goroutine that follows a run, by runtime.Goexit, as
// testing.T.FailNow does, or by a panic.

var followsRuns = map[string]func(*testing.T, *pipelines.Client) error{
	"WaitAll": func(t *testing.T, c *pipelines.Client) error {
		t.Helper()
		_, err := c.Pipelines.WaitAll(t.Context(), repo, []string{"1", "2"}, nil)
		return err
	},
	"Follower": func(t *testing.T, c *pipelines.Client) error {
		t.Helper()
		f, err := c.NewFollower(nil)
		require.NoError(t, err)
		require.NoError(t, f.Add(repo, "1", pipelines.Cursor{}))
		for e, err := range f.Events(t.Context()) {
			require.NoError(t, err)
			require.True(t, e.Last)
			require.Zero(t, f.Len())
			return e.Err
		}
		return nil
	},
}

func TestAGoroutineThatEndsLeavesNobodyWaitingForItsRun(t *testing.T) {
	for name, follow := range followsRuns {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil })}
				err := follow(t, newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)))
				require.ErrorContains(t, err, "ended the goroutine")
			})
		})
	}
}

func TestAPanicWhileARunIsFollowedReachesTheCaller(t *testing.T) {
	for name, follow := range followsRuns {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("mine") })}
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
				require.PanicsWithValue(t, "mine", func() { _ = follow(t, c) })
			})
		})
	}
}
