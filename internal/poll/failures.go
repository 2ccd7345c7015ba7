package poll

import "time"

const longestDelay = time.Minute // after a failure

// Failures is a series of failed polls of one thing, which the next success ends. The zero value has none.
type Failures struct {
	count int
	since time.Time
	delay time.Duration
}

// Reset ends the series, because a poll succeeded.
func (f *Failures) Reset() { *f = Failures{} }

// Add counts a failure. The next poll comes after a delay that doubles with each failure, up to a minute, and is at least minDelay.
func (f *Failures) Add(minDelay time.Duration) {
	if f.count == 0 {
		f.since = time.Now()
	}
	f.count++
	f.delay = max(minDelay, min(MinInterval<<min(f.count, 10), longestDelay))
}

// Count returns how many polls failed in a row.
func (f *Failures) Count() int { return f.count }

// Last reports whether the last poll failed.
func (f *Failures) Last() bool { return f.count > 0 }

// Since returns when the first poll of the series failed.
func (f *Failures) Since() time.Time { return f.since }

// Delay returns the time that the last failure requires before the next poll.
func (f *Failures) Delay() time.Duration { return f.delay }
