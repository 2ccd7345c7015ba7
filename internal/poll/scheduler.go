// Package poll says when to poll: which of many polls comes next within one budget of requests, and at intervals that grow while
// nothing changes or polls fail. It sends nothing itself. A [Scheduler] is safe for concurrent use; the other types are for one
// goroutine at a time.
package poll

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

const (
	reserve      = 4  // requests that polls leave to more urgent ones
	debt         = 8  // requests that urgent polls may take before the budget has them
	maxAdmitting = 4  // polls that wait to be sent at a time, so that what isn't a poll waits for few
	logWeight    = .1 // of a log's waiting time against a state's

	outageFailures = 4                // in a row, after which polls become rare
	longestSlow    = 30 * time.Second // between two of them

	longestHold = time.Hour
)

// Class says which polls come first.
type Class int

// The classes of polls.
const (
	Urgent Class = iota // at once
	State               // who has waited longest, in intervals of its own
	Log                 // the same, but gives way to states
)

// Claim is one of the polls that a [Line] may send next.
type Claim struct {
	Class    Class
	Due      time.Time     // not before
	Last     time.Time     // of the same thing; zero: never
	Interval time.Duration // between two polls of the same thing, if the budget allows it
	Group    any           // claims of one group are all served by one poll; nil: none
}

// Scheduler decides which of many polls comes next, within one budget of requests an hour. It sends nothing itself, and it is safe
// for concurrent use.
type Scheduler struct {
	mu        sync.Mutex
	perHour   float64 // before refusals lower it
	fixed     bool    // perHour doesn't follow the limit that the service tells
	burst     float64 // that was there at the beginning; 0: nothing that hasn't been earned
	budget    bucket
	room      bucket  // for what isn't a poll
	owed      float64 // requests that weren't polls, had no room, and are to be taken from the budget
	waiting   []*Line // in the order in which they came
	admitting int     // lines whose poll is granted, and not yet sent
	timer     *time.Timer

	failures int       // in a row, of polls of any line
	slow     time.Time // nothing is granted before, because the service seems to fail
	held     time.Time // nothing is granted before, because the service refused a poll
	refusals int       // in a row
	sent     int       // polls since the last refusal
	lowered  int       // how often the budget was halved
	halved   time.Time // when that last changed
}

// NewScheduler returns a Scheduler that grants perHour polls an hour and some more at the beginning. Fixed reports whether
// [Scheduler.Limit] may change that.
func NewScheduler(perHour int, fixed bool) *Scheduler {
	s := &Scheduler{perHour: float64(perHour), fixed: fixed}
	s.burst = burstOf(s.perHour)
	s.budget = newBucket(s.perHour, s.burst)
	s.room = newBucket(roomOf(s.perHour), roomOf(s.perHour)/3)
	return s
}

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
	s.dispatch()
}

// Other takes a request that isn't a poll. If there are more of them than there is room for, they use up the budget of polls: some at
// once, and more over the next hour, so that some polls are left.
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

// Held returns the time until which nothing is granted, or a time that has passed.
func (s *Scheduler) Held() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// adjust makes the budget as large as refusals allow. Each hour without one takes one of their halvings back.
func (s *Scheduler) adjust(now time.Time) {
	earned := max(0, now.Sub(s.budget.updated).Seconds()) * s.budget.perSecond
	s.budget.refill(now)
	if s.owed > 0 { // a third of it in ten minutes, but never all that was earned
		repaid := min(s.owed*earned/s.perHour*2, .8*earned)
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

// Line is one caller's place in the queue. It is for one goroutine at a time.
type Line struct {
	scheduler *Scheduler
	pace      *Pace
	claims    []Claim
	granted   chan int // the index of a claim
	prepaid   bool     // a poll is granted, and not yet sent
}

// NewLine returns a place in the queue of polls that keep to the pace.
func (p *Pace) NewLine() *Line {
	return &Line{scheduler: p.scheduler, pace: p, granted: make(chan int, 1)}
}

// Woken is what [Line.Next] returns if nothing was granted.
const Woken = -1

// Next waits until one of the claims is granted and returns its index, or [Woken] if wake is ready first. It returns the error of
// ctx with its cause if ctx ends first. After a granted poll the caller must call [Line.Done].
func (l *Line) Next(ctx context.Context, wake <-chan struct{}, claims ...Claim) (int, error) {
	if err := ctxtime.Err(ctx); err != nil {
		return Woken, err
	}
	l.enqueue(claims)
	select {
	case i := <-l.granted:
		return i, nil
	case <-wake:
		return l.leave(), nil
	case <-ctx.Done():
		if l.leave() != Woken {
			l.Done(false)
		}
		return Woken, ctxtime.Err(ctx)
	}
}

func (l *Line) enqueue(claims []Claim) {
	s := l.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	l.claims = claims
	s.waiting = append(s.waiting, l)
	s.dispatch()
}

// leave gives the place up. It returns what was granted meanwhile.
func (l *Line) leave() int {
	s := l.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case i := <-l.granted:
		return i
	default:
	}
	s.remove(l)
	s.dispatch()
	return Woken
}

// Pay pays for a request. The first one after a grant is paid already. Others, such as those for further pages, wait as urgent polls
// do. It returns the error of ctx with its cause if ctx ends first. The caller must call [Line.Sent] before it sends the request.
func (l *Line) Pay(ctx context.Context) error {
	if l.isPrepaid() {
		return nil
	}
	_, err := l.Next(ctx, nil, Claim{Class: Urgent, Last: time.Now()})
	return err
}

func (l *Line) isPrepaid() bool {
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	return l.prepaid
}

// Sent notes that the request that was paid for is sent now.
func (l *Line) Sent() {
	s := l.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.prepaid {
		l.prepaid = false
		s.admitting--
		s.sent++
		s.dispatch()
	}
}

// Done ends a granted poll. If it needed no request, it costs nothing. Failed says that the service as a whole seems to fail: after
// some of these in a row, polls become rare until one succeeds, whichever line's it is.
func (l *Line) Done(failed bool) {
	s := l.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.prepaid {
		s.observe(failed)
		return
	}
	l.prepaid = false
	s.admitting--
	l.take(time.Now(), -1)
	s.dispatch()
}

// observe takes the result of a poll that was sent.
func (s *Scheduler) observe(failed bool) {
	if !failed {
		if s.slow.After(time.Now()) {
			s.slow = time.Time{}
			defer s.dispatch()
		}
		s.failures = 0
		return
	}
	s.failures++
	if n := s.failures - outageFailures; n > 0 {
		s.slow = time.Now().Add(min(MinInterval<<min(n, 10), longestSlow))
	}
}

// Fill returns how full the line's pace is, from 0 to 1.
func (l *Line) Fill() float64 {
	s := l.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	l.pace.bucket.refill(time.Now())
	return max(0, l.pace.bucket.tokens/l.pace.bucket.burst)
}

func (l *Line) take(now time.Time, n float64) {
	for _, b := range []*bucket{&l.scheduler.budget, &l.pace.bucket} {
		b.refill(now)
		b.tokens -= n
	}
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
		line.take(now, 1)
		line.granted <- claim
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
			if s.earliest(l, c).After(now) {
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

// value is how many intervals a poll has waited since the last one of the same thing.
func (c Claim) value(now time.Time) float64 {
	const urgent = 1e9
	if c.Last.IsZero() {
		return 2 * urgent
	}
	value := now.Sub(c.Last).Seconds() / max(c.Interval, MinInterval).Seconds()
	switch c.Class {
	case Urgent:
		return urgent + value
	case Log:
		return logWeight * value
	case State:
	}
	return value
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
