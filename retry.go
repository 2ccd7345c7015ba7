package pipelines

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/seed-85ed9bfd/pipelines/internal/circuit"
	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
	"github.com/seed-85ed9bfd/pipelines/internal/retrybudget"
)

const defaultAttempts = 5

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
	// is 1m, and for a 429 MaxQuotaWait if that is longer. A negative one means that no Retry-After is waited
	// for.
	MaxRetryAfter time.Duration
	// MaxQuotaWait is how long one call waits after 429s in all, in steps that grow to 30s. A 429 whose
	// Retry-After doesn't fit ends the call at once. The default is 1m, or MaxRetryAfter if that is longer.
	MaxQuotaWait time.Duration
	// RetryBudget is how many retries all calls of the client have together while the service answers none, as
	// in an outage. A call that is answered gives back as many as one call may use. Without any left, a
	// failure ends its call at once. 429s don't count. The default is 100, or MaxAttempts-1 if that is more. A
	// negative one means that there is no bound.
	RetryBudget int

	quotaRetryAfter time.Duration // MaxRetryAfter of a 429
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
	p.MaxAttempts = cmp.Or(p.MaxAttempts, defaultAttempts)
	p.RetryBudget = cmp.Or(p.RetryBudget, max(100, p.MaxAttempts-1))
	p.MinWait = cmp.Or(p.MinWait, 500*time.Millisecond)
	p.MaxWait = cmp.Or(p.MaxWait, max(30*time.Second, p.MinWait))
	retryAfter, quotaWait := p.MaxRetryAfter, p.MaxQuotaWait
	p.MaxRetryAfter = max(0, cmp.Or(retryAfter, time.Minute))
	p.MaxQuotaWait = cmp.Or(quotaWait, max(time.Minute, retryAfter))
	p.quotaRetryAfter = p.MaxRetryAfter
	if retryAfter == 0 {
		p.quotaRetryAfter = max(p.MaxRetryAfter, p.MaxQuotaWait)
	}
	if p.MinWait > p.MaxWait {
		return p, fmt.Errorf("RetryPolicy.MinWait %v is longer than MaxWait %v", p.MinWait, p.MaxWait)
	}
	return p, nil
}

// retryBudget returns a budget for one client, or nil if there is no bound.
func (p RetryPolicy) retryBudget() *retrybudget.Budget {
	if p.RetryBudget < 0 {
		return nil
	}
	return retrybudget.New(p.RetryBudget, max(p.MaxAttempts, defaultAttempts)-1) // calls may have more attempts than the client
}

// backoff returns how long to wait after a failure that follows n others: what the service asks for, or else a random time below a
// bound that doubles, so that clients which failed together don't retry together. If the service asks for less than a second, the
// random time counts too.
func (p RetryPolicy) backoff(n int, asked time.Duration) time.Duration {
	return p.growing(n, min(asked, p.MaxRetryAfter), p.MaxWait)
}

// quotaBackoff returns how long to wait after a 429 that follows n others. Its bound grows beyond a short MaxWait, because 429s don't
// use up attempts.
func (p RetryPolicy) quotaBackoff(n int, asked time.Duration) time.Duration {
	return p.growing(n, min(asked, p.quotaRetryAfter), max(p.MaxWait, 30*time.Second))
}

func (p RetryPolicy) growing(n int, asked, bound time.Duration) time.Duration {
	if asked >= time.Second {
		return asked
	}
	if d := p.MinWait << min(n, 40); d > 0 && d>>min(n, 40) == p.MinWait && d < bound {
		bound = d
	}
	return max(asked, rand.N(bound)+1) //nolint:gosec // jitter needs no secrecy
}

