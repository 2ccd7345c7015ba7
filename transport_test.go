package pipelines_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
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

func TestATransportWithoutABodyDoesNoHarm(t *testing.T) {
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 404, Header: http.Header{}, Request: req}, nil
	})}
	_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}

func TestLimiterIsCalledBeforeEveryAttempt(t *testing.T) {
	asked := 0
	srv := record(t, serve(http.StatusServiceUnavailable, "text/plain", ""))
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiterFunc(func(context.Context) error { asked++; return nil })))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorIs(t, err, pipelines.ErrServer)
	require.Equal(t, 3, asked, "times asked")
	srv.requireSent(t, 3)
}

func TestLimiterThatFailsIsCalledAgainForWritesToo(t *testing.T) {
	asked := 0
	srv := record(t, serve(http.StatusCreated, "application/json", `{"uuid":"{1}"}`))
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiterFunc(func(context.Context) error {
		if asked++; asked < 3 {
			return fmt.Errorf("limiter is away")
		}
		return nil
	})))
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err)
	srv.requireSent(t, 1)
}

func TestLimiterHonoursTheContext(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	ctx, cancel := context.WithCancel(t.Context())
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiterFunc(func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})))
	_, err := c.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	srv.requireSent(t, 0)
}

func TestAnObserverSeesEveryAttempt(t *testing.T) {
	n := 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		n++
		w.Header().Set("X-RateLimit-NearLimit", fmt.Sprint(n))
		if n == 1 {
			serve(http.StatusTooManyRequests, "text/plain", "Rate limit")(w, req)
			return
		}
		serveJSON(`{"build_number":1}`)(w, req)
	})
	var seen []string
	c := newClient(t, srv.base(), pipelines.WithObserver(func(a pipelines.Attempt) {
		resp := a.Response
		seen = append(seen, fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("X-RateLimit-NearLimit"), " ", resp.Request.Header.Get("Authorization")))
		resp.Body.Close()
	}))
	p, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, 1, p.BuildNumber)
	require.Equal(t, []string{"429 1 ", "200 2 "}, seen)
}

// sleepy holds every request back for a second.
func sleepy() pipelines.Option {
	return pipelines.WithLimiter(limiterFunc(func(context.Context) error { time.Sleep(time.Second); return nil }))
}

func TestAnObserverIsCalledForEveryAttemptLostOnesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []pipelines.Attempt
		errLost := errors.New("lost")
		sent := 0
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			n, ok := pipelines.AttemptFromContext(req.Context())
			require.True(t, ok)
			require.Equal(t, sent+1, n)
			switch sent++; sent {
			case 1:
				return nil, errLost
			case 2:
				resp := respond(req, 503, "")
				resp.Header.Set("Retry-After", "7")
				return resp, nil
			}
			return respond(req, 200, `{"build_number":1}`), nil
		}, sleepy(), pipelines.WithRetry(pipelines.RetryPolicy{MinWait: 2, MaxWait: 3}), pipelines.WithObserver(func(a pipelines.Attempt) { seen = append(seen, a) }))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Len(t, seen, 3)
		for i, a := range seen {
			require.Equal(t, i+1, a.Number)
			require.Equal(t, pipelines.Operation{Name: "Pipelines.Get", Method: "GET", Path: "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}"}, a.Operation)
			require.Equal(t, 100*time.Millisecond, a.Duration)
		}
		require.ErrorIs(t, seen[0].Err, errLost)
		require.Nil(t, seen[0].Response)
		require.Equal(t, 503, seen[1].Response.StatusCode)
		require.Empty(t, seen[1].Response.Request.Header.Get("Authorization"))
		require.Equal(t, time.Second, seen[0].Held)
		require.Equal(t, 8*time.Second, seen[2].Held, "a Retry-After of 7 s and the limiter")
	})
}

func TestAnObserverIsCalledForWhatWasNeverSent(t *testing.T) {
	errFull := errors.New("full")
	var mu sync.Mutex
	var seen []pipelines.Attempt
	full := pipelines.WithLimiter(limiterFunc(func(context.Context) error { return errFull }))
	c := viaFunc(t, nil, full, pipelines.WithRetry(quick), pipelines.WithObserver(func(a pipelines.Attempt) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, a)
	}))
	_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, errFull)
	require.Len(t, seen, quick.MaxAttempts)
	for _, a := range seen {
		require.ErrorIs(t, a.Err, errFull)
		require.Zero(t, a.Duration)
	}
}

