package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/stall"
)

// A request passes through these, from the outside in:
//
//	call.go       call.send builds it and returns the final error
//	retry.go      retryablehttp sends it again as call.judge decides
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
func checkLocation(resp *http.Response, err error) (*http.Response, error) {
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 || resp.Header.Get("Location") == "" {
		return resp, err
	}
	if _, err := resp.Request.URL.Parse(resp.Header.Get("Location")); err != nil {
		resp.Body.Close()
		return nil, &redirectError{"its location is malformed"}
	}
	return resp, nil
}

// transport is the innermost layer of the package: all that happens once for each request that goes out. It is the only
// place that sets credentials.
type transport struct {
	inner       http.RoundTripper
	base        *url.URL
	credentials credentials // nil: anonymous
	limiter     Limiter
	circuit     *circuit // nil: none
	logger      *slog.Logger
	observer    func(Attempt)
	stall       time.Duration
	guard       *stall.Guard
}

// RoundTrip sends one request.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	k := callFrom(req.Context())
	if !t.own(req) {
		start := time.Now()
		resp, err := t.send(req, foreignHeader(req.Header), k)
		t.log(req.Context(), k, resp, err, time.Since(start))
		return checkLocation(resp, err)
	}
	began := time.Now()
	passage, err := t.admit(req.Context(), k)
	held := k.held + time.Since(began)
	if err != nil {
		t.observe(k, Attempt{Err: err, Held: held})
		return nil, unsent(req, err)
	}
	defer passage.leave(nil) // of a request that panics too
	header, err := t.ownHeader(req, k)
	if err != nil {
		passage.leave(nil)
		t.observe(k, Attempt{Err: err, Held: held})
		return nil, unsent(req, err)
	}
	start := time.Now()
	resp, err := t.send(req, header, k)
	took := time.Since(start)
	passage.leave(resp) // logger and observer may call the client
	t.log(req.Context(), k, resp, err, took)
	t.observe(k, Attempt{Response: resp, Err: err, Duration: took, Held: held})
	return checkLocation(resp, err)
}

// observe reports an attempt that has ended.
func (t *transport) observe(k *call, a Attempt) {
	if t.observer == nil {
		return
	}
	a.Operation, a.Number = k.at.op.Operation, int(k.attempts.Load())
	if a.Response != nil {
		a.Response = withoutBody(a.Response) //nolint:bodyclose // it has none
	}
	if a.Err != nil {
		a.Err = k.maskError(stripURL(a.Err))
	}
	t.observer(a)
}

// unsent ends a request before anything was sent.
func unsent(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close()
	}
	return err
}

// admit waits until the request may be sent. The circuit is asked before the limiter, so that the requests that it held back
// don't leave all at once, and after it, since all others wait for the probe.
func (t *transport) admit(ctx context.Context, k *call) (*passage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := t.circuit.hold(ctx, k); err != nil {
		return nil, err
	}
	if t.limiter != nil {
		if err := t.limiter.Wait(ctx); err != nil {
			return nil, fmt.Errorf("limiter: %w", err)
		}
	}
	if k.budget != nil {
		if err := k.budget.Take(ctx); err != nil {
			return nil, err
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
	if t.credentials == nil || k.anonymous {
		return header, nil
	}
	value, err := t.credentials.authorize(req.Context())
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

// equalFold reports whether a and b are the same but for the case of ASCII letters. Letters of other alphabets that Unicode
// folds together make different DNS names.
func equalFold(a, b string) bool {
	return len(a) == len(b) && asciiLower(a) == asciiLower(b)
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

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

// send sends a request with the header that its host is to see, and gives it up when nothing arrives for too long.
func (t *transport) send(req *http.Request, header http.Header, k *call) (*http.Response, error) {
	exchange := t.guard.Start(req.Context())
	a := k.attempt
	out := req.WithContext(httptrace.WithClientTrace(exchange.Context(), a.trace(exchange, k.at.op.Method))) //nolint:contextcheck // it is made of the request's own
	u := *req.URL
	out.Header, out.URL = header, &u // the transport may take them for its own
	a.handedOver = true
	resp, err := t.inner.RoundTrip(out)
	if resp == nil && err == nil {
		err = errors.New("the transport gave neither a response nor an error")
	}
	if err != nil {
		return nil, t.proxyFailure(out, a, exchange.Fail(err))
	}
	a.answered = true
	own := *resp // a transport may use one response for several requests
	if own.Body == nil {
		own.Body = http.NoBody
	}
	own.Body = exchange.Body(own.Body, k.maskError) // net/http quotes trailers that it can't read
	own.Request = req                               // the one that came in, which has no credentials
	return &own, nil
}

func (t *transport) log(ctx context.Context, k *call, resp *http.Response, err error, took time.Duration) {
	if t.logger == nil || !t.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", k.at.op.Name), slog.String("method", k.at.op.Method), slog.String("path", k.at.op.Path),
		slog.Int("attempt", int(k.attempts.Load())), slog.Duration("duration", took),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", k.maskError(stripURL(err)).Error()))
	} else {
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", k.masker().Text(requestID(resp.Header))))
	}
	t.logger.LogAttrs(ctx, slog.LevelDebug, "pipelines: request", attrs...)
}
