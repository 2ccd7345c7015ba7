package poll

import (
	"math"
	"time"
)

// A quota is divided so that all together stays below it in any hour: 87 % for polls, 4 % for those that come at once, 5.8 % for what
// isn't a poll, and 1.9 % for that at once.

// ShareOf returns the budget of polls within a quota.
func ShareOf(quota int) int { return max(1, quota*87/100) }

func burstOf(perHour float64) float64 { return max(1, math.Round(perHour/22)) }

func roomOf(perHour float64) float64 { return perHour / 15 }

// Limit takes the quota that the service tells.
func (s *Scheduler) Limit(quota int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if perHour := float64(ShareOf(quota)); !s.fixed && quota > 0 && perHour != s.perHour {
		s.perHour = perHour
		s.adjust(time.Now())
		s.dispatch()
	}
}

// Refused takes a refusal of the service for want of quota. Until then nothing is granted. Without such a time the waiting time grows
// with each refusal in a row, up to five minutes. The first of them halves the budget, which recovers within hours.
func (s *Scheduler) Refused(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.held) && !until.After(s.held) { // one of many at the same time
		return
	}
	s.adjust(now)
	if s.refusals == 0 || s.sent > 1 { // the poll after a hold only finds out whether it is over
		s.refusals = 0
		s.lowered, s.halved = min(s.lowered+1, 4), now
	}
	s.refusals, s.sent = min(s.refusals+1, 6), 0
	wait := min(15*time.Second<<s.refusals, 5*time.Minute)
	if d := until.Sub(now); d > wait {
		wait = min(d, longestHold)
	}
	s.held = now.Add(wait)
	s.adjust(now)
	s.budget.tokens, s.budget.updated = 1, s.held // for one poll, which finds out whether the quota is back
	s.wakeAll()
}

// wakeAll wakes the lines, which may want to say that they are held. They come back at once.
func (s *Scheduler) wakeAll() {
	for _, l := range s.waiting {
		l.granted <- Woken
	}
	s.waiting = nil
	s.dispatch()
}

// Other takes a request that isn't a poll. If there are more of them than there is room for, they use up the budget of polls, but for a
// fifth of it.
func (s *Scheduler) Other() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.adjust(now)
	s.room.refill(now)
	switch {
	case s.fixed:
	case s.room.tokens >= 1:
		s.room.tokens--
	case s.budget.tokens > -s.budget.burst:
		s.budget.tokens--
	default:
		s.owed = min(s.owed+1, s.perHour)
	}
}

// adjust makes the budget as large as refusals allow. Each hour without one takes one of their halvings back.
func (s *Scheduler) adjust(now time.Time) {
	earned := max(0, now.Sub(s.budget.updated).Seconds()) * s.budget.perSecond
	s.budget.refill(now)
	if s.owed > 0 { // never all that was earned
		repaid := min(s.owed, .8*earned)
		s.owed -= repaid
		s.budget.tokens -= repaid
	}
	if hours := int(now.Sub(s.halved).Hours()); hours > 0 && s.lowered > 0 {
		s.lowered, s.halved = max(0, s.lowered-hours), now
	}
	perHour := s.perHour / float64(int(1)<<s.lowered)
	s.budget.perSecond, s.budget.burst = perHour/3600, burstOf(perHour)
	s.room.perSecond, s.room.burst = roomOf(s.perHour)/3600, roomOf(s.perHour)/3
}

// Resume takes back the requests that were there at the beginning: a program that goes on where another process ended has had them.
func (s *Scheduler) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.burst > 0 {
		s.budget.refill(time.Now())
		s.budget.tokens, s.burst = max(min(s.budget.tokens, 1), s.budget.tokens-s.burst), 0
	}
}

// observe takes the result of a poll that was sent.
func (s *Scheduler) observe(failed bool) {
	if failed {
		s.failures++
		return
	}
	if s.failures = 0; !s.slow.IsZero() {
		s.slow = time.Time{}
		s.dispatch()
	}
}

// slowDown makes the next poll wait while the service seems to fail.
func (s *Scheduler) slowDown(now time.Time) {
	if n := s.failures - outageFailures; n >= 0 {
		s.slow = now.Add(min(MinInterval<<min(n, 10), longestSlow))
	}
}
