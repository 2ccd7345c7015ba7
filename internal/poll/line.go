package poll

import (
	"context"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
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
	Group    any           // claims of one group are all served by one poll, and none is granted during it; nil: none
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

// Line is one caller's place in the queue. It is for one goroutine at a time.
type Line struct {
	scheduler *Scheduler
	pace      *Pace
	claims    []Claim
	granted   chan int // the index of a claim
	prepaid   bool     // a poll is granted, and not yet sent
	group     any      // of the poll that is granted; nil: none
}

// NewLine returns a place in the queue of polls that keep to the pace.
func (p *Pace) NewLine() *Line {
	return &Line{scheduler: p.scheduler, pace: p, granted: make(chan int, 1)}
}

// Woken is what [Line.Next] returns if nothing was granted.
const Woken = -1

// Next waits until one of the claims is granted and returns its index, or [Woken] if wake is ready first, or a refusal of the service
// begins to hold all lines back. It returns the error of ctx with its cause if ctx ends first. After a granted poll the caller must
// call [Line.Done].
func (l *Line) Next(ctx context.Context, wake <-chan struct{}, claims ...Claim) (int, error) {
	if err := ctxtime.Err(ctx); err != nil {
		return Woken, err
	}
	l.enqueue(claims)
	select {
	case i := <-l.granted:
		return i, nil
	case <-wake:
		l.leave()
		return Woken, nil
	case <-ctx.Done():
		l.leave()
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

// leave gives up the place, or what was granted meanwhile.
func (l *Line) leave() {
	s := l.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-l.granted: // it isn't granted, if all lines were woken
		l.free()
	default:
		s.remove(l)
		s.dispatch()
	}
}

// Pay pays for a request. The first one after a grant is paid already. Others, such as those for further pages, wait as urgent polls
// do. It returns the error of ctx with its cause if ctx ends first. The caller must call [Line.Sent] before it sends the request.
func (l *Line) Pay(ctx context.Context) error {
	for !l.isPrepaid() {
		if _, err := l.Next(ctx, nil, Claim{Class: Urgent, Last: time.Now()}); err != nil {
			return err
		}
	}
	return nil
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
	if l.Free() {
		return
	}
	s := l.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observe(failed)
}

// Free gives back what a granted poll keeps from others, and reports whether it has sent nothing, so that it costs nothing. It may be
// called before [Line.Done].
func (l *Line) Free() (unsent bool) {
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	return l.free()
}

func (l *Line) free() (unsent bool) {
	s := l.scheduler
	if l.group == nil && !l.prepaid {
		return false
	}
	delete(s.polled, l.group)
	unsent, l.group = l.prepaid, nil
	if unsent {
		l.prepaid = false
		s.admitting--
		l.take(time.Now(), -1)
	}
	s.dispatch()
	return unsent
}

// Held returns how long nothing is granted because of a refusal of the service.
func (l *Line) Held() time.Duration {
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	return max(0, time.Until(l.scheduler.held))
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

// Failing reports whether the service seems to fail as a whole.
func (l *Line) Failing() bool {
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	return l.scheduler.failures >= outageFailures
}
