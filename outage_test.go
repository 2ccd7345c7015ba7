package pipelines_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove that the retries of all calls together are bounded while the service answers none.

// outage is a service that fails in one way until it is over.
type outage struct {
	over     atomic.Bool
	requests atomic.Int32
	fail     func(*http.Request) (*http.Response, error)
}

func (o *outage) RoundTrip(req *http.Request) (*http.Response, error) {
	o.requests.Add(1)
	time.Sleep(50 * time.Millisecond)
	if o.over.Load() {
		return respond(req, 200, `{"build_number":1}`), nil
	}
	return o.fail(req)
}

func status(status int) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) { return respond(req, status, "oops"), nil }
}

func outageClient(t *testing.T, o *outage, opts ...pipelines.Option) *pipelines.Client {
	t.Helper()
	return viaFunc(t, o.RoundTrip, opts...)
}

var outages = map[string]func(*http.Request) (*http.Response, error){
	"503":           status(503),
	"408":           status(408),
	"no connection": func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
	"no JSON":       status(200),
	"a silent service": func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	},
	"storage is down": func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "storage.example" {
			return respond(req, 503, ""), nil
		}
		resp := respond(req, 307, "")
		resp.Header.Set("Location", "http://storage.example/log")
		return resp, nil
	},
}

func TestAThousandCallsIntoAnOutageSendAtMostTwelveHundredRequests(t *testing.T) {
	t.Parallel()
	for name, fail := range outages {
		for way, goroutines := range map[string]int{"one after the other": 1, "by 50 goroutines": 50} {
			t.Run(name+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := &outage{fail: fail}
					c := outageClient(t, o)
					var wg sync.WaitGroup
					var failed atomic.Int32
					for range goroutines {
						wg.Go(func() {
							for range 1000 / goroutines {
								if _, err := c.Pipelines.Get(t.Context(), repo, "1"); err != nil {
									failed.Add(1)
								}
							}
						})
					}
					wg.Wait()
					require.EqualValues(t, 1000, failed.Load())
					calls := o.requests.Load()
					if name == "storage is down" {
						calls /= 2 // each leads to the storage
					}
					require.GreaterOrEqual(t, calls, int32(1000))
					require.LessOrEqual(t, calls, int32(1200))
				})
			})
		}
	}
}

func TestOneCallIntoAnOutageHasAllItsAttempts(t *testing.T) {
	for name, policy := range map[string]pipelines.RetryPolicy{"5": {}, "150": {MaxAttempts: 150}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outage{fail: status(503)}
				_, err := outageClient(t, o, pipelines.WithRetry(policy)).Pipelines.Get(t.Context(), repo, "1")
				require.ErrorContains(t, err, "(after "+name+" attempts)")
				require.NotContains(t, err.Error(), "budget")
			})
		})
	}
}

// spendBudget calls until a call isn't retried any more, and returns its error.
func spendBudget(t *testing.T, c *pipelines.Client) error {
	t.Helper()
	for range 100 {
		start := time.Now()
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.Error(t, err)
		if time.Since(start) <= 50*time.Millisecond {
			return err
		}
	}
	t.Fatal("each call is retried")
	return nil
}

func TestACallSaysThatTheRetryBudgetIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := spendBudget(t, outageClient(t, &outage{fail: status(503)}))
		require.EqualError(t, err, "pipelines: Pipelines.Get: GET /repositories/acme/site/pipelines/1: 503 Service Unavailable: oops; "+
			"not retried, because the client's retry budget is used up")
		var e *pipelines.APIError
		require.ErrorAs(t, err, &e)
		require.ErrorIs(t, err, pipelines.ErrServer)
		require.Equal(t, 1, e.Attempts)
	})
}

func TestACreationThatWasNeverSentIsNoUnknownOutcomeWithoutABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{fail: status(503)}
		var unreachable atomic.Bool
		c := outageClient(t, o, pipelines.WithLimiter(limiterFunc(func(context.Context) error {
			if unreachable.Load() {
				return errors.New("limiter is down")
			}
			return nil
		})))
		require.Error(t, spendBudget(t, c))
		unreachable.Store(true)
		before := o.requests.Load()
		_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorContains(t, err, "limiter is down; not retried")
		require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.Equal(t, before, o.requests.Load())
	})
}

func TestTheFirstAnswersRestoreTheRetryBudget(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"success": nil, "not found": status(404), "invalid": status(400),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outage{fail: status(503)}
				c := outageClient(t, o)
				require.Error(t, spendBudget(t, c))
				if answer == nil {
					o.over.Store(true)
				} else {
					o.fail = answer
				}
				_, _ = c.Pipelines.Get(t.Context(), repo, "1")
				o.over.Store(false)
				o.fail = status(503)
				_, err := c.Pipelines.Get(t.Context(), repo, "1")
				require.ErrorContains(t, err, "(after 5 attempts)", "one answer pays for one call")
				_, err = c.Pipelines.Get(t.Context(), repo, "1")
				require.ErrorContains(t, err, "retry budget")
			})
		})
	}
}

func TestRefusalsCostNothingOfTheRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var statuses []int
		tokens := 0
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			status := statuses[0]
			statuses = statuses[1:]
			return respond(req, status, "{}"), nil
		}, pipelines.WithRetry(pipelines.RetryPolicy{RetryBudget: 1}), pipelines.WithTokenSource(tokenSource(func() (*oauth2.Token, error) {
			tokens++
			return &oauth2.Token{AccessToken: string(rune('a' + tokens))}, nil
		})))
		statuses = []int{429, 401, 429, 429, 503, 200}
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		statuses = []int{429, 503, 503}
		_, err = c.Pipelines.Get(t.Context(), repo, "1")
		require.ErrorContains(t, err, "retry budget", "the second failure has nothing to pay with")
	})
}

func TestANegativeRetryBudgetHasNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{fail: status(503)}
		c := outageClient(t, o, pipelines.WithRetry(pipelines.RetryPolicy{RetryBudget: -1}))
		for range 100 {
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.ErrorContains(t, err, "(after 5 attempts)")
		}
		require.EqualValues(t, 500, o.requests.Load())
	})
}
