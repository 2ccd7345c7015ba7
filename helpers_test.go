package pipelines_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

var updateFiles = flag.Bool("update", false, "rewrite the files that are generated: testdata/api.txt and the table in docs/operations.md")

// requireFile compares a file with what it should say, or makes it say so.
func requireFile(t *testing.T, file, want string) {
	t.Helper()
	if *updateFiles {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "%s is out of date. If the change is meant: go test -run '^%s$' -update .", file, t.Name())
}

type limiterFunc func(context.Context) error

func (f limiterFunc) Wait(ctx context.Context) error { return f(ctx) }

func readAll(r io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// parsePackage parses the source files of a folder, without its tests.
func parsePackage(t *testing.T, files *token.FileSet, dir string, mode parser.Mode) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var all []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, mode|parser.SkipObjectResolution)
		require.NoError(t, err)
		all = append(all, file)
	}
	return all
}

var asJSON = http.Header{"Content-Type": {"application/json"}}

// lostBody ends with an error where the body should go on.
type lostBody struct{ io.Reader }

func (lostBody) Close() error { return nil }

// apiError is the error of a GET with this response.
func apiError(t *testing.T, status int, header http.Header, body string, opts ...pipelines.Option) *pipelines.APIError {
	t.Helper()
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		for key, values := range header {
			w.Header()[key] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
	opts = append([]pipelines.Option{pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})}, opts...)
	_, err := newClient(t, srv.base(), opts...).Pipelines.Get(t.Context(), repo, "7")
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	return e
}

// inProcess makes a client whose requests go to a function.
func inProcess(t *testing.T, attempts int, respondTo func(*http.Request) *http.Response) *pipelines.Client {
	t.Helper()
	policy := quick
	policy.MaxAttempts = attempts
	return newClient(t, "http://api.example/2.0", pipelines.WithRetry(policy), pipelines.WithHTTPClient(&http.Client{
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) { return respondTo(req), nil }),
	}))
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("connection lost") }

// settled takes from a value what two equal ones may differ in: "+00:00" is UTC under another name, and Raw has spaces too.
func settled(v any) any {
	each(reflect.ValueOf(v), func(s reflect.Value) {
		for i := range s.NumField() {
			switch field := s.Field(i); {
			case field.Type() == timeType:
				field.Set(reflect.ValueOf(field.Interface().(time.Time).UTC()))
			case field.Type() == rawType:
				field.SetZero()
			}
		}
	})
	return v
}

var timeType, rawType = reflect.TypeFor[time.Time](), reflect.TypeFor[[]byte]()

// each calls f with every struct in v, the outer first. Times are values.
func each(v reflect.Value, f func(reflect.Value)) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		each(v.Elem(), f)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), f)
		}
	case isStruct(v.Type()):
		f(v)
		for i := range v.NumField() {
			each(v.Field(i), f)
		}
	}
}

func isStruct(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != timeType }

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

// recorder is a server on loopback that records what arrives and responds by a handler. Its API lies under /2.0, so that a path
// which forgets the base URL's own shows.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []recorded
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
	r.requireSent(t, 1)
	return r.seen()[0]
}

// requireSent requires that so many requests arrived.
func (r *recorder) requireSent(t *testing.T, want int, about ...any) {
	t.Helper()
	if got := len(r.seen()); got != want {
		require.Fail(t, fmt.Sprintf("sent %d times, want %d", got, want), about...)
	}
}

