package poll_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

// unchanged returns the intervals between n polls that find no change, each of them waited for.
func unchanged(i *poll.Interval, b *poll.Budget, n int) (all []time.Duration) {
	for range n {
		i.Update(false)
		all = append(all, i.Next(b))
		time.Sleep(i.Next(b))
	}
	return all
}

func TestIntervalsGrowByHalfUntilIdleAndStartAgainAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := poll.NewBudget(3600)
		i := &poll.Interval{Idle: 10 * time.Second, Max: time.Minute}
		require.Equal(t, poll.MinInterval, i.Next(b), "before the first poll")
		growing := []time.Duration{2 * time.Second, 3 * time.Second, 4500 * time.Millisecond, 6750 * time.Millisecond, 10 * time.Second, 10 * time.Second}
		require.Equal(t, growing, unchanged(i, b, len(growing)))
		i.Update(true)
		require.Equal(t, 2*time.Second, i.Next(b))
		require.Equal(t, growing[1:], unchanged(i, b, len(growing)-1))
	})
}

func TestIdleIntervalsGrowWithTheIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := poll.NewBudget(3600)
		i := &poll.Interval{Idle: 4 * time.Second, Relax: 10, Max: 30 * time.Second}
		i.Update(true)
		require.Equal(t, 4*time.Second, unchanged(i, b, 8)[7], "after half a minute")
		time.Sleep(2 * time.Minute)
		polls := unchanged(i, b, 60)
		require.Equal(t, 6*time.Second, polls[0], "no more than half as long again")
		require.Equal(t, 30*time.Second, polls[59], "the longest")
		i.Update(true)
		require.Equal(t, 2*time.Second, i.Next(b))
	})
}

func TestSetIdleAndResetChangeTheNextInterval(t *testing.T) {
	b := poll.NewBudget(240)
	i := &poll.Interval{Idle: 10 * time.Second, Max: time.Minute}
	i.Update(true)
	i.SetIdle()
	require.Equal(t, 10*time.Second, i.Next(b))
	i.Reset()
	require.Equal(t, 2*time.Second, i.Next(b))
}

func TestIntervalsGrowAsTheBudgetRunsLow(t *testing.T) {
	for name, tc := range map[string]struct {
		priority poll.Priority
		taken    int
		want     time.Duration
	}{
		"high, full":       {poll.High, 0, 2 * time.Second},
		"high, a quarter":  {poll.High, 45, 2 * time.Second},
		"high, an eighth":  {poll.High, 60 * 7 / 8, 120 * time.Second / (4 * 8)},
		"high, empty":      {poll.High, 60, 50 * time.Second},
		"low, full":        {poll.Low, 0, 2 * time.Second},
		"low, half":        {poll.Low, 30, 32 * time.Second},
		"low, a quarter":   {poll.Low, 45, time.Minute},
		"low, empty":       {poll.Low, 60, time.Minute},
		"low, five sixths": {poll.Low, 10, 2 * time.Second * 1296 / 625},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := poll.NewBudget(240)
				take(t, b, tc.taken)
				i := &poll.Interval{Idle: 10 * time.Second, Max: time.Minute, Priority: tc.priority}
				require.InDelta(t, tc.want, i.Next(b), float64(slack))
			})
		})
	}
}

func FuzzIntervalsStayWithinTheirBounds(f *testing.F) {
	f.Add([]byte{0, 200, 1, 0, 255, 3}, 10, false)
	f.Add([]byte{255, 255, 255, 255}, 0, true)
	f.Fuzz(func(t *testing.T, polls []byte, relax int, low bool) {
		synctest.Test(t, func(t *testing.T) {
			b := poll.NewBudget(240)
			i := &poll.Interval{Idle: 4 * time.Second, Relax: relax, Max: 30 * time.Second}
			if low {
				i.Priority = poll.Low
			}
			for _, p := range polls {
				i.Update(p%4 == 0)
				next := i.Next(b)
				require.GreaterOrEqual(t, next, poll.MinInterval)
				require.LessOrEqual(t, next, i.Max)
				require.NoError(t, b.Wait(t.Context(), next+time.Duration(p)*time.Second))
				take(t, b, int(p)%8)
			}
		})
	})
}
