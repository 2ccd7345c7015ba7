package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/circuit"
	"github.com/seed-85ed9bfd/pipelines/internal/exchange"
	"github.com/seed-85ed9bfd/pipelines/internal/retrybudget"
)

// A request goes through these files, and its response back:
//
//	call.go       call.send makes the request and returns the final error
//	retry.go      go-retryablehttp sends it again as call.judge decides
//	transport.go  call.RoundTrip sends it once: limiter, circuit, credentials, stall guard, log
//	redirect.go   http.Client follows redirects as checkRedirect decides
//	decode.go     call.decode reads the response into a model; errorbody.go reads an error

// transport is what all requests of a client share on their way out.
type transport struct {
	inner       http.RoundTripper // the user's, or the standard one
	base        *url.URL
	credentials credentials // nil: anonymous
	limiter     Limiter
	circuit     *circuit.Circuit    // nil: none
	retries     *retrybudget.Budget // nil: no bound
	quota       quotaNews
	logger      *slog.Logger
	observer    func(Attempt)
	stall       time.Duration
	guard       *exchange.Guard
}

// RoundTrip sends one request: an attempt, or one that follows a redirect. [http.Client] calls it.
func (k *call) RoundTrip(req *http.Request) (*http.Response, error) {
	t := k.client.transport
	if !t.own(req) {
		return k.roundTripForeign(req)
	}
	start, waited := time.Now(), k.quota.Waited
	passage, err := k.admit(req.Context())
	held := k.backoff + time.Since(start)
	if err != nil {
		return nil, k.unsent(req, err, held)
	}
	defer passage.Leave(nil) // also if the transport panics
	header, err := k.ownHeader(req)
	if ended := req.Context().Err(); err == nil && ended != nil { // just as the wait did: a transport may report nothing of such a request
		err, k.quota.HeldBack = ended, k.quota.Waited > waited
	}
	if err != nil {
		passage.Abandon()
		return nil, k.unsent(req, err, held)
	}
	start = time.Now()
	resp, err := k.sendOne(req, header)
	took := time.Since(start)
	passage.Leave(resp) // before logger and observer, which may call the client
	t.quota.take(resp, t.circuit)
	if t.logger != nil {
		k.log(req.Context(), resp, err, took)
	}
	if t.observer != nil {
		k.observe(Attempt{Response: resp, Err: err, Duration: took, Held: held})
	}
	return checkLocation(resp, err)
}

// roundTripForeign sends a request to a storage host: without credentials, limiter and circuit.
func (k *call) roundTripForeign(req *http.Request) (*http.Response, error) {
	ctx := context.WithValue(req.Context(), storageKey{}, &k.info)
	foreign := req.WithContext(ctx)
	foreign.Header = foreignHeader(req.Header)
	if req.Body != nil { // which a redirect with 307 or 308 takes along
		req.Body.Close()
		foreign.Body, foreign.GetBody, foreign.ContentLength = nil, nil, 0
	}
	start := time.Now()
	resp, err := k.sendOne(foreign, foreign.Header)
	if k.client.transport.logger != nil {
		k.log(ctx, resp, err, time.Since(start))
	}
	return checkLocation(resp, err)
}

// admit waits until the request may be sent.
func (k *call) admit(ctx context.Context) (circuit.Passage, error) {
	if err := ctx.Err(); err != nil {
		return circuit.Passage{}, err
	}
	if k.line != nil {
		if err := k.line.Pay(ctx); err != nil {
			return circuit.Passage{}, err
		}
	}
	if err := k.waitForLimiter(ctx); err != nil {
		return circuit.Passage{}, err
	}
	passage, err := k.client.transport.circuit.Enter(ctx, &k.quota)
	if err != nil {
		return passage, k.heldBack(err)
	}
	if k.line != nil {
		k.line.Sent()
	} else {
		k.client.following.scheduler.Other()
	}
	return passage, nil
}

// waitForLimiter asks the limiter, and the circuit before it, so that the requests that were held back don't leave all at once.
func (k *call) waitForLimiter(ctx context.Context) error {
	t := k.client.transport
	if t.limiter == nil {
		return nil
	}
	if err := t.circuit.Hold(ctx, &k.quota); err != nil {
		return k.heldBack(err)
	}
	if err := t.limiter.Wait(ctx); err != nil {
		return fmt.Errorf("limiter: %w", err)
	}
	return nil
}

// unsent ends a request of which nothing was sent.
func (k *call) unsent(req *http.Request, err error, held time.Duration) error {
	if req.Body != nil {
		req.Body.Close()
	}
	if k.client.transport.observer != nil {
		k.observe(Attempt{Err: err, Held: held})
	}
	return err
}

// ownHeader returns the header for the API. It is the only place that sets credentials.
func (k *call) ownHeader(req *http.Request) (http.Header, error) {
	header := req.Header.Clone()
	header.Del("Authorization")
	if req.Response != nil { // net/http has set it, to the URL that redirected
		header.Del("Referer")
	}
	source := k.client.transport.credentials
	if source == nil || k.public {
		return header, nil
	}
	value, err := source.authorize(req.Context())
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if k.authorization != "" && k.authorization != value { // an error may show the token before too
		k.secrets = append(k.secrets, credentialSecrets(k.authorization)...)
	}
	k.authorization = value
	header.Set("Authorization", value)
	return header, nil
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

// sendOne sends a request with the header that its host is to see, and gives it up when nothing arrives for too long.
func (k *call) sendOne(req *http.Request, header http.Header) (*http.Response, error) {
	t := k.client.transport
	x := t.guard.Start(req.Context(), k.at.op.Method, k.at.op.safety == once)
	k.exchange = x
	returned := false
	defer func() {
		if !returned { // the transport has panicked
			_ = x.Fail(nil)
		}
	}()
	out := req.WithContext(x.Context()) //nolint:contextcheck // it is made of the request's own
	u := *req.URL
	out.Header, out.URL = header, &u // the transport may take them for its own
	x.GuardBody(out)
	resp, err := t.inner.RoundTrip(out)
	returned = true
	if resp == nil && err == nil {
		err = errors.New("the transport returned neither a response nor an error")
	}
	if err != nil {
		return nil, proxyFailure(t.inner, out, x, x.Fail(err))
	}
	own := *resp // a transport may use one response for several requests
	if own.Body == nil {
		own.Body = http.NoBody
	}
	own.Body = x.Body(&own, k.maskError) // net/http quotes trailers that it can't read
	own.Request = req                    // the one that came in, which has no credentials
	return &own, nil
}

// log logs a request that was sent.
func (k *call) log(ctx context.Context, resp *http.Response, err error, took time.Duration) {
	logger := k.client.transport.logger
	if !logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", k.at.op.Name), slog.String("method", k.at.op.Method), slog.String("path", k.at.op.Path),
		slog.Bool("storage", isStorage(ctx)), slog.Int("attempt", int(k.info.attempts.Load())), slog.Duration("duration", took),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", k.maskError(stripURL(err)).Error()))
	} else {
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", k.masker().Text(requestID(resp.Header))))
	}
	logger.LogAttrs(ctx, slog.LevelDebug, "pipelines: request", attrs...)
}

// observe reports an attempt that has ended to [WithObserver].
func (k *call) observe(a Attempt) {
	a.Operation, a.Number = k.at.op.Operation, int(k.info.attempts.Load())
	a.Response = withoutBody(a.Response) //nolint:bodyclose // it has none
	if a.Err != nil {
		a.Err = k.maskError(stripURL(a.Err))
	}
	k.client.transport.observer(a)
}
