package pipelines

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/seed-85ed9bfd/pipelines/internal/stall"
)

// RetryPolicy says how often a request is sent again, and how long the client waits before. Zero fields have their defaults.
type RetryPolicy struct {
	// MaxAttempts is how often a request is sent in all, not counting attempts with a 429. The default is
	// 5. With 1 there are no retries, and a 429 ends the call.
	MaxAttempts int
	// MinWait bounds the first wait, which is random. The bound doubles for each further wait. The default
	// is 500ms.
	MinWait time.Duration
	// MaxWait bounds every wait after a failure. The default is 30s, or MinWait if that is longer.
	MaxWait time.Duration
	// MaxRetryAfter is the longest Retry-After to wait for. A longer one ends the call at once. The default
	// is 1m; a negative one means that no Retry-After is waited for.
	MaxRetryAfter time.Duration
	// MaxQuotaWait is how long one call waits after 429s in all, in steps that grow to 30s. The default is
	// 1m.
	MaxQuotaWait time.Duration
}

func (p RetryPolicy) withDefaults() (RetryPolicy, error) {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"MaxAttempts", int64(p.MaxAttempts)}, {"MinWait", int64(p.MinWait)}, {"MaxWait", int64(p.MaxWait)},
		{"MaxRetryAfter", int64(p.MaxRetryAfter)}, {"MaxQuotaWait", int64(p.MaxQuotaWait)},
	} {
		if field.value < 0 && field.name != "MaxRetryAfter" {
			return p, fmt.Errorf("RetryPolicy.%s is negative", field.name)
		}
	}
	orDefault(&p.MaxAttempts, 5)
	orDefault(&p.MinWait, 500*time.Millisecond)
	orDefault(&p.MaxWait, max(30*time.Second, p.MinWait))
	orDefault(&p.MaxRetryAfter, time.Minute)
	p.MaxRetryAfter = max(0, p.MaxRetryAfter)
	orDefault(&p.MaxQuotaWait, time.Minute)
	if p.MinWait > p.MaxWait {
		return p, fmt.Errorf("RetryPolicy.MinWait %v is longer than MaxWait %v", p.MinWait, p.MaxWait)
	}
	return p, nil
}

// backoff is how long to wait after n failures before: what the service asks for, else a random time below a bound that
// doubles, so that clients which failed together don't come back together. It is at least that time where the service asks for
// less than a second, since a call may be refused as often as it likes.
func (p RetryPolicy) backoff(n int, asked time.Duration) time.Duration {
	return p.growing(n, asked, p.MaxWait)
}

// quotaBackoff is how long to wait for the quota after n refusals before. Its bound grows beyond a short MaxWait, because a
// call may be refused as often as it likes.
func (p RetryPolicy) quotaBackoff(n int, asked time.Duration) time.Duration {
	return p.growing(n, asked, max(p.MaxWait, 30*time.Second))
}

func (p RetryPolicy) growing(n int, asked, bound time.Duration) time.Duration {
	if asked >= time.Second {
		return min(asked, p.MaxRetryAfter)
	}
	if d := p.MinWait << min(n, 40); d > 0 && d>>min(n, 40) == p.MinWait && d < bound {
		bound = d
	}
	return max(asked, rand.N(bound)+1) //nolint:gosec // jitter needs no secrecy
}

// verdict is what a call decides at the end of an attempt.
type verdict struct {
	err   error // nil: success
	retry bool
	wait  time.Duration // before the next attempt
}

// loop makes the retry loop of a call. The call judges each attempt once, when it has ended; what the loop asks later is
// read from that verdict.
func (k *call) loop() *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient:     k.client.http,
		RetryMax:       math.MaxInt, // the verdict has the last word
		RequestLogHook: k.begin,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			k.verdict, k.judged = k.judge(ctx, resp, err), time.Now()
			return k.verdict.retry, nil
		},
		Backoff:      func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return k.verdict.wait },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// begin starts attempt n, counted from 0.
func (k *call) begin(_ retryablehttp.Logger, req *http.Request, n int) {
	k.held = 0
	if n > 0 {
		k.held = time.Since(k.judged)
	}
	k.attempts.Store(int32(n + 1)) //nolint:gosec // nobody tries so often
	k.attempt, k.verdict = new(attempt), verdict{}
	req.Header = k.requestHeader()
}

