package circuit_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/circuit"
)

// backoff waits for ten seconds, and for as long again after each further refusal.
func backoff(refusals int, asked time.Duration) time.Duration {
	return max(asked, time.Duration(refusals+1)*10*time.Second)
}

func newCircuit() *circuit.Circuit { return circuit.New(backoff, time.Minute, time.Hour) }

func waiter() *circuit.Waiter { return &circuit.Waiter{Limit: time.Minute} }

func refusal(retryAfter string) *http.Response {
	resp := &http.Response{StatusCode: http.StatusTooManyRequests, Header: make(http.Header)}
	if retryAfter != "" {
		resp.Header.Set("Retry-After", retryAfter)
	}
	return resp
}

// remaining returns for how long nothing is sent.
func remaining(c *circuit.Circuit) time.Duration {
	if c.Until().IsZero() {
		return 0
	}
	return time.Until(c.Until())
}

// requireHeldBack requires that a call ends because nothing is sent for d.
func requireHeldBack(t *testing.T, err error, d time.Duration) {
	t.Helper()
	var held *circuit.HeldBackError
	require.ErrorAs(t, err, &held)
	require.ErrorContains(t, err, "held back")
	require.Equal(t, d, time.Until(held.Until))
}

func success() *http.Response { return &http.Response{StatusCode: http.StatusOK} }

// enter lets a request pass and fails the test if it can't.
func enter(t *testing.T, c *circuit.Circuit, w *circuit.Waiter) *circuit.Passage {
	t.Helper()
	p, err := c.Enter(t.Context(), w)
	require.NoError(t, err)
	return &p
}

func TestWithoutARefusalAllRequestsPassAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		first, second := enter(t, c, waiter()), enter(t, c, waiter())
		first.Leave(success())
		second.Leave(nil)
		require.NoError(t, c.Hold(t.Context(), waiter()))
		require.Zero(t, time.Since(start))
		require.Zero(t, remaining(c))
	})
}

func TestANilCircuitHoldsNothingBack(t *testing.T) {
	var c *circuit.Circuit
	require.NoError(t, c.Hold(t.Context(), waiter()))
	p, err := c.Enter(t.Context(), waiter())
	require.NoError(t, err)
	p.Leave(refusal("30"))
	p.Abandon()
	require.Zero(t, c.Until())
}

// crowd makes a call of each rank, in this order, whose response takes a second, and returns when each passed.
func crowd(t *testing.T, c *circuit.Circuit, respond func(n int) *http.Response, ranks ...int) (passed func() map[int][]time.Duration) {
	t.Helper()
	start := time.Now()
	var mu sync.Mutex
	var n atomic.Int32
	all := map[int][]time.Duration{}
	for _, rank := range ranks {
		go func() {
			w := waiter()
			w.Rank = rank
			p, err := c.Enter(t.Context(), w)
			if err != nil {
				return
			}
			resp := respond(int(n.Add(1)))
			mu.Lock()
			all[rank] = append(all[rank], time.Since(start))
			mu.Unlock()
			time.Sleep(time.Second)
			p.Leave(resp)
		}()
		synctest.Wait()
	}
	return func() map[int][]time.Duration {
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		return all
	}
}

func seconds(all ...int) (durations []time.Duration) {
	for _, n := range all {
		durations = append(durations, time.Duration(n)*time.Second)
	}
	return durations
}

func TestOneProbeGoesAheadAndEachResponseLetsTwoFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal(""))
		passed := crowd(t, c, func(int) *http.Response { return success() }, make([]int, 20)...)
		require.Equal(t, map[int][]time.Duration{
			0: seconds(10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 13, 13, 13, 13, 14, 14, 14, 14, 14),
		}, passed())
		require.Zero(t, remaining(c))
	})
}

func TestTheMostUrgentGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal(""))
		passed := crowd(t, c, func(int) *http.Response { return success() }, 1, 2, 1, 0, 2, 0, 1, 0)
		require.Equal(t, map[int][]time.Duration{0: seconds(10, 11, 11), 1: seconds(12, 12, 12), 2: seconds(12, 13)}, passed())
	})
}

func TestARefusalHoldsBackWhoHasNotFollowedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal(""))
		passed := crowd(t, c, func(n int) *http.Response {
			if n == 2 || n == 3 {
				return refusal("")
			}
			return success()
		}, make([]int, 8)...)
		require.Equal(t, map[int][]time.Duration{0: seconds(10, 11, 11, 32, 33, 33, 34, 34)}, passed())
	})
}

func TestAnAbandonedProbeIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		enter(t, c, waiter()).Leave(refusal(""))
		probe := enter(t, c, waiter())
		var passed time.Duration
		go func() {
			p, err := c.Enter(t.Context(), waiter())
			assert.NoError(t, err)
			passed = time.Since(start)
			p.Leave(success())
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, passed)
		probe.Abandon()
		synctest.Wait()
		require.Equal(t, 11*time.Second, passed)
	})
}

func TestACallThatIsHeldTakesNoPlaceUntilItEnters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		enter(t, c, waiter()).Leave(refusal(""))
		for range 3 {
			require.NoError(t, c.Hold(t.Context(), waiter()))
		}
		enter(t, c, waiter()).Leave(success())
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}

func TestARefusedProbeHoldsTheOthersBackForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		enter(t, c, waiter()).Leave(refusal(""))
		enter(t, c, waiter()).Leave(refusal(""))
		require.Equal(t, 20*time.Second, remaining(c))
		enter(t, c, waiter()).Leave(success())
		require.Equal(t, 30*time.Second, time.Since(start))
		enter(t, c, waiter()).Leave(success())
		require.Equal(t, 30*time.Second, time.Since(start))
	})
}

func TestALostProbeReleasesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal(""))
		enter(t, c, waiter()).Leave(nil)
		enter(t, c, waiter()).Leave(success())
		require.Zero(t, remaining(c))
	})
}

func TestAProbeWhoseCallWasCancelledIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal(""))
		ctx, cancel := context.WithCancel(t.Context())
		probe, err := c.Enter(ctx, waiter())
		require.NoError(t, err)
		cancel()
		probe.Leave(nil)
		next := enter(t, c, waiter())
		waits := make(chan error)
		go func() {
			third, err := c.Enter(t.Context(), waiter())
			third.Leave(success())
			waits <- err
		}()
		synctest.Wait()
		next.Leave(success())
		require.NoError(t, <-waits)
	})
}

func TestARetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		enter(t, c, waiter()).Leave(refusal("45"))
		enter(t, c, waiter()).Leave(success())
		require.Equal(t, 45*time.Second, time.Since(start))
	})
}

func TestARetryAfterThatIsTooLongEndsCallsAtOnceUntilItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal("1800"))
		for left := 30 * time.Minute; left > time.Minute; left -= time.Minute {
			_, err := c.Enter(t.Context(), waiter())
			requireHeldBack(t, err, left)
			time.Sleep(time.Minute)
		}
		start := time.Now()
		enter(t, c, waiter()).Leave(success())
		require.Equal(t, time.Minute, time.Since(start), "so long it may wait")
	})
}

func TestNoRetryAfterHoldsBackForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal("31536000"))
		require.Equal(t, time.Hour, remaining(c))
		patient := circuit.New(backoff, 3*time.Hour, time.Hour)
		enter(t, patient, waiter()).Leave(refusal("31536000"))
		require.Equal(t, 3*time.Hour, remaining(patient), "for as long as calls would wait for it")
	})
}

func TestACallThatMayNotWaitEndsAtOnce(t *testing.T) {
	for name, w := range map[string]*circuit.Waiter{
		"never waits":               {Limit: time.Minute, Never: true},
		"is impatient":              {Limit: time.Minute, Impatient: true},
		"may wait for less":         {Limit: 20 * time.Second},
		"has waited for most of it": {Limit: time.Minute, Waited: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, start := newCircuit(), time.Now()
				enter(t, c, waiter()).Leave(refusal("30"))
				_, err := c.Enter(t.Context(), w)
				requireHeldBack(t, err, 30*time.Second)
				requireHeldBack(t, c.Hold(t.Context(), w), 30*time.Second)
				require.Zero(t, time.Since(start))
			})
		})
	}
}

func TestAnImpatientCallWaitsForAProbeOnly(t *testing.T) {
	for name, result := range map[string]*http.Response{"that succeeds": success(), "that is refused": refusal("")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCircuit()
				enter(t, c, waiter()).Leave(refusal(""))
				_, err := c.Enter(t.Context(), &circuit.Waiter{Impatient: true})
				requireHeldBack(t, err, 10*time.Second)
				probe := enter(t, c, waiter())
				ends := make(chan error, 1)
				go func() {
					_, err := c.Enter(t.Context(), &circuit.Waiter{Impatient: true})
					ends <- err
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Empty(t, ends)
				probe.Leave(result)
				if err := <-ends; result.StatusCode == http.StatusOK {
					require.NoError(t, err)
				} else {
					requireHeldBack(t, err, 20*time.Second)
				}
			})
		})
	}
}

func TestACallThatHasWaitedLongEnoughEndsAfterAnotherRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal(""))
		probe := enter(t, c, waiter())
		ends := make(chan error, 1)
		go func() {
			_, err := c.Enter(t.Context(), &circuit.Waiter{Limit: time.Second})
			ends <- err
		}()
		time.Sleep(2 * time.Second)
		probe.Leave(refusal(""))
		requireHeldBack(t, <-ends, 20*time.Second)
	})
}

func TestACallPassesEarlyWhereTheServiceHasNamedNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		enter(t, c, waiter()).Leave(refusal(""))
		w := &circuit.Waiter{Limit: 4 * time.Second}
		enter(t, c, w).Leave(success())
		require.Equal(t, 4*time.Second, time.Since(start))
		require.Equal(t, 4*time.Second, w.Waited)
	})
}

func TestTheEndOfTheContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := newCircuit(), waiter()
		enter(t, c, waiter()).Leave(refusal("30"))
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		err := c.Hold(ctx, w)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "while waiting for quota")
		require.True(t, w.HeldBack)
		require.Equal(t, 7*time.Second, w.Waited)
		require.Equal(t, 53*time.Second, w.Left())
	})
}

func TestAResponseToAnEarlierRequestSaysNothingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		early, late := enter(t, c, waiter()), enter(t, c, waiter())
		enter(t, c, waiter()).Leave(refusal(""))
		early.Leave(success())
		require.Equal(t, 10*time.Second, remaining(c))
		late.Leave(refusal("25"))
		require.Equal(t, 25*time.Second, remaining(c), "a later refusal may ask for more")
		start := time.Now()
		enter(t, c, waiter()).Leave(success())
		require.Equal(t, 25*time.Second, time.Since(start))
	})
}

// TestNoRequestIsForgottenAtTheEndOfAHold uses the real clock, which, unlike a bubble's, goes on between two looks at it.
func TestNoRequestIsForgottenAtTheEndOfAHold(t *testing.T) {
	var d time.Duration
	c := circuit.New(func(int, time.Duration) time.Duration { return d }, time.Minute, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 10_000 {
		d = time.Duration(i % 2000)
		p, err := c.Enter(ctx, waiter())
		require.NoError(t, err, "request %d waits although the hold is over", i)
		p.Leave(refusal(""))
	}
}
