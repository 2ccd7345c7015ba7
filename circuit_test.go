package pipelines_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// These tests prove over the public API that one call probes the service after a 429 while the others wait for its result.

// quota is a service that responds with 429 while it is used up.
type quota struct {
	mu        sync.Mutex
	usedUp    bool
	after     string // the Retry-After, if any
	panics    bool
	refused   []time.Time
	concluded []time.Time
}

func (q *quota) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(50 * time.Millisecond) // the way there, on the bubble's clock
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.panics {
		q.panics = false
		panic("boom")
	}
	if !q.usedUp {
		q.concluded = append(q.concluded, time.Now())
		return respond(req, 200, `{"build_number":1}`), nil
	}
	q.refused = append(q.refused, time.Now())
	resp := respond(req, 429, "Rate limit for this resource has been exceeded")
	if q.after != "" {
		resp.Header.Set("Retry-After", q.after)
	}
	return resp, nil
}

func (q *quota) set(usedUp bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.usedUp = usedUp
}

func quotaClient(t *testing.T, q *quota, opts ...pipelines.Option) *pipelines.Client {
	t.Helper()
	policy := pipelines.RetryPolicy{MaxAttempts: 5, MinWait: time.Second, MaxWait: 10 * time.Second}
	return newClient(t, "http://api.example", append([]pipelines.Option{pipelines.WithHTTPClient(&http.Client{Transport: q}), pipelines.WithRetry(policy)}, opts...)...)
}

// sweep calls n times at once, after a first call has found out that the quota is used up, and returns the errors.
func sweep(t *testing.T, c *pipelines.Client, n int) []error {
	t.Helper()
	errs := make([]error, n+1)
	var wg sync.WaitGroup
	call := func(i int) { _, errs[i] = c.Pipelines.Get(t.Context(), repo, "1") }
	wg.Go(func() { call(n) })
	time.Sleep(100 * time.Millisecond)
	for i := range n {
		wg.Go(func() { call(i) })
	}
	wg.Wait()
	return errs
}

func TestCircuitProbesAUsedUpQuotaOnceForAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true}
		held := 0
		for _, err := range sweep(t, quotaClient(t, q), 64) {
			var apiErr *pipelines.APIError
			require.ErrorAs(t, err, &apiErr)
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
			if apiErr.Attempts == 0 {
				held++
				require.ErrorContains(t, err, "nothing was sent, because another request got 429")
			}
		}
		require.Positive(t, held, "calls that got no 429 themselves")
		require.LessOrEqual(t, len(q.refused), 20, "one request at a time asks for 65 calls that each wait a minute")
	})
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true}
		for _, err := range sweep(t, quotaClient(t, q, pipelines.WithoutQuotaCircuit()), 64) {
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
		}
		require.Greater(t, len(q.refused), 65*5, "switched off, each finds out for itself")
	})
}

func TestCircuitLetsAllCallsGoOnWhenTheQuotaIsBack(t *testing.T) {
	for name, after := range map[string]string{"without a Retry-After": "", "with one": "3"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &quota{usedUp: true, after: after}
				time.AfterFunc(500*time.Millisecond, func() { q.set(false) })
				start := time.Now()
				for _, err := range sweep(t, quotaClient(t, q), 64) {
					require.NoError(t, err)
				}
				require.LessOrEqual(t, len(q.refused), 3)
				require.Len(t, q.concluded, 65)
				if after != "" {
					require.GreaterOrEqual(t, q.concluded[0].Sub(start), 3*time.Second)
				}
				require.WithinDuration(t, q.concluded[0], q.concluded[64], 300*time.Millisecond, "one goes ahead, two follow each response")
			})
		})
	}
}

