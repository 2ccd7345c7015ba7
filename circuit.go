package pipelines

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// circuit spares the service requests that it would refuse. Once one was answered 429, the client's others wait, and then one
// of them goes ahead: what becomes of it is the answer to all.
type circuit struct {
	policy RetryPolicy

	mu       sync.Mutex
	refusals int           // in a row; 0: requests pass
	until    time.Time     // nothing is sent before
	probing  bool          // one has gone ahead
	turned   chan struct{} // closed when it is back
}

func newCircuit(p RetryPolicy) *circuit { return &circuit{policy: p, turned: make(chan struct{})} }

// errHeldBack ends a call that has waited for as many refusals as it has attempts.
var errHeldBack = fmt.Errorf("held back, as the service has refused another request: %w", ErrRateLimited)

// hold waits until k may enter, through as many refusals as k has attempts left.
func (c *circuit) hold(ctx context.Context, k *call) error {
	_, err := c.pass(ctx, k, false)
	return err
}

// enter is hold, and k then goes ahead of the others where that is still to be found out. Every enter that succeeds needs its
// leave.
func (c *circuit) enter(ctx context.Context, k *call) (ahead bool, err error) {
	return c.pass(ctx, k, true)
}

func (c *circuit) pass(ctx context.Context, k *call, enters bool) (ahead bool, err error) {
	if c == nil {
		return false, nil
	}
	for known := 0; ; {
		c.mu.Lock()
		refusals, turned, wait := c.refusals, c.turned, time.Until(c.until)
		if known > 0 && refusals > known {
			k.refusals++
		}
		patient := k.patient()
		ahead := refusals > 0 && patient && !c.probing && wait <= 0
		c.probing = c.probing || (ahead && enters)
		c.mu.Unlock()
		switch {
		case ahead || refusals == 0:
			return ahead, nil
		case !patient:
			return false, errHeldBack
		}
		known = refusals
		if err := await(ctx, wait, turned); err != nil {
			return false, fmt.Errorf("%w while held back, as the service has refused another request", err)
		}
	}
}

// await waits for d or, where d has passed already, for the one that went ahead.
func await(ctx context.Context, d time.Duration, turned <-chan struct{}) error {
	if d > 0 {
		return pause(ctx, d)
	}
	select {
	case <-turned:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave tells how the service answered, resp being nil if it did not.
func (c *circuit) leave(ctx context.Context, ahead bool, resp *http.Response) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	refused := c.refuses(resp)
	if refused {
		c.holdUntil(time.Now().Add(retryAfter(resp.Header)))
	}
	if !ahead && (c.refusals > 0 || !refused) { // sent before anything was known, it says nothing new
		return
	}
	switch {
	case refused:
		c.holdUntil(time.Now().Add(c.policy.backoff(c.refusals, resp)))
		c.refusals++
	case resp != nil, ctx.Err() == nil: // lost on a bad network: one by one the others would take long to find that out
		c.refusals = 0
	}
	c.probing = false
	close(c.turned)
	c.turned = make(chan struct{})
}

func (c *circuit) holdUntil(t time.Time) {
	if t.After(c.until) {
		c.until = t
	}
}

// refuses holds for an answer that is worth waiting out. One that asks for too long is each caller's to decide about.
func (c *circuit) refuses(resp *http.Response) bool {
	return resp != nil && resp.StatusCode == http.StatusTooManyRequests && retryAfter(resp.Header) <= c.policy.MaxRetryAfter
}

// remaining is how long nothing is sent.
func (c *circuit) remaining() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, time.Until(c.until))
}