// sendAttempts sends the request as often as [call.judge] decides. It returns the last response or error.
func (k *call) sendAttempts(req *retryablehttp.Request) (*http.Response, error) {
	k.quota = circuit.Waiter{
		Rank: k.rank(), Limit: k.policy.MaxQuotaWait, Never: k.policy.MaxAttempts == 1 && !k.polls, Impatient: k.polls,
	}
	k.beginAttempt(req.Request)
	hc := *k.client.http
	hc.Transport = k
	loop := retryablehttp.Client{
		HTTPClient: &hc,
		RetryMax:   math.MaxInt, // the verdict has the last word
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			k.verdict, k.judged = k.judge(ctx, resp, err), time.Now()
			return k.verdict.retry, nil
		},
		Backoff:      func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return k.verdict.wait },
		PrepareRetry: func(req *http.Request) error { k.beginAttempt(req); return nil },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return loop.Do(req)
}

// rank orders the calls that wait for the quota: what changes something goes first, and polls go last.
func (k *call) rank() int {
	switch {
	case k.at.op.changes():
		return 0
	case k.polls:
		return 2
	}
	return 1
}

// beginAttempt prepares the request for the next attempt. A cookie jar adds to the header.
func (k *call) beginAttempt(req *http.Request) {
	k.backoff = 0
	if k.info.attempts.Add(1) > 1 {
		k.backoff = time.Since(k.judged)
	}
	k.exchange, k.quota.HeldBack, k.verdict = nil, false, verdict{}
	req.Header = k.header
	if k.client.http.Jar != nil {
		req.Header = k.header.Clone()
	}
}

// verdict is what a call decides at the end of an attempt, once for each.
type verdict struct {
	err      error // nil: success
	answered bool  // the service is there, and has done what it does
	retry    bool
	wait     time.Duration // before the next attempt
	unpaid   bool          // not retried for want of budget
}

// judge decides about an attempt that has ended. It reads a 2xx response first.
func (k *call) judge(ctx context.Context, resp *http.Response, err error) verdict {
	success := err == nil && resp.StatusCode >= 200 && resp.StatusCode <= 299
	if success && !k.streams {
		err = k.decode(resp)
	}
	switch {
	case err != nil:
		return k.judgeError(ctx, err)
	case success:
		return verdict{answered: true}
	}
	return k.judgeResponse(ctx, resp)
}

// judgeResponse decides about a response that isn't a 2xx.
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
		return verdict{answered: true} // an earlier attempt deleted it
	case e.StatusCode == http.StatusTooManyRequests: // which has no effect
		return k.quotaVerdict(ctx, e)
	case e.StatusCode == http.StatusUnauthorized && k.renewCredentials(ctx): // nor has this
		return verdict{err: e, retry: ctx.Err() == nil}
	case mayHaveTakenEffect(e.StatusCode) && once:
		return verdict{err: &OutcomeUnknownError{Operation: k.at.op.Name, Err: e}}
	case mayHaveTakenEffect(e.StatusCode):
		k.unknown = true
		return k.retryVerdict(ctx, e, e.RetryAfter)
	case e.StatusCode == http.StatusRequestTimeout && !once:
		return k.retryVerdict(ctx, e, e.RetryAfter)
	}
	return verdict{err: e, answered: e.StatusCode < 500 && e.StatusCode != http.StatusRequestTimeout}
}

