package pipelines_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove that many calls at once get along: they share a token and a limiter, each ends at once when its context does,
// and none leaves a goroutine behind.

const crowd = 64

// issuer hands out tokens that are good for an hour, and knows which of them still are.
type issuer struct {
	mu     sync.Mutex
	expiry map[string]time.Time
}

func (i *issuer) issue() *oauth2.Token {
	time.Sleep(time.Second) // the bubble's clock: long enough for all to come and wait
	i.mu.Lock()
	defer i.mu.Unlock()
	token := &oauth2.Token{AccessToken: fmt.Sprint("t", len(i.expiry)+1), Expiry: time.Now().Add(time.Hour)}
	if i.expiry == nil {
		i.expiry = map[string]time.Time{}
	}
	i.expiry[token.AccessToken] = token.Expiry
	return token
}

func (i *issuer) issued() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.expiry)
}

// check refuses a request whose token isn't good any more, as the service does.
func (i *issuer) check(w http.ResponseWriter, req *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !time.Now().Before(i.expiry[strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")]) {
		serve(http.StatusUnauthorized, "text/plain", "expired")(w, req)
		return
	}
	serveJSON(`{"uuid":"{1}"}`)(w, req)
}

func TestACrowdRefreshesAnExpiredTokenOnce(t *testing.T) {
	credentials := map[string]func(*issuer) pipelines.Option{
		"of a token source": func(i *issuer) pipelines.Option {
			return pipelines.WithTokenSource(tokenSource(func() (*oauth2.Token, error) { return i.issue(), nil }))
		},
		"of an OAuth consumer": func(*issuer) pipelines.Option { return pipelines.WithClientCredentials("id", "s3cret") },
	}
	for name, option := range credentials {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var i issuer
				hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
					if req.URL.Path == "/site/oauth2/access_token" {
						serveJSON(fmt.Sprintf(`{"access_token":%q,"expires_in":3600}`, i.issue().AccessToken))(w, req)
						return
					}
					i.check(w, req)
				}}}
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), option(&i))
				for generation := 1; generation <= 5; generation++ {
					var all sync.WaitGroup
					for n := range crowd {
						all.Go(func() { assert.NoError(t, verbs[n%len(verbs)].call(t.Context(), c)) })
					}
					all.Wait()
					require.Equal(t, generation, i.issued())
					time.Sleep(time.Hour) // to the very moment at which the token expires
				}
			})
		})
	}
}

func TestACrowdThatSharesALimiterPassesOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		permits := make(chan struct{})
		limiter := limiterFunc(func(ctx context.Context) error {
			select {
			case <-permits:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		var sent, succeeded, cancelled atomic.Int32
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			sent.Add(1)
			serveJSON(`{"uuid":"{1}"}`)(w, req)
		}}}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithLimiter(limiter))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all sync.WaitGroup
		for n := range crowd {
			all.Go(func() {
				err := verbs[n%len(verbs)].call(ctx, c)
				if err == nil {
					succeeded.Add(1)
					return
				}
				cancelled.Add(1)
				assert.ErrorIs(t, err, context.Canceled)
				assert.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			})
		}
		const permitted = 10
		for n := range permitted {
			synctest.Wait()
			require.EqualValues(t, n, sent.Load(), "requests sent")
			permits <- struct{}{}
		}
		synctest.Wait()
		start := time.Now()
		cancel()
		all.Wait()
		require.Zero(t, time.Since(start))
		require.EqualValues(t, permitted, sent.Load(), "requests sent")
		require.EqualValues(t, permitted, succeeded.Load())
		require.EqualValues(t, crowd-permitted, cancelled.Load())
	})
}

// wire is a network inside a bubble: HTTP as on a real one, over pipes that the bubble knows to be waiting.
type wire struct {
	conns  chan net.Conn
	closed chan struct{}
	open   atomic.Int32 // connections that the client has
}

// newWire makes a network on which every host is served by handle.
func newWire(t *testing.T, handle http.Handler) *wire {
	t.Helper()
	w := &wire{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: handle}
	go func() { _ = srv.Serve(w) }()
	t.Cleanup(func() { _ = srv.Close() })
	return w
}

