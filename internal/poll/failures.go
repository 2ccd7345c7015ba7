package poll

import "time"

const maxFailures = 5 // in a row

// Failures counts consecutive failed polls and decides when to give up. The zero value has seen none.
type Failures struct {
	NotFound Absence // of what is polled

	count int
	delay time.Duration
}

// Reset forgets all failures, because a poll succeeded.
func (f *Failures) Reset() { *f = Failures{} }

// Postpone delays the next poll after a failure that doesn't count.
func (f *Failures) Postpone(delay time.Duration) { f.delay = delay }

// Count counts a failure and reports whether the next poll may succeed, or there were too many. The next poll comes after a delay
// that doubles with each failure and is at least minDelay.
func (f *Failures) Count(minDelay time.Duration) (again bool) {
	f.count++
	f.delay = max(minDelay, MinInterval<<f.count)
	return f.count < maxFailures
}

// Delay returns the time that the last failure requires before the next poll.
func (f *Failures) Delay() time.Duration { return f.delay }

// Absence is the time for which something has been missing that may still appear within a grace period. The zero value is that
// of something that isn't missing.
type Absence struct{ since time.Time }

// Observe notes that the thing is missing and reports whether its grace period is over.
func (a *Absence) Observe(grace time.Duration) (over bool) {
	if !a.Lasts() {
		a.since = time.Now()
	}
	return time.Since(a.since) >= grace
}

// Lasts reports whether the thing is missing.
func (a *Absence) Lasts() bool { return !a.since.IsZero() }

// Delay returns the time until the next poll. It grows with the absence, and the last poll comes when the grace period ends.
func (a *Absence) Delay(grace time.Duration) time.Duration {
	missing := time.Since(a.since)
	return min(max(MinInterval, missing/2), grace-missing)
}
