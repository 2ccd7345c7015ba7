package poll_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

func TestFailuresAreTooManyAtTheFifthInARow(t *testing.T) {
	var f poll.Failures
	for range 2 {
		for _, want := range []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second} {
			require.True(t, f.Count(0))
			require.Equal(t, want, f.Delay())
		}
		f.Reset()
		require.Zero(t, f.Delay())
	}
	for range 4 {
		require.True(t, f.Count(0))
	}
	require.False(t, f.Count(0))
}

func TestADelayThatTheServiceAsksForIsTheLeast(t *testing.T) {
	var f poll.Failures
	f.Count(time.Minute)
	require.Equal(t, time.Minute, f.Delay())
	f.Count(time.Second)
	require.Equal(t, 8*time.Second, f.Delay())
}

func TestPostponedPollsDoNotCount(t *testing.T) {
	var f poll.Failures
	for range 100 {
		f.Postpone(5 * time.Minute)
		require.Equal(t, 5*time.Minute, f.Delay())
	}
	for range 4 {
		require.True(t, f.Count(0))
		f.Postpone(0)
		require.Zero(t, f.Delay())
	}
	require.False(t, f.Count(0), "and don't separate failures either")
}

func TestAnAbsenceLastsFromItsFirstObservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f poll.Failures
		time.Sleep(time.Hour)
		require.False(t, f.NotFound.Lasts())
		require.False(t, f.NotFound.Observe(10*time.Second))
		require.True(t, f.NotFound.Lasts())
		time.Sleep(10*time.Second - time.Nanosecond)
		require.False(t, f.NotFound.Observe(10*time.Second))
		time.Sleep(time.Nanosecond)
		require.True(t, f.NotFound.Observe(10*time.Second))
		f.Reset()
		require.False(t, f.NotFound.Lasts(), "it was found")
		require.False(t, f.NotFound.Observe(10*time.Second), "another absence")
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
