package pipelines

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hashicorp/go-retryablehttp"
)

// A request passes through these, from the outside in:
//
//	call.send        builds it and gives the final error
//	retryablehttp    sends it again as call.classify says
//	http.Client      follows redirects as checkRedirect says
//	transport        limiter, credentials, stall guard, logging: one for each attempt and each redirect
//	the user's Transport, or the standard one

const (
	maxJSONBody    = 32 << 20
	maxJSONObjects = 1 << 18 // nulls in their place too: each takes a few bytes of JSON and hundreds of memory
	maxPooledBody  = 1 << 20
	maxRedirects   = 5
)

// decodeOptions tolerate what the service may send. Unknown members and null are no error to begin with.
var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// encodeOptions write the secrets that the models leave out when anybody else marshals them.
var encodeOptions = json.JoinOptions(json.Deterministic(true), json.WithMarshalers(json.JoinMarshalers(
	json.MarshalToFunc(encodeVariable), json.MarshalToFunc(encodeVariableUpdate), json.MarshalToFunc(encodeKeyPair),
)))

// call is one call of a method: the request, and what has become of it so far. It travels in the request's context.
type call struct {
	client     *Client
	at         endpoint
	url        *url.URL // in place of the endpoint's, for links of the service
	extraQuery url.Values
	header     http.Header
	body       []byte
	streams    bool // the answer's body is left to the caller
	anonymous  bool // sent without credentials
	into       **http.Response
	budget     *budget  // pays for each request; nil: none
	secrets    []string // what the request carries and no error may repeat

	attempts      int
	refusals      int            // for want of quota: of its own, and of others while it was held back
	attempt       *attempt       // the current one
	unknown       bool           // an attempt may have taken effect, and its outcome isn't known
	retrying      bool           // the last attempt is worth another
	authorization string         // as last sent, to keep it out of errors
	answer        *http.Response // the last one that was no success
	err           error          // of the last attempt
}

type callKey struct{}

// attempt watches how far one attempt gets.
type attempt struct {
	traced   atomic.Bool // the transport tells when it writes
	written  atomic.Bool // part of the request may be on its way
	answered bool        // a response came
}

// rawBody is a request body that is no JSON value to encode.
type rawBody struct {
	contentType string
	data        []byte
	hidden      []string
}

func (b rawBody) secrets() []string { return b.hidden }

func (c *Client) newCall(ctx context.Context, at endpoint, body any, opts []CallOption) (*call, error) {
	k := &call{client: c, at: at, header: make(http.Header, 4)}
	if ctx == nil {
		return nil, k.wrap(invalidArgument("context is nil"))
	}
	if at.err != nil {
		return nil, k.wrap(at.err)
	}
	k.header.Set("Accept", "application/json")
	k.header.Set("User-Agent", c.userAgent)
	if err := k.encode(body); err != nil {
		return nil, k.wrap(invalidArgument("body cannot be encoded: %w", err))
	}
	if carrier, ok := body.(interface{ secrets() []string }); ok {
		k.secrets = carrier.secrets()
	}
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(k); err != nil {
			return nil, k.wrap(err)
		}
	}
	return k, k.checkReplay()
}

// checkReplay refuses the headers by which net/http takes a request for one that it may send again by itself. Bitbucket
// doesn't know them, and would carry such a request out twice.
func (k *call) checkReplay() error {
	if k.at.op.safety == idempotent {
		return nil
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, set := k.header[name]; set {
			return k.wrap(invalidArgument("header %s makes no request of Bitbucket's safe to repeat", name))
		}
	}
	return nil
}

func (k *call) wrap(err error) error {
	return fmt.Errorf("pipelines: %s: %w", k.at.op.Name, err)
}

func (k *call) encode(body any) (err error) {
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
		return nil
	case rawBody:
		contentType, k.body = b.contentType, b.data
	case []byte:
		k.body = b
	default:
		k.body, err = json.Marshal(body, encodeOptions)
	}
	k.header.Set("Content-Type", contentType)
	return err
}

