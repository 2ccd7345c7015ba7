package poll_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

const slack = time.Microsecond // for rounding up in nanoseconds

func take(t *testing.T, b *poll.Budget, n int) {
	t.Helper()
	for range n {
		require.NoError(t, b.Take(t.Context()))
	}
}

func TestTakeAllowsABurstAndThenTheHourlyRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		b := poll.NewBudget(120)
		take(t, b, 60)
		require.Zero(t, time.Since(start), "60 requests at once")
		take(t, b, 1)
		require.InDelta(t, 30*time.Second, time.Since(start), float64(slack))
		take(t, b, 119)
		require.InDelta(t, time.Hour, time.Since(start), float64(time.Millisecond))
	})
}

func TestABudgetGrowsNoLargerThanItsBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := poll.NewBudget(3600)
		time.Sleep(24 * time.Hour)
		take(t, b, 60)
		start := time.Now()
		take(t, b, 1)
		require.InDelta(t, time.Second, time.Since(start), float64(slack))
	})
}

func TestWaitWaitsForItsTimeAndThenForTheBudget(t *testing.T) {
	for name, tc := range map[string]struct {
		taken int
		d     time.Duration
		want  time.Duration
	}{
		"no time, full budget":         {0, 0, 0},
		"a negative time":              {0, -time.Hour, 0},
		"a time, full budget":          {0, 7 * time.Second, 7 * time.Second},
		"one request above reserve":    {55, 0, 0},
		"nothing above reserve":        {56, 0, 15 * time.Second},
		"empty budget":                 {60, 0, 75 * time.Second},
		"empty budget, a shorter time": {60, time.Minute, 75 * time.Second},
		"empty budget, a longer time":  {60, 2 * time.Minute, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := poll.NewBudget(240)
				take(t, b, tc.taken)
				start := time.Now()
				require.NoError(t, b.Wait(t.Context(), tc.d))
				require.InDelta(t, tc.want, time.Since(start), float64(slack))
			})
		})
	}
}

func TestTakeMaySpendWhatWaitReserves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := poll.NewBudget(240)
		take(t, b, 56)
		start := time.Now()
		take(t, b, 4)
		require.Zero(t, time.Since(start))
	})
}

func TestAContextThatEndsEndsTheWaitWithItsCause(t *testing.T) {
	errCause := errors.New("the user left")
	for name, wait := range map[string]func(context.Context, *poll.Budget) error{
		"Take":              func(ctx context.Context, b *poll.Budget) error { return b.Take(ctx) },
		"Wait":              func(ctx context.Context, b *poll.Budget) error { return b.Wait(ctx, 0) },
		"Wait for a moment": func(ctx context.Context, b *poll.Budget) error { return b.Wait(ctx, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := poll.NewBudget(1)
				take(t, b, 60)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Minute, func() { cancel(errCause) })
				start := time.Now()
				err := wait(ctx, b)
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, errCause)
				require.Equal(t, "context canceled: the user left", err.Error())
				require.Equal(t, time.Minute, time.Since(start))

				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				require.Equal(t, context.DeadlineExceeded, wait(ctx, b), "no cause of its own")
			})
		})
	}
}

func TestWaitWithoutAWaitReturnsTheContextsError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := poll.NewBudget(1)
	require.NoError(t, b.Wait(ctx, 0))
	cancel()
	require.ErrorIs(t, b.Wait(ctx, 0), context.Canceled)
}
