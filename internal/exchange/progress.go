package exchange

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// ErrRepeated is the error of an exchange whose transport was about to send the whole request again.
var ErrRepeated = errors.New("the transport was about to send the request again by itself")

// maxRepeats is how often the transport may send a whole request again that is safe to repeat. It does so on each kept connection that
// is dead, and without end if a server resets each HTTP/2 stream.
const maxRepeats = 40

// progress is how far a request has got. The transport's goroutines report it by [httptrace].
type progress struct {
	once bool // the request must not be sent twice

	asked     atomic.Bool // the transport has asked for a connection, so it supports httptrace
	connected atomic.Bool // and got one
	reused    atomic.Bool // which was used before
	written   atomic.Bool // part of the request may have been sent
	whole     atomic.Bool // all of it was written, with HTTP/1 maybe to a buffer
	http2     atomic.Bool
	repeats   atomic.Int32 // attempts of the transport to send it again after that
	repeated  atomic.Bool  // which were too many
	heard     atomic.Bool  // part of a response came
	answered  atomic.Bool  // a response came
}

// trace returns a context whose hooks record the progress. The earliest sign of a write counts, because a header in a buffer may
// have been sent. Without writes only connections, what arrives on them, and whole requests are recorded.
func (x *Exchange) trace(ctx context.Context, writes bool) context.Context {
	x.hooks.GetConn = func(string) { x.getConn() }
	x.hooks.GotConn = func(info httptrace.GotConnInfo) {
		x.connected.Store(true)
		x.reused.Store(info.Reused)
		x.use(info)
	}
	x.hooks.WroteRequest = func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			x.whole.Store(true)
		}
	}
	x.hooks.GotFirstResponseByte = x.firstByte
	if writes {
		x.hooks.WroteHeaderField = func(name string, _ []string) {
			x.written.Store(true)
			x.http2.Store(x.http2.Load() || strings.HasPrefix(name, ":")) // as only the pseudo-headers of HTTP/2 begin
		}
		x.hooks.WroteHeaders = func() { x.written.Store(true) }
		x.hooks.GotFirstResponseByte = func() {
			x.heard.Store(true)
			x.firstByte()
		}
	}
	return httptrace.WithClientTrace(ctx, &x.hooks)
}

// getConn records that the transport asks for a connection. If it asks again after a reused one, that one was dead and nothing was sent
// on it: otherwise net/http would not take another. There are two exceptions. After a response, the user's transport asks for a request
// of its own. And net/http takes a reset of an HTTP/2 stream for a request that wasn't processed.
func (x *Exchange) getConn() {
	x.asked.Store(true)
	switch {
	case x.heard.Load() || x.answered.Load():
	case x.mayRepeat():
		if x.reused.Load() && !x.sentWhole() {
			x.written.Store(false)
		}
	default:
		x.refuseRepeat()
	}
}

// sentWhole reports whether the server may have the whole request. With HTTP/1, net/http repeats what isn't safe to repeat only if it
// has written nothing.
func (x *Exchange) sentWhole() bool { return x.http2.Load() && x.whole.Load() }

// mayRepeat reports whether the transport may send the request, again if it was written whole before.
func (x *Exchange) mayRepeat() bool {
	switch {
	case !x.whole.Load():
		return true
	case x.once:
		return !x.http2.Load()
	}
	return x.repeats.Add(1) <= maxRepeats
}

// refuseRepeat ends the exchange.
func (x *Exchange) refuseRepeat() {
	x.repeated.Store(true)
	x.cancel()
}

// GuardBody keeps the transport from reading the body of req again for a request that must not be sent twice.
func (x *Exchange) GuardBody(req *http.Request) {
	getBody := req.GetBody
	if !x.once || getBody == nil {
		return
	}
	req.GetBody = func() (io.ReadCloser, error) {
		if x.sentWhole() {
			x.refuseRepeat()
			return nil, ErrRepeated
		}
		return getBody()
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
	case p.answered.Load() || p.written.Load() || p.repeated.Load():
		return false
	case errors.As(err, &dial) && dial.Op == "dial":
		return true
	}
	return p.asked.Load()
}
