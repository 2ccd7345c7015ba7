package exchange

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// progress is how far a request has got. The transport's goroutines report it by [httptrace].
type progress struct {
	asked     atomic.Bool // the transport has asked for a connection, so it supports httptrace
	connected atomic.Bool // and got one
	reused    atomic.Bool // which was used before
	written   atomic.Bool // part of the request may have been sent
	heard     atomic.Bool // part of a response came
	answered  bool        // a response came
}

// trace returns a context whose hooks record the progress. The earliest sign of a write counts, because a header in a buffer may
// have been sent. Without writes only connections are recorded.
func (x *Exchange) trace(ctx context.Context, writes bool) context.Context {
	x.hooks.GetConn = func(string) { x.getConn() }
	x.hooks.GotConn = func(info httptrace.GotConnInfo) {
		x.connected.Store(true)
		x.reused.Store(info.Reused)
		x.use(info)
	}
	if writes {
		x.hooks.WroteHeaderField = func(string, []string) { x.written.Store(true) }
		x.hooks.WroteHeaders = func() { x.written.Store(true) }
		x.hooks.GotFirstResponseByte = func() { x.heard.Store(true) }
	}
	return httptrace.WithClientTrace(ctx, &x.hooks)
}

// getConn records that the transport asks for a connection. If it asks again after a reused one, that one was dead and nothing was
// sent on it: otherwise net/http would not take another. After a response, though, the user's transport asks for a request of its
// own.
func (p *progress) getConn() {
	p.asked.Store(true)
	if p.reused.Load() && !p.heard.Load() {
		p.written.Store(false)
	}
}

// AskedForConnection reports whether the transport has asked for a connection. One that doesn't support [httptrace] never seems to.
func (p *progress) AskedForConnection() bool { return p.asked.Load() }

// Connected reports whether the request got a connection.
func (p *progress) Connected() bool { return p.connected.Load() }

// NothingSent reports whether the transport, which failed with err, can have sent nothing of the request. A transport that doesn't
// support [httptrace] is assumed to have sent it. It is not for GET requests, whose writes aren't recorded.
func (p *progress) NothingSent(err error) bool {
	var dial *net.OpError
	switch {
	case p.answered || p.written.Load():
		return false
	case errors.As(err, &dial) && dial.Op == "dial":
		return true
	}
	return p.asked.Load()
}
