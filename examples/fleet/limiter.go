package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// sharedLimiter keeps all clients that share a Redis and a name below one quota. It is a [pipelines.Limiter].
type sharedLimiter struct {
	limiter *redis_rate.Limiter
	key     string
	limit   redis_rate.Limit
	turn    chan struct{} // one goroutine of a process asks at a time, lest all of them ask again whenever one may go
}

func newLimiter(rdb redis.UniversalClient, q quota) *sharedLimiter {
	return &sharedLimiter{
		limiter: redis_rate.NewLimiter(rdb), key: "fleet:" + q.Share, limit: q.limit(), turn: make(chan struct{}, 1),
	}
}

// quota is how many requests may be sent, and who shares them.
type quota struct {
	Requests int           `json:"requests"`
	Per      time.Duration `json:"per"`
	Share    string        `json:"share"`
}

// limit is what never lets more requests through than the quota, in whichever stretch of time of that length: what may come at once
// and what flows in over the period add up to it.
func (q quota) limit() redis_rate.Limit {
	burst := min(max(q.Requests/100, 1), 50)
	return redis_rate.Limit{Burst: burst, Rate: q.Requests - burst, Period: q.Per}
}

// lasts is how long so many requests take.
func (q quota) lasts(requests int) time.Duration {
	l := q.limit()
	return time.Duration(float64(max(0, requests-l.Burst)) / float64(l.Rate) * float64(l.Period))
}

func (q quota) String() string { return fmt.Sprintf("%d requests in %s", q.Requests, short(q.Per)) }

func (l *sharedLimiter) Wait(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	for {
		answer, err := l.limiter.Allow(ctx, l.key, l.limit)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("asking Redis whether the quota allows a request: %w", err)
		case answer.Allowed > 0:
			return nil
		}
		if err := pause(ctx, max(answer.RetryAfter, time.Millisecond)); err != nil {
			return err
		}
	}
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