// callingHandler calls a function with each log line.
type callingHandler struct{ call func() }

func (h callingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h callingHandler) Handle(context.Context, slog.Record) error { h.call(); return nil }

func (h callingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h callingHandler) WithGroup(string) slog.Handler { return h }

func TestAnObserverAndALoggerMayCallTheClientAfterA429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *pipelines.Client
		start, calls, nested := time.Now(), 0, false
		call := func() { // from the attempt too for which all others wait
			if nested {
				return
			}
			nested, calls = true, calls+1
			_, err := c.Pipelines.Get(t.Context(), repo, "2")
			assert.NoError(t, err)
			nested = false
		}
		c = viaFunc(t, func(req *http.Request) (*http.Response, error) {
			if time.Since(start) < 20*time.Second || strings.HasSuffix(req.URL.Path, "/1") && time.Since(start) < 40*time.Second {
				return respond(req, 429, ""), nil
			}
			return respond(req, 200, `{"build_number":1}`), nil
		}, pipelines.WithObserver(func(pipelines.Attempt) { call() }), pipelines.WithLogger(slog.New(callingHandler{call})))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Greater(t, calls, 2)
	})
}

func TestLoggerLogsEachAttemptAndNothingSecret(t *testing.T) {
	failed := false
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Request-Id", "r-1")
		if !failed {
			failed = true
			serve(http.StatusBadGateway, "text/html", "<html>")(w, req)
			return
		}
		serveJSON(`{}`)(w, req)
	})
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := newClient(t, srv.base(), pipelines.WithLogger(logger))
	_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithQuery("q", "s3cret"), pipelines.WithHeader("X-A", "s3cret"))
	require.NoError(t, err)
	srv.Close()
	_, err = c.Pipelines.Get(t.Context(), repo, "1")
	require.Error(t, err)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 5)
	require.Contains(t, lines[0], "operation=Pipelines.Get method=GET path=/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid} storage=false attempt=1")
	require.Contains(t, lines[0], "status=502 request_id=r-1")
	require.Contains(t, lines[1], "attempt=2")
	require.Contains(t, lines[1], "status=200")
	require.Contains(t, lines[2], "error=")
	require.NotContains(t, log.String(), "s3cret")
	require.NotContains(t, log.String(), "t0ken")
}

func TestTransportsThatMisbehaveDoNoHarm(t *testing.T) {
	t.Run("neither response nor error", func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })} //nolint:nilnil // the point
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
		require.ErrorContains(t, err, "neither a response nor an error")
	})
	t.Run("traces half of what it does", func(t *testing.T) {
		sent := 0
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			sent++
			httptrace.ContextClientTrace(req.Context()).GetConn("api.example:80")
			return respond(req, 201, "{"), nil
		})}
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.Equal(t, 1, sent, "requests sent")
	})
	t.Run("changes the request", func(t *testing.T) {
		var seen []string
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			seen = append(seen, req.Header.Get("Authorization"))
			req.URL.Host = "elsewhere.example"
			return nil, errors.New("boom")
		})}
		_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
		require.Error(t, err)
		require.Equal(t, []string{"Bearer t0ken", "Bearer t0ken", "Bearer t0ken"}, seen)
	})
}

func TestLoggerTellsRequestsToStorageHosts(t *testing.T) {
	storage := record(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a log\n") })
	api := record(t, http.RedirectHandler(storage.base()+"/log", http.StatusTemporaryRedirect).ServeHTTP)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	stream, err := newClient(t, api.base(), pipelines.WithLogger(logger)).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	require.NoError(t, stream.Close())
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], "storage=false")
	require.Contains(t, lines[1], "storage=true")
}

