package stall_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/stall"
)

func gotConn(x *stall.Exchange, conn net.Conn, reused bool) {
	x.GotConn(httptrace.GotConnInfo{Conn: conn, Reused: reused})
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
		x := stall.New(time.Minute).Start(t.Context())
		<-x.Context().Done()
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, x.Fail(context.Canceled), stall.ErrStalled)
	})
}

func TestASilentConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer peer.Close()
		x := stall.New(time.Minute).Start(t.Context())
		gotConn(x, conn, true)
		<-x.Context().Done()
		require.True(t, closed(conn))
		require.ErrorIs(t, x.Fail(io.ErrClosedPipe), stall.ErrStalled)
	})
}

func TestAConnectionThatAnotherExchangeHearsFromStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer conn.Close()
		defer peer.Close()
		guard := stall.New(time.Minute)
		silent, heard := guard.Start(t.Context()), guard.Start(t.Context())
		gotConn(silent, conn, true)
		gotConn(heard, conn, true)
		time.Sleep(30 * time.Second)
		body := heard.Body(io.NopCloser(bytes.NewReader(make([]byte, 10))), unchanged)
		defer body.Close()
		<-silent.Context().Done()
		require.False(t, closed(conn))
		require.ErrorIs(t, silent.Fail(context.Canceled), stall.ErrStalled)
	})
}

func TestAFreshConnectionWasHeardWhenItWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer conn.Close()
		defer peer.Close()
		x := stall.New(time.Minute).Start(t.Context())
		time.Sleep(50 * time.Second) // a slow handshake
		gotConn(x, conn, false)
		<-x.Context().Done()
		require.False(t, closed(conn))
		_ = x.Fail(context.Canceled)
	})
}

func TestTheTimeBetweenTwoReadsDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := stall.New(time.Minute).Start(t.Context())
		r, w := io.Pipe()
		body := x.Body(r, unchanged)
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
		require.ErrorIs(t, err, stall.ErrStalled)
	})
}

func TestAnErrorThatIsNoStallPassesUnchanged(t *testing.T) {
	x := stall.New(time.Minute).Start(t.Context())
	require.Equal(t, io.ErrUnexpectedEOF, x.Fail(io.ErrUnexpectedEOF))
	require.Error(t, x.Context().Err(), "the exchange has ended")
}