func TestCallsEndAtOnceUntilARetryAfterThatIsTooLongIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true, after: "1800"}
		c := quotaClient(t, q)
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		var e *pipelines.APIError
		require.ErrorAs(t, err, &e)
		require.Equal(t, 30*time.Minute, e.RetryAfter)
		require.Equal(t, 1, e.Attempts)
		over := time.Now().Add(30 * time.Minute)
		for time.Until(over) > time.Minute {
			start := time.Now()
			_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
			require.Zero(t, time.Since(start))
			require.ErrorAs(t, err, &e)
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
			require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			require.Equal(t, 429, e.StatusCode)
			require.Equal(t, "Pipelines.Run", e.Operation)
			require.Equal(t, time.Until(over), e.RetryAfter)
			require.Zero(t, e.Attempts)
			require.ErrorContains(t, err, "nothing was sent, because another request got 429; requests are held back until 2000-01-01T00:30:00Z")
			time.Sleep(7 * time.Minute)
		}
		require.Len(t, q.refused, 1)
		time.Sleep(time.Until(over))
		q.set(false)
		_, err = c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Len(t, q.refused, 1)
	})
}

func TestACallThatMayWaitAsLongAsARetryAfterDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true, after: "1800"}
		c := quotaClient(t, q, pipelines.WithRetry(pipelines.RetryPolicy{MaxQuotaWait: time.Hour}))
		time.AfterFunc(10*time.Minute, func() { q.set(false) })
		start := time.Now()
		for _, err := range sweep(t, c, 8) {
			require.NoError(t, err)
		}
		require.Len(t, q.refused, 1)
		require.InDelta(t, 30*time.Minute, time.Since(start), float64(time.Second))
	})
}

func TestARetryAfterOfYearsHoldsCallsBackForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true, after: "315360000"}
		c := quotaClient(t, q)
		for range 24 * 60 {
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
			time.Sleep(time.Minute)
		}
		require.InDelta(t, 24, len(q.refused), 1, "a day asks once an hour")
		q.set(false)
		time.Sleep(time.Hour)
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
	})
}

func TestCircuitEndsACallThatItHoldsBackWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true, after: "30"}
		c := quotaClient(t, q)
		var wg sync.WaitGroup
		defer wg.Wait()
		first, end := context.WithCancel(t.Context())
		defer end()
		wg.Go(func() { _, _ = c.Pipelines.Get(first, repo, "1") })
		synctest.Wait()
		time.Sleep(time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Pipelines.Run(ctx, repo, mainBranch)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "while waiting for quota after another request got 429")
		require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Len(t, q.refused, 1)
	})
}

// cancelKey finds the function that cancels a call in its own context.
type cancelKey struct{}

// The request that goes ahead may get lost in every way there is: another then goes ahead in its place.
func TestCircuitHoldsNoCallBackWhereTheProbeIsLost(t *testing.T) {
	lost := errors.New("lost")
	fine := func(context.Context) error { return nil }
	for name, lose := range map[string]struct{ onTheWay, inTheSource func(context.Context) error }{
		"by a connection": {func(context.Context) error { return lost }, fine},
		"by a panic":      {func(context.Context) error { panic(lost) }, fine},
		"by its context":  {func(ctx context.Context) error { ctx.Value(cancelKey{}).(context.CancelFunc)(); return ctx.Err() }, fine},
		"for credentials": {fine, func(context.Context) error { return lost }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sends, tokens atomic.Int32
				hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					n := sends.Add(1)
					if n == 1 {
						return respond(req, 429, ""), nil
					}
					if n == 2 {
						if err := lose.onTheWay(req.Context()); err != nil {
							return nil, err
						}
					}
					return respond(req, 200, `{"values":[]}`), nil
				})}
				source := tokenSource(func() (*oauth2.Token, error) {
					if tokens.Add(1) == 2 {
						if err := lose.inTheSource(t.Context()); err != nil {
							return nil, err
						}
					}
					return &oauth2.Token{AccessToken: "a"}, nil
				})
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithTokenSource(source))
				var wg sync.WaitGroup
				var succeeded atomic.Int32
				for range 8 {
					wg.Go(func() {
						defer func() { _ = recover() }()
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						ctx = context.WithValue(ctx, cancelKey{}, cancel)
						if _, err := c.Pipelines.Get(ctx, repo, "1"); err == nil {
							succeeded.Add(1)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				require.GreaterOrEqual(t, succeeded.Load(), int32(7))
			})
		})
	}
}

