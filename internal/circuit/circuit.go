// Package circuit holds requests back after the service has refused one for want of quota. One of them, the probe, then asks the
// service, and its result decides for all.
package circuit

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

// Circuit is shared by all requests that use one quota. It is safe for concurrent use. A nil Circuit holds nothing back.
type Circuit struct {
	backoff  func(refusals int, asked time.Duration) time.Duration
	maxAsked time.Duration
	heldBack error

	mu       sync.Mutex
	refusals int           // in a row; 0: requests pass
	until    time.Time     // nothing is sent before
	asked    bool          // the service itself has named that time
	probing  bool          // a probe is being sent
	returned chan struct{} // closed when the probe returns
}

// New returns a Circuit. backoff returns how long to wait after a refusal, given how many there were before and how long the
// service asks to wait, or 0. A refusal that asks for longer than maxAsked isn't waited for. heldBack is the error of requests that
// can't wait any longer.
func New(backoff func(refusals int, asked time.Duration) time.Duration, maxAsked time.Duration, heldBack error) *Circuit {
	return &Circuit{backoff: backoff, maxAsked: maxAsked, heldBack: heldBack, returned: make(chan struct{})}
}

// Hold waits until a request may be sent, for as long as w may wait.
func (c *Circuit) Hold(ctx context.Context, w *Waiter) error {
	_, err := c.wait(ctx, w, false)
	return err
}

// Enter waits like Hold and lets the request pass, as the probe if one is needed. The caller must report its result by
// [Passage.Leave].
func (c *Circuit) Enter(ctx context.Context, w *Waiter) (Passage, error) {
	probe, err := c.wait(ctx, w, true)
	if err != nil {
		return Passage{}, err
	}
	return Passage{circuit: c, ctx: ctx, probe: probe}, nil
}

// Remaining returns how long nothing is sent.
func (c *Circuit) Remaining() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, time.Until(c.until))
}

func (c *Circuit) wait(ctx context.Context, w *Waiter, enters bool) (probe bool, err error) {
	if c == nil {
		return false, nil
	}
	for known := 0; ; {
		s, err := c.look(w, known, enters)
		if err != nil || s.refusals == 0 || s.probe {
			return s.probe, err
		}
		known = s.refusals
		if err := w.wait(ctx, s.wait, s.returned); err != nil {
			w.HeldBack = true
			return false, fmt.Errorf("%w while waiting for quota after another request got 429", err)
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

// look finds out whether a request passes. Its error is heldBack if w can't wait any longer. known is how many refusals w has
// seen.
func (c *Circuit) look(w *Waiter, known int, enters bool) (outlook, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := outlook{refusals: c.refusals, wait: time.Until(c.until), returned: c.returned}
	if s.refusals == 0 {
		return s, nil
	}
	if known > 0 && s.refusals > known {
		w.Refusals++
		if !w.CanWait() {
			return s, c.heldBack
		}
	}
	// A call that has waited as long as it may passes early, unless the service itself has named the time.
	left := w.Left()
	s.probe = !c.probing && (s.wait <= 0 || (left <= 0 && !c.asked))
	if !s.probe && (w.Never || (c.asked && s.wait > left)) {
		return s, c.heldBack
	}
	c.probing = c.probing || (s.probe && enters)
	return s, nil
}

// Passage is one request that may be sent. Its zero value is one without a circuit.
type Passage struct {
	circuit *Circuit        // nil: none
	ctx     context.Context //nolint:containedctx // of the request
	probe   bool
	left    bool
}

// Leave reports the response, or nil if none came. Only the first call counts.
func (p *Passage) Leave(resp *http.Response) {
	if p.circuit == nil || p.left {
		return
	}
	p.left = true
	p.circuit.leave(p.ctx, p.probe, resp)
}

func (c *Circuit) leave(ctx context.Context, probe bool, resp *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, refused := c.refusal(resp)
	if refused {
		c.holdUntil(time.Now().Add(asked), asked > 0)
	}
	if !probe && (c.refusals > 0 || !refused) { // it was sent before anything was known, and says nothing new
		return
	}
	switch {
	case refused:
		c.holdUntil(time.Now().Add(c.backoff(c.refusals, asked)), asked > 0)
		c.refusals++
	case resp != nil, ctx.Err() == nil: // probe lost: release everyone instead of probing one by one
		c.refusals = 0
	}
	c.probing = false
	close(c.returned)
	c.returned = make(chan struct{})
}

// refusal reports whether a response is a 429 to wait for, and how long the service asks to wait. A 429 that asks for longer than
// maxAsked says nothing about other requests.
func (c *Circuit) refusal(resp *http.Response) (asked time.Duration, refused bool) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests {
		return 0, false
	}
	asked = header.RetryAfter(resp.Header)
	return asked, asked <= c.maxAsked
}

// holdUntil holds requests back until t. asked reports whether the service named the time.
func (c *Circuit) holdUntil(t time.Time, asked bool) {
	if t.After(c.until) {
		c.until, c.asked = t, asked
	}
}
