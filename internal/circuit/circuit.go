// Package circuit holds requests back after the service has refused one for want of quota. When the hold is over, one of them, the
// probe, asks the service. If it is refused, the others go on waiting. If not, they follow: two after each response, so that few
// are refused if little of the quota is back. The most urgent goes first.
package circuit

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

// Circuit is shared by all requests that use one quota. It is safe for concurrent use. A nil Circuit holds nothing back.
type Circuit struct {
	backoff  func(refusals int, asked time.Duration) time.Duration
	maxAsked time.Duration
	longest  time.Duration

	mu       sync.Mutex
	holds    int           // since the beginning
	limited  bool          // a request was refused, and those that were held back since then haven't all passed
	refusals int           // in a row
	until    time.Time     // nothing is sent before
	asked    bool          // the service itself has named that time
	sent     int           // on the way since the last hold
	window   int           // how many may be on the way
	queue    []*request    // that wait, the most urgent first
	changed  chan struct{} // closed when holds or until changes
}

// New returns a Circuit. backoff returns how long to wait after a refusal, given how many there were before and how long the
// service asks to wait, or 0. No request waits if the service asks for longer than maxAsked: until then all end at once. A hold lasts
// for longest at most, or maxAsked if that is longer, whatever the service asks for.
func New(backoff func(refusals int, asked time.Duration) time.Duration, maxAsked, longest time.Duration) *Circuit {
	return &Circuit{backoff: backoff, maxAsked: maxAsked, longest: max(longest, maxAsked), changed: make(chan struct{})}
}

// HeldBackError ends a request that can't wait.
type HeldBackError struct {
	Until time.Time // the end of the hold; in the past if the result of a probe is missing
	Asked bool      // the service itself has named that time
}

func (e *HeldBackError) Error() string { return "held back, because another request was refused" }

// Hold waits until a request may be sent, for as long as w may wait.
func (c *Circuit) Hold(ctx context.Context, w *Waiter) error {
	_, err := c.wait(ctx, w, false)
	return err
}

// Enter waits like Hold and lets the request pass. The caller must report its result by [Passage.Leave].
func (c *Circuit) Enter(ctx context.Context, w *Waiter) (Passage, error) {
	holds, err := c.wait(ctx, w, true)
	if c == nil || err != nil {
		return Passage{}, err
	}
	return Passage{circuit: c, ctx: ctx, holds: holds}, nil
}

