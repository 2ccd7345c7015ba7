package audit

import (
	"context"
	"time"
)

// quota keeps the requests of any hour below a limit, as the service counts them, and lets them through at once until then: a small
// workspace takes minutes, not the hour over which an even pace would spread it. It remembers the requests of audits before.
// It is a [pipelines.Limiter].
type quota struct {
	state *state
	limit int
	sent  int // by this program
}

// Wait waits until a request is within the quota.
func (q *quota) Wait(ctx context.Context) error {
	for {
		free := q.take(time.Now())
		if free.IsZero() {
			return ctx.Err()
		}
		if err := pause(ctx, time.Until(free)); err != nil {
			return err
		}
	}
}

// take counts a request and returns zero, or returns when to ask again. A minute's requests count until all of them are an hour old.
func (q *quota) take(now time.Time) (free time.Time) {
	q.state.mu.Lock()
	defer q.state.mu.Unlock()
	all, oldest := 0, now.Unix()/60
	for minute, n := range q.state.Requests {
		if !now.Before(expiry(minute)) {
			delete(q.state.Requests, minute)
			continue
		}
		all += n
		oldest = min(oldest, minute)
	}
	if all >= q.limit {
		return expiry(oldest)
	}
	q.state.Requests[now.Unix()/60]++
	q.state.dirty = true
	q.sent++
	return time.Time{}
}

func expiry(minute int64) time.Time { return time.Unix((minute+1)*60, 0).Add(time.Hour) }

// used returns the requests of this program, and how many of the quota are left now.
func (q *quota) used() (sent, left int) {
	q.state.mu.Lock()
	defer q.state.mu.Unlock()
	left = q.limit
	for _, n := range q.state.Requests {
		left -= n
	}
	return q.sent, max(0, left)
}

// duration is about how long a number of requests waits for the quota.
func (q *quota) duration(requests int) time.Duration {
	_, left := q.used()
	if requests <= left {
		return 0
	}
	return time.Duration((requests-left+q.limit-1)/q.limit) * time.Hour
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