// resettingServer is an HTTP/2 server that reads each request to its end and then resets the stream with PROTOCOL_ERROR, as gateways do
// that can't read a response. net/http takes that for a request that wasn't processed. It returns the number of requests.
func resettingServer(t *testing.T) (base string, transport *http.Transport, requests *atomic.Int32) {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	transport = certified.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close(); transport.CloseIdleConnections() })
	requests = new(atomic.Int32)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go resetStreams(conn, requests)
		}
	}()
	return "https://" + listener.Addr().String() + "/2.0", transport, requests
}

// resetStreams speaks as much HTTP/2 as it takes to receive requests.
func resetStreams(conn net.Conn, requests *atomic.Int32) {
	defer conn.Close()
	const data, headers, reset, settings = 0, 1, 3, 4 // types of frames
	const ack, endOfStream = 1, 1                     // flags
	write := func(kind, flags byte, stream, payload []byte) {
		frame := append([]byte{0, 0, byte(len(payload)), kind, flags}, stream...)
		_, _ = conn.Write(append(frame, payload...))
	}
	preface, header, control := make([]byte, 24), make([]byte, 9), make([]byte, 4)
	if _, err := io.ReadFull(conn, preface); err != nil {
		return
	}
	write(settings, 0, control, nil)
	for {
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		length := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
		if _, err := io.CopyN(io.Discard, conn, length); err != nil {
			return
		}
		switch kind, flags := header[3], header[4]; {
		case kind == settings && flags&ack == 0:
			write(settings, ack, control, nil)
		case (kind == data || kind == headers) && flags&endOfStream != 0:
			requests.Add(1)
			write(reset, 0, bytes.Clone(header[5:]), []byte{0, 0, 0, 1}) // PROTOCOL_ERROR
		}
	}
}

func TestAnHTTP2ServerThatResetsEachStreamDoesNotGetAWriteTwice(t *testing.T) {
	base, transport, requests := resettingServer(t)
	observed := 0
	c := newClient(t, base, pipelines.WithHTTPClient(&http.Client{Transport: transport}),
		pipelines.WithObserver(func(pipelines.Attempt) { observed++ }))
	for range 2 { // on a new connection, and on a kept one
		requests.Store(0)
		_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.EqualValues(t, 1, requests.Load(), "requests")
	}
	require.Equal(t, 2, observed, "attempts")
}

func TestAnHTTP2ServerThatResetsEachStreamGetsABoundedNumberOfReads(t *testing.T) {
	base, transport, requests := resettingServer(t)
	c := newClient(t, base, pipelines.WithHTTPClient(&http.Client{Transport: transport}))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "after 3 attempts")
	require.LessOrEqual(t, requests.Load(), int32(3*50), "requests")
	requests.Store(0)
	err = c.Do(t.Context(), http.MethodPost, "/refresh", nil, nil)
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.LessOrEqual(t, requests.Load(), int32(3), "requests without a body")
}

func TestARedirectToAnotherHostTakesNoBodyAlong(t *testing.T) {
	var foreign []byte
	c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "storage.example" {
			if req.Body != nil {
				foreign, _ = io.ReadAll(req.Body)
			}
			return respond(req, 200, "{}"), nil
		}
		resp := respond(req, 307, "")
		resp.Header.Set("Location", "https://storage.example/")
		return resp, nil
	})
	body := pipelines.VariableRequest{Key: "K", Value: "s3cret-value", Secured: new(true)}
	require.NoError(t, c.Do(t.Context(), http.MethodGet, "/search", body, nil))
	require.Empty(t, foreign)
}

func TestARequestWithTheContextOfAStorageRequestIsNone(t *testing.T) {
	var storage []bool
	var c *pipelines.Client
	c = viaFunc(t, func(req *http.Request) (*http.Response, error) {
		o, _ := pipelines.OperationFromContext(req.Context())
		storage = append(storage, o.Storage)
		switch {
		case req.URL.Host == "storage.example":
			_, err := c.Pipelines.Get(req.Context(), repo, "1")
			return respond(req, 200, "a log"), err
		case o.Name == "Pipelines.Get":
			return respond(req, 200, "{}"), nil
		}
		resp := respond(req, 307, "")
		resp.Header.Set("Location", "https://storage.example/")
		return resp, nil
	})
	log, err := c.Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	require.Equal(t, []bool{false, true, false}, storage)
}
