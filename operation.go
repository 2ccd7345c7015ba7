package pipelines

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

// Operation names what a request is for. It has few different values, so it can be a label of a metric.
type Operation struct {
	Name    string // such as "Pipelines.Get"
	Method  string // such as "GET"
	Path    string // the template of the path below the base URL; empty for Client.Do and List
	Storage bool   // the request goes to the storage host that the API redirected to
}

// requestInfo is what a request's context tells about it.
type requestInfo struct {
	operation Operation
	attempts  atomic.Int32 // begun
}

// infoKey is the key of a request's *requestInfo in its context. storageKey is set in the contexts of requests to storage hosts.
type (
	infoKey    struct{}
	storageKey struct{}
)

// OperationFromContext returns the operation that a request's context belongs to, for tracing and metrics in an
// [http.RoundTripper]. ok is false if the request is none of this package's. Besides the services' methods there are "OAuth.Token",
// which gets an access token, and "Do" and "List", which are [Client.Do] and [List].
func OperationFromContext(ctx context.Context) (op Operation, ok bool) {
	info, ok := ctx.Value(infoKey{}).(*requestInfo)
	if !ok {
		return Operation{}, false
	}
	op = info.operation
	op.Storage = ctx.Value(storageKey{}) != nil
	return op, true
}

// AttemptFromContext returns the number of the attempt, counted from 1, that a request's context belongs to, for tracing and
// metrics in an [http.RoundTripper]. A request that follows a redirect has the number of its attempt.
func AttemptFromContext(ctx context.Context) (n int, ok bool) {
	info, ok := ctx.Value(infoKey{}).(*requestInfo)
	if !ok {
		return 0, false
	}
	return int(info.attempts.Load()), true
}

// Attempt is one attempt to send a request to the API, as [WithObserver] reports it.
type Attempt struct {
	Operation Operation
	Number    int            // counted from 1 for each call
	Response  *http.Response // without body, its Request without credentials; nil if there was none
	Err       error          // why there was no response; secrets are masked
	Duration  time.Duration  // from sending to the response's headers; 0: it was not sent
	Held      time.Duration  // how long limiter, quota and backoff held it back
}

// safety says whether an operation may be carried out twice.
type safety bool

const (
	once       safety = false // a second time has a second effect
	idempotent safety = true
)

// operation declares an endpoint. Its template is parsed once, here, and not for each call.
type operation struct {
	Operation
	safety   safety
	custom   bool     // of [Client.Do] or [List]: the response's format is the caller's business
	emptyOK  bool     // a 2xx response may have an empty body
	bareOK   bool     // a list's response may be an array or one item instead of a page
	literals []string // what stands around the parameters
	params   []string // their names
}

func op(name, method, path string, s safety) *operation {
	o := &operation{Operation: Operation{Name: name, Method: method, Path: path}, safety: s}
	rest := path
	for {
		literal, after, found := strings.Cut(rest, "{")
		o.literals = append(o.literals, literal)
		if !found {
			return o
		}
		param, after, _ := strings.Cut(after, "}")
		o.params = append(o.params, param)
		rest = after
	}
}

// orEmpty declares that a 2xx response of the operation may have an empty body.
func (o *operation) orEmpty() *operation {
	o.emptyOK = true
	return o
}

// orBare declares that a response of the operation may be an array or one item instead of a page.
func (o *operation) orBare() *operation {
	o.bareOK = true
	return o
}

// endpoint is an operation with its path's parameters filled in. The call returns its error.
type endpoint struct {
	op    *operation
	path  string // escaped, below the base URL
	query url.Values
	err   error
}

// at fills in the path's parameters, in their order. It is the only place where paths are made: it escapes each element, and refuses
// one that would change the path's shape.
func (o *operation) at(elements ...string) endpoint {
	var b strings.Builder
	b.WriteString(o.literals[0])
	for i, element := range elements {
		if err := checkElement(element); err != nil {
			return endpoint{op: o, err: invalidArgument("%s %w", o.params[i], err)}
		}
		b.WriteString(url.PathEscape(braced(element)))
		b.WriteString(o.literals[i+1])
	}
	return endpoint{op: o, path: b.String()}
}

// with adds a query to the endpoint.
func (at endpoint) with(query url.Values) endpoint {
	at.query = query
	return at
}

// withError adds an error found in the other arguments.
func (at endpoint) withError(err error) endpoint {
	if at.err == nil {
		at.err = err
	}
	return at
}

func checkElement(element string) error {
	switch element {
	case "":
		return errors.New("is empty")
	case ".", "..":
		return fmt.Errorf("is %q", element)
	}
	return nil
}

// customEndpoint returns the endpoint of a path that the caller gives.
func customEndpoint(name, method, path string) endpoint {
	o := &operation{Operation: Operation{Name: name, Method: method}, custom: true}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions:
		o.safety = idempotent
	}
	if !header.ValidName(method) {
		return endpoint{op: o, err: invalidArgument("method %q is not an HTTP method", method)}
	}
	if strings.Contains(path, "://") {
		return endpoint{op: o, err: invalidArgument("path is a URL: give what comes after the base URL")}
	}
	u, err := url.Parse("/" + strings.TrimPrefix(path, "/"))
	if err != nil || strings.HasPrefix(path, "//") || strings.Contains(path, "#") {
		return endpoint{op: o, err: invalidArgument("path is not a path below the base URL")}
	}
	escaped := u.EscapedPath()
	elements := strings.Split(escaped[1:], "/")
	for i, element := range elements {
		text, err := url.PathUnescape(element)
		slashAtEnd := text == "" && i > 0 && i == len(elements)-1 // a form of the service's own
		if err == nil && !slashAtEnd {
			err = checkElement(text)
		}
		if err != nil {
			return endpoint{op: o, err: invalidArgument("element %d of the path %w", i+1, err)}
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return endpoint{op: o, err: invalidArgument("the path's query is malformed")}
	}
	return endpoint{op: o, path: escaped, query: query}
}
