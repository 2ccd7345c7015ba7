// Package exchange watches over HTTP exchanges: a request and its response. It gives up those on which nothing arrives, with the
// connections under them, and tells whether a failed one may have sent its request.
package exchange

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStalled is the error of an exchange that was given up.
var ErrStalled = errors.New("the connection stalled")

// grace is how long an exchange may take to notice that its connection was closed.
const grace = time.Second

// Guard starts exchanges. It is safe for concurrent use.
type Guard struct{ timeout time.Duration }

// NewGuard returns a Guard that gives up an exchange when nothing arrives for timeout.
func NewGuard(timeout time.Duration) *Guard { return &Guard{timeout} }

// Exchange is one request with its response. It must be ended by [Exchange.Fail] or by closing [Exchange.Body].
type Exchange struct {
	guard  *Guard
	ctx    context.Context //nolint:containedctx // the exchange is bound to it
	cancel context.CancelFunc
	timer  *time.Timer
	hooks  httptrace.ClientTrace
	progress

	stalled atomic.Bool

	body   io.ReadCloser // of the response; nil before there is one
	redact func(error) error

	mu      sync.Mutex
	waits   bool          // for something to arrive
	since   time.Duration // when that wait began
	conn    *connection   // nil before there is one
	pooling bool          // the transport may give the connection to another request at any time, and closes it if this one is cancelled
	ended   bool
}

// Start begins an exchange, before its request has a connection. once says that the request must not be sent twice.
func (g *Guard) Start(ctx context.Context, method string, once bool) *Exchange {
	x := &Exchange{guard: g}
	x.once = once
	ctx, x.cancel = context.WithCancel(ctx)
	x.ctx = x.trace(ctx, method != http.MethodGet)
	x.waits, x.since = true, clock()
	x.timer = time.AfterFunc(g.timeout, x.giveUp)
	return x
}

// Context is the context to send the request with. It ends when the exchange is given up or ended.
func (x *Exchange) Context() context.Context { return x.ctx }

// Fail ends an exchange that got no response, and returns err, or [ErrStalled] or [ErrRepeated] if the exchange was given up.
func (x *Exchange) Fail(err error) error {
	x.timer.Stop()
	x.end()
	switch {
	case x.stalled.Load():
		return ErrStalled
	case x.repeated.Load():
		return ErrRepeated
	}
	return err
}

// Body returns the body of the response. The exchange ends when it is closed. Its Read fails with [ErrStalled] if nothing arrives for
// too long. The time between two calls of Read doesn't count. redact gets every other error of Read and returns the one to show.
func (x *Exchange) Body(resp *http.Response, redact func(error) error) io.ReadCloser {
	x.answered.Store(true)
	x.arrived(true)
	x.body, x.redact = resp.Body, redact
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pooling = resp.ProtoMajor < 2
	return (*guardedBody)(x)
}

// guardedBody is the response body of its exchange.
type guardedBody Exchange

func (b *guardedBody) Read(p []byte) (int, error) {
	x := (*Exchange)(b)
	x.wait()
	n, err := x.body.Read(p)
	x.arrived(n > 0)
	switch {
	case err == nil || err == io.EOF: // a wrapped io.EOF is a lost connection
		return n, err
	case x.stalled.Load():
		return n, ErrStalled
	}
	return n, x.redact(err)
}

func (b *guardedBody) Close() error {
	x := (*Exchange)(b)
	x.timer.Stop()
	x.end()
	return x.body.Close()
}

func (x *Exchange) end() {
	x.cancel()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	used.release(x.conn)
	x.conn = nil
}

// wait begins a wait for something to arrive.
func (x *Exchange) wait() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waits, x.since = true, clock()
	x.timer.Reset(x.guard.timeout)
}

// arrived ends a wait.
func (x *Exchange) arrived(something bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waits = false
	x.timer.Stop()
	if something {
		x.hear()
	}
}

// hear notes that something arrives.
func (x *Exchange) hear() {
	if x.conn != nil {
		x.conn.heard.Store(int64(clock()))
	}
}

// firstByte notes that a response begins. From now on the transport may give the connection to another request, which giveUp must not
// harm.
func (x *Exchange) firstByte() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hear()
}

// giveUp ends the exchange. If its connection has been silent throughout, giveUp closes it: cancelling a request would leave a dead
// HTTP/2 connection in the pool. The request then fails when the pool drops the connection, before another request can get it. The
// request is cancelled if that takes too long. The timer may fire just as the wait ends, and giveUp may come after another has begun.
func (x *Exchange) giveUp() {
	x.mu.Lock()
	defer x.mu.Unlock() // until the connection is closed, so that nobody else gets it before
	if x.ended || !x.waits || clock()-x.since < x.guard.timeout {
		return
	}
	x.stalled.Store(true)
	if x.conn == nil || x.pooling || x.conn.heard.Load() > int64(x.since) {
		x.cancel()
		return
	}
	x.conn.close()
	time.AfterFunc(grace, x.cancel)
}

var loaded = time.Now()

// clock is the time that has passed, whatever becomes of the wall clock.
func clock() time.Duration { return time.Since(loaded) }
