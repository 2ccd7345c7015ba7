package circuit

import (
	"context"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

// Waiter is one call that may be held back, with how long it may wait and how long it has.
type Waiter struct {
	Limit time.Duration // in all
	Never bool          // it doesn't wait at all
	Once  bool          // it waits for Limit at a time, but not after another refusal

	Refusals int           // counted against the call: its own, and those seen while held back
	Waited   time.Duration // so far
	HeldBack bool          // its context ended while it was held back
}

// CanWait reports whether the call may wait after another refusal.
func (w *Waiter) CanWait() bool {
	switch {
	case w.Never:
		return false
	case w.Once:
		return w.Refusals == 0
	}
	return w.Waited < w.Limit
}

// Left returns how long the call may still wait.
func (w *Waiter) Left() time.Duration {
	if w.Once {
		return w.Limit
	}
	return w.Limit - w.Waited
}

// wait waits for d, but no longer than the call may. If one of the two has passed already, it waits for the probe to return.
func (w *Waiter) wait(ctx context.Context, d time.Duration, returned <-chan struct{}) error {
	start := time.Now()
	defer func() { w.Waited += time.Since(start) }() // the context may end it early
	if d = min(d, w.Left()); d > 0 {
		return ctxtime.Sleep(ctx, d)
	}
	select {
	case <-returned:
		return nil
	case <-ctx.Done():
		return ctxtime.Err(ctx)
	}
}
