package poll_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

// slack is for rounding up in nanoseconds.
const slack = time.Millisecond

// look polls once, when the claim is granted, and returns when that was.
func look(t *testing.T, l *poll.Line, c poll.Claim) time.Time {
	t.Helper()
	for i := poll.Woken; i == poll.Woken; {
		var err error
		i, err = l.Next(t.Context(), nil, c)
		require.NoError(t, err)
	}
	require.NoError(t, l.Pay(t.Context()))
	l.Sent()
	l.Done(false)
	return time.Now()
}

// state is a claim for a state that is due now and was polled a while ago.
func state(ago time.Duration) poll.Claim {
	return poll.Claim{Class: poll.State, Last: time.Now().Add(-ago), Interval: 10 * time.Second}
}

func TestOneLineMaySendItsBurstAndThenItsOwnRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := poll.NewScheduler(100_000, true).NewPace(120, false).NewLine()
		start := time.Now()
		for range 56 {
			look(t, l, state(time.Minute))
		}
		require.Zero(t, time.Since(start), "60 requests at once, less a few for what follows from a poll")
		for range 120 {
			look(t, l, state(time.Minute))
		}
		require.InDelta(t, time.Hour, time.Since(start), float64(slack))
	})
}

func TestAllLinesKeepToOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(870, true)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var sent []time.Time
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		for range 50 {
			l := s.NewPace(240, false).NewLine()
			wg.Go(func() {
				for last := time.Now(); ; last = time.Now() {
					_, err := l.Next(ctx, nil, poll.Claim{Class: poll.State, Due: last.Add(2 * time.Second), Last: last, Interval: 2 * time.Second})
					if err != nil {
						return
					}
					mu.Lock()
					sent = append(sent, time.Now())
					mu.Unlock()
					l.Sent()
					l.Done(false)
				}
			})
		}
		wg.Wait()
		require.InDelta(t, 5*870+40, len(sent), 2)
		for i, at := range sent {
			if i >= 921 {
				require.GreaterOrEqual(t, at.Sub(sent[i-921]), time.Hour-slack, "no more than 920 in any hour")
			}
		}
	})
}

func TestWhoHasWaitedLongestInIntervalsOfItsOwnIsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(60, true)
		busy := s.NewPace(240, false).NewLine()
		for range 3 { // the burst
			look(t, busy, state(time.Hour))
		}
		now := time.Now()
		claims := map[string]poll.Claim{
			"3 waited longest":    {Class: poll.State, Last: now.Add(-100 * time.Second), Interval: 10 * time.Second},
			"2 has just changed":  {Class: poll.State, Last: now.Add(-50 * time.Second), Interval: 2 * time.Second},
			"4 was just seen":     {Class: poll.State, Last: now, Interval: 10 * time.Second},
			"5 is a log":          {Class: poll.Log, Last: now.Add(-100 * time.Second), Interval: 10 * time.Second},
			"0 cannot wait":       {Class: poll.Urgent, Last: now, Interval: 10 * time.Second},
			"1 was never seen":    {Class: poll.State},
			"6 isn't due for now": {Class: poll.State, Last: now.Add(-time.Hour), Due: now.Add(24 * time.Hour), Interval: time.Second},
		}
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for name, c := range claims {
			l := s.NewPace(240, false).NewLine()
			wg.Go(func() {
				look(t, l, c)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			})
		}
		wg.Wait()
		for i, name := range order {
			if name != "5 is a log" && name != "4 was just seen" { // the log needs a fuller budget
				require.Contains(t, []string{fmt.Sprint(i), "6"}, name[:1], order)
			}
		}
		require.Len(t, order, 7)
	})
}

func TestAPollThatServesManyCountsForAllOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(60, true)
		busy := s.NewPace(240, false).NewLine()
		for range 3 {
			look(t, busy, state(time.Hour))
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var order []string
		note := func(name string, c poll.Claim) {
			l := s.NewPace(240, false).NewLine()
			wg.Go(func() {
				look(t, l, c)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			})
		}
		note("alone", state(100*time.Second))
		for range 3 {
			c := state(50 * time.Second)
			c.Group = "a repository"
			note("shared", c)
		}
		wg.Wait()
		require.Equal(t, []string{"shared", "shared", "alone", "shared"}, order, "three of 50, two of 50, one of 100, one of 50")
	})
}

func TestAPollThatIsWokenOrNeedsNoRequestCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(22, true)
		l := s.NewPace(240, false).NewLine()
		start := time.Now()
		for range 100 {
			_, err := l.Next(t.Context(), nil, state(time.Minute))
			require.NoError(t, err)
			l.Done(false)
		}
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		later := poll.Claim{Class: poll.State, Due: start.Add(time.Hour), Last: start, Interval: time.Second}
		i, err := l.Next(t.Context(), wake, later)
		require.NoError(t, err)
		require.Equal(t, poll.Woken, i)
		require.Zero(t, time.Since(start))
		look(t, l, state(time.Minute))
		require.Zero(t, time.Since(start), "the only request that it may send at once")
	})
}

func TestRequestsThatFollowFromAPollWaitForTheBudgetToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := poll.NewScheduler(100_000, true).NewPace(240, false).NewLine()
		_, err := l.Next(t.Context(), nil, state(time.Minute))
		require.NoError(t, err)
		start := time.Now()
		for range 60 {
			require.NoError(t, l.Pay(t.Context()))
			l.Sent()
		}
		require.Zero(t, time.Since(start))
		require.NoError(t, l.Pay(t.Context()))
		require.InDelta(t, 15*time.Second, time.Since(start), float64(slack))
		l.Done(false)
	})
}

func TestFewPollsWaitToBeSentAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(1000, true)
		var lines []*poll.Line
		granted := make(chan *poll.Line)
		ctx, cancel := context.WithCancel(t.Context())
		for range 10 {
			l := s.NewPace(240, false).NewLine()
			lines = append(lines, l)
			go func() {
				if _, err := l.Next(ctx, nil, state(time.Minute)); err == nil {
					granted <- l
				}
			}()
		}
		var first []*poll.Line
		for range 4 {
			first = append(first, <-granted)
		}
		synctest.Wait()
		select {
		case <-granted:
			require.Fail(t, "a fifth poll was granted while four wait to be sent")
		default:
		}
		first[0].Sent()
		first[1].Done(false)
		<-granted
		<-granted
		cancel()
		synctest.Wait()
		for _, l := range lines {
			l.Done(false)
		}
	})
}

func TestARefusalHoldsAllPollsAndHalvesTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(3600, true)
		l := s.NewPace(100_000, false).NewLine()
		start := time.Now()
		s.Refused(start.Add(30 * time.Minute))
		s.Refused(start.Add(30 * time.Minute)) // of a request that was on its way too
		require.Equal(t, 30*time.Minute, look(t, l, state(time.Hour)).Sub(start))
		require.InDelta(t, 30*time.Minute+2*time.Second, look(t, l, state(time.Hour)).Sub(start), float64(slack), "no burst, and half the rate")
		time.Sleep(2 * time.Hour)
		for range 164 {
			look(t, l, state(time.Hour))
		}
		before := time.Now()
		require.InDelta(t, time.Second, look(t, l, state(time.Hour)).Sub(before), float64(slack), "the whole rate again")
	})
}

func TestPollsBecomeRareWhileTheServiceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(100_000, true)
		fails := true
		var sent []time.Duration
		start := time.Now()
		for range 12 {
			l := s.NewPace(100_000, false).NewLine() // each by another
			_, err := l.Next(t.Context(), nil, state(time.Minute))
			require.NoError(t, err)
			l.Sent()
			sent = append(sent, time.Since(start))
			l.Done(fails)
		}
		require.Equal(t, []time.Duration{0, 0, 0, 0, 0, 2, 6, 14, 30, 60, 90, 120}, inSeconds(sent))
		fails = false
		l := s.NewPace(100_000, false).NewLine()
		for range 3 {
			_, err := l.Next(t.Context(), nil, state(time.Minute))
			require.NoError(t, err)
			l.Sent()
			l.Done(fails)
		}
		require.Equal(t, 150*time.Second, time.Since(start), "one has succeeded")
	})
}