// apiError makes the error of a response. The stall timeout bounds the reading of its whole body.
func (k *call) apiError(resp *http.Response) *APIError {
	stalled := time.AfterFunc(k.client.transport.stall, func() { resp.Body.Close() })
	defer stalled.Stop()
	foreign := !k.client.transport.own(resp.Request)
	return newAPIError(k.at, int(k.info.attempts.Load()), resp, k.redactor(resp, foreign), foreign)
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

// retryVerdict sends the request again if the call has an attempt left, and the client a retry.
func (k *call) retryVerdict(ctx context.Context, err error, asked time.Duration) verdict {
	k.failures++
	if k.failures >= k.policy.MaxAttempts || ctx.Err() != nil || asked > k.policy.MaxRetryAfter {
		return verdict{err: err}
	}
	if !k.client.transport.retries.Spend() {
		return verdict{err: err, unpaid: true}
	}
	return verdict{err: err, retry: true, wait: k.policy.backoff(k.failures-1, asked)}
}

// quotaVerdict waits for the quota as long as the call may.
func (k *call) quotaVerdict(ctx context.Context, e *APIError) verdict {
	k.quota.Refusals++
	left := k.quota.Left()
	if !k.quota.CanWait() || ctx.Err() != nil || e.RetryAfter > min(k.policy.quotaRetryAfter, left) {
		return verdict{err: e}
	}
	k.refused = e
	if k.client.transport.circuit != nil { // which makes the next attempt wait
		return verdict{err: e, retry: true}
	}
	wait := min(k.policy.quotaBackoff(k.quota.Refusals-1, e.RetryAfter), left)
	k.quota.Waited += wait
	return verdict{err: e, retry: true, wait: wait}
}

// renewCredentials reports whether there is another token than the one that the API has just refused. It asks for one once.
func (k *call) renewCredentials(ctx context.Context) bool {
	source := k.client.transport.credentials
	if k.renewed || source == nil || k.authorization == "" {
		return false
	}
	k.renewed = true
	return source.renew(ctx, k.authorization)
}

// mayHaveTakenEffect reports whether a request with this status may have taken effect.
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
	if k.quota.HeldBack && k.exchange == nil { // it was no attempt
		k.info.attempts.Add(-1)
		if k.refused != nil && ctx.Err() != nil {
			shown = fmt.Errorf("%w while waiting to try again after: %w", ctxtime.Err(ctx), k.refused)
		}
	}
	var held *heldBackError
	switch {
	case errors.As(err, &held):
		return verdict{err: held.err}
	case permanent(err):
		return verdict{err: shown}
	case k.quota.HeldBack && ctx.Err() == nil && k.quota.CanWait(): // http.Client.Timeout has passed, and the quota is still waited for
		return verdict{err: shown, retry: true}
	}
	return k.retryVerdict(ctx, shown, 0)
}

// locate adds the method and path to an error of the network, which says neither.
func (k *call) locate(err error) error {
	if k.at.path == "" {
		return err
	}
	return fmt.Errorf("%s %s: %w", k.at.op.Method, plainBraces.Replace(k.at.path), err)
}

// neverSent reports whether the service can't have seen the request.
func (k *call) neverSent(err error) bool {
	var proxy *proxyError
	return k.exchange == nil || errors.As(err, &proxy) || k.exchange.NothingSent(err)
}

// heldBackError ends a call that can't wait for the quota. It never was a response of the service.
type heldBackError struct{ err *APIError }

func (e *heldBackError) Error() string { return e.err.Error() }
func (e *heldBackError) Unwrap() error { return e.err }

// heldBack makes a [heldBackError] of the circuit's error. If the call itself has got a 429, the error is that one, with the time that
// is left now.
func (k *call) heldBack(err error) error {
	var held *circuit.HeldBackError
	if !errors.As(err, &held) {
		return err
	}
	until, left := "another has asked again", time.Until(held.Until)
	if left > 0 {
		until = held.Until.UTC().Format(time.RFC3339)
	}
	e := APIError{
		Operation: k.at.op.Name, Method: k.at.op.Method, Path: k.at.path, StatusCode: http.StatusTooManyRequests,
		Message: "nothing was sent, because another request got 429; requests are held back until " + until,
	}
	if k.refused != nil {
		e = *k.refused
	}
	e.Attempts, e.RetryAfter = int(k.info.attempts.Load())-1, 0
	if held.Asked && left > 0 {
		e.RetryAfter = (left + time.Millisecond - 1).Truncate(time.Millisecond)
	}
	return &heldBackError{&e}
}

// permanent reports whether another attempt would only bring the same error again.
func permanent(err error) bool {
	var certificate *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var alert tls.AlertError
	var redirect *redirectError
	var proxy *proxyError
	var shape *shapeError
	var tokenError *APIError // of the token endpoint
	switch {
	case errors.As(err, &certificate), errors.As(err, &notTLS), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch),
		errors.As(err, &redirect), errors.As(err, &proxy), errors.As(err, &shape), errors.Is(err, ErrResponseTooLarge):
		return true
	case errors.As(err, &tokenError):
		return tokenError.StatusCode < 500 && tokenError.StatusCode != http.StatusTooManyRequests
	}
	return false
}
