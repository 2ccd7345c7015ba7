package circuit

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

// Waiter is one call that may be held back, with how long it may wait and how long it has.
type Waiter struct {
	Rank      int           // of those that wait, the one with the lowest passes first
	Limit     time.Duration // in all
	Never     bool          // it doesn't wait at all
	Impatient bool          // it waits for the result of a probe, but for no time to pass

	Refusals int           // counted against the call: its own, and those seen while held back
	Waited   time.Duration // so far
	HeldBack bool          // its context ended while it was held back
}

// CanWait reports whether the call may wait after another refusal.
func (w *Waiter) CanWait() bool {
	switch {
	case w.Never:
		return false
	case w.Impatient:
		return w.Refusals == 0
	}
	return w.Waited < w.Limit
}

// Left returns how long the call may still wait.
func (w *Waiter) Left() time.Duration { return w.Limit - w.Waited }

// request is one that waits.
type request struct {
	*Waiter
	enters bool          // it is sent next, and not only after another wait
	passes bool          // it may
	passed chan struct{} // closed when it may
	holds  int           // that it has seen
}

// wait waits until the request passes, the hold changes or d is over. A d of 0 never is.
func (r *request) wait(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	start := time.Now()
	defer func() { r.Waited += time.Since(start) }()
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-r.passed:
	case <-changed:
	case <-over:
	case <-ctx.Done():
		r.HeldBack = true
		return fmt.Errorf("%w while waiting for quota after another request got 429", ctxtime.Err(ctx))
	}
	return nil
}
