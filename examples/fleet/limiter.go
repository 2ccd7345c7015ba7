package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// sharedLimiter keeps all clients with the same Redis and name below one quota. It is a [pipelines.Limiter].
type sharedLimiter struct {
	limiter *redis_rate.Limiter
	quota   atomic.Pointer[quota]
	turn    chan struct{} // only one goroutine per process polls Redis
}

func newLimiter(rdb redis.UniversalClient, q quota) *sharedLimiter {
	l := &sharedLimiter{limiter: redis_rate.NewLimiter(rdb), turn: make(chan struct{}, 1)}
	l.change(q)
	return l
}

// change replaces the quota for the requests to come.
func (l *sharedLimiter) change(q quota) { l.quota.Store(&q) }

// quota is how many requests may be sent in a period, and the name under which clients share it.
type quota struct {
	Requests int           `json:"requests"`
	Per      time.Duration `json:"per"`
	Share    string        `json:"share"`
}

// limit never allows more requests than the quota in any period: the burst and the refill within a period add up to it.
func (q quota) limit() redis_rate.Limit {
	burst := min(max(q.Requests/100, 1), 50)
	return redis_rate.Limit{Burst: burst, Rate: q.Requests - burst, Period: q.Per}
}

// duration is how long a number of requests takes.
func (q quota) duration(requests int) time.Duration {
	l := q.limit()
	return time.Duration(float64(max(0, requests-l.Burst)) / float64(l.Rate) * float64(l.Period))
}

func (q quota) String() string {
	return cli.Count(q.Requests, "request", "requests") + " in " + cli.Short(q.Per)
}

// errQuotaUnknown says nothing about the repository that the request is for.
var errQuotaUnknown = errors.New("asking Redis whether the quota allows a request")

// quotaReread is after what time a wait notices that the quota has changed.
const quotaReread = time.Second

func (l *sharedLimiter) Wait(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	for {
		q := l.quota.Load()
		answer, err := l.limiter.Allow(ctx, "fleet:"+q.Share, q.limit())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%w: %w", errQuotaUnknown, err)
		case answer.Allowed > 0:
			return nil
		}
		if err := cli.Pause(ctx, min(max(answer.RetryAfter, time.Millisecond), quotaReread)); err != nil {
			return err
		}
	}
}
