// Package stall gives up HTTP exchanges on which nothing arrives, and the connections under them.
package stall

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStalled is the error of an exchange that was given up.
var ErrStalled = errors.New("the connection stalled")

// grace is how long an exchange may take to notice that its connection was closed.
const grace = time.Second

// Guard watches over exchanges. It is safe for concurrent use.
type Guard struct{ timeout time.Duration }

// used are the connections that exchanges of all Guards have. Those may share an HTTP/2 connection, and what one exchange receives
// shows that it is alive.
var used = connections{known: make(map[net.Conn]*connection)}

type connections struct {
	mu    sync.Mutex
	known map[net.Conn]*connection
}

// connection is what all exchanges over one connection know of it.
type connection struct {
	conn  net.Conn
	users int
	heard atomic.Int64 // when something last arrived, in nanoseconds since 1970
}

// New returns a Guard that gives up what receives nothing for timeout.
func New(timeout time.Duration) *Guard { return &Guard{timeout} }

// Exchange is one request with its response. It must be ended by [Exchange.Fail] or by closing [Exchange.Body].
type Exchange struct {
	guard  *Guard
	ctx    context.Context //nolint:containedctx // the exchange is bound to it
	cancel context.CancelFunc
	timer  *time.Timer

	since   atomic.Int64 // when the current wait began
	stalled atomic.Bool

	mu    sync.Mutex
	conn  *connection // nil before there is one
	ended bool
}

// Start begins to watch an exchange, from before its connection is there.
func (g *Guard) Start(ctx context.Context) *Exchange {
	x := &Exchange{guard: g}
	x.ctx, x.cancel = context.WithCancel(ctx)
	x.since.Store(time.Now().UnixNano())
	x.timer = time.AfterFunc(g.timeout, x.giveUp)
	return x
}

// Context is the context to send the request with. It ends when the exchange is given up or ended.
func (x *Exchange) Context() context.Context { return x.ctx }

// GotConn is the hook for [httptrace.ClientTrace]: it tells the exchange its connection.
func (x *Exchange) GotConn(info httptrace.GotConnInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	used.release(x.conn)
	x.conn = nil
	if x.ended {
		return
	}
	x.conn = used.acquire(info.Conn)
	if x.conn != nil && !info.Reused { // its handshake was heard
		x.conn.heard.Store(time.Now().UnixNano())
	}
}

// Fail ends an exchange that got no response, and returns err, or [ErrStalled] if the exchange was given up.
func (x *Exchange) Fail(err error) error {
	x.timer.Stop()
	x.end()
	if x.stalled.Load() {
		return ErrStalled
	}
	return err
}

// Body returns the response body that ends the exchange when it is closed. Its Read fails with [ErrStalled] where nothing
// arrives for too long. The time between two calls of Read doesn't count. failed gets the error of any other Read that fails,
// and returns the one to show.
func (x *Exchange) Body(body io.ReadCloser, failed func(error) error) io.ReadCloser {
	x.timer.Stop()
	x.heard()
	return &guardedBody{x, body, failed}
}

type guardedBody struct {
	exchange *Exchange
	body     io.ReadCloser
	failed   func(error) error
}

func (b *guardedBody) Read(p []byte) (int, error) {
	x := b.exchange
	x.since.Store(time.Now().UnixNano())
	x.timer.Reset(x.guard.timeout)
	n, err := b.body.Read(p)
	x.timer.Stop()
	if n > 0 {
		x.heard()
	}
	switch {
	case err == nil || err == io.EOF: // a wrapped io.EOF is a lost connection
		return n, err
	case x.stalled.Load():
		return n, ErrStalled
	}
	return n, b.failed(err)
}

func (b *guardedBody) Close() error {
	b.exchange.timer.Stop()
	b.exchange.end()
	return b.body.Close()
}

func (x *Exchange) end() {
	x.cancel()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	used.release(x.conn)
	x.conn = nil
}

func (x *Exchange) heard() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conn != nil {
		x.conn.heard.Store(time.Now().UnixNano())
	}
}

// giveUp ends the exchange. Cancelling a request leaves an HTTP/2 connection in the pool, dead or not, so one that has been
// silent throughout is closed. The request then fails once the pool has dropped the connection, before the next request can
// get it; it is cancelled only if that takes too long.
func (x *Exchange) giveUp() {
	x.stalled.Store(true)
	x.mu.Lock()
	c := x.conn
	x.mu.Unlock()
	if c == nil || c.heard.Load() > x.since.Load() {
		x.cancel()
		return
	}
	closeConn(c.conn)
	time.AfterFunc(grace, x.cancel)
}

// closeConn closes a connection without TLS's farewell, which waits for a peer that is gone.
func closeConn(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close() // it is given up anyway
}

// acquire returns what is known of a connection, or nil where it can't be told from others.
func (u *connections) acquire(conn net.Conn) *connection {
	if conn == nil || !reflect.TypeOf(conn).Comparable() {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.known[conn]
	if c == nil {
		c = &connection{conn: conn}
		u.known[conn] = c
	}
	c.users++
	return c
}

func (u *connections) release(c *connection) {
	if c == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.users--; c.users == 0 {
		delete(u.known, c.conn)
	}
}