// requireRefused requires that each of these calls is an invalid argument that says what is wrong with it, and sends nothing.
func requireRefused(t *testing.T, calls map[string]func(context.Context, *pipelines.Client) error) {
	t.Helper()
	for says, call := range calls {
		t.Run(says, func(t *testing.T) {
			srv := record(t, serveJSON(`{}`))
			err := call(t.Context(), newClient(t, srv.base()))
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			require.ErrorContains(t, err, says)
			require.NotContains(t, err.Error(), "s3cret")
			srv.requireSent(t, 0)
		})
	}
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

// serve returns a handler that always sends the same response.
func serve(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func serveJSON(body string) http.HandlerFunc { return serve(http.StatusOK, "application/json", body) }

// drop closes the connection without a response.
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

var mainBranch = pipelines.RunRequest{Target: pipelines.BranchTarget("main")}

// quotingError is an error of another transport that repeats what it was given.
type quotingError struct{ said string }

func (e *quotingError) Error() string { return "cannot send " + e.said }

// tokenSource lets a function be one.
type tokenSource func() (*oauth2.Token, error)

func (f tokenSource) Token() (*oauth2.Token, error) { return f() }

// victim is a host whose responses are read, and a call that reads one.
type victim struct {
	name string
	call func(t *testing.T, base string) error // base serves every path
}

func getFrom(t *testing.T, base string, opts ...pipelines.Option) error {
	t.Helper()
	_, err := newClient(t, base, opts...).Pipelines.Get(t.Context(), repo, "1")
	return err
}

func victims() []victim {
	return []victim{
		{"the API", func(t *testing.T, base string) error { t.Helper(); return getFrom(t, base) }},
		{"the storage host", func(t *testing.T, base string) error {
			t.Helper()
			api := record(t, http.RedirectHandler(base+"/storage", http.StatusTemporaryRedirect).ServeHTTP)
			return readAll(newClient(t, api.base()).Steps.GetLog(t.Context(), repo, "1", "{s}", nil))
		}},
		{"the token endpoint", func(t *testing.T, base string) error {
			t.Helper()
			api := record(t, serveJSON(`{}`))
			err := getFrom(t, api.base(), pipelines.WithClientCredentials("id", "s3cret"), pipelines.WithTokenURL(base+"/token"))
			api.requireSent(t, 0)
			return err
		}},
	}
}

const fullHash = "0123456789abcdef0123456789abcdef01234567"

func golden(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return string(data)
}

func date(s string) time.Time {
	d, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return d
}

var pullRequest = pipelines.PullRequestRef{ID: 17, Source: "feature/x", Destination: "main", Commit: "abc", DestinationCommit: "def"}

// viaFunc makes a client whose requests go to a function.
func viaFunc(t *testing.T, send roundTripper, opts ...pipelines.Option) *pipelines.Client {
	t.Helper()
	all := append([]pipelines.Option{pipelines.WithHTTPClient(&http.Client{Transport: send})}, opts...)
	c, err := pipelines.NewClient(append([]pipelines.Option{
		pipelines.WithBaseURL("http://api.example/2.0"), pipelines.WithToken("t0ken"),
	}, all...)...)
	require.NoError(t, err)
	return c
}

const edKeyLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

// silentProxy passes connections on, without sockets, so that it works in a bubble. Those that were there when it fell silent stay open,
// and swallow what is sent. It is the server's listener.
type silentProxy struct {
	incoming chan net.Conn
	closed   context.Context // ends when the server closes
	close    context.CancelFunc
	mu       sync.Mutex
	all      []*atomic.Bool // whether a connection is silent
}

func (p *silentProxy) Accept() (net.Conn, error) {
	select {
	case conn := <-p.incoming:
		return conn, nil
	case <-p.closed.Done():
		return nil, net.ErrClosed
	}
}

func (p *silentProxy) Close() error {
	p.close()
	return nil
}

func (p *silentProxy) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func (p *silentProxy) dial(context.Context, string, string) (net.Conn, error) {
	client, near := net.Pipe()
	far, server := net.Pipe()
	silent := new(atomic.Bool)
	p.mu.Lock()
	p.all = append(p.all, silent)
	p.mu.Unlock()
	go pass(far, near, silent)
	go pass(near, far, silent)
	select {
	case p.incoming <- server:
		return client, nil
	case <-p.closed.Done():
		_ = client.Close()
		return nil, net.ErrClosed
	}
}

// pass passes on what one end sends. A queue is the buffer that a pipe lacks.
func pass(to io.WriteCloser, from io.Reader, silent *atomic.Bool) {
	queue := make(chan []byte, 1<<10)
	defer close(queue)
	go func() {
		defer to.Close()
		for data := range queue {
			_, _ = to.Write(data)
		}
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if !silent.Load() {
			queue <- bytes.Clone(buf[:n])
		}
	}
}

// fallSilent silences the connections that there are and returns how many that is.
func (p *silentProxy) fallSilent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, silent := range p.all {
		silent.Store(true)
	}
	return len(p.all)
}

func (p *silentProxy) conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

// silentServer makes a server of HTTP/2 over TLS behind a proxy, and a transport that trusts it. The test is in a bubble.
func silentServer(t *testing.T, handler http.Handler) (*http.Transport, *silentProxy) {
	p := &silentProxy{incoming: make(chan net.Conn)}
	p.closed, p.close = context.WithCancel(context.Background())
	srv := httptest.NewUnstartedServer(handler)
	_ = srv.Listener.Close()
	srv.Listener = p
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	transport := srv.Client().Transport.(*http.Transport)
	transport.DialContext = p.dial
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	return transport, p
}

// syncVariables plans and applies.
func syncVariables(t *testing.T, set *pipelines.VariableSet, desired []pipelines.VariableRequest, o *pipelines.SyncOptions) (*pipelines.SyncPlan, error) {
	t.Helper()
	plan, err := set.Plan(t.Context(), desired, o)
	require.NoError(t, err)
	return plan, set.Apply(t.Context(), plan)
}

// verbs are one call of each kind that the retry policy knows.
var verbs = []struct {
	name   string
	once   bool
	delete bool
	call   func(context.Context, *pipelines.Client) error
}{
	{name: "GET", call: func(ctx context.Context, c *pipelines.Client) error {
		_, err := c.Pipelines.Get(ctx, repo, "1")
		return err
	}},
	{name: "PUT", call: func(ctx context.Context, c *pipelines.Client) error {
		return c.Do(ctx, http.MethodPut, "/a", map[string]int{"a": 1}, &map[string]any{})
	}},
	{name: "DELETE", delete: true, call: func(ctx context.Context, c *pipelines.Client) error {
		return c.Do(ctx, http.MethodDelete, "/a", nil, &map[string]any{})
	}},
	{name: "stop", call: func(ctx context.Context, c *pipelines.Client) error {
		return c.Pipelines.Stop(ctx, repo, "1")
	}},
	{name: "run", once: true, call: func(ctx context.Context, c *pipelines.Client) error {
		_, err := c.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		return err
	}},
	{name: "POST", once: true, call: func(ctx context.Context, c *pipelines.Client) error {
		return c.Do(ctx, http.MethodPost, "/a", map[string]int{"a": 1}, &map[string]any{})
	}},
}

// sequence responds with one handler after the other, and repeats the last.
func sequence(handlers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int32
	return func(w http.ResponseWriter, req *http.Request) {
		i := min(int(n.Add(1)), len(handlers)) - 1
		handlers[i](w, req)
	}
}

// hosts serves several origins in process: the key of each is "scheme://host".
type hosts map[string]http.HandlerFunc

func (h hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	handle, ok := h[req.URL.Scheme+"://"+req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no host %s", req.URL.Host)
	}
	w := httptest.NewRecorder()
	seen := req.Clone(req.Context())
	if seen.Body == nil {
		seen.Body = http.NoBody
	}
	handle(w, seen)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

// variableStore is a list of variables that becomes visible late.
type variableStore struct {
	mu        sync.Mutex
	late      time.Duration
	variables []storedVariable
	faults    []http.HandlerFunc // taken by POSTs, one each; nil: none
	requests  []string
}

func (s *variableStore) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, req.Method)
	var in struct {
		Key, Value string
		Secured    bool
	}
	data, _ := io.ReadAll(req.Body)
	_ = jsonv2.Unmarshal(data, &in, jsonv2.MatchCaseInsensitiveNames(true))
	switch req.Method {
	case http.MethodGet:
		var values []string
		for _, v := range s.variables {
			if time.Since(v.at) >= s.late {
				values = append(values, fmt.Sprintf(`{"uuid":%q,"key":%q,"secured":%t}`, v.UUID, v.Key, v.Secured))
			}
		}
		serveJSON(fmt.Sprintf(`{"values":[%s]}`, strings.Join(values, ",")))(w, req)
	case http.MethodPost:
		var fault http.HandlerFunc
		if len(s.faults) > 0 {
			fault, s.faults = s.faults[0], s.faults[1:]
		}
		for _, v := range s.variables {
			if v.Key == in.Key {
				serve(409, "application/json", `{"error":{"message":"exists"}}`)(w, req)
				return
			}
		}
		id := fmt.Sprintf("{%d}", len(s.variables)+1)
		s.variables = append(s.variables, storedVariable{pipelines.Variable{UUID: id, Key: in.Key, Value: in.Value, Secured: in.Secured}, time.Now()})
		if fault != nil {
			fault(w, req)
			return
		}
		serve(201, "application/json", fmt.Sprintf(`{"uuid":%q,"key":%q,"secured":%t}`, id, in.Key, in.Secured))(w, req)
	case http.MethodPut:
		for i := range s.variables {
			if strings.HasSuffix(req.URL.Path, s.variables[i].UUID) {
				s.variables[i].Value, s.variables[i].Secured = in.Value, in.Secured
			}
		}
		serveJSON(fmt.Sprintf(`{"key":%q}`, in.Key))(w, req)
	case http.MethodDelete:
		s.variables = nil
		w.WriteHeader(http.StatusNoContent)
	}
}

// values are the stored ones, as "KEY=value".
func (s *variableStore) values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, v := range s.variables {
		all = append(all, v.Key+"="+v.Value)
	}
	return all
}

type storedVariable struct {
	pipelines.Variable
	at time.Time
}

// second returns the error of a call.
func second[T any](_ T, err error) error { return err }
