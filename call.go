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
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/seed-85ed9bfd/pipelines/internal/circuit"
	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
	"github.com/seed-85ed9bfd/pipelines/internal/exchange"
	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

// call is one call of a method: its request, its options, and how far it has come.
type call struct {
	client *Client
	at     endpoint
	header http.Header
	body   []byte
	out    any // to decode the response into; nil: the response has nothing of use

	url      *url.URL   // in place of the endpoint's, for links of the service
	streams  bool       // the caller reads the response's body
	public   bool       // sent without credentials
	line     *poll.Line // pays for each request; nil: none
	polls    bool       // the caller asks again later, so a refusal ends the call
	stepwise bool       // no page of its list is requested before it is needed

	extraQuery url.Values
	policy     RetryPolicy
	into       **http.Response   // takes the last response; nil: not wanted
	raw        *[]byte           // takes the JSON of the response; nil: not wanted
	secrets    []string          // what the request carries and no error may show
	arriving   func(body []byte) // called when a 2xx response arrives, with nil, and with its body before it is decoded; nil: not wanted
	decoded    func()            // called once it is decoded, or can't be; nil: not wanted

	info          requestInfo // with the number of attempts
	failures      int         // that count against MaxAttempts
	quota         circuit.Waiter
	refused       *APIError          // the last 429; nil: none
	renewed       bool               // another token was asked for
	unknown       bool               // an attempt may have taken effect, and its outcome isn't known
	exchange      *exchange.Exchange // the last one of the current attempt; nil: nothing was handed to the transport
	authorization string             // as last sent, to keep it out of errors
	verdict       verdict            // on the last attempt
	judged        time.Time          // when it was reached
	backoff       time.Duration      // waited before the current attempt
	refusal       *http.Response     // the last response that was no 2xx
}

// send sends a request of an operation whose response is one T.
func send[T any](ctx context.Context, c *Client, at endpoint, body any, opts []CallOption) (*T, error) {
	k, err := c.newCall(ctx, at, body, opts)
	if err != nil {
		return nil, err
	}
	out := new(T)
	if err := k.sendJSON(ctx, out); err != nil {
		return nil, err
	}
	return out, nil
}

// exec sends a request of an operation whose response has nothing of use.
func exec(ctx context.Context, c *Client, at endpoint, body any, opts []CallOption) error {
	k, err := c.newCall(ctx, at, body, opts)
	if err != nil {
		return err
	}
	return k.sendJSON(ctx, nil)
}