// judge decides about an attempt that has ended. A 2xx response is read first.
func (k *call) judge(ctx context.Context, resp *http.Response, err error) verdict {
	if err == nil && success(resp) && k.read != nil {
		err = k.read(resp)
	}
	switch {
	case err != nil:
		return k.judgeError(ctx, err)
	case success(resp):
		return verdict{}
	}
	return k.judgeResponse(ctx, resp)
}

func success(resp *http.Response) bool { return resp.StatusCode >= 200 && resp.StatusCode <= 299 }

// judgeResponse decides about a response that is no 2xx.
func (k *call) judgeResponse(ctx context.Context, resp *http.Response) verdict {
	e := k.apiError(resp)
	resp.Body = http.NoBody
	k.refusal = resp
	if !k.client.transport.own(resp.Request) {
		return k.judgeStorage(ctx, e)
	}
	once := k.at.op.safety == once
	switch {
	case e.StatusCode == http.StatusNotFound && e.Method == http.MethodDelete && k.unknown:
		return verdict{} // an earlier attempt deleted it
	case e.StatusCode == http.StatusTooManyRequests: // it had no effect
		return k.quotaVerdict(ctx, e)
	case e.StatusCode == http.StatusUnauthorized && k.renewCredentials(ctx): // neither had this
		return verdict{err: e, retry: ctx.Err() == nil}
	case mayHaveTakenEffect(e.StatusCode) && once:
		return verdict{err: &OutcomeUnknownError{Operation: k.at.op.Name, Err: e}}
	case mayHaveTakenEffect(e.StatusCode):
		k.unknown = true
		return k.retryVerdict(ctx, e, e.RetryAfter)
	case e.StatusCode == http.StatusRequestTimeout && !once:
		return k.retryVerdict(ctx, e, e.RetryAfter)
	}
	return verdict{err: e}
}

// apiError makes the error of a response. The stall timeout bounds the reading of its whole body.
func (k *call) apiError(resp *http.Response) *APIError {
	stalled := time.AfterFunc(k.client.transport.stall, func() { resp.Body.Close() })
	defer stalled.Stop()
	foreign := !k.client.transport.own(resp.Request)
	return newAPIError(k.at, int(k.attempts.Load()), resp, k.redactor(resp, foreign), foreign)
}

// judgeStorage decides about the response of a storage host. Only requests that read lead there.
func (k *call) judgeStorage(ctx context.Context, e *APIError) verdict {
	switch e.StatusCode {
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return k.retryVerdict(ctx, e, e.RetryAfter)
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		if !k.streams {
			return verdict{err: e}
		}
		if k.url != nil { // no redirect led there, so that the same request would go there again
			return verdict{err: &expiredLinkError{e, true}}
		}
		return k.retryVerdict(ctx, &expiredLinkError{e, false}, e.RetryAfter) // the API redirects to a fresh link
	}
	if mayHaveTakenEffect(e.StatusCode) {
		return k.retryVerdict(ctx, e, e.RetryAfter)
	}
	return verdict{err: e}
}

// retryVerdict sends the request again if the call has an attempt left.
func (k *call) retryVerdict(ctx context.Context, err error, asked time.Duration) verdict {
	k.failures++
	return verdict{
		err:   err,
		retry: k.failures < k.policy.MaxAttempts && ctx.Err() == nil && asked <= k.policy.MaxRetryAfter,
		wait:  k.policy.backoff(k.failures-1, asked),
	}
}

// quotaVerdict waits for the quota as long as the call may.
func (k *call) quotaVerdict(ctx context.Context, e *APIError) verdict {
	k.refusals++
	left := k.quotaWaitLeft()
	if !k.canWait() || ctx.Err() != nil || e.RetryAfter > min(k.policy.MaxRetryAfter, left) {
		return verdict{err: e}
	}
	wait := k.policy.quotaBackoff(k.refusals-1, e.RetryAfter)
	if c := k.client.transport.circuit; c != nil {
		wait = c.remaining()
	}
	wait = min(wait, left)
	k.quotaWait += wait
	return verdict{err: e, retry: true, wait: wait}
}

// canWait reports whether the call may go on waiting after a 429, its own or one that held it back. A poll ends instead, and
// the next poll comes later.
func (k *call) canWait() bool {
	switch {
	case k.policy.MaxAttempts == 1:
		return false
	case k.budget != nil:
		return k.refusals == 0
	}
	return k.quotaWait < k.policy.MaxQuotaWait
}

