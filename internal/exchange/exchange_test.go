package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/exchange"
)

func gotConn(x *exchange.Exchange, conn net.Conn, reused bool) {
	httptrace.ContextClientTrace(x.Context()).GotConn(httptrace.GotConnInfo{Conn: conn, Reused: reused})
}

func unchanged(err error) error { return err }

func closed(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now())
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, io.ErrClosedPipe)
}

func TestAnExchangeWithoutAConnectionIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodGet, false)
		<-x.Context().Done()
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, x.Fail(context.Canceled), exchange.ErrStalled)
	})
}

func TestASilentConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer peer.Close()
		x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodGet, false)
		gotConn(x, conn, true)
		<-x.Context().Done()
		require.True(t, closed(conn))
		require.ErrorIs(t, x.Fail(io.ErrClosedPipe), exchange.ErrStalled)
	})
}

func TestAConnectionThatAnotherExchangeHearsFromStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer conn.Close()
		defer peer.Close()
		guard := exchange.NewGuard(time.Minute)
		silent, heard := guard.Start(t.Context(), http.MethodGet, false), guard.Start(t.Context(), http.MethodGet, false)
		gotConn(silent, conn, true)
		gotConn(heard, conn, true)
		time.Sleep(30 * time.Second)
		body := heard.Body(&http.Response{Body: io.NopCloser(bytes.NewReader(make([]byte, 10))), ProtoMajor: 2}, unchanged)
		defer body.Close()
		<-silent.Context().Done()
		require.False(t, closed(conn))
		require.ErrorIs(t, silent.Fail(context.Canceled), exchange.ErrStalled)
	})
}

func TestAFreshConnectionWasHeardWhenItWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer conn.Close()
		defer peer.Close()
		x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodGet, false)
		time.Sleep(50 * time.Second) // a slow handshake
		gotConn(x, conn, false)
		<-x.Context().Done()
		require.False(t, closed(conn))
		_ = x.Fail(context.Canceled)
	})
}

func TestTheTimeBetweenTwoReadsDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodGet, false)
		r, w := io.Pipe()
		body := x.Body(&http.Response{Body: r}, unchanged)
		defer body.Close()
		go func() { _, _ = w.Write([]byte("ab")) }()
		one := make([]byte, 1)
		for range 2 {
			time.Sleep(time.Hour)
			require.NoError(t, x.Context().Err())
			_, err := body.Read(one)
			require.NoError(t, err)
		}
		go func() {
			<-x.Context().Done()
			r.Close()
		}()
		_, err := body.Read(one)
		require.ErrorIs(t, err, exchange.ErrStalled)
	})
}

func TestAnErrorThatIsNoStallPassesUnchanged(t *testing.T) {
	x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodGet, false)
	require.Equal(t, io.ErrUnexpectedEOF, x.Fail(io.ErrUnexpectedEOF))
	require.Error(t, x.Context().Err(), "the exchange has ended")
}
