package pipelinestest_test

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// TestCloseWaitsForNoRequestThatArrivesMeanwhile has clients that connect again at once, so that some do between the steps of Close. Such a
// connection was closed neither by Close nor by its client.
func TestCloseWaitsForNoRequestThatArrivesMeanwhile(t *testing.T) {
	for range 40 {
		srv := pipelinestest.NewServer()
		srv.Inject(pipelinestest.Fault{Stall: true})
		url := srv.URL() + "/repositories/acme/site/pipelines"
		transport := &http.Transport{}
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for !refused(t, transport, url) {
				}
			})
		}
		for len(srv.Requests()) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		closed := make(chan struct{})
		go func() {
			srv.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			require.Fail(t, "Close waits for a client")
		}
		clients.Wait()
		transport.CloseIdleConnections()
	}
}

// refused sends a request, waits for the end of its response, and reports whether nobody listens any more.
func refused(t *testing.T, transport *http.Transport, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	assert.NoError(t, err)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return false
}