// newCall makes a call and finds the errors in its arguments, before anything is sent.
func (c *Client) newCall(ctx context.Context, at endpoint, body any, opts []CallOption) (*call, error) {
	k := &call{client: c, at: at, header: make(http.Header, 4), policy: c.policy}
	k.info.operation = at.op.Operation
	if ctx == nil {
		return nil, k.wrap(invalidArgument("context is nil"))
	}
	if c.readOnly && at.op.changes() {
		return nil, k.wrap(fmt.Errorf("%w: %s was not sent", ErrReadOnly, at.op.Method))
	}
	if at.err != nil {
		return nil, k.wrap(at.err)
	}
	values := []string{"application/json", c.userAgent} // one allocation for both
	k.header["Accept"], k.header["User-Agent"] = values[:1:1], values[1:]
	if body != nil {
		if err := k.encode(body); err != nil {
			return nil, k.wrap(invalidArgument("body cannot be encoded: %w", err))
		}
	}
	if err := k.apply(opts); err != nil {
		return nil, k.wrap(err)
	}
	return k, nil
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

func (k *call) wrap(err error) error {
	return fmt.Errorf("pipelines: %s: %w", k.at.op.Name, err)
}

// rawBody is a request body that isn't JSON to encode.
type rawBody struct {
	contentType string
	data        []byte
	hidden      []string
}

func (b rawBody) secrets() []string { return b.hidden }

// encodeOptions encode the secrets that the models leave out when other code marshals them.
var encodeOptions = json.JoinOptions(json.Deterministic(true), json.WithMarshalers(json.JoinMarshalers(
	json.MarshalToFunc(encodeVariableRequest), json.MarshalToFunc(encodeVariableUpdate), json.MarshalToFunc(encodeKeyPair),
)))

// encode makes the request's body. It copies bytes of the caller's, because net/http may read them after the call has returned.
func (k *call) encode(body any) (err error) {
	contentType := "application/json"
	switch b := body.(type) {
	case rawBody:
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
	if isModel(reflect.TypeOf(body)) { // anything else is encoded without secrets
		k.secrets = secretsOf(reflect.ValueOf(body))
	}
	return err
}

// sendJSON sends the call's request and decodes the response into out, as [Client.Do] says.
func (k *call) sendJSON(ctx context.Context, out any) error {
	k.out = out
	resp, err := k.send(ctx)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sendStream sends the call's request and leaves the response's body to the caller.
func (k *call) sendStream(ctx context.Context, header http.Header) (*http.Response, error) {
	k.streams = true
	maps.Copy(k.header, header)
	return k.send(ctx)
}

// send sends the call's request as often as retry.go decides, and returns the final response or error.
func (k *call) send(ctx context.Context) (*http.Response, error) {
	if k.raw != nil { // not in the option, which many goroutines may apply for one variable
		*k.raw = nil
	}
	req, err := k.request(ctx)
	if err != nil {
		return nil, k.wrap(err)
	}
	resp, err := k.sendAttempts(req)
	if k.verdict.answered {
		k.client.transport.retries.Succeed()
	}
	if k.into != nil {
		*k.into = withoutBody(cmp.Or(resp, k.refusal))
	}
	if k.verdict.err == nil && err == nil {
		return resp, nil
	}
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	return nil, k.failure(ctx, err)
}

// request makes the request. Its context is for [OperationFromContext] too.
func (k *call) request(ctx context.Context) (*retryablehttp.Request, error) {
	u, err := k.requestURL()
	if err != nil {
		return nil, err
	}
	one := &http.Request{
		Method: k.at.op.Method, URL: u, Host: u.Host, Header: k.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	req := &retryablehttp.Request{Request: one.WithContext(context.WithValue(ctx, infoKey{}, &k.info))}
	if k.body == nil {
		return req, nil
	}
	return req, req.SetBody(k.body)
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
	if len(k.extraQuery) > 0 {
		query = mergeQuery(query, k.extraQuery)
	}
	u.RawQuery = query.Encode()
	return &u, nil
}

// mergeQuery returns query with the parameters of extra in place of its own.
func mergeQuery(query, extra url.Values) url.Values {
	merged := make(url.Values, len(query)+len(extra))
	maps.Copy(merged, query)
	maps.Copy(merged, extra)
	return merged
}

// withoutBody returns a copy of a response without its body, or nil for nil.
func withoutBody(resp *http.Response) *http.Response {
	if resp == nil {
		return nil
	}
	bare := *resp
	bare.Body = http.NoBody
	return &bare
}

// failure returns the error of a call that has ended. err is the retry loop's.
func (k *call) failure(ctx context.Context, err error) error {
	err = k.lastError(ctx, err)
	if k.verdict.unpaid {
		return fmt.Errorf("%w; not retried, because the client's retry budget is used up", err)
	}
	return err
}

func (k *call) lastError(ctx context.Context, err error) error {
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
	if n := k.info.attempts.Load(); n > 1 && !errors.As(last, new(*APIError)) { // which names the attempts itself
		return k.wrap(fmt.Errorf("%w (after %d attempts)", last, n))
	}
	return k.wrap(last)
}

// missingCause returns what err doesn't say about the end of ctx, which may have caused it: an error of net/http has the context's
// cause or its error, and one of the service has neither.
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
	return ctxtime.Err(ctx)
}
