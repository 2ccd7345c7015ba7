// Package poll says when to poll: within a budget of requests, at intervals that grow while nothing changes, and until too many
// polls in a row have failed. It sends nothing itself. Its types are for one goroutine at a time.
package poll

import (
	"context"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

const (
	burst   = 60 // requests beyond the hourly rate
	reserve = 4  // requests that Wait leaves to Take
)

// Budget is a token bucket of requests.
type Budget struct {
	perSecond float64
	tokens    float64
	updated   time.Time // when tokens was right
}

// NewBudget returns a budget of perHour requests an hour, which must be positive, and 60 more at the beginning.
func NewBudget(perHour int) *Budget {
	return &Budget{perSecond: float64(perHour) / 3600, tokens: burst, updated: time.Now()}
}

// Take pays for one request. It waits until the budget has one to spend, or returns the error of ctx with its cause.
func (b *Budget) Take(ctx context.Context) error {
	if lacking := 1 - b.left(); lacking > 0 {
		if err := ctxtime.Sleep(ctx, b.refill(lacking)); err != nil {
			return err
		}
	}
	b.left()
	b.tokens--
	return nil
}

// Wait waits for d before a poll, and then until the budget has a request to spend on it. It leaves a few requests to what
// can't wait for a poll. It returns the error of ctx with its cause if ctx ends first.
func (b *Budget) Wait(ctx context.Context, d time.Duration) error {
	if lacking := 1 + reserve - b.left(); lacking > 0 {
		d = max(d, b.refill(lacking))
	}
	if d <= 0 {
		return ctxtime.Err(ctx)
	}
	return ctxtime.Sleep(ctx, d)
}

// left returns the number of requests in the budget. It is negative after requests that didn't wait.
func (b *Budget) left() float64 {
	now := time.Now()
	b.tokens = min(burst, b.tokens+now.Sub(b.updated).Seconds()*b.perSecond)
	b.updated = now
	return b.tokens
}

// refill returns the time in which the budget grows by n requests.
func (b *Budget) refill(n float64) time.Duration {
	return time.Duration(n/b.perSecond*float64(time.Second)) + 1
}
