package exchange_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/exchange"
)

// pooledConn counts how often it is closed after the transport could give it to another request.
type pooledConn struct {
	net.Conn
	pooled, broken atomic.Bool
}

func (c *pooledConn) Close() error {
	if c.pooled.Load() {
		c.broken.Store(true)
	}
	return nil
}

// spin waits without giving up the processor, since a sleep takes longer than these times.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// TestAConnectionIsNotClosedOnceItMayBeAnotherRequests uses the real clock, where the stall timer may fire just as a response begins.
func TestAConnectionIsNotClosedOnceItMayBeAnotherRequests(t *testing.T) {
	const timeout = 20 * time.Microsecond
	broken := 0
	for i := range 5000 {
		conn := &pooledConn{}
		x := exchange.NewGuard(timeout).Start(t.Context(), http.MethodPost, true)
		gotConn(x, conn, true)
		spin(time.Duration(i%40) * time.Microsecond)
		httptrace.ContextClientTrace(x.Context()).GotFirstResponseByte()
		conn.pooled.Store(true) // net/http gives it back before it returns the response
		spin(10 * time.Microsecond)
		require.NoError(t, x.Body(&http.Response{Body: http.NoBody, ProtoMajor: 1}, unchanged).Close())
		if conn.broken.Load() {
			broken++
		}
	}
	require.Zero(t, broken, "of 5000 connections")
}

func TestABodyThatStallsClosesOnlyAConnectionOfHTTP2(t *testing.T) {
	for _, version := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			conn := &pooledConn{}
			conn.pooled.Store(true)
			x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodGet, false)
			gotConn(x, conn, true)
			r, _ := io.Pipe()
			body := x.Body(&http.Response{Body: r, ProtoMajor: version}, unchanged)
			go func() {
				<-x.Context().Done()
				_ = r.Close()
			}()
			_, err := body.Read(make([]byte, 1))
			require.ErrorIs(t, err, exchange.ErrStalled)
			require.NoError(t, body.Close())
			require.Equal(t, version == 2, conn.broken.Load(), "HTTP/%d", version)
		})
	}
}
