package audit

import (
	"context"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
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
		if err := cli.Pause(ctx, time.Until(free)); err != nil {
			return err
		}
	}
}

// take counts a request and returns zero, or returns when to ask again.
func (q *quota) take(now time.Time) (free time.Time) {
	q.state.mu.Lock()
	defer q.state.mu.Unlock()
	all, oldest := q.recent(now)
	if all >= q.limit {
		return expiry(oldest)
	}
	q.state.Requests[now.Unix()/60]++
	q.state.dirty = true
	q.sent++
	return time.Time{}
}

// recent counts the requests of the last hour, and forgets others. A minute's requests count until all of them are an hour old. Those of
// more than an hour ahead were counted by a clock that was wrong.
func (q *quota) recent(now time.Time) (all int, oldest int64) {
	oldest = now.Unix() / 60
	for minute, n := range q.state.Requests {
		if !now.Before(expiry(minute)) || minute > now.Unix()/60+60 {
			delete(q.state.Requests, minute)
			continue
		}
		all += n
		oldest = min(oldest, minute)
	}
	return all, oldest
}

func expiry(minute int64) time.Time { return time.Unix((minute+1)*60, 0).Add(time.Hour) }

// used returns the requests of this program, and how many of the quota are left now.
func (q *quota) used() (sent, left int) {
	q.state.mu.Lock()
	defer q.state.mu.Unlock()
	all, _ := q.recent(time.Now())
	return q.sent, max(0, q.limit-all)
}

// duration is about how long a number of requests waits for the quota.
func (q *quota) duration(requests int) time.Duration {
	_, left := q.used()
	if requests <= left {
		return 0
	}
	return time.Duration((requests-left+q.limit-1)/q.limit) * time.Hour
}
