// Package poll says when to poll: which of many polls comes next within one budget of requests, and at intervals that grow while
// nothing changes or polls fail. It sends nothing itself. A [Scheduler] is safe for concurrent use; the other types are for one
// goroutine at a time.
package poll

import (
	"slices"
	"sync"
	"time"
)

const (
	reserve      = 4   // requests that polls leave to more urgent ones
	debt         = 8   // requests that urgent polls may take before the budget has them
	maxAdmitting = 4   // polls that wait to be sent at a time, so that what isn't a poll waits for few
	logWeight    = .25 // of a log's waiting time against a state's

	outageFailures = 4                // in a row, after which polls become rare
	longestSlow    = 30 * time.Second // between two of them

	longestHold = time.Hour
)

// Scheduler decides which of many polls comes next, within one budget of requests an hour. It sends nothing itself, and it is safe
// for concurrent use.
type Scheduler struct {
	mu        sync.Mutex
	perHour   float64 // before refusals lower it
	fixed     bool    // perHour doesn't follow the limit that the service tells
	burst     float64 // that was there at the beginning; 0: nothing that hasn't been earned
	budget    bucket
	room      bucket           // for what isn't a poll
	owed      float64          // requests that weren't polls, had no room, and are to be taken from the budget
	waiting   []*Line          // in the order in which they came
	admitting int              // lines whose poll is granted, and not yet sent
	polled    map[any]struct{} // groups whose poll is granted, and not yet done
	timer     *time.Timer

	failures int       // in a row, of polls of any line
	slow     time.Time // nothing is granted before, because the service seems to fail
	held     time.Time // nothing is granted before, because the service refused a poll
	refusals int       // in a row
	sent     int       // polls since the last refusal
	lowered  int       // how often the budget was halved
	halved   time.Time // when that last changed
}

// NewScheduler returns a Scheduler that grants perHour polls an hour and some more at the beginning. If fixed is true,
// [Scheduler.Limit] doesn't change that.
func NewScheduler(perHour int, fixed bool) *Scheduler {
	s := &Scheduler{perHour: float64(perHour), fixed: fixed, polled: make(map[any]struct{})}
	s.burst = burstOf(s.perHour)
	s.budget = newBucket(s.perHour, s.burst)
	s.room = newBucket(roomOf(s.perHour), roomOf(s.perHour)/3)
	return s
}

func (s *Scheduler) remove(l *Line) {
	if i := slices.Index(s.waiting, l); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
}

// dispatch grants what can be granted now, and sets a timer for the next.
func (s *Scheduler) dispatch() {
	now := time.Now()
	s.adjust(now)
	for s.admitting < maxAdmitting {
		line, claim := s.best(now)
		if line == nil {
			break
		}
		s.remove(line)
		line.prepaid = true
		s.admitting++
		if group := line.claims[claim].Group; group != nil {
			s.polled[group], line.group = struct{}{}, group
		}
		line.take(now, 1)
		line.granted <- claim
		s.slowDown(now)
	}
	s.setTimer(now)
}

// best returns the poll that comes next, or nil if none can be granted now.
func (s *Scheduler) best(now time.Time) (line *Line, claim int) {
	groups := s.groups(now)
	best := 0.
	for _, l := range s.waiting {
		l.pace.bucket.refill(now)
		for i, c := range l.claims {
			if s.isPolled(c.Group) || s.earliest(l, c).After(now) {
				continue
			}
			value := c.value(now)
			if c.Group != nil {
				value = max(value, groups[c.Group])
			}
			if line == nil || value > best {
				line, claim, best = l, i, value
			}
		}
	}
	return line, claim
}

// isPolled reports whether a poll that serves the group is going on.
func (s *Scheduler) isPolled(group any) bool {
	if group == nil {
		return false
	}
	_, polled := s.polled[group]
	return polled
}

// groups returns the value of a poll of each group: the sum of all that it serves.
func (s *Scheduler) groups(now time.Time) map[any]float64 {
	var sums map[any]float64
	for _, l := range s.waiting {
		for _, c := range l.claims {
			if c.Group == nil {
				continue
			}
			if sums == nil {
				sums = make(map[any]float64)
			}
			sums[c.Group] += c.value(now)
		}
	}
	return sums
}

// earliest returns when a claim can be granted, as far as is known.
func (s *Scheduler) earliest(l *Line, c Claim) time.Time {
	ofBudget, ofPace := 1., 1.+reserve
	switch c.Class {
	case Urgent:
		ofBudget, ofPace = 1-debt, 1
	case Log:
		ofBudget = 1 + reserve
	case State:
	}
	at := latest(latest(c.Due, latest(s.held, s.slow)), s.budget.when(ofBudget))
	return latest(at, l.pace.bucket.when(ofPace))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// setTimer dispatches again when the first claim can be granted.
func (s *Scheduler) setTimer(now time.Time) {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if len(s.waiting) == 0 || s.admitting >= maxAdmitting {
		return
	}
	var first time.Time
	for _, l := range s.waiting {
		l.pace.bucket.refill(now)
		for _, c := range l.claims {
			if s.isPolled(c.Group) {
				continue
			}
			if at := s.earliest(l, c); first.IsZero() || at.Before(first) {
				first = at
			}
		}
	}
	if first.IsZero() {
		return
	}
	s.timer = time.AfterFunc(max(first.Sub(now), 1), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dispatch()
	})
}
