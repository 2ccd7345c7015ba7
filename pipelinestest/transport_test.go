package pipelinestest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// closeCounter is a request body that counts how often it is closed.
type closeCounter struct {
	io.Reader
	closed int
}

func (b *closeCounter) Close() error {
	b.closed++
	return nil
}

func TestAResponseWithoutASocketIsLikeAnyOther(t *testing.T) {
	srv := pipelinestest.NewServer()
	srv.AddRepository("acme", "site").AddPipelines(11)
	req, err := http.NewRequestWithContext(t.Context(), "", "https://api.bitbucket.org/2.0"+site+"/pipelines?pagelen=1", nil)
	require.NoError(t, err)
	req.Header = nil
	resp, err := srv.Transport().RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "401 Unauthorized", resp.Status)

	req.Header = http.Header{"Authorization": {"Bearer x"}}
	resp, err = srv.Transport().RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Same(t, req, resp.Request)
	require.Equal(t, "HTTP/1.1", resp.Proto)
	require.Equal(t, "200 OK", resp.Status)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.EqualValues(t, len(body), resp.ContentLength)
	require.Contains(t, string(body), `"next":"https://api.bitbucket.org/2.0/repositories/acme/site/pipelines?page=2`)
	require.Equal(t, http.Header{"Authorization": {"Bearer x"}}, req.Header, "the request is unchanged")
	require.Equal(t, "api.bitbucket.org", srv.Requests()[1].Host)
}

func TestALogWithoutASocketIsServedByTheStorage(t *testing.T) {
	f := setup(t, pipelinestest.WithInProcess())
	f.client.Transport = f.srv.Transport()
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(time.Hour)
	link := f.get(f.step(path, 0) + "/log").Header.Get("Location")
	require.True(t, strings.HasPrefix(link, "http://storage.bitbucket.test/logs/"), link)
	require.Equal(t, logged.Steps[0].Log, f.get(link, "Authorization", "").text)
	head := f.send(http.MethodHead, link, "", "Authorization", "")
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.EqualValues(t, 31, head.ContentLength)
	require.Empty(t, head.text)
}

func TestACancelledRequestIsNotSent(t *testing.T) {
	srv := pipelinestest.NewServer()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body := &closeCounter{Reader: strings.NewReader("{}")}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://api.bitbucket.test/2.0/x", body)
	require.NoError(t, err)
	resp, err := srv.Transport().RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, body.closed)
	require.Empty(t, srv.Requests())
}

func TestTheRequestBodyIsClosedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		body := &closeCounter{Reader: strings.NewReader("{}")}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL()+"/x", body)
		require.NoError(t, err)
		resp, err := srv.Transport().RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		synctest.Wait()
		require.Equal(t, 1, body.closed)
	})
}

func TestAFailingRequestBodyDropsTheConnection(t *testing.T) {
	srv := pipelinestest.NewServer()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.bitbucket.test/2.0/x", io.MultiReader(&failingReader{}))
	require.NoError(t, err)
	resp, err := srv.Transport().RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	require.ErrorContains(t, err, "connection reset")
}

type failingReader struct{}

func (*failingReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestNoGoroutineIsLeftBehind(t *testing.T) {
	for name, end := range map[string]func(*http.Response, context.CancelFunc) error{
		"by closing the body":       func(resp *http.Response, _ context.CancelFunc) error { return resp.Body.Close() },
		"by cancelling the context": func(_ *http.Response, cancel context.CancelFunc) error { cancel(); return nil },
		"by reading to the end": func(resp *http.Response, _ context.CancelFunc) error {
			_, err := io.Copy(io.Discard, resp.Body)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // fails if a goroutine stays blocked
				srv := pipelinestest.NewServer()
				srv.AddRepository("acme", "site").AddPipelines(100)
				ctx, cancel := context.WithCancel(t.Context())
				f := &fixture{t: t, srv: srv, client: &http.Client{Transport: srv.Transport()}}
				resp, err := f.do(ctx, http.MethodGet, site+"/pipelines?pagelen=100", "")
				require.NoError(t, err)
				_, err = resp.Body.Read(make([]byte, 10))
				require.NoError(t, err)
				require.NoError(t, end(resp, cancel))
				synctest.Wait()
				cancel()
			})
		})
	}
}

func TestNoTraceHookIsCalled(t *testing.T) {
	srv := pipelinestest.NewServer()
	hook := func() { t.Error("a hook was called") }
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { hook() }, WroteHeaders: hook, GotFirstResponseByte: hook,
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.bitbucket.test/2.0/x", nil)
	require.NoError(t, err)
	resp, err := srv.Transport().RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

func TestAnInvalidURIIsAnError(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.bitbucket.test", nil)
	require.NoError(t, err)
	req.URL.Opaque = "%zz"
	resp, err := pipelinestest.NewServer().Transport().RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	require.Error(t, err)
}
