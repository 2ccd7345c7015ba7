package pipelines_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// silentProxy passes TCP connections on. Those that were there when it fell silent stay open, and swallow what is sent.
type silentProxy struct {
	net.Listener
	target string
	mu     sync.Mutex
	all    []*atomic.Bool // whether a connection is silent
}

func newSilentProxy(t *testing.T, target string) *silentProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &silentProxy{Listener: listener, target: target}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *silentProxy) serve(conn net.Conn) {
	defer conn.Close()
	upstream, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer upstream.Close()
	silent := new(atomic.Bool)
	p.mu.Lock()
	p.all = append(p.all, silent)
	p.mu.Unlock()
	pass := func(to io.Writer, from io.Reader) {
		buf := make([]byte, 16<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if !silent.Load() {
				_, _ = to.Write(buf[:n])
			}
		}
	}
	go pass(conn, upstream)
	pass(upstream, conn)
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

// silentServer makes a server of HTTP/2 over TLS behind a proxy, and a transport that trusts it.
func silentServer(t *testing.T, handler http.Handler) (*http.Transport, *silentProxy) {
	srv := httptest.NewUnstartedServer(handler)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Client().Transport.(*http.Transport), newSilentProxy(t, srv.Listener.Addr().String())
}

// overHTTP2 makes a client that reaches a server by TLS and HTTP/2 through a proxy.
func overHTTP2(t *testing.T, handler http.HandlerFunc, opts ...pipelines.Option) (*pipelines.Client, *silentProxy) {
	t.Helper()
	transport, proxy := silentServer(t, handler)
	opts = append([]pipelines.Option{
		pipelines.WithHTTPClient(&http.Client{Transport: transport}), pipelines.WithStallTimeout(time.Second),
	}, opts...)
	return newClient(t, "https://"+proxy.Addr().String()+"/2.0", opts...), proxy
}

func TestADeadHTTP2ConnectionIsReplacedAfterAStall(t *testing.T) {
	c, proxy := overHTTP2(t, func(w http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor != 2 {
			w.WriteHeader(http.StatusTeapot)
		}
		answer(http.StatusCreated, "application/json", `{"uuid":"{u}","build_number":1}`)(w, req)
	})
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, 1, proxy.fallSilent())

	_, err = c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err, "the attempt after the stall takes a new connection")
	require.Equal(t, 2, proxy.conns())

	proxy.fallSilent()
	_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown, "nobody knows whether it arrived")
	_, err = c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.NoError(t, err, "the next call takes a new connection")
	require.Equal(t, 3, proxy.conns())
}

func TestManyCallsOnADeadHTTP2ConnectionAllGoOn(t *testing.T) {
	c, proxy := overHTTP2(t, answerJSON(`{"build_number":1}`))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	proxy.fallSilent()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			assert.NoError(t, err)
		})
	}
	all.Wait()
}

func TestALogOnADeadHTTP2ConnectionGoesOnOverAnother(t *testing.T) {
	var requests atomic.Int32
	c, proxy := overHTTP2(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "6")
		if requests.Add(1) == 1 {
			_, _ = io.WriteString(w, "abc")
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
			return
		}
		http.ServeContent(w, req, "", time.Time{}, strings.NewReader("abcdef"))
	})
	stream, err := c.Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	defer stream.Close()
	first := make([]byte, 3)
	_, err = io.ReadFull(stream, first)
	require.NoError(t, err)
	proxy.fallSilent()
	rest, err := io.ReadAll(stream)
	require.NoError(t, err)
	require.Equal(t, "abcdef", string(first)+string(rest))
}

func TestAStalledRequestLeavesALiveHTTP2ConnectionToTheOthers(t *testing.T) {
	release := make(chan struct{})
	c, proxy := overHTTP2(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Hang") != "" {
			<-req.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		for {
			_, _ = io.WriteString(w, "line\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-release:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}, pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1}))
	stream, err := c.Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	defer stream.Close()
	read := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, stream)
		read <- err
	}()
	_, err = c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader("Hang", "yes"))
	require.ErrorContains(t, err, "stalled")
	close(release)
	require.NoError(t, <-read, "the log's connection is alive")
	require.Equal(t, 1, proxy.conns())
}

// TestEveryOperationLeavesASilentHTTP2Connection is the column of the fault matrix that needs sockets.
func TestEveryOperationLeavesASilentHTTP2Connection(t *testing.T) {
	const together = 16
	limit := make(chan struct{}, together)
	var all sync.WaitGroup
	for _, o := range matrixOperations(t) {
		r, w := newRow(t, o), newWorld(t)
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			r.overSilence(t, w)
		})
	}
	all.Wait()
}

// overSilence carries the operation out over a connection that has just fallen silent.
func (r row) overSilence(t *testing.T, w *world) {
	secure, proxy := silentServer(t, w.srv.Handler())
	way := roundTripper(func(req *http.Request) (*http.Response, error) {
		if strings.HasPrefix(req.URL.Host, "storage.") {
			return w.srv.Transport().RoundTrip(req)
		}
		return secure.RoundTrip(req)
	})
	call := func(o documentedOperation) error {
		_, err := w.call(t.Context(), o, way, pipelines.WithBaseURL("https://"+proxy.Addr().String()+"/2.0"), pipelines.WithStallTimeout(time.Second))
		return err
	}
	warm, err := http.NewRequest(http.MethodGet, "https://"+proxy.Addr().String()+"/", http.NoBody)
	if !assert.NoError(t, err) {
		return
	}
	resp, err := secure.RoundTrip(warm)
	if !assert.NoError(t, err) {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	assert.Equal(t, 1, proxy.fallSilent())

	err = call(r.documentedOperation)
	if r.once() {
		assert.ErrorIs(t, err, pipelines.ErrOutcomeUnknown, r.sdk)
		err = call(r.documentedOperation)
	}
	assert.NoError(t, err, r.sdk)
	assert.Equal(t, 2, proxy.conns(), "%s: connections", r.sdk)
	if err == nil {
		assert.Equal(t, r.after, w.state(t), "%s: took effect once", r.sdk)
	}
}

func TestTwoClientsOfOneTransportLeaveEachOthersConnectionsAlone(t *testing.T) {
	release := make(chan struct{})
	transport, proxy := silentServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Hang") != "" {
			<-req.Context().Done()
			return
		}
		for {
			_, _ = io.WriteString(w, "line\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-release:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}))
	client := func() *pipelines.Client {
		return newClient(t, "https://"+proxy.Addr().String()+"/2.0", pipelines.WithHTTPClient(&http.Client{Transport: transport}),
			pipelines.WithStallTimeout(time.Second), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1}))
	}
	stream, err := client().Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	defer stream.Close()
	read := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, stream)
		read <- err
	}()
	_, err = client().Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader("Hang", "yes"))
	require.ErrorContains(t, err, "stalled")
	close(release)
	require.NoError(t, <-read, "the log's connection is alive")
	require.Equal(t, 1, proxy.conns())
}

func TestTheClientsOwnTransportReplacesADeadHTTP2Connection(t *testing.T) {
	trusting, proxy := silentServer(t, answerJSON(`{"build_number":1}`))
	standard := http.DefaultTransport
	http.DefaultTransport = trusting // which the client's own is made of
	c, err := pipelines.NewClient(pipelines.WithBaseURL("https://"+proxy.Addr().String()+"/2.0"), pipelines.WithStallTimeout(time.Second))
	http.DefaultTransport = standard
	require.NoError(t, err)
	for n := range 3 {
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Equal(t, n+1, proxy.fallSilent())
	}
	c.CloseIdleConnections()
}