func TestManyPollersAskOnceAfterEachHold(t *testing.T) {
	t.Parallel()
	for after, atMost := range map[string]int{"1800": 60 + 4, "45": 60 + 160, "": 60 + 24} {
		t.Run("Retry-After "+after, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &quota{usedUp: true, after: after}
				time.AfterFunc(2*time.Hour, func() { q.set(false) })
				c := quotaClient(t, q)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				var wg sync.WaitGroup
				for range 60 {
					wg.Go(func() {
						_, err := c.Pipelines.Wait(ctx, repo, "1", nil)
						assert.ErrorIs(t, err, context.DeadlineExceeded)
					})
				}
				wg.Wait()
				require.LessOrEqual(t, len(q.refused), atMost, "60 were on the way when the first was refused")
				require.Greater(t, len(q.concluded), 60)
			})
		})
	}
}

func TestCircuitHoldsPollsBackUntilTheQuotaIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			time.Sleep(50 * time.Millisecond)
			switch passed := time.Since(start); {
			case passed > 9*time.Second && passed < time.Minute:
				return respond(req, 429, ""), nil
			case passed > 10*time.Minute:
				return respond(req, 200, `{"build_number":1,"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`), nil
			}
			return respond(req, 200, `{"build_number":1,"state":{"name":"IN_PROGRESS"}}`), nil
		})}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				p, err := c.Pipelines.Wait(t.Context(), repo, "1", nil)
				if assert.NoError(t, err) {
					assert.True(t, p.State.Succeeded())
				}
			})
		}
		wg.Wait()
	})
}

func TestCircuitReleasesAllCallsWhereTheNetworkBreaksAfterA429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sends atomic.Int32
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if sends.Add(1) == 1 {
				return respond(req, 429, ""), nil
			}
			time.Sleep(30 * time.Second)
			return nil, errors.New("dead")
		})}
		start := time.Now()
		errs := sweep(t, newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), 40)
		for _, err := range errs {
			require.ErrorContains(t, err, "dead")
		}
		require.LessOrEqual(t, time.Since(start), 2*time.Minute+time.Second, "one that goes ahead, and the attempts of all together")
	})
}

func TestCircuitWaitsLongerWhereALater429AsksForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []time.Duration
		start := time.Now()
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			sent = append(sent, time.Since(start))
			n := len(sent)
			mu.Unlock()
			if n > 2 {
				return respond(req, 200, `{"values":[]}`), nil
			}
			time.Sleep(time.Duration(n) * 10 * time.Millisecond)
			resp := respond(req, 429, "")
			resp.Header.Set("Retry-After", []string{"1", "30"}[n-1])
			return resp, nil
		})}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithRetry(pipelines.RetryPolicy{}))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, _ = c.Pipelines.Get(t.Context(), repo, "1") })
			synctest.Wait()
		}
		wg.Wait()
		require.Len(t, sent, 4)
		require.GreaterOrEqual(t, sent[2], 30*time.Second)
	})
}

func TestCircuitHoldsNoCallsOfOneAttemptBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true, after: "55"}
		start := time.Now()
		for _, err := range sweep(t, quotaClient(t, q, pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})), 3) {
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
		}
		require.Less(t, time.Since(start), time.Second)
	})
}

// perSecond lets one request pass each second.
type perSecond struct {
	mu   sync.Mutex
	next time.Time
}

func (l *perSecond) Wait(context.Context) error {
	l.mu.Lock()
	if l.next.Before(time.Now()) {
		l.next = time.Now()
	}
	wait := time.Until(l.next)
	l.next = l.next.Add(time.Second)
	l.mu.Unlock()
	time.Sleep(wait)
	return nil
}

func TestCircuitKeepsToTheLimiterWithCallsThatItHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true, after: "50"}
		time.AfterFunc(2*time.Second, func() { q.set(false) })
		for _, err := range sweep(t, quotaClient(t, q, pipelines.WithLimiter(&perSecond{})), 40) {
			require.NoError(t, err)
		}
		perSecond := map[int]int{}
		for _, at := range q.concluded {
			perSecond[int(at.Sub(q.refused[0]).Seconds())]++
		}
		for second, n := range perSecond {
			require.LessOrEqual(t, n, 2, "in second %d", second)
		}
	})
}