// Until returns the time until which nothing is sent, or the zero time if requests may be sent.
func (c *Circuit) Until() time.Time {
	if c == nil {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Until(c.until) <= 0 {
		return time.Time{}
	}
	return c.until
}

// wait waits until a request may pass. It returns how many holds there were by then.
func (c *Circuit) wait(ctx context.Context, w *Waiter, enters bool) (holds int, err error) {
	if c == nil {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.limited && len(c.queue) == 0 {
		return c.holds, nil
	}
	r := &request{Waiter: w, enters: enters, passed: make(chan struct{}), holds: c.holds}
	c.enqueue(r)
	defer func() { c.release(time.Now()) }() // whoever has waited lets the next pass, so that they reach what comes next in this order
	for {
		now := time.Now() // the same for both, or a request could see that the hold is over only after nothing was released
		c.release(now)
		d, err := c.look(r, now)
		if err == nil && !r.passes {
			err = c.await(ctx, r, d)
		}
		switch {
		case r.passes:
			return r.holds, nil
		case err != nil:
			c.remove(r)
			return 0, err
		}
	}
}

// await waits for r to pass, for a change, or for d. It unlocks the circuit meanwhile.
func (c *Circuit) await(ctx context.Context, r *request, d time.Duration) error {
	changed := c.changed
	c.mu.Unlock()
	defer c.mu.Lock()
	return r.wait(ctx, d, changed)
}

// enqueue makes a request wait behind those that are as urgent.
func (c *Circuit) enqueue(r *request) {
	i, _ := slices.BinarySearchFunc(c.queue, r, func(queued, r *request) int {
		if queued.Rank <= r.Rank {
			return -1
		}
		return 1
	})
	c.queue = slices.Insert(c.queue, i, r)
}

func (c *Circuit) remove(r *request) {
	c.queue = slices.DeleteFunc(c.queue, func(queued *request) bool { return queued == r })
}

// release lets the most urgent requests pass, as many as may. One that only waits for the end of the hold lets the next pass itself.
func (c *Circuit) release(now time.Time) {
	for len(c.queue) > 0 && (!c.limited || (c.sent < c.window && !c.until.After(now))) {
		r := c.queue[0]
		c.pass(r)
		if !r.enters {
			return
		}
	}
}

func (c *Circuit) pass(r *request) {
	c.remove(r)
	if r.enters {
		c.sent++
	}
	r.passes, r.holds = true, c.holds
	close(r.passed)
}

// look finds out whether a request that doesn't pass yet may wait, and for how long: 0 is until others have returned. A call that has
// waited as long as it may passes early, unless the service itself has named the time.
func (c *Circuit) look(r *request, now time.Time) (time.Duration, error) {
	if r.passes {
		return 0, nil
	}
	if c.holds > r.holds {
		r.holds = c.holds
		r.Refusals++
		if !r.CanWait() {
			return 0, &HeldBackError{c.until, c.asked}
		}
	}
	wait, left := max(0, c.until.Sub(now)), r.Left()
	switch {
	case c.limited && r.Never:
		return 0, &HeldBackError{c.until, c.asked}
	case wait == 0:
		return 0, nil
	case r.Impatient, c.asked && wait > min(left, c.maxAsked):
		return 0, &HeldBackError{c.until, c.asked}
	case left > 0:
		return min(wait, left), nil
	case c.sent < c.window:
		c.pass(r)
	}
	return wait, nil
}

// Passage is one request that may be sent. Its zero value is one without a circuit.
type Passage struct {
	circuit *Circuit        // nil: none
	ctx     context.Context //nolint:containedctx // of the request
	holds   int             // that there were when it passed
	left    bool
}

// Leave reports the response, or nil if none came. Only the first call counts.
func (p *Passage) Leave(resp *http.Response) {
	p.leave(func(c *Circuit) { c.conclude(p, resp) })
}

// Abandon reports that the request wasn't sent.
func (p *Passage) Abandon() {
	p.leave(func(c *Circuit) { c.returned(p) })
}

func (p *Passage) leave(report func(*Circuit)) {
	c := p.circuit
	if c == nil || p.left {
		return
	}
	p.left = true
	c.mu.Lock()
	defer c.mu.Unlock()
	report(c)
	c.release(time.Now())
}

// returned takes a request back that says nothing about the quota. It reports whether it was sent since the last hold, while others
// are held back.
func (c *Circuit) returned(p *Passage) bool {
	if !c.limited || p.holds != c.holds {
		return false
	}
	c.sent--
	return true
}

func (c *Circuit) conclude(p *Passage, resp *http.Response) {
	asked, refused := c.refusal(resp)
	switch {
	case refused && c.limited && p.holds != c.holds: // it was sent before the last refusal, and says nothing new
		c.holdUntil(time.Now().Add(asked), asked > 0)
	case refused:
		c.hold(asked)
	case !c.returned(p), resp == nil && p.ctx.Err() != nil:
	case resp == nil: // lost: the network is the problem, and each of the others will meet it by itself
		c.open()
	default:
		c.proceed()
	}
}

// refusal reports whether a response is a 429, and how long the service asks to wait.
func (c *Circuit) refusal(resp *http.Response) (asked time.Duration, refused bool) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests {
		return 0, false
	}
	return min(header.RetryAfter(resp.Header), c.longest), true
}

// hold holds all requests back after a refusal.
func (c *Circuit) hold(asked time.Duration) {
	d := max(asked, c.backoff(c.refusals, asked))
	c.limited, c.sent, c.window = true, 0, 1
	c.holds++
	c.refusals++
	c.holdUntil(time.Now().Add(d), d == asked)
}

// holdUntil holds requests back until t, if that is later than what they wait for. asked reports whether the service named the time.
func (c *Circuit) holdUntil(t time.Time, asked bool) {
	if t.After(c.until) {
		c.until, c.asked = t, asked
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// proceed lets two requests follow one that wasn't refused.
func (c *Circuit) proceed() {
	c.until = time.Time{} // it may have passed early
	c.window++
	c.release(time.Now())
	if len(c.queue) == 0 {
		c.open()
	}
}

func (c *Circuit) open() { c.limited, c.refusals, c.until = false, 0, time.Time{} }
