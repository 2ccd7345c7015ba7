package circuit_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/circuit"
)

var errHeldBack = errors.New("held back")

// backoff waits for ten seconds, and for as long again after each further refusal.
func backoff(refusals int, asked time.Duration) time.Duration {
	return max(asked, time.Duration(refusals+1)*10*time.Second)
}

func newCircuit() *circuit.Circuit { return circuit.New(backoff, time.Minute, errHeldBack) }

func waiter() *circuit.Waiter { return &circuit.Waiter{Limit: time.Minute} }

func refusal(retryAfter string) *http.Response {
	resp := &http.Response{StatusCode: http.StatusTooManyRequests, Header: make(http.Header)}
	if retryAfter != "" {
		resp.Header.Set("Retry-After", retryAfter)
	}
	return resp
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
		require.Zero(t, c.Remaining())
	})
}

func TestANilCircuitHoldsNothingBack(t *testing.T) {
	var c *circuit.Circuit
	require.NoError(t, c.Hold(t.Context(), waiter()))
	p, err := c.Enter(t.Context(), waiter())
	require.NoError(t, err)
	p.Leave(refusal("30"))
}

func TestOneProbeDecidesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		enter(t, c, waiter()).Leave(refusal(""))
		var passed atomic.Int32
		for range 20 {
			go func() {
				p, err := c.Enter(t.Context(), waiter())
				if err != nil {
					t.Error(err)
					return
				}
				passed.Add(1)
				time.Sleep(time.Second)
				p.Leave(success())
			}()
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 1, passed.Load(), "probes")
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 20, passed.Load(), "requests after the probe")
		require.Less(t, time.Since(start), 12*time.Second)
		time.Sleep(time.Second)
	})
}

func TestARefusedProbeHoldsTheOthersBackForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		enter(t, c, waiter()).Leave(refusal(""))
		enter(t, c, waiter()).Leave(refusal(""))
		require.Equal(t, 20*time.Second, c.Remaining())
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
		require.Zero(t, c.Remaining())
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

func TestARetryAfterThatIsTooLongHoldsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := newCircuit(), time.Now()
		enter(t, c, waiter()).Leave(refusal("61"))
		enter(t, c, waiter()).Leave(success())
		require.Zero(t, time.Since(start))
	})
}

func TestACallThatMayNotWaitEndsAtOnce(t *testing.T) {
	for name, w := range map[string]*circuit.Waiter{
		"never waits":               {Limit: time.Minute, Never: true},
		"may wait for less":         {Limit: 20 * time.Second},
		"has waited for most of it": {Limit: time.Minute, Waited: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, start := newCircuit(), time.Now()
				enter(t, c, waiter()).Leave(refusal("30"))
				_, err := c.Enter(t.Context(), w)
				require.ErrorIs(t, err, errHeldBack)
				require.ErrorIs(t, c.Hold(t.Context(), w), errHeldBack)
				require.Zero(t, time.Since(start))
			})
		})
	}
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

func TestACallThatWaitsOnceEndsAfterAnotherRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		enter(t, c, waiter()).Leave(refusal(""))
		probe := enter(t, c, waiter())
		ends := make(chan error)
		go func() {
			_, err := c.Enter(t.Context(), &circuit.Waiter{Limit: time.Hour, Once: true})
			ends <- err
		}()
		synctest.Wait()
		probe.Leave(refusal(""))
		require.ErrorIs(t, <-ends, errHeldBack)
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
		require.Equal(t, 10*time.Second, c.Remaining())
		late.Leave(refusal("25"))
		require.Equal(t, 25*time.Second, c.Remaining(), "a later refusal may ask for more")
	})
}
