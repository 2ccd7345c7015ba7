package poll_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

func TestTheDelayAfterAFailureDoublesUpToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f poll.Failures
		for range 2 {
			require.False(t, f.Last())
			begin := time.Now()
			for _, want := range []int{4, 8, 16, 32, 60, 60} {
				f.Add(0)
				require.True(t, f.Last())
				require.Equal(t, time.Duration(want)*time.Second, f.Delay())
				require.Equal(t, begin, f.Since())
				time.Sleep(f.Delay())
			}
			f.Reset()
			require.Zero(t, f.Delay())
		}
		for range 1000 {
			f.Add(0)
		}
		require.Equal(t, time.Minute, f.Delay())
	})
}

func TestADelayThatTheServiceAsksForIsTheLeast(t *testing.T) {
	var f poll.Failures
	f.Add(2 * time.Minute)
	require.Equal(t, 2*time.Minute, f.Delay())
	f.Add(time.Second)
	require.Equal(t, 8*time.Second, f.Delay())
}

func TestAnAbsenceLastsFromItsFirstObservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a poll.Absence
		time.Sleep(time.Hour)
		require.False(t, a.Lasts())
		require.False(t, a.Observe(10*time.Second))
		require.True(t, a.Lasts())
		time.Sleep(10*time.Second - time.Nanosecond)
		require.False(t, a.Observe(10*time.Second))
		time.Sleep(time.Nanosecond)
		require.True(t, a.Observe(10*time.Second))
		a = poll.Absence{}
		require.False(t, a.Lasts(), "it was found")
		require.False(t, a.Observe(10*time.Second), "another absence")
	})
}

func TestTheLastPollForSomethingMissingComesWhenItsGraceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a poll.Absence
		var delays []time.Duration
		for !a.Observe(time.Minute) {
			delays = append(delays, a.Delay(time.Minute))
			time.Sleep(delays[len(delays)-1])
		}
		require.Equal(t, []time.Duration{
			2 * time.Second, 2 * time.Second, 2 * time.Second, 3 * time.Second, 4500 * time.Millisecond, 6750 * time.Millisecond,
			10125 * time.Millisecond, 15187500 * time.Microsecond, 14437500 * time.Microsecond,
		}, delays)
	})
}
