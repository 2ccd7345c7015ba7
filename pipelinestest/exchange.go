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

// exchange is one request and the answer to it, seen from the handler: an [http.ResponseWriter] whose body is a pipe.
type exchange struct {
	sent     *http.Request // as the client made it
	received *http.Request // as the handler sees it
	cancel   context.CancelFunc
	ready    chan struct{} // closed once resp or err is set
	resp     *http.Response
	err      error

	header    http.Header
	wrote     bool
	bodyless  bool
	remaining int64 // of the announced length; -1: none announced
	reader    *io.PipeReader
	writer    *io.PipeWriter
}

func newExchange(req *http.Request, body io.ReadCloser) (*exchange, error) {
	uri := req.URL.RequestURI() // what would be on the wire: a server parses it anew
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

// serve runs the handler. Its writes fail from the moment on at which the caller's context ends.
func (x *exchange) serve(ctx context.Context, h http.Handler) {
	stop := context.AfterFunc(ctx, func() { x.writer.CloseWithError(ctx.Err()) })
	defer func() {
		stop()
		x.received.Body.Close()
		x.finish(recover())
		x.cancel()
	}()
	h.ServeHTTP(x, x.received)
}

// finish finishes the answer, or breaks it off where the handler did.
func (x *exchange) finish(panicked any) {
	aborted := panicked == http.ErrAbortHandler //nolint:errorlint // net/http compares it so
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
	_ = x.writer.Close() // it never fails
}

// bodyError is why the body ends early: the caller's context if that has ended, else a lost connection.
func (x *exchange) bodyError() error {
	if err := x.sent.Context().Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// Header implements [http.ResponseWriter].
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements [http.ResponseWriter]. The caller has the response from here on.
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
	case len(p) == 0: // a pipe would wait for a reader
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

// Flush implements [http.Flusher]. Nothing but the header is ever held back.
func (x *exchange) Flush() { x.WriteHeader(http.StatusOK) }

// responseBody ends the handler's context when it is closed, as a closed connection would.
type responseBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *responseBody) Close() error {
	defer b.cancel()
	return b.PipeReader.Close()
}

// onceBody is a request body that is closed once, whoever comes first.
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
