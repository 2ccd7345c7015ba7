package pipelines_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
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

// lateRun serves a run that has ended and isn't found until late has passed, then so many answers of 200 and 404 by turns.
func lateRun(start *time.Time, late time.Duration, missing http.HandlerFunc) http.HandlerFunc {
	const ended = `"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}`
	return func(w http.ResponseWriter, req *http.Request) {
		switch {
		case time.Since(*start) < late:
			missing(w, req)
		case strings.HasSuffix(req.URL.Path, "/pipelines"):
			answerJSON(`{"values":[]}`)(w, req)
		case strings.HasSuffix(req.URL.Path, "/steps"):
			answerJSON(`{"values":[]}`)(w, req)
		default:
			answerJSON(`{`+ended+`}`)(w, req)
		}
	}
}

func TestARunThatIsNotFoundAtFirstIsWaitedForTenSeconds(t *testing.T) {
	gone := answer(404, "application/json", `{"error":{"message":"Not found"}}`)
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
			"never found, says a page":   {time.Hour, answer(404, "text/html", "<html>"), 10 * time.Second, pipelines.ErrNotFound},
			"not to be seen":             {time.Hour, answer(403, "text/plain", ""), 0, pipelines.ErrForbidden},
			"gone":                       {time.Hour, answer(410, "text/plain", ""), 0, pipelines.ErrGone},
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
					answerJSON(`{"build_number":1,"state":{"name":"IN_PROGRESS"}}`)(w, req)
				case age < 5*time.Second: // a replica that lags behind
					answer(404, "text/plain", "")(w, req)
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

func TestTenSecondsAreOnlyForRunsThatAreNotFound(t *testing.T) {
	inBubble(t, answer(404, "text/plain", ""), func(t *testing.T, _ *pipelines.Client, asked func() int) {
		start := time.Now()
		c, err := pipelines.NewClient(pipelines.WithBaseURL("http://api.example"), pipelines.WithTokenURL("http://api.example/token"),
			pipelines.WithClientCredentials("id", "s3cret"), pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": answer(404, "text/plain", "")}}))
		require.NoError(t, err)
		_, err = c.Pipelines.Wait(t.Context(), repo, "1", nil)
		require.ErrorContains(t, err, "credentials", "it is the token endpoint that isn't found")
		require.Zero(t, time.Since(start))
		require.Zero(t, asked())
	})
}

func TestWaitAllSeesTheOthersThoughOneRunIsNotFound(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/pipelines"):
			answerJSON(`{"values":[]}`)(w, req)
		case strings.HasSuffix(req.URL.Path, "/1"):
			answer(404, "text/plain", "")(w, req)
		default:
			answerJSON(`{"build_number":2,"state":{"name":"IN_PROGRESS"}}`)(w, req)
		}
	}, func(t *testing.T, c *pipelines.Client, _ func() int) {
		start := time.Now()
		runs, err := c.Pipelines.WaitAll(t.Context(), repo, []string{"1", "2"}, nil)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
		require.Equal(t, 10*time.Second, time.Since(start))
		require.Nil(t, runs[0])
		require.Equal(t, 2, runs[1].BuildNumber)
	})
}
