package pipelines

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// attempt watches how far one attempt gets.
type attempt struct {
	traced   atomic.Bool // the transport tells when it writes
	written  atomic.Bool // part of the request may be on its way
	answered bool        // a response came
}

// newRetryClient makes the retry loop. What is retried and how long is waited is the call's own business.
func newRetryClient(hc *http.Client, t *transport, p RetryPolicy) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient: hc,
		RetryMax:   p.MaxAttempts - 1,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			return callFrom(ctx).classify(ctx, resp, err), nil
		},
		RequestLogHook: func(_ retryablehttp.Logger, req *http.Request, n int) {
			callFrom(req.Context()).begin(n + 1)
		},
		PrepareRetry: func(req *http.Request) error {
			req.Header = callFrom(req.Context()).requestHeader()
			return nil
		},
		Backoff: func(_, _ time.Duration, n int, resp *http.Response) time.Duration {
			if t.circuit != nil && t.circuit.refuses(resp) && t.own(resp.Request) {
				return t.circuit.remaining()
			}
			return p.backoff(n, resp)
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

func (k *call) begin(n int) {
	k.attempts, k.attempt, k.retrying = n, new(attempt), false
}

// backoff is how long to wait after attempt n, counted from 0: what the service asks for, else a random time below a bound
// that doubles, so that clients which failed together don't come back together.
func (p RetryPolicy) backoff(n int, resp *http.Response) time.Duration {
	if resp != nil && !success(resp) {
		if d := retryAfter(resp.Header); d > 0 {
			return min(d, p.MaxRetryAfter)
		}
	}
	bound := p.MaxWait
	if d := p.MinWait << min(n, 30); d > 0 && d < bound {
		bound = d
	}
	return rand.N(bound) + 1 //nolint:gosec // jitter needs no secrecy
}

// classify looks at an attempt's end, keeps its error and says whether the request is sent again. The retry loop asks it
// once more after the answer was read.
func (k *call) classify(ctx context.Context, resp *http.Response, err error) bool {
	switch {
	case err != nil:
		k.retrying = k.classifyError(ctx, err)
	case success(resp):
		k.err, k.retrying = nil, false
	case resp != k.answer: // else it was read and judged the first time
		k.answer = resp
		k.retrying = k.classifyAnswer(ctx, resp)
	}
	return k.retrying
}

func success(resp *http.Response) bool { return resp.StatusCode >= 200 && resp.StatusCode <= 299 }

// classifyAnswer looks at an answer that is no success.
func (k *call) classifyAnswer(ctx context.Context, resp *http.Response) bool {
	e := newAPIError(k, resp)
	resp.Body = http.NoBody
	k.err = e
	again := false
	switch {
	case e.StatusCode == http.StatusNotFound && e.Method == http.MethodDelete && k.unknown:
		k.err = nil // an earlier attempt deleted it
	case e.StatusCode == http.StatusTooManyRequests: // refused, so it can't have taken effect
		k.refusals++
		again = k.patient()
	case mayHaveTakenEffect(e.StatusCode) && k.at.op.safety == once:
		k.err = &OutcomeUnknownError{Operation: k.at.op.Name, Err: e}
	case mayHaveTakenEffect(e.StatusCode):
		k.unknown = true
		again = true
	case k.streams && k.expiredLink(resp):
		k.err = &expiredLinkError{e, k.url != nil}
		again = k.url == nil // the API redirects to a fresh link
	}
	return again && ctx.Err() == nil && e.RetryAfter <= k.client.policy.MaxRetryAfter
}

// mayHaveTakenEffect holds for server errors that say nothing about how far the request got.
func mayHaveTakenEffect(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported
}

// expiredLink holds for a storage host that refuses a signed link which the API gave out before.
func (k *call) expiredLink(resp *http.Response) bool {
	if k.client.transport.own(resp.Request) {
		return false
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		return true
	}
	return false
}

// expiredLinkError is a storage host's refusal of a link. Another link may do.
type expiredLinkError struct {
	err    error
	direct bool // no redirect led there, so that the same request would go there again
}

func (e *expiredLinkError) Error() string {
	return "the storage host refuses the link: " + e.err.Error()
}

func (e *expiredLinkError) Unwrap() error { return e.err }

// classifyError looks at an attempt that brought no answer, or one that couldn't be read.
func (k *call) classifyError(ctx context.Context, err error) bool {
	k.err = k.locate(k.maskError(stripURL(err)))
	sent := !k.neverSent(err)
	if sent && k.at.op.safety == once {
		k.err = &OutcomeUnknownError{Operation: k.at.op.Name, Err: k.err}
		return false
	}
	k.unknown = k.unknown || sent
	return ctx.Err() == nil && !permanent(err)
}

// patient holds while the call can wait through another refusal for want of quota.
func (k *call) patient() bool {
	if k.budget != nil { // a poll has its own patience
		return k.refusals == 0
	}
	return k.refusals < k.client.policy.MaxAttempts
}

// neverSent holds if the service can't have seen the request. A transport that doesn't trace is taken to have sent it.
func (k *call) neverSent(err error) bool {
	var unsent *unsentError
	var dial *net.OpError
	switch {
	case errors.As(err, &unsent):
		return true
	case k.attempt.answered || k.attempt.written.Load():
		return false
	case errors.As(err, &dial) && dial.Op == "dial":
		return true
	}
	return k.attempt.traced.Load()
}

// permanent holds for errors that another attempt would only bring again.
func permanent(err error) bool {
	var certificate *tls.CertificateVerificationError
	var redirect *redirectError
	var shape *shapeError
	var answer *APIError
	switch {
	case errors.As(err, &certificate), errors.As(err, &redirect), errors.As(err, &shape), errors.Is(err, ErrResponseTooLarge), errors.Is(err, errHeldBack):
		return true
	case errors.As(err, &answer): // of the token endpoint
		return answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests
	}
	return false
}

// stripURL takes the URLs out of an error of net/http: links to storage are signed, and queries may hold secured values.
func stripURL(err error) error {
	var withURL *url.Error
	for errors.As(err, &withURL) {
		err = withURL.Err
	}
	return err
}

// unsentError is a failure before anything was sent.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }

func (e *unsentError) Unwrap() error { return e.err }

// RetryPolicy says how often and how patiently a request is tried again. Zero fields have their defaults.
type RetryPolicy struct {
	MaxAttempts   int           // sends in all; default 5, 1: no retries
	MinWait       time.Duration // bound of the first wait, doubled for each further one; default 500ms
	MaxWait       time.Duration // bound of any wait that the service doesn't ask for; default 30s
	MaxRetryAfter time.Duration // longest Retry-After that is waited for; a longer one ends the call at once; default 1m
}

func (p RetryPolicy) withDefaults() (RetryPolicy, error) {
	if p.MaxAttempts < 0 || p.MinWait < 0 || p.MaxWait < 0 || p.MaxRetryAfter < 0 {
		return p, errors.New("negative value")
	}
	orDefault(&p.MaxAttempts, 5)
	orDefault(&p.MinWait, 500*time.Millisecond)
	orDefault(&p.MaxWait, max(30*time.Second, p.MinWait))
	orDefault(&p.MaxRetryAfter, time.Minute)
	if p.MinWait > p.MaxWait {
		return p, fmt.Errorf("MinWait %v is longer than MaxWait %v", p.MinWait, p.MaxWait)
	}
	return p, nil
}
