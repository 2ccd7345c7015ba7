package pipelines

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

// A request passes through these, from the outside in:
//
//	call.go       call.send builds it and returns the final error
//	retry.go      retryablehttp sends it again as call.classify decides
//	transport.go  http.Client follows redirects as checkRedirect decides; transport is limiter, credentials, stall guard and
//	              logging, once for each attempt and each redirect; inside is the user's Transport, or the standard one
//	decode.go     reads the response into a model

const maxRedirects = 5

// redirectError is a redirect that is not followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return "redirect refused: " + e.reason }

// checkRedirect follows at most five redirects, of reading requests only and never from https to http.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case via[0].Method != http.MethodGet && via[0].Method != http.MethodHead:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("more than %d in a row", maxRedirects)}
	case req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return &redirectError{"neither to http nor to https"}
	case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https":
		return &redirectError{"from https to http"}
	}
	return nil
}

// checkLocation finds a redirect that can't be followed before net/http does, whose error would show the link.
func checkLocation(resp *http.Response) error {
	location := resp.Header.Get("Location")
	if resp.StatusCode < 300 || resp.StatusCode > 399 || location == "" {
		return nil
	}
	if _, err := resp.Request.URL.Parse(location); err != nil {
		return &redirectError{"its location is malformed"}
	}
	return nil
}

// transport is the innermost layer of the package: all that happens once for each request that goes out. It is the only
// place that sets credentials.
type transport struct {
	inner     http.RoundTripper
	base      *url.URL
	authorize authorizer // nil: anonymous
	limiter   Limiter
	circuit   *circuit // nil: none
	logger    *slog.Logger
	hook      func(*http.Response)
	stall     time.Duration
}

// authorizer gives the value of the Authorization header.
type authorizer func(context.Context) (string, error)

func staticAuthorizer(value string) authorizer {
	return func(context.Context) (string, error) { return value, nil }
}

func basicAuthorizer(username, password string) authorizer {
	return staticAuthorizer("Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
}

// RoundTrip sends one request.
func (t *transport) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	k := callFrom(req.Context())
	if !t.own(req) {
		return t.exchange(req, foreignHeader(req.Header), k)
	}
	ctx := req.Context()
	ahead, err := t.admit(ctx, k)
	if err != nil {
		return nil, unsent(req, err)
	}
	defer func() { t.circuit.leave(ctx, ahead, resp) }() // of a request that panics too
	header, err := t.ownHeader(req, k)
	if err != nil {
		return nil, unsent(req, err)
	}
	if resp, err = t.exchange(req, header, k); err == nil && t.hook != nil {
		t.hook(withoutBody(resp))
	}
	return resp, err
}

func unsent(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close()
	}
	return &unsentError{err}
}

