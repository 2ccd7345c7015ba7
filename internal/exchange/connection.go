package exchange

import (
	"crypto/tls"
	"math"
	"net"
	"net/http/httptrace"
	"reflect"
	"sync"
	"sync/atomic"
)

// used are the connections of the exchanges of all Guards. Exchanges may share an HTTP/2 connection, and what one of them receives
// shows that it is alive.
var used = connections{known: make(map[net.Conn]*connection)}

type connections struct {
	mu    sync.Mutex
	known map[net.Conn]*connection
}

// connection is what the exchanges over one connection know of it.
type connection struct {
	conn  net.Conn
	users int
	heard atomic.Int64 // when something last arrived, by clock; the least: never
}

// acquire returns what is known of a connection, or nil if conn can't be a key.
func (u *connections) acquire(conn net.Conn) *connection {
	if conn == nil || !reflect.TypeOf(conn).Comparable() {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.known[conn]
	if c == nil {
		c = &connection{conn: conn}
		c.heard.Store(math.MinInt64)
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

// use makes a connection the exchange's.
func (x *Exchange) use(info httptrace.GotConnInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	used.release(x.conn)
	x.conn = nil
	if x.ended {
		return
	}
	x.conn = used.acquire(info.Conn)
	if x.conn != nil && !info.Reused { // its handshake was heard
		x.hear()
	}
}

// close closes the connection without TLS's close notification, which would wait for a peer that is gone.
func (c *connection) close() {
	conn := c.conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close() // it is given up anyway
}