// Dial connects to the server.
func (w *wire) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, far := w.pipe()
	select {
	case w.conns <- far:
		return conn, nil
	case <-ctx.Done():
		conn.Close()
		return nil, ctx.Err()
	}
}

func (w *wire) pipe() (near, far net.Conn) {
	near, far = net.Pipe()
	w.open.Add(1)
	return &wireConn{Conn: near, closed: sync.OnceFunc(func() { w.open.Add(-1) })}, far
}

// Accept implements [net.Listener].
func (w *wire) Accept() (net.Conn, error) {
	select {
	case conn := <-w.conns:
		return conn, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (w *wire) Close() error {
	close(w.closed)
	return nil
}

// Addr implements [net.Listener].
func (w *wire) Addr() net.Addr { return &net.TCPAddr{} }

type wireConn struct {
	net.Conn
	closed func()
}

func (c *wireConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// kindOfCall is what may be under way when a context ends.
type kindOfCall struct {
	name                      string
	once, lists, polls, reads bool // reads: a log or a cache
	call                      func(context.Context, *pipelines.Client) error
}

func kindsOfCall() []kindOfCall {
	return []kindOfCall{
		{name: "a GET", call: verbs[0].call},
		{name: "a DELETE", call: verbs[2].call},
		{name: "a run", once: true, call: verbs[4].call},
		{name: "a list", lists: true, call: func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Pipelines.List(ctx, repo, nil).Collect()
			return err
		}},
		{name: "a parallel list", lists: true, call: func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Pipelines.List(ctx, repo, nil).Parallel(4).Collect()
			return err
		}},
		{name: "a log", reads: true, call: func(ctx context.Context, c *pipelines.Client) error {
			log, err := c.Steps.GetLog(ctx, repo, "1", "{s}", nil)
			return readAll(log, err)
		}},
		{name: "a download", reads: true, call: func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Caches.Download(ctx, repo, "{c}", io.Discard)
			return err
		}},
		{name: "Wait", polls: true, call: func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Pipelines.Wait(ctx, repo, "1", nil)
			return err
		}},
		{name: "Watch", polls: true, reads: true, call: func(ctx context.Context, c *pipelines.Client) error {
			for _, err := range c.Pipelines.Watch(ctx, repo, "1", nil) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "FollowLog", polls: true, reads: true, call: func(ctx context.Context, c *pipelines.Client) error {
			r, err := c.Steps.FollowLog(ctx, repo, "1", "{s}", nil)
			return readAll(r, err)
		}},
	}
}

// unfinished is a service whose work goes on for ever: a run in progress, a list of five pages, a cache.
func unfinished(w http.ResponseWriter, req *http.Request) {
	const running = `"state":{"name":"IN_PROGRESS"}`
	switch path := req.URL.Path; {
	case strings.HasSuffix(path, "/pipelines"):
		book{n: 500}.ServeHTTP(w, req)
	case strings.HasSuffix(path, "/steps"):
		serveJSON(`{"values":[{"uuid":"{s}",`+running+`}]}`)(w, req)
	case strings.HasSuffix(path, "/log"), path == "/storage":
		serveLog([]byte("abc"), "")(w, req)
	case strings.HasSuffix(path, "/content-uri"):
		serveJSON(`{"uri":"http://storage.example/storage"}`)(w, req)
	default:
		serveJSON(`{`+running+`}`)(w, req)
	}
}

func hang(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }

// hangAfter sends the beginning of a response and no more.
func hangAfter(status int, beginning string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, beginning)
		_ = http.NewResponseController(w).Flush()
		hang(w, req)
	}
}

// phase is a place in which a call waits when its context ends.
type phase struct {
	name     string
	concerns func(kindOfCall) bool                // nil: all
	sent     bool                                 // the service has the request, and its outcome isn't known
	unheard  bool                                 // the service has not
	refused  bool                                 // it has refused another call before
	base     string                               // "http://api.example" where empty
	handle   func(*http.Request) http.HandlerFunc // nil, and for other requests: [unfinished]
	setUp    func(t *testing.T, w *wire, reached func()) []pipelines.Option
}

// at makes a phase's handler: handle serves requests whose path ends in suffix.
func at(suffix string, handle http.HandlerFunc) func(*http.Request) http.HandlerFunc {
	return func(req *http.Request) http.HandlerFunc {
		if strings.HasSuffix(req.URL.Path, suffix) {
			return handle
		}
		return nil
	}
}

func dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) []pipelines.Option {
	return []pipelines.Option{pipelines.WithHTTPClient(&http.Client{Transport: &http.Transport{DialContext: dial}})}
}

// phasesBefore are those in which nothing has reached the service.
func phasesBefore() []phase {
	return []phase{
		{name: "the limiter", unheard: true, setUp: func(_ *testing.T, _ *wire, reached func()) []pipelines.Option {
			return []pipelines.Option{pipelines.WithLimiter(limiterFunc(func(ctx context.Context) error {
				reached()
				<-ctx.Done()
				return ctx.Err()
			}))}
		}},
		{name: "a token source", unheard: true, setUp: func(t *testing.T, _ *wire, reached func()) []pipelines.Option {
			t.Helper()
			release := make(chan struct{})
			t.Cleanup(func() { close(release) })
			return []pipelines.Option{pipelines.WithTokenSource(tokenSource(func() (*oauth2.Token, error) {
				reached()
				<-release
				return nil, errors.New("too late")
			}))}
		}},
		{name: "the token endpoint's response", unheard: true, handle: at("/access_token", hang), setUp: func(*testing.T, *wire, func()) []pipelines.Option {
			return []pipelines.Option{pipelines.WithClientCredentials("id", "s3cret")}
		}},
		{name: "the token endpoint's body", unheard: true, handle: at("/access_token", hangAfter(200, `{"access`)), setUp: func(*testing.T, *wire, func()) []pipelines.Option {
			return []pipelines.Option{pipelines.WithClientCredentials("id", "s3cret")}
		}},
		{name: "the dial", unheard: true, setUp: func(_ *testing.T, _ *wire, reached func()) []pipelines.Option {
			return dialer(func(ctx context.Context, _, _ string) (net.Conn, error) {
				reached()
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}},
		{name: "the TLS handshake", unheard: true, base: "https://api.example", setUp: func(_ *testing.T, w *wire, reached func()) []pipelines.Option {
			return dialer(func(context.Context, string, string) (net.Conn, error) {
				conn, far := w.pipe()
				go func() {
					reached()
					_, _ = io.Copy(io.Discard, far)
				}()
				return conn, nil
			})
		}},
	}
}

// phasesAfter are those in which the service has a request.
func phasesAfter() []phase {
	tooMany := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "40")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	tryLater := func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost { // of which nothing else is sent again
			tooMany(w, req)
			return
		}
		w.Header().Set("Retry-After", "40")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return []phase{
		{name: "a response", sent: true, handle: at("", hang)},
		{
			name: "a JSON body", sent: true, concerns: func(k kindOfCall) bool { return !k.reads || k.name == "a download" },
			handle: at("", hangAfter(200, `{"values":[`)),
		},
		{
			name: "the response for a log", concerns: func(k kindOfCall) bool { return k.reads && k.name != "a download" },
			handle: at("/log", hang),
		},
		{
			name: "the storage host's response", concerns: func(k kindOfCall) bool { return k.reads },
			handle: func(req *http.Request) http.HandlerFunc {
				if strings.HasSuffix(req.URL.Path, "/log") {
					return http.RedirectHandler("http://storage.example/storage", http.StatusTemporaryRedirect).ServeHTTP
				}
				return at("/storage", hang)(req)
			},
		},
		{
			name: "the rest of a log", concerns: func(k kindOfCall) bool { return k.reads && k.name != "a download" },
			handle: at("/log", hangAfter(200, "ab")),
		},
		{
			name: "the rest of a cache", concerns: func(k kindOfCall) bool { return k.name == "a download" },
			handle: at("/storage", hangAfter(200, "ab")),
		},
		{name: "another attempt", handle: at("", tryLater)},
		{name: "the end of a quota's refusal", unheard: true, refused: true, handle: at("", tooMany)},
		{name: "another poll", concerns: func(k kindOfCall) bool { return k.polls }, handle: at("", unfinished)},
		{
			name: "another page", concerns: func(k kindOfCall) bool { return k.lists },
			handle: func(req *http.Request) http.HandlerFunc {
				if req.URL.Query().Get("page") == "" {
					return nil
				}
				return hang
			},
		},
	}
}

func TestCancellingEndsACallAtOnceWhileItWaitsFor(t *testing.T) {
	for _, p := range append(phasesBefore(), phasesAfter()...) {
		for _, k := range kindsOfCall() {
			if p.concerns != nil && !p.concerns(k) {
				continue
			}
			t.Run(p.name+" in "+k.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { p.cancel(t, k) }) // a bubble fails if a goroutine outlives it
			})
		}
	}
}

