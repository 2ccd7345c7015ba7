package pipelines

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Operation names what a request is for. It has few different values, so it can be a label of a metric.
type Operation struct {
	Name    string // such as "Pipelines.Get"
	Method  string // such as "GET"
	Path    string // the template of the path below the base URL; empty for Client.Do, List and links of the service
	Storage bool   // the request goes to the storage host that the API redirected to
}

// requestInfo is what a request's context tells about it.
type requestInfo struct {
	operation Operation
	attempts  atomic.Int32 // begun
}

// infoKey is the key of a request's *requestInfo in its context. The same is under
// storageKey in the contexts of requests to storage hosts.
type (
	infoKey    struct{}
	storageKey struct{}
)

// OperationFromContext returns the operation that a request's context belongs to, for tracing and metrics in an
// [http.RoundTripper]. ok is false if the request was not sent by this package. Besides the services' methods there are
// "OAuth.Token", which gets an access token, and "Do" and "List", which are [Client.Do] and [List].
func OperationFromContext(ctx context.Context) (op Operation, ok bool) {
	info, ok := ctx.Value(infoKey{}).(*requestInfo)
	if !ok {
		return Operation{}, false
	}
	op = info.operation
	op.Storage = isStorage(ctx)
	return op, true
}

// isStorage reports whether ctx belongs to a request to a storage host.
func isStorage(ctx context.Context) bool {
	info := ctx.Value(storageKey{})
	return info != nil && info == ctx.Value(infoKey{})
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
	params   []string // the arguments that fill them in, as errors name them
}

// changes reports whether the operation may change something. GET and HEAD don't.
func (o *operation) changes() bool { return o.Method != http.MethodGet && o.Method != http.MethodHead }

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
		o.params = append(o.params, argument(path, param))
		rest = after
	}
}

// argument returns what errors call the argument for a parameter of a path, in the words of the methods' signatures.
func argument(path, param string) string {
	switch param {
	case "workspace":
		if strings.HasPrefix(path, "/repositories/") {
			return "Repo.Workspace"
		}
	case "repo_slug":
		return "Repo.Slug"
	case "selected_user":
		return "user"
	}
	if resource, ok := strings.CutSuffix(param, "_uuid"); ok {
		return strings.ReplaceAll(resource, "_", " ") + " ID"
	}
	return param
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
