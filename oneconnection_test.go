package pipelines_test

import (
	"io"
	"net/http"
	"sync"
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
		hc := &http.Client{Transport: newOneConnection(cutOffOnce())}
		begin := time.Now()
		runs, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.List(t.Context(), repo, nil).Collect()
		require.NoError(t, err)
		require.Equal(t, upTo(1000), numbers(runs))
		require.Less(t, time.Since(begin), time.Minute, "of the bubble's clock: nothing stalls")
	})
}