// requestURL is the base URL with the endpoint's path and query, or the link to follow.
func (k *call) requestURL() (*url.URL, error) {
	if k.url != nil && len(k.extraQuery) == 0 {
		return k.url, nil
	}
	u := *k.client.base
	query := k.at.query
	if k.url != nil {
		u, query = *k.url, k.url.Query()
	} else {
		path, err := url.PathUnescape(k.at.path)
		if err != nil {
			return nil, invalidArgument("path: %w", err)
		}
		u.RawPath = u.EscapedPath() + k.at.path
		u.Path += path
	}
	u.RawQuery = mergeQuery(query, k.extraQuery).Encode()
	return &u, nil
}

func mergeQuery(query, extra url.Values) url.Values {
	if len(extra) == 0 {
		return query
	}
	merged := make(url.Values, len(query)+len(extra))
	for key, values := range query {
		merged[key] = values
	}
	for key, values := range extra {
		merged[key] = values
	}
	return merged
}

// send carries the call out. handle, which may be nil, reads a 2xx answer; its error counts as the attempt's.
func (k *call) send(ctx context.Context, handle retryablehttp.ResponseHandlerFunc) (*http.Response, error) {
	u, err := k.requestURL()
	if err != nil {
		return nil, k.wrap(err)
	}
	httpRequest := &http.Request{
		Method: k.at.op.Method, URL: u, Host: u.Host, Header: k.requestHeader(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	req := &retryablehttp.Request{Request: httpRequest.WithContext(context.WithValue(ctx, callKey{}, k))}
	if k.body != nil {
		if err := req.SetBody(k.body); err != nil {
			return nil, k.wrap(err)
		}
	}
	if handle != nil {
		req.SetResponseHandler(func(resp *http.Response) error {
			if !success(resp) { // classify has read it
				return nil
			}
			return handle(resp)
		})
	}
	resp, err := k.client.retry.Do(req)
	k.publish(resp)
	if k.err == nil && err == nil {
		return resp, nil
	}
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	return nil, k.failure(ctx, err)
}

// requestHeader is the header of one attempt. A cookie jar adds to it.
func (k *call) requestHeader() http.Header {
	if k.client.retry.HTTPClient.Jar == nil {
		return k.header
	}
	return k.header.Clone()
}

// sendJSON carries the call out and decodes the answer into out, as [Client.Do] says.
func (k *call) sendJSON(ctx context.Context, out any) error {
	resp, err := k.send(ctx, func(resp *http.Response) error { return k.decode(resp, out) })
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sendStream carries the call out and leaves the answer's body to the caller.
func (k *call) sendStream(ctx context.Context, header http.Header) (*http.Response, error) {
	k.streams = true
	for key, values := range header {
		k.header[key] = values
	}
	return k.send(ctx, nil)
}

// publish hands the last response, nil if there is none, to [WithResponse].
func (k *call) publish(resp *http.Response) {
	switch {
	case k.into == nil:
	case resp == nil:
		*k.into = nil
	default:
		*k.into = withoutBody(resp) //nolint:bodyclose // it has none
	}
}

func withoutBody(resp *http.Response) *http.Response {
	bare := *resp
	bare.Body = http.NoBody
	return &bare
}

// failure is the error of a call that has come to its end, err being what the retry loop says of it.
func (k *call) failure(ctx context.Context, err error) error {
	if k.err == nil { // the loop ended before it sent anything
		return k.wrap(stripURL(err))
	}
	// An error of net/http tells the context's cause alone, and one of the service not what has cut its body off.
	if ended := ctx.Err(); ended != nil && !errors.Is(k.err, ended) {
		if k.retrying {
			return k.wrap(fmt.Errorf("%w while waiting to try again after: %w", ended, k.err))
		}
		return k.wrap(fmt.Errorf("%w: %w", ended, k.err))
	}
	switch k.err.(type) { //nolint:errorlint // these two name the operation and the attempts themselves
	case *APIError, *OutcomeUnknownError:
		return k.err
	case *expiredLinkError:
		return k.wrap(k.err)
	}
	if k.attempts > 1 {
		return k.wrap(fmt.Errorf("%w (after %d attempts)", k.err, k.attempts))
	}
	return k.wrap(k.err)
}

// locate says what was asked for, which an error of the network doesn't.
func (k *call) locate(err error) error {
	if k.at.path == "" {
		return err
	}
	return fmt.Errorf("%s %s: %w", k.at.op.Method, k.at.path, err)
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

func callFrom(ctx context.Context) *call {
	k, _ := ctx.Value(callKey{}).(*call)
	return k
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
	var answer *APIError
	switch {
	case errors.As(err, &certificate), errors.As(err, &redirect), errors.Is(err, ErrResponseTooLarge), errors.Is(err, errHeldBack):
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

// unreadableError says that the answer has a good status and a body that can't be used.
type unreadableError struct {
	status int
	err    error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("the service answered %d, but its body cannot be read: %v", e.status, e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

var bodyPool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// decode reads a 2xx answer into out.
func (k *call) decode(resp *http.Response, out any) error {
	defer resp.Body.Close()
	buf := bodyPool.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxPooledBody {
			bodyPool.Put(buf)
		}
	}()
	buf.Reset()
	if err := readBounded(buf, resp); err != nil {
		return &unreadableError{resp.StatusCode, err}
	}
	if err := k.decodeBody(buf.Bytes(), resp, out); err != nil {
		return &unreadableError{resp.StatusCode, err}
	}
	return nil
}

func readBounded(buf *bytes.Buffer, resp *http.Response) error {
	if n := resp.ContentLength; n > 0 && n <= maxJSONBody {
		buf.Grow(int(n) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, maxJSONBody+1))
	if n > maxJSONBody {
		return ErrResponseTooLarge
	}
	return err
}

func (k *call) decodeBody(body []byte, resp *http.Response, out any) error {
	switch into := out.(type) {
	case nil:
		return k.checkPage(resp)
	case *[]byte:
		*into = bytes.Clone(body)
		return nil
	}
	switch text := bytes.TrimSpace(body); {
	case len(text) == 0 && k.mayBeEmpty(resp):
		return nil
	case len(text) == 0:
		return errors.New("it is empty")
	case string(text) == "null" && !k.at.op.custom():
		return errors.New("it is null")
	case len(body) > maxJSONObjects && bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("null")) > maxJSONObjects:
		return ErrResponseTooLarge
	}
	err := json.Unmarshal(body, out, decodeOptions)
	if err != nil { // a further attempt starts from nothing
		reflect.ValueOf(out).Elem().SetZero()
	}
	return jsonError(err)
}

// checkPage refuses a web page where an operation answers with nothing of use: it comes from something between the service and
// here, which may have passed nothing on.
func (k *call) checkPage(resp *http.Response) error {
	if !k.at.op.custom() && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return errors.New("it is a web page")
	}
	return nil
}

// mayBeEmpty holds for answers that don't claim to have content.
func (k *call) mayBeEmpty(resp *http.Response) bool {
	switch {
	case k.at.emptyOK:
		return true
	case k.at.op.custom():
		return k.at.op.Method == http.MethodHead || !strings.Contains(resp.Header.Get("Content-Type"), "json")
	}
	return resp.StatusCode == http.StatusNoContent && k.at.op.Method == http.MethodPut
}

// jsonError tells where a JSON text doesn't fit without repeating any of it.
func jsonError(err error) error {
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic):
		return fmt.Errorf("JSON of another shape at %q: %s does not fit into %v", semantic.JSONPointer, semantic.JSONKind, semantic.GoType)
	case errors.As(err, &syntactic):
		return fmt.Errorf("not JSON after %d bytes: %w", syntactic.ByteOffset, io.ErrUnexpectedEOF)
	}
	return errors.New("not JSON")
}

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
	resp.Body = &guardedBody{body: resp.Body, ctx: ctx, cancel: cancel, timer: timer, stall: t.stall}
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
}

func (b *guardedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.body.Read(p)
	b.timer.Stop()
	if err != nil && !isEnd(err) {
		err = stallCause(b.ctx, err)
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
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", k.masker().Replace(requestID(resp.Header))))
	}
	t.logger.LogAttrs(ctx, slog.LevelDebug, "pipelines: request", attrs...)
}
