package poll

import "time"

// bucket is a token bucket of requests. It may hold a debt.
type bucket struct {
	perSecond float64
	burst     float64 // the most that it holds
	tokens    float64
	updated   time.Time // when tokens was right
}

func newBucket(perHour, burst float64) bucket {
	return bucket{perSecond: perHour / 3600, burst: burst, tokens: burst, updated: time.Now()}
}

// refill adds what the time until now has brought. A time far ahead is one of another clock, such as that of a test.
func (b *bucket) refill(now time.Time) {
	d := now.Sub(b.updated)
	switch {
	case d > 0:
		b.tokens = min(b.burst, b.tokens+d.Seconds()*b.perSecond)
		b.updated = now
	case d < -2*longestHold:
		b.updated = now
	}
}

// when returns the time at which the bucket holds n requests, or zero if it does. It is right after refill.
func (b *bucket) when(n float64) time.Time {
	lacking := min(n, b.burst) - b.tokens
	if lacking <= 0 {
		return time.Time{}
	}
	return b.updated.Add(time.Duration(lacking/b.perSecond*float64(time.Second)) + 1)
}

// Pace bounds the polls of one call. It belongs to one [Scheduler]; several lines may share it.
type Pace struct {
	scheduler *Scheduler
	bucket    bucket
}

// paceBurst is how many requests a call may send beyond its hourly rate.
const paceBurst = 60

// NewPace returns a pace of perHour requests an hour, which must be positive, and 60 more at the beginning. A call that goes on
// where an earlier one ended has only a few more at the beginning.
func (s *Scheduler) NewPace(perHour int, resumed bool) *Pace {
	p := &Pace{scheduler: s, bucket: newBucket(float64(perHour), paceBurst)}
	if resumed {
		p.bucket.tokens = 2 * reserve
	}
	return p
}
