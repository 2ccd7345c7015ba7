package pipelines_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

var repo = pipelines.Repo{Workspace: "acme", Slug: "site"}

// quick retries without making a test wait.
var quick = pipelines.RetryPolicy{MaxAttempts: 3, MinWait: time.Nanosecond, MaxWait: time.Microsecond, MaxQuotaWait: time.Millisecond}

// newClient makes a client with a token and quick retries for a server.
func newClient(t *testing.T, base string, opts ...pipelines.Option) *pipelines.Client {
	t.Helper()
	all := append([]pipelines.Option{pipelines.WithBaseURL(base), pipelines.WithToken("t0ken"), pipelines.WithRetry(quick)}, opts...)
	c, err := pipelines.NewClient(all...)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// recorded is a request that a recorder has seen.
type recorded struct {
	Method, Path, Query, Body string
	Header                    http.Header
}

// recorder is a server on loopback that keeps what arrives and answers by a handler. Its API lies under /2.0, so that a path
// which forgets the base URL's own shows.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []recorded
}

func record(t *testing.T, handle http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.requests = append(r.requests, recorded{req.Method, req.URL.EscapedPath(), req.URL.RawQuery, string(body), req.Header})
		r.mu.Unlock()
		handle(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) base() string { return r.URL + "/2.0" }

func (r *recorder) seen() []recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]recorded(nil), r.requests...)
}

// only returns the one request that arrived.
func (r *recorder) only(t *testing.T) recorded {
	t.Helper()
	seen := r.seen()
	require.Len(t, seen, 1)
	return seen[0]
}

// answer is a handler that always says the same.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func answerJSON(body string) http.HandlerFunc { return answer(http.StatusOK, "application/json", body) }

// drop ends the connection without an answer.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// roundTripper lets a function be a transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// respond makes a response for a roundTripper.
func respond(req *http.Request, status int, body string) *http.Response {
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	resp := w.Result()
	resp.Request = req
	return resp
}
