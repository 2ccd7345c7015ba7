package pipelines

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

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

// idempotencyKeys are the headers by which net/http takes a request for one that it may send again by itself. Bitbucket doesn't know
// them, and would carry such a request out twice.
var idempotencyKeys = []string{"Idempotency-Key", "X-Idempotency-Key"}

// unsentHeaders are the headers that net/http doesn't send: it makes its own of them.
var unsentHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer"}

// WithHeader sets a header of the request, in place of the package's own. It is sent to the API, not to storage hosts.
// Authorization is an [ErrInvalidArgument], because credentials are options of [NewClient], and so are headers that net/http makes
// itself, such as Host.
func WithHeader(key, value string) CallOption {
	key = http.CanonicalHeaderKey(key)
	return callOption(func(k *call) error {
		switch {
		case !header.ValidName(key):
			return invalidArgument("WithHeader: %q is not a header's name", key)
		case !header.ValidValue(value):
			return invalidArgument("WithHeader: the value of %s has control characters", key)
		case slices.Contains(unsentHeaders, key):
			return invalidArgument("WithHeader: net/http doesn't send %s", key)
		case key == "Authorization":
			return invalidArgument("WithHeader: credentials are an option of the client")
		case k.at.op.safety == once && slices.Contains(idempotencyKeys, key):
			return invalidArgument("header %s makes no request of Bitbucket's safe to repeat", key)
		}
		k.header.Set(key, value)
		return nil
	})
}

// WithResponse stores the call's last response in *into, even if the call fails, for its status and headers. The body is empty.
// *into is nil if there was no response, and stays as it was if the call's arguments are invalid.
func WithResponse(into **http.Response) CallOption {
	return callOption(func(k *call) error {
		if into == nil {
			return invalidArgument("WithResponse: into is nil")
		}
		k.into = into
		return nil
	})
}

// WithMaxAttempts sets [RetryPolicy].MaxAttempts for this call. With 1 the request is sent once and doesn't wait for the quota: a
// 429 ends the call. [PipelinesService.Wait], WaitAll, Watch and [StepsService.FollowLog] still poll again. An n below 1 is an
// [ErrInvalidArgument].
func WithMaxAttempts(n int) CallOption {
	return callOption(func(k *call) error {
		if n < 1 {
			return invalidArgument("WithMaxAttempts: %d is not positive", n)
		}
		k.policy.MaxAttempts = n
		return nil
	})
}

// WithRawBody stores the body of the call's last 2xx response in *into, unchanged, for members without a field. *into is nil if
// there was no such response, and for logs and caches, which are not read into memory.
func WithRawBody(into *[]byte) CallOption {
	return callOption(func(k *call) error {
		if into == nil {
			return invalidArgument("WithRawBody: into is nil")
		}
		k.raw = into
		return nil
	})
}
