package pipelinestest

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
)

// exchange is a request and its response without a socket. It is the handler's [http.ResponseWriter]; the body is a pipe.
type exchange struct {
	sent     *http.Request // the client's request
	received *http.Request // the handler's request
	cancel   context.CancelFunc
	ready    chan struct{} // closed once resp or err is set
	resp     *http.Response
	err      error

	header    http.Header
	wrote     bool
	bodyless  bool
	remaining int64 // of Content-Length; -1: none was sent
	reader    *io.PipeReader
	writer    *io.PipeWriter
}

func newExchange(req *http.Request, body io.ReadCloser) (*exchange, error) {
	uri := req.URL.RequestURI() // a server parses the request line
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	x := &exchange{sent: req, ready: make(chan struct{}), header: http.Header{}, remaining: -1}
	x.reader, x.writer = io.Pipe()
	ctx, cancel := context.WithCancel(context.WithValue(req.Context(), inProcessKey{}, true))
	x.cancel = cancel
	x.received = (&http.Request{
		Method: cmp.Or(req.Method, http.MethodGet), URL: u, RequestURI: uri, Host: cmp.Or(req.Host, req.URL.Host),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "192.0.2.1:1234",
		Header: req.Header.Clone(), Body: body, ContentLength: req.ContentLength,
	}).WithContext(ctx)
	if x.received.Header == nil {
		x.received.Header = http.Header{}
	}
	if req.URL.Scheme == "https" {
		x.received.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: req.URL.Hostname()}
	}
	return x, nil
}

// serve runs the handler. The handler's writes fail once the client's context ends.
func (x *exchange) serve(ctx context.Context, h http.Handler) {
	stop := context.AfterFunc(ctx, func() { x.writer.CloseWithError(ctx.Err()) })
	returned := false
	defer func() {
		panicked := recover()
		if panicked == nil && !returned { // it has ended its goroutine
			panicked = http.ErrAbortHandler
		}
		stop()
		x.received.Body.Close()
		x.finish(panicked)
		x.cancel()
	}()
	h.ServeHTTP(x, x.received)
	returned = true
}

// finish ends the response, or breaks it off if the handler aborted.
func (x *exchange) finish(panicked any) {
	aborted := panicked == http.ErrAbortHandler //nolint:errorlint // net/http compares it the same way
	switch {
	case panicked != nil && !aborted:
		panic(panicked)
	case aborted && !x.wrote:
		x.err = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
		close(x.ready)
		return
	}
	x.WriteHeader(http.StatusOK)
	if aborted || x.remaining > 0 && !x.bodyless {
		x.writer.CloseWithError(x.bodyError())
		return
	}
	_ = x.writer.Close() // never fails
}

// bodyError is the error of a body that ends early: that of the client's context if it has ended, else a lost connection.
func (x *exchange) bodyError() error {
	if err := x.sent.Context().Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// Header implements [http.ResponseWriter].
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements [http.ResponseWriter]. It hands the response to the client.
func (x *exchange) WriteHeader(status int) {
	if x.wrote || status < 200 {
		return
	}
	x.wrote = true
	if n, err := strconv.ParseInt(x.header.Get("Content-Length"), 10, 64); err == nil {
		x.remaining = n
	}
	x.resp = &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.header.Clone(), ContentLength: x.remaining, Request: x.sent,
		Body: &responseBody{x.reader, x.cancel},
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		x.resp.ContentLength = 0
		x.bodyless = true
	}
	if x.received.Method == http.MethodHead {
		x.bodyless = true
	}
	close(x.ready)
}

// Write implements [http.ResponseWriter].
func (x *exchange) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	switch {
	case x.bodyless:
		return 0, http.ErrBodyNotAllowed
	case len(p) == 0: // a pipe would block until it is read
		return 0, nil
	case x.remaining < 0:
		return x.writer.Write(p)
	case int64(len(p)) > x.remaining:
		return 0, http.ErrContentLength
	}
	n, err := x.writer.Write(p)
	x.remaining -= int64(n)
	return n, err
}

// Flush implements [http.Flusher]. Only the header is ever buffered.
func (x *exchange) Flush() { x.WriteHeader(http.StatusOK) }

// responseBody cancels the handler's context when it is closed, as closing a connection does.
type responseBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *responseBody) Close() error {
	defer b.cancel()
	return b.PipeReader.Close()
}

// onceBody is a request body that is closed at most once.
type onceBody struct {
	io.Reader
	close func() error
}

func newOnceBody(body io.ReadCloser) io.ReadCloser {
	if body == nil {
		body = http.NoBody
	}
	return &onceBody{body, sync.OnceValue(body.Close)}
}

func (b *onceBody) Close() error { return b.close() }
