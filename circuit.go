package pipelines

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// circuit holds requests back after a 429. One of them, the probe, then asks the service, and its response decides for all.
type circuit struct {
	policy RetryPolicy

	mu       sync.Mutex
	refusals int           // in a row; 0: requests pass
	until    time.Time     // nothing is sent before
	asked    bool          // the service itself has named that time
	probing  bool          // a probe is under way
	returned chan struct{} // closed when the probe returns
}

func newCircuit(p RetryPolicy) *circuit { return &circuit{policy: p, returned: make(chan struct{})} }

// errHeldBack ends a call that can't wait for the quota any longer.
var errHeldBack = fmt.Errorf("held back, as the service has refused another request: %w", ErrRateLimited)

// hold waits until k may enter, for as long as k may wait.
func (c *circuit) hold(ctx context.Context, k *call) error {
	_, err := c.pass(ctx, k, false)
	return err
}

// enter waits like hold and lets k pass: as the probe where one is needed.
func (c *circuit) enter(ctx context.Context, k *call) (*passage, error) {
	probe, err := c.pass(ctx, k, true)
	if err != nil {
		return nil, err
	}
	return &passage{circuit: c, ctx: ctx, probe: probe}, nil
}

// passage is one request that the circuit has let pass.
type passage struct {
	circuit *circuit        // nil: there is none
	ctx     context.Context //nolint:containedctx // of the request
	probe   bool
	left    bool
}

// leave reports the response, nil if none came. Only the first call counts.
func (p *passage) leave(resp *http.Response) {
	if p.circuit == nil || p.left {
		return
	}
	p.left = true
	p.circuit.leave(p.ctx, p.probe, resp)
}

func (c *circuit) pass(ctx context.Context, k *call, enters bool) (probe bool, err error) {
	if c == nil {
		return false, nil
	}
	for known := 0; ; {
		s, err := c.look(k, known, enters)
		if err != nil || s.refusals == 0 || s.probe {
			return s.probe, err
		}
		known = s.refusals
		if err := k.awaitQuota(ctx, s.wait, s.returned); err != nil {
			k.attempt.heldBack = true
			return false, fmt.Errorf("%w while held back, as the service has refused another request", err)
		}
	}
}

// outlook is what a request that wants to pass finds.
type outlook struct {
	refusals int           // in a row; 0: it passes
	probe    bool          // it passes as the probe
	wait     time.Duration // until a probe may pass
	returned <-chan struct{}
}

// look finds out whether k passes. It is an errHeldBack where k can't wait any longer; known is how many refusals k has seen.
func (c *circuit) look(k *call, known int, enters bool) (outlook, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := outlook{refusals: c.refusals, wait: time.Until(c.until), returned: c.returned}
	if s.refusals == 0 {
		return s, nil
	}
	if known > 0 && s.refusals > known {
		k.refusals++
		if !k.canWait() {
			return s, errHeldBack
		}
	}
	// A call that has waited as long as it may is let through early, unless the service itself has named the time.
	left := k.quotaWaitLeft()
	s.probe = !c.probing && (s.wait <= 0 || (left <= 0 && !c.asked))
	if !s.probe && (k.policy.MaxAttempts == 1 || (c.asked && s.wait > left)) {
		return s, errHeldBack
	}
	c.probing = c.probing || (s.probe && enters)
	return s, nil
}

// awaitQuota waits for d, but no longer than the call may wait for the quota in all. Where one of the two has passed already, it
// waits for the probe to return.
func (k *call) awaitQuota(ctx context.Context, d time.Duration, returned <-chan struct{}) error {
	start := time.Now()
	defer func() { k.quotaWait += time.Since(start) }() // http.Client.Timeout may end it early
	if d = min(d, k.quotaWaitLeft()); d > 0 {
		return pause(ctx, d)
	}
	select {
	case <-returned:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}

// leave records how the service answered a request, resp being nil if it did not.
func (c *circuit) leave(ctx context.Context, probe bool, resp *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refused := c.refuses(resp)
	var asked time.Duration
	if refused {
		asked = retryAfter(resp.Header)
		c.holdUntil(time.Now().Add(asked), asked > 0)
	}
	if !probe && (c.refusals > 0 || !refused) { // it was sent before anything was known, and says nothing new
		return
	}
	switch {
	case refused:
		c.holdUntil(time.Now().Add(c.policy.quotaBackoff(c.refusals, asked)), asked > 0)
		c.refusals++
	case resp != nil, ctx.Err() == nil: // where the network is broken, probing one by one would take long
		c.refusals = 0
	}
	c.probing = false
	close(c.returned)
	c.returned = make(chan struct{})
}

// holdUntil holds requests back until t; asked says that the service named the time.
func (c *circuit) holdUntil(t time.Time, asked bool) {
	if t.After(c.until) {
		c.until, c.asked = t, asked
	}
}

// refuses reports whether a response is a 429 that is worth waiting for. One that asks for too long is each caller's to decide
// about.
func (c *circuit) refuses(resp *http.Response) bool {
	return resp != nil && resp.StatusCode == http.StatusTooManyRequests && retryAfter(resp.Header) <= c.policy.MaxRetryAfter
}

// remaining is how long nothing is sent.
func (c *circuit) remaining() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, time.Until(c.until))
}