// quotaWaitLeft is how long the call may still wait for the quota.
func (k *call) quotaWaitLeft() time.Duration {
	if k.budget != nil {
		return longestDelay
	}
	return k.policy.MaxQuotaWait - k.quotaWait
}

// renewCredentials reports whether there is another token than the one that the API has just refused. It is asked for once.
func (k *call) renewCredentials(ctx context.Context) bool {
	source := k.client.transport.credentials
	if k.renewed || source == nil || k.authorization == "" {
		return false
	}
	k.renewed = true
	return source.renew(ctx, k.authorization)
}

// mayHaveTakenEffect reports whether a request with this status may have taken effect: server errors don't say how far it
// got.
func mayHaveTakenEffect(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported
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

// judgeError decides about an attempt without a response, or with one that can't be read.
func (k *call) judgeError(ctx context.Context, err error) verdict {
	sent := !k.neverSent(err)
	shown := k.locate(k.maskError(stripURL(err)))
	if sent && k.at.op.safety == once {
		return verdict{err: &OutcomeUnknownError{Operation: k.at.op.Name, Err: shown}}
	}
	k.unknown = k.unknown || sent
	switch {
	case permanent(err):
		return verdict{err: shown}
	case k.attempt.heldBack && ctx.Err() == nil && k.canWait(): // http.Client.Timeout has passed, and the quota is still waited for
		return verdict{err: shown, retry: true}
	}
	return k.retryVerdict(ctx, shown, 0)
}

// attempt records how far one attempt gets. The transport's own goroutines report some of it.
type attempt struct {
	heldBack   bool // by a used-up quota, until the attempt's time was up
	handedOver bool // to the inner transport
	answered   bool // a response came

	asked     atomic.Bool // the transport has asked for a connection, so it reports what it does
	connected atomic.Bool // and got one
	reused    atomic.Bool // which was used before
	written   atomic.Bool // part of the request may be on its way
	heard     atomic.Bool // part of a response came
}

// trace makes the hooks that record how far a request gets. Of a write the earliest sign counts, since a header that was
// written to a buffer may be on its way.
func (a *attempt) trace(exchange *stall.Exchange, method string) *httptrace.ClientTrace {
	hooks := &httptrace.ClientTrace{
		GetConn: func(string) { a.getConn() },
		GotConn: func(info httptrace.GotConnInfo) {
			a.connected.Store(true)
			a.reused.Store(info.Reused)
			exchange.GotConn(info)
		},
	}
	if method != http.MethodGet {
		hooks.WroteHeaderField = func(string, []string) { a.written.Store(true) }
		hooks.WroteHeaders = func() { a.written.Store(true) }
		hooks.GotFirstResponseByte = func() { a.heard.Store(true) }
	}
	return hooks
}

// getConn records that the transport asks for a connection. Where it asks again after a connection that was used before, that
// one was dead and nothing went out on it: else net/http would not take another. After a response, though, the user's transport
// asks for one, for a request of its own.
func (a *attempt) getConn() {
	a.asked.Store(true)
	if a.reused.Load() && !a.heard.Load() {
		a.written.Store(false)
	}
}

// neverSent reports whether the service can't have seen the request. A transport that doesn't report what it does is taken to
// have sent it.
func (k *call) neverSent(err error) bool {
	var dial *net.OpError
	a := k.attempt
	switch {
	case !a.handedOver:
		return true
	case a.answered || a.written.Load():
		return false
	case errors.As(err, &dial) && dial.Op == "dial":
		return true
	}
	return a.asked.Load()
}

// permanent reports whether another attempt would only bring the same error again.
func permanent(err error) bool {
	var certificate *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var alert tls.AlertError
	var redirect *redirectError
	var proxy *proxyError
	var shape *shapeError
	var answer *APIError
	switch {
	case errors.As(err, &certificate), errors.As(err, &notTLS), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch),
		errors.As(err, &redirect), errors.As(err, &proxy), errors.As(err, &shape), errors.Is(err, ErrResponseTooLarge), errors.Is(err, errHeldBack):
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

// retryAfter reads a Retry-After header, seconds or a date. A date counts from the response's own Date, because the two clocks
// may differ. 0: there is none, it is malformed or it has passed.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(value, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		const longest = 10 * 365 * 24 * 60 * 60 // keeps the product within a Duration
		if !(seconds > 0) {                     // NaN too
			return 0
		}
		return time.Duration(min(seconds, longest) * float64(time.Second))
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now))
}