// cancel begins a call, ends its context once it waits in this phase, and checks what it returns and what it leaves behind.
func (p phase) cancel(t *testing.T, k kindOfCall) {
	t.Helper()
	var reached, heard atomic.Int32
	network := newWire(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body) // before that the server doesn't look whether the connection is lost
		if !strings.HasSuffix(req.URL.Path, "/access_token") {
			heard.Add(1)
		}
		handle := http.HandlerFunc(unfinished)
		if p.handle != nil && p.handle(req) != nil {
			handle = p.handle(req)
			reached.Add(1)
		}
		handle(w, req)
	}))
	opts := dialer(network.Dial)
	if p.setUp != nil {
		opts = append(opts, p.setUp(t, network, func() { reached.Add(1) })...)
	}
	c := newClient(t, cmp.Or(p.base, "http://api.example"), append(opts, pipelines.WithRetry(pipelines.RetryPolicy{}))...)
	if p.refused {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		require.ErrorIs(t, verbs[0].call(ctx, c), pipelines.ErrRateLimited)
		cancel()
		heard.Store(0)
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.call(ctx, c) }()
	synctest.Wait()
	require.Positive(t, reached.Load())
	before, start := heard.Load(), time.Now()
	require.Equal(t, p.unheard, before == 0)
	cancel()
	err := <-done
	require.Zero(t, time.Since(start))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, k.once && p.sent, errors.Is(err, pipelines.ErrOutcomeUnknown), err)
	c.CloseIdleConnections()
	synctest.Wait()
	require.Equal(t, before, heard.Load(), "nothing more is sent")
	require.Zero(t, network.open.Load(), "no connection is left")
}

func TestCancellingEndsACallAtOnceWhileItReadsAnErrorsBody(t *testing.T) {
	for _, status := range []int{403, 404, 429, 503} {
		p := phase{sent: status == 503, handle: at("", hangAfter(status, `{"error":{`))}
		for _, k := range kindsOfCall() {
			t.Run(fmt.Sprint(status, " in ", k.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { p.cancel(t, k) })
			})
		}
	}
}

func TestACauseOfTheContextsEndHidesNotThatItHasEnded(t *testing.T) {
	shutdown := errors.New("shutting down")
	for name, handle := range map[string]http.HandlerFunc{"a response": hang, "a JSON body": hangAfter(200, `{`)} {
		for _, verb := range verbs {
			t.Run(name+" in "+verb.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					network := newWire(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
						_, _ = io.Copy(io.Discard, req.Body)
						handle(w, req)
					}))
					c := newClient(t, "http://api.example", dialer(network.Dial)...)
					ctx, cancel := context.WithCancelCause(t.Context())
					done := make(chan error, 1)
					go func() { done <- verb.call(ctx, c) }()
					synctest.Wait()
					cancel(shutdown)
					err := <-done
					require.ErrorIs(t, err, context.Canceled)
					require.ErrorIs(t, err, shutdown)
					require.Equal(t, verb.once, errors.Is(err, pipelines.ErrOutcomeUnknown))
				})
			})
		}
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	content := noise(100_000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/log") {
			sequence(cut(5_000, whole(content, false)))(w, req)
			return
		}
		book{n: 1000}.ServeHTTP(w, req)
	}))
	before := runtime.NumGoroutine()
	c := newClient(t, srv.URL)
	for range 20 {
		for range c.Pipelines.List(t.Context(), repo, nil).Parallel(8).All() {
			break
		}
		log, err := c.Steps.GetLog(t.Context(), repo, "1", "{s}", &pipelines.LogOptions{Offset: 3})
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, log)
		require.Error(t, err)
		require.NoError(t, log.Close())
	}
	c.CloseIdleConnections()
	srv.Close()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before }, time.Minute, time.Millisecond)
}