func inSeconds(all []time.Duration) []time.Duration {
	for i := range all {
		all[i] /= time.Second
	}
	return all
}

func TestARefusalWakesThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(870, true)
		var woken sync.WaitGroup
		for range 5 {
			l := s.NewPace(240, false).NewLine()
			woken.Go(func() {
				require.Zero(t, l.Held())
				i, err := l.Next(t.Context(), nil, poll.Claim{Due: time.Now().Add(time.Hour)})
				require.NoError(t, err)
				require.Equal(t, poll.Woken, i)
				require.Equal(t, 20*time.Minute, l.Held())
			})
		}
		synctest.Wait()
		s.Refused(time.Now().Add(20 * time.Minute))
		woken.Wait()
	})
}

func TestRefusalsWithoutATimeHoldPollsEverLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(870, false)
		l := s.NewPace(240, false).NewLine()
		var waits []time.Duration
		for range 6 {
			before := time.Now()
			s.Refused(before.Add(time.Second))
			waits = append(waits, look(t, l, state(time.Hour)).Sub(before))
		}
		require.Equal(t, []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute}, waits)
		before := time.Now()
		s.Refused(before.AddDate(1000, 0, 0))
		require.Equal(t, time.Hour, look(t, l, state(time.Hour)).Sub(before), "no service means that")
	})
}

func TestTheBudgetFollowsTheQuotaThatTheServiceTells(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := poll.NewScheduler(poll.ShareOf(1000), fixed)
			s.Limit(10_000)
			s.Limit(0) // tells nothing
			l := s.NewPace(1_000_000, false).NewLine()
			start := time.Now()
			for range 10_000 {
				look(t, l, state(time.Hour))
			}
			hours := time.Since(start).Hours()
			if fixed {
				require.InDelta(t, 10_000./870, hours, .1)
			} else {
				require.InDelta(t, 10_000./8700, hours, .1)
			}
		})
	}
}

func TestAProcessThatGoesOnHasNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := poll.NewScheduler(870, false)
		s.Resume()
		s.Resume()
		p := s.NewPace(240, true)
		start := time.Now()
		for range 20 {
			look(t, p.NewLine(), state(time.Hour))
		}
		require.Greater(t, time.Since(start), time.Minute)
		time.Sleep(10 * time.Minute)
		s.Resume()
		start = time.Now()
		look(t, p.NewLine(), state(time.Hour))
		look(t, p.NewLine(), state(time.Hour))
		require.Zero(t, time.Since(start), "what was earned since stays")
	})
}

func TestAContextThatEndsEndsTheWaitWithItsCause(t *testing.T) {
	errCause := errors.New("the user left")
	for name, wait := range map[string]func(context.Context, *poll.Line) error{
		"Next": func(ctx context.Context, l *poll.Line) error {
			_, err := l.Next(ctx, nil, poll.Claim{Due: time.Now().Add(time.Hour)})
			return err
		},
		"Pay": func(ctx context.Context, l *poll.Line) error { return l.Pay(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := poll.NewScheduler(1, true)
				l := s.NewPace(1, false).NewLine()
				for range 10 {
					_ = l.Pay(t.Context())
					l.Sent()
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Minute, func() { cancel(errCause) })
				start := time.Now()
				err := wait(ctx, l)
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, errCause)
				require.Equal(t, time.Minute, time.Since(start))
				require.ErrorIs(t, wait(ctx, l), errCause, "it has ended before")
			})
		})
	}
}
