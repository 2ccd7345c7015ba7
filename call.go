package pipelines

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hashicorp/go-retryablehttp"
)

// call is one call of a method: the request, and how far it has come. It travels in the request's context.
type call struct {
	client     *Client
	at         endpoint
	url        *url.URL // in place of the endpoint's, for links of the service
	extraQuery url.Values
	header     http.Header
	body       []byte
	read       func(*http.Response) error // reads a 2xx response; nil: its body is left to the caller
	streams    bool                       // the response's body is left to the caller
	anonymous  bool                       // sent without credentials
	policy     RetryPolicy
	into       **http.Response
	raw        *[]byte  // takes the JSON of the response; nil: not wanted
	budget     *budget  // pays for each request; nil: none
	secrets    []string // what the request carries and no error may repeat

	attempts      atomic.Int32   // begun
	failures      int            // that count against MaxAttempts
	refusals      int            // 429s: the call's own, and others' while it was held back
	quotaWait     time.Duration  // waited for the quota so far
	renewed       bool           // another token was asked for
	attempt       *attempt       // the current one
	unknown       bool           // an attempt may have taken effect, and its outcome isn't known
	authorization string         // as last sent, to keep it out of errors
	verdict       verdict        // on the last attempt
	judged        time.Time      // when that was made
	held          time.Duration  // waited before the current attempt
	refusal       *http.Response // the last response that was no 2xx
}

type callKey struct{}

// rawBody is a request body that is no JSON value to encode.
type rawBody struct {
	contentType string
	data        []byte
	hidden      []string
}

func (b rawBody) secrets() []string { return b.hidden }

func (c *Client) newCall(ctx context.Context, at endpoint, body any, opts []CallOption) (*call, error) {
	k := &call{client: c, at: at, header: make(http.Header, 4), policy: c.policy}
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
	if isModel(reflect.TypeOf(body)) { // anything else is encoded without them
		k.secrets = secretsOf(reflect.ValueOf(body))
	}
	if err := k.apply(opts); err != nil {
		return nil, k.wrap(err)
	}
	return k, k.checkReplay()
}

func (k *call) apply(opts []CallOption) error {
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt.vary(k); err != nil {
			return err
		}
	}
	return nil
}