func TestCircuitDoesNotProbeWithoutEndWhereRetryAfterIsTiny(t *testing.T) {
	for name, circuit := range map[string]pipelines.Option{"with the circuit": nil, "without it": pipelines.WithoutQuotaCircuit()} {
		for _, after := range []string{"0.000001", "0.01", "0"} {
			t.Run(name+", "+after, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var n atomic.Int32
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
						if n.Add(1) > 1000 {
							cancel()
						}
						resp := respond(req, 429, "")
						resp.Header.Set("Retry-After", after)
						return resp, nil
					})}
					c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithRetry(pipelines.RetryPolicy{}), circuit)
					_, err := c.Pipelines.Run(ctx, repo, mainBranch)
					require.ErrorIs(t, err, pipelines.ErrRateLimited)
					require.Less(t, n.Load(), int32(100))
				})
			})
		}
	}
}

func TestCircuitWaitsLongerThanAClientsTimeout(t *testing.T) {
	for _, back := range []time.Duration{40 * time.Second, 5 * time.Minute} {
		t.Run(back.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pipelinestest.NewServer()
				defer srv.Close()
				r := srv.AddRepository("acme", "site")
				r.AddPipelines(1)
				srv.Inject(pipelinestest.Fault{Status: http.StatusTooManyRequests, For: back})
				c := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: srv.Transport(), Timeout: 5 * time.Second}))
				begin := time.Now()
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						_, err := c.Pipelines.Get(t.Context(), r.Repo(), "1")
						took := time.Since(begin)
						if back < time.Minute {
							assert.NoError(t, err)
							assert.GreaterOrEqual(t, took, back)
							return
						}
						assert.ErrorIs(t, err, pipelines.ErrRateLimited)
						assert.InDelta(t, time.Minute, took, float64(5*time.Second))
					})
				}
				wg.Wait()
			})
		})
	}
}

func TestCircuitHoldsNoCallWithMaxAttemptsOfOneBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) { return respond(req, 429, ""), nil })
		for range 3 {
			_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithMaxAttempts(1))
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
		}
		require.Zero(t, time.Since(start))
	})
}

func TestACallOfOneAttemptDoesNotWaitForTheOneThatGoesAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true, after: "30"}
		c := quotaClient(t, q)
		_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithMaxAttempts(1))
		require.ErrorIs(t, err, pipelines.ErrRateLimited)
		time.Sleep(30 * time.Second)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { _, _ = c.Pipelines.Get(t.Context(), repo, "1") })
		synctest.Wait()
		_, err = c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithMaxAttempts(1))
		var e *pipelines.APIError
		require.ErrorAs(t, err, &e)
		require.Zero(t, e.RetryAfter)
		require.ErrorContains(t, err, "requests are held back until another has asked again")
		q.set(false)
	})
}

func TestFewAreRefusedWhereTheQuotaComesBackBitByBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithQuota(100))
		defer srv.Close()
		r := srv.AddRepository("acme", "site")
		r.AddPipelines(1)
		c := srv.Client(pipelines.WithRetry(pipelines.RetryPolicy{MaxQuotaWait: 5 * time.Hour}),
			pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				time.Sleep(50 * time.Millisecond)
				return srv.Transport().RoundTrip(req)
			})}))
		for range 100 {
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.NoError(t, err)
			time.Sleep(36 * time.Second)
		}
		srv.ClearRequests()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, err := c.Pipelines.Get(t.Context(), repo, "1")
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		refused := len(srv.Requests()) - 100
		require.LessOrEqual(t, refused, 600, "those on the way at first, and a few for each that got through")
	})
}

// arrivals records which operations arrive, and refuses the first.
type arrivals struct {
	mu         sync.Mutex
	operations []string
}

