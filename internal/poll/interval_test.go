package poll_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

// unchanged returns the intervals between n polls that find no change, each of them waited for.
func unchanged(i *poll.Interval, n int) (all []time.Duration) {
	for range n {
		i.Update(false)
		all = append(all, i.Next(1))
		time.Sleep(i.Next(1))
	}
	return all
}

func TestIntervalsGrowByHalfUntilIdleAndStartAgainAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &poll.Interval{Idle: 10 * time.Second, Max: time.Minute}
		require.Equal(t, poll.MinInterval, i.Next(1), "before the first poll")
		growing := []time.Duration{2 * time.Second, 3 * time.Second, 4500 * time.Millisecond, 6750 * time.Millisecond, 10 * time.Second, 10 * time.Second}
		require.Equal(t, growing, unchanged(i, len(growing)))
		i.Update(true)
		require.Equal(t, 2*time.Second, i.Next(1))
		require.Equal(t, growing[1:], unchanged(i, len(growing)-1))
	})
}

func TestIdleIntervalsGrowWithTheIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &poll.Interval{Idle: 4 * time.Second, Relax: 10, Max: 30 * time.Second}
		i.Update(true)
		require.Equal(t, 4*time.Second, unchanged(i, 8)[7], "after half a minute")
		time.Sleep(2 * time.Minute)
		polls := unchanged(i, 60)
		require.Equal(t, 15100*time.Millisecond, polls[0], "a tenth of the idle time")
		require.Equal(t, 30*time.Second, polls[59], "the longest")
		i.Update(true)
		require.Equal(t, 2*time.Second, i.Next(1))
	})
}

func TestSetIdleAndResetChangeTheNextInterval(t *testing.T) {
	i := &poll.Interval{Idle: 10 * time.Second, Max: time.Minute}
	i.Update(true)
	i.SetIdle()
	require.Equal(t, 10*time.Second, i.Next(1))
	i.Reset()
	require.Equal(t, 2*time.Second, i.Next(1))
}

func TestIntervalsGrowAsTheBudgetRunsLow(t *testing.T) {
	for name, tc := range map[string]struct {
		priority poll.Priority
		fill     float64
		want     time.Duration
	}{
		"high, full":       {poll.High, 1, 2 * time.Second},
		"high, a quarter":  {poll.High, 1. / 4, 2 * time.Second},
		"high, an eighth":  {poll.High, 1. / 8, 4 * time.Second},
		"high, empty":      {poll.High, .01, 50 * time.Second},
		"low, full":        {poll.Low, 1, 2 * time.Second},
		"low, half":        {poll.Low, 1. / 2, 32 * time.Second},
		"low, a quarter":   {poll.Low, 1. / 4, time.Minute},
		"low, empty":       {poll.Low, .01, time.Minute},
		"low, five sixths": {poll.Low, 5. / 6, 2 * time.Second * 1296 / 625},
	} {
		t.Run(name, func(t *testing.T) {
			i := &poll.Interval{Idle: 10 * time.Second, Max: time.Minute, Priority: tc.priority}
			require.InDelta(t, tc.want, i.Next(tc.fill), float64(time.Microsecond))
		})
	}
}

func TestAnIntervalGrowsAsSeveralPollsWouldWhereOneComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &poll.Interval{Idle: 10 * time.Second, Max: time.Minute}
		i.Update(true)
		time.Sleep(32 * time.Second)
		i.Update(false)
		require.Equal(t, 8*time.Second, i.Next(1))
	})
}

func TestAnIntervalTakesTheBoundsOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &poll.Interval{Idle: 10 * time.Second, Max: time.Minute}
		unchanged(i, 4)
		require.Equal(t, 6750*time.Millisecond, i.Next(1))
		i.Become(poll.Interval{Idle: 5 * time.Second, Max: time.Minute})
		require.Equal(t, 6750*time.Millisecond, i.Next(1), "as long as before")
		i.Update(false)
		require.Equal(t, 5*time.Second, i.Next(1))
	})
}

func FuzzIntervalsStayWithinTheirBounds(f *testing.F) {
	f.Add([]byte{0, 200, 1, 0, 255, 3}, 10, false)
	f.Add([]byte{255, 255, 255, 255}, 0, true)
	f.Fuzz(func(t *testing.T, polls []byte, relax int, low bool) {
		synctest.Test(t, func(t *testing.T) {
			i := &poll.Interval{Idle: 4 * time.Second, Relax: relax, Max: 30 * time.Second}
			if low {
				i.Priority = poll.Low
			}
			for _, p := range polls {
				i.Update(p%4 == 0)
				next := i.Next(float64(p) / 255)
				require.GreaterOrEqual(t, next, poll.MinInterval)
				require.LessOrEqual(t, next, i.Max)
				time.Sleep(next + time.Duration(p)*time.Second)
			}
		})
	})
}