// policyFor is the policy of a call with these options. An error of one of them is the call's to return.
func (c *Client) policyFor(opts []CallOption) RetryPolicy {
	k := &call{header: make(http.Header), policy: c.policy}
	_ = k.apply(opts)
	return k.policy
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
	case rawBody: // copied, because net/http may read it after the call has returned
		contentType, k.body = b.contentType, bytes.Clone(b.data)
	case []byte:
		if len(b) == 0 { // which is no JSON
			return nil
		}
		k.body = bytes.Clone(b)
	default:
		if k.at.op.custom {
			k.body, err = encodeCustom(body)
		} else {
			k.body, err = json.Marshal(body, encodeOptions)
		}
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

// send carries the call out.
func (k *call) send(ctx context.Context) (*http.Response, error) {
	if k.raw != nil { // not in the option, which many goroutines may apply for one variable
		*k.raw = nil
	}
	u, err := k.requestURL()
	if err != nil {
		return nil, k.wrap(err)
	}
	httpRequest := &http.Request{
		Method: k.at.op.Method, URL: u, Host: u.Host, Header: k.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	req := &retryablehttp.Request{Request: httpRequest.WithContext(context.WithValue(ctx, callKey{}, k))}
	if k.body != nil {
		if err := req.SetBody(k.body); err != nil {
			return nil, k.wrap(err)
		}
	}
	resp, err := k.loop().Do(req)
	k.publish(cmp.Or(resp, k.refusal))
	if k.verdict.err == nil && err == nil {
		return resp, nil
	}
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	return nil, k.failure(ctx, err)
}

// requestHeader is the header of one attempt. A cookie jar adds to it.
func (k *call) requestHeader() http.Header {
	if k.client.http.Jar == nil {
		return k.header
	}
	return k.header.Clone()
}

// sendJSON carries the call out and decodes the response into out, as [Client.Do] says.
func (k *call) sendJSON(ctx context.Context, out any) error {
	k.read = func(resp *http.Response) error { return k.decode(resp, out) }
	resp, err := k.send(ctx)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sendStream carries the call out and leaves the response's body to the caller.
func (k *call) sendStream(ctx context.Context, header http.Header) (*http.Response, error) {
	k.streams = true
	maps.Copy(k.header, header)
	return k.send(ctx)
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

// failure is the error of a call that has ended, err being the retry loop's.
func (k *call) failure(ctx context.Context, err error) error {
	last := k.verdict.err
	if last == nil { // the loop ended before it sent anything
		return k.wrap(stripURL(err))
	}
	if ended := missingCause(ctx, last); ended != nil {
		if k.verdict.retry {
			return k.wrap(fmt.Errorf("%w while waiting to try again after: %w", ended, last))
		}
		return k.wrap(fmt.Errorf("%w: %w", ended, last))
	}
	switch last.(type) { //nolint:errorlint // these two name the operation and the attempts themselves
	case *APIError, *OutcomeUnknownError:
		return last
	case *expiredLinkError:
		return k.wrap(last)
	}
	if k.attempts.Load() > 1 {
		return k.wrap(fmt.Errorf("%w (after %d attempts)", last, k.attempts.Load()))
	}
	return k.wrap(last)
}

// missingCause is what err, in which the end of ctx may have resulted, doesn't say of that: an error of net/http has the
// context's cause alone or its error alone, and one of the service neither.
func missingCause(ctx context.Context, err error) error {
	ended, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case ended == nil || errors.Is(err, ended) && errors.Is(err, cause):
		return nil
	case errors.Is(err, ended):
		return cause
	case errors.Is(err, cause):
		return ended
	}
	return contextError(ctx)
}

// contextError is the error of a context that has ended, with its cause, and nil of one that has not.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// locate says what was asked for, which an error of the network doesn't.
func (k *call) locate(err error) error {
	if k.at.path == "" {
		return err
	}
	return fmt.Errorf("%s %s: %w", k.at.op.Method, k.at.path, err)
}

func callFrom(ctx context.Context) *call {
	k, _ := ctx.Value(callKey{}).(*call)
	return k
}

// encodeOptions write the secrets that the models leave out when anybody else marshals them.
var encodeOptions = json.JoinOptions(json.Deterministic(true), json.WithMarshalers(json.JoinMarshalers(
	json.MarshalToFunc(encodeVariableRequest), json.MarshalToFunc(encodeVariableUpdate), json.MarshalToFunc(encodeKeyPair),
)))

// CallOption changes one call. Every method that sends a request takes them last; a method that sends several requests applies
// them to each. A nil one changes nothing. An option may be reused, also by several goroutines at once, except [WithResponse] and
// [WithRawBody], which write to a variable of the caller's.
type CallOption interface{ vary(*call) error }

// callOption is a [CallOption] that is a function.
type callOption func(*call) error

func (o callOption) vary(k *call) error { return o(k) }

// WithQuery sets a query parameter, in place of the package's own with that key. If it is given several times for one key, all
// the values are sent. One use is Bitbucket's partial responses: WithQuery("fields", "values.uuid,next").
func WithQuery(key, value string) CallOption {
	return callOption(func(k *call) error {
		if key == "" {
			return invalidArgument("WithQuery: key is empty")
		}
		if k.extraQuery == nil {
			k.extraQuery = make(url.Values)
		}
		k.extraQuery.Add(key, value)
		return nil
	})
}

// WithHeader sets a header of the request, in place of the package's own. It is sent to the API, not to storage hosts.
// Authorization is an [ErrInvalidArgument]: credentials are options of [NewClient].
func WithHeader(key, value string) CallOption {
	key = http.CanonicalHeaderKey(key)
	return callOption(func(k *call) error {
		switch {
		case !validHeaderName(key):
			return invalidArgument("WithHeader: %q is not a header's name", key)
		case !validHeaderValue(value):
			return invalidArgument("WithHeader: the value of %s has control characters", key)
		case key == "Authorization":
			return invalidArgument("WithHeader: credentials are an option of the client")
		}
		k.header.Set(key, value)
		return nil
	})
}

// WithResponse stores the call's last response in *into, also if the call fails, for its status and headers. The body is empty.
// *into is nil if there was no response.
func WithResponse(into **http.Response) CallOption {
	return callOption(func(k *call) error {
		if into == nil {
			return invalidArgument("WithResponse: into is nil")
		}
		k.into = into
		return nil
	})
}

// WithMaxAttempts sets [RetryPolicy].MaxAttempts for this call. With 1 the request is sent once, and a 429 ends the call. An n
// below 1 is an [ErrInvalidArgument].
func WithMaxAttempts(n int) CallOption {
	return callOption(func(k *call) error {
		if n < 1 {
			return invalidArgument("WithMaxAttempts: %d is not positive", n)
		}
		k.policy.MaxAttempts = n
		return nil
	})
}

// WithRawBody stores the body of the call's last 2xx response in *into, as it came: for members that the models have no field
// for. *into is nil if there was no such response, and for logs and caches, which are not read into memory.
func WithRawBody(into *[]byte) CallOption {
	return callOption(func(k *call) error {
		if into == nil {
			return invalidArgument("WithRawBody: into is nil")
		}
		k.raw = into
		return nil
	})
}

// Do sends a request to any path below the base URL, such as "/repositories/acme/site/commits?pagelen=5", with the credentials,
// limiter, retries and errors of every other call. GET, HEAD, PUT, DELETE and OPTIONS count as safe to repeat. A bare UUID in
// path is sent as it is: put braces around it, percent-encoded.
//
// A body is encoded as [encoding/json] does; nil is none. A []byte is sent as it is, with the Content-Type application/json
// unless [WithHeader] sets another.
//
// The response is decoded into out as encoding/json does. out may be nil; a *[]byte gets the body as it is. If the body is empty,
// out stays as it was, unless the response claims to be JSON. After an error out is zero.
//
// A type of this package, or a list or map of one, is encoded and decoded as by the package's own methods: secrets are sent,
// and a member of another shape is read or left at zero.
func (c *Client) Do(ctx context.Context, method, path string, body, out any, opts ...CallOption) error {
	at := customEndpoint("Do", method, path)
	if v := reflect.ValueOf(out); out != nil && (v.Kind() != reflect.Pointer || v.IsNil()) {
		at = at.withError(invalidArgument("out is a %T and not a pointer to decode into", out))
	}
	return c.do(ctx, at, body, out, opts)
}

// send carries out an operation that answers with one T.
func send[T any](ctx context.Context, c *Client, at endpoint, body any, opts []CallOption) (*T, error) {
	out := new(T)
	if err := c.do(ctx, at, body, out, opts); err != nil {
		return nil, err
	}
	return out, nil
}

// exec carries out an operation that answers with nothing of use.
func exec(ctx context.Context, c *Client, at endpoint, body any, opts []CallOption) error {
	return c.do(ctx, at, body, nil, opts)
}

func (c *Client) do(ctx context.Context, at endpoint, body, out any, opts []CallOption) error {
	k, err := c.newCall(ctx, at, body, opts)
	if err != nil {
		return err
	}
	return k.sendJSON(ctx, out)
}