func (a *arrivals) RoundTrip(req *http.Request) (*http.Response, error) {
	a.mu.Lock()
	operation, _ := pipelines.OperationFromContext(req.Context())
	a.operations = append(a.operations, operation.Name)
	first := len(a.operations) == 1
	a.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	if first {
		resp := respond(req, 429, "")
		resp.Header.Set("Retry-After", "30")
		return resp, nil
	}
	return respond(req, 200, `{"values":[]}`), nil
}

func TestWhatChangesSomethingGoesBeforeReadsOnceTheQuotaIsBack(t *testing.T) {
	get := func(t *testing.T, c *pipelines.Client) { _, _ = c.Pipelines.Get(t.Context(), repo, "1") }
	stop := func(t *testing.T, c *pipelines.Client) { _ = c.Pipelines.Stop(t.Context(), repo, "1") }
	for name, calls := range map[string][]func(*testing.T, *pipelines.Client){
		"stopped last":                    {get, get, get, get, stop},
		"stopped first, which is refused": {stop, get, get, get, get},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &arrivals{}
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: a}), pipelines.WithRetry(pipelines.RetryPolicy{}))
				var wg sync.WaitGroup
				for _, call := range calls {
					wg.Go(func() { call(t, c) })
					time.Sleep(100 * time.Millisecond)
				}
				wg.Wait()
				require.Len(t, a.operations, 6)
				require.Equal(t, "Pipelines.Stop", a.operations[1], "the one that goes ahead")
			})
		})
	}
}

func TestCallsReachTheLimiterInTheOrderOfTheirUrgency(t *testing.T) {
	stops := 0
	for range 20 { // those at the limiter may overtake each other
		stops += stopsAmongTheFirst(t)
	}
	require.Greater(t, stops, 140, "of 200: 80 where the order doesn't count")
}

// stopsAmongTheFirst holds back 40 reads and then 10 stops. It returns how many of the stops are among the first 20 that pass a limiter.
func stopsAmongTheFirst(t *testing.T) (stops int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &arrivals{}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: a}),
			pipelines.WithRetry(pipelines.RetryPolicy{}), pipelines.WithLimiter(&perSecond{}))
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if i < 40 {
					_, _ = c.Pipelines.Get(t.Context(), repo, "1")
				} else {
					_ = c.Pipelines.Stop(t.Context(), repo, "1")
				}
			})
			if i == 0 {
				time.Sleep(5 * time.Second)
			}
			synctest.Wait()
		}
		wg.Wait()
		for _, operation := range a.operations[1:21] {
			if operation == "Pipelines.Stop" {
				stops++
			}
		}
	})
	return stops
}

func TestAnAttemptThatWasHeldBackAndNotSentDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var attempts []int
		hc := &http.Client{Timeout: 5 * time.Second, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			attempt, _ := pipelines.AttemptFromContext(req.Context())
			attempts = append(attempts, attempt)
			if time.Since(begin) < time.Minute {
				resp := respond(req, 429, "")
				resp.Header.Set("Retry-After", "50")
				return resp, nil
			}
			return respond(req, 200, `{"values":[]}`), nil
		})}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithRetry(pipelines.RetryPolicy{MaxQuotaWait: time.Hour}))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Equal(t, []int{1, 2, 3}, attempts)
	})
}

func TestTheNextGoesAheadWhereTheFirstHasNoCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quota{usedUp: true, after: "30"}
		var tokens atomic.Int32
		source := tokenSource(func() (*oauth2.Token, error) {
			if tokens.Add(1) == 2 {
				return nil, errors.New("no token")
			}
			return &oauth2.Token{AccessToken: "a"}, nil
		})
		c := quotaClient(t, q, pipelines.WithTokenSource(source))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { _, _ = c.Pipelines.Get(t.Context(), repo, "1") })
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		require.Len(t, q.refused, 2, "the one that came before, and one that goes ahead")
		q.set(false)
		wg.Wait()
	})
}

func TestAnErrorSaysOnceHowOftenItsRequestWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) { return respond(req, 429, ""), nil })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := c.Pipelines.Stop(ctx, repo, "1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "while waiting to try again after: ")
		require.Equal(t, 1, strings.Count(err.Error(), " attempts)"), err.Error())
	})
}
