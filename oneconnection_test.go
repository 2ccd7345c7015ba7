package pipelines_test

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// oneConnection sends one request at a time, as a transport with a MaxConnsPerHost of 1 does: the next one waits until the body before is closed.
type oneConnection struct {
	inner http.RoundTripper
	free  chan struct{}
}

func newOneConnection(inner http.RoundTripper) *oneConnection {
	return &oneConnection{inner, make(chan struct{}, 1)}
}

func (c *oneConnection) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case c.free <- struct{}{}:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	resp, err := c.inner.RoundTrip(req)
	if err != nil {
		<-c.free
		return nil, err
	}
	resp.Body = &closeFunc{resp.Body, sync.OnceFunc(func() { <-c.free })}
	return resp, nil
}

type closeFunc struct {
	io.ReadCloser
	closed func()
}

func (b *closeFunc) Close() error {
	defer b.closed()
	return b.ReadCloser.Close()
}

func TestAPageThatIsCutOffAndTheNextOneShareOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		b := book{n: 1000}
		l := &library{book: b, pages: map[string]http.HandlerFunc{"4": func(w http.ResponseWriter, req *http.Request) {
			if tries.Add(1) == 1 {
				serveJSON(`{"size":1000,"next":"?page=9","values":[{`)(w, req)
				return
			}
			b.ServeHTTP(w, req)
		}}, latency: time.Second, slow: time.Second}
		begin := time.Now()
		runs, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: newOneConnection(l)})).Pipelines.List(t.Context(), repo, nil).Collect()
		require.NoError(t, err)
		require.Equal(t, upTo(1000), numbers(runs))
		require.Less(t, time.Since(begin), time.Minute, "of the bubble's clock: nothing stalls")
	})
}