// exchange sends a request with the header that its host is to see.
func (t *transport) exchange(req *http.Request, header http.Header, k *call) (*http.Response, error) {
	start := time.Now()
	resp, err := t.guarded(req, header, k)
	t.log(req.Context(), k, resp, err, time.Since(start))
	if err != nil {
		return nil, err
	}
	resp.Request = req // the one that came in, which has no credentials
	if err := checkLocation(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// admit waits until the request may be sent. It is held back before the limiter is asked, so that those that were don't leave
// all at once, and enters last, since all others wait for the one that goes ahead.
func (t *transport) admit(ctx context.Context, k *call) (ahead bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := t.circuit.hold(ctx, k); err != nil {
		return false, err
	}
	if t.limiter != nil {
		if err := t.limiter.Wait(ctx); err != nil {
			return false, fmt.Errorf("limiter: %w", err)
		}
	}
	if k.budget != nil {
		if err := k.budget.take(ctx); err != nil {
			return false, err
		}
	}
	return t.circuit.enter(ctx, k)
}

// ownHeader is the header for the API, with the credentials.
func (t *transport) ownHeader(req *http.Request, k *call) (http.Header, error) {
	header := req.Header.Clone()
	header.Del("Authorization")
	if req.Response != nil { // net/http has set it, to the URL that redirected
		header.Del("Referer")
	}
	if t.authorize == nil || k.anonymous {
		return header, nil
	}
	value, err := t.authorize(req.Context())
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	k.authorization = value
	header.Set("Authorization", value)
	return header, nil
}

// own reports whether a request stays at the API: its origin is the base URL's, and so was that of every redirect before it.
// What a foreign host redirects to is that host's request, not ours.
func (t *transport) own(req *http.Request) bool {
	for sameOrigin(req.URL, t.base) {
		if req.Response == nil {
			return true
		}
		req = req.Response.Request
	}
	return false
}

func sameOrigin(a, b *url.URL) bool {
	return equalFold(a.Scheme, b.Scheme) && equalFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// equalFold ignores the case of ASCII only: letters of other alphabets that fold to it, such as the Kelvin sign, are longer.
func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

func port(u *url.URL) string {
	if u.Scheme == "http" {
		return cmp.Or(u.Port(), "80")
	}
	return cmp.Or(u.Port(), "443")
}

// foreignHeader is what a host other than the API gets to see: nothing that the user set.
func foreignHeader(header http.Header) http.Header {
	foreign := make(http.Header, 4)
	for _, name := range []string{"Accept", "Accept-Encoding", "If-Range", "Range", "User-Agent"} {
		if values := header[name]; values != nil {
			foreign[name] = values
		}
	}
	return foreign
}

var errStalled = errors.New("the connection stalled")

// guarded sends the request and gives it up when nothing arrives for too long.
func (t *transport) guarded(req *http.Request, header http.Header, k *call) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(t.stall, func() { cancel(errStalled) })
	if k.at.op.Method != http.MethodGet {
		_, tells := t.inner.(*http.Transport)
		k.attempt.traced.Store(tells)
		ctx = k.attempt.trace(ctx)
	}
	out := req.WithContext(ctx)
	u := *req.URL
	out.Header, out.URL = header, &u // the transport may take them for its own
	resp, err := t.inner.RoundTrip(out)
	timer.Stop()
	if resp == nil && err == nil {
		err = errors.New("the transport gave neither a response nor an error")
	}
	if err != nil {
		err = stallCause(ctx, err)
		cancel(nil)
		return nil, err
	}
	k.attempt.answered = true
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	resp.Body = &guardedBody{body: resp.Body, ctx: ctx, cancel: cancel, timer: timer, stall: t.stall, mask: k.maskError}
	return resp, nil
}

func stallCause(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// trace notes whether the request may have gone out. The earliest sign counts, since a header that was written to a buffer
// may be on its way.
func (a *attempt) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:          func(string) { a.traced.Store(true) },
		WroteHeaderField: func(string, []string) { a.written.Store(true) },
		WroteHeaders:     func() { a.written.Store(true) },
	})
}

// guardedBody is a response body that fails when nothing arrives for too long. The time a caller takes between two reads
// doesn't count.
type guardedBody struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // tells why a read failed
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
	mask   func(error) error // hides secrets: net/http quotes trailers that it can't read
}

func (b *guardedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.body.Read(p)
	b.timer.Stop()
	if err != nil && !isEnd(err) {
		err = b.mask(stallCause(b.ctx, err))
	}
	return n, err
}

func (b *guardedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.body.Close()
}

func (t *transport) log(ctx context.Context, k *call, resp *http.Response, err error, took time.Duration) {
	if t.logger == nil || !t.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", k.at.op.Name), slog.String("method", k.at.op.Method), slog.String("path", k.at.op.Path),
		slog.Int("attempt", k.attempts), slog.Duration("duration", took),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", k.maskError(stripURL(err)).Error()))
	} else {
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", k.masker().Text(requestID(resp.Header))))
	}
	t.logger.LogAttrs(ctx, slog.LevelDebug, "pipelines: request", attrs...)
}
