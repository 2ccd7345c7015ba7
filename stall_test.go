package pipelines_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove that a connection on which nothing arrives is closed and replaced, HTTP/2 connections included.

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
	synctest.Test(t, func(t *testing.T) {
		c, proxy := overHTTP2(t, func(w http.ResponseWriter, req *http.Request) {
			if req.ProtoMajor != 2 {
				w.WriteHeader(http.StatusTeapot)
			}
			serve(http.StatusCreated, "application/json", `{"uuid":"{u}","build_number":1}`)(w, req)
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
	})
}

func TestManyCallsOnADeadHTTP2ConnectionAllGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, proxy := overHTTP2(t, serveJSON(`{"build_number":1}`))
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
	})
}

func TestALogOnADeadHTTP2ConnectionGoesOnOverAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
	})
}

// hangOrLog serves a log that grows until it is released. A request with the header Hang gets no response.
func hangOrLog(release <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
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
	}
}

func TestAStalledRequestLeavesALiveHTTP2ConnectionToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c, proxy := overHTTP2(t, hangOrLog(release), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1}))
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
	})
}

func TestTwoClientsOfOneTransportLeaveEachOthersConnectionsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		transport, proxy := silentServer(t, hangOrLog(release))
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
	})
}

func TestAStalledConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return respond(req, 200, `{}`), nil
		})}
		start := time.Now()
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, time.Minute, time.Since(start).Truncate(time.Second))
	})
}

func TestATrickledErrorBodyEndsWithTheStallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			pr, pw := io.Pipe()
			go func() {
				for {
					time.Sleep(time.Second)
					if _, err := pw.Write([]byte("x")); err != nil {
						return
					}
				}
			}()
			context.AfterFunc(req.Context(), func() { pr.CloseWithError(req.Context().Err()) })
			return &http.Response{StatusCode: 400, Header: http.Header{}, Body: pr, Request: req}, nil
		})}
		start := time.Now()
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
		require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
		require.LessOrEqual(t, time.Since(start), time.Minute)
		time.Sleep(2 * time.Second) // the writer finds out
	})
}

func TestTheClientsOwnTransportReplacesADeadHTTP2Connection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trusting, proxy := silentServer(t, serveJSON(`{"build_number":1}`))
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
	})
}
