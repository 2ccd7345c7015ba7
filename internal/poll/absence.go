package poll

import "time"

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
