package exchange_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/exchange"
)

// write lets the transport of an exchange write its request to a connection; name is that of a header field.
func write(x *exchange.Exchange, reused bool, name string) {
	hooks := httptrace.ContextClientTrace(x.Context())
	hooks.GetConn("api.example:443")
	hooks.GotConn(httptrace.GotConnInfo{Reused: reused})
	hooks.WroteHeaderField(name, nil)
	hooks.WroteRequest(httptrace.WroteRequestInfo{})
}

func TestAWriteOverHTTP2IsNotRepeatedOnceItIsWhole(t *testing.T) {
	for _, reused := range []bool{false, true} {
		x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodPost, true)
		req := &http.Request{GetBody: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("{}")), nil }}
		x.GuardBody(req)
		body, err := req.GetBody()
		require.NoError(t, err)
		require.NoError(t, body.Close())
		write(x, reused, ":method")
		_, err = req.GetBody()
		require.ErrorIs(t, err, exchange.ErrRepeated)
		require.Error(t, x.Context().Err())
		require.ErrorIs(t, x.Fail(err), exchange.ErrRepeated)
		require.False(t, x.NothingSent(err))
	}
}

func TestAWriteOverHTTP2WithoutABodyIsNotRepeated(t *testing.T) {
	x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodPost, true)
	write(x, true, ":method")
	httptrace.ContextClientTrace(x.Context()).GetConn("api.example:443")
	require.Error(t, x.Context().Err())
	require.ErrorIs(t, x.Fail(io.EOF), exchange.ErrRepeated)
}

func TestAWriteOverADeadHTTP1ConnectionWasNotSent(t *testing.T) {
	x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodPost, true)
	write(x, true, "Host")
	httptrace.ContextClientTrace(x.Context()).GetConn("api.example:443")
	require.NoError(t, x.Context().Err())
	require.ErrorIs(t, x.Fail(io.EOF), io.EOF)
	require.True(t, x.NothingSent(io.EOF))
}

func TestARequestThatMayBeRepeatedIsNotRepeatedWithoutEnd(t *testing.T) {
	x := exchange.NewGuard(time.Minute).Start(t.Context(), http.MethodPut, false)
	n := 0
	for ; x.Context().Err() == nil && n < 1000; n++ {
		write(x, true, ":method")
	}
	require.Greater(t, n, 32, "as many connections are kept, and each may be dead")
	require.Less(t, n, 100)
	require.ErrorIs(t, x.Fail(io.EOF), exchange.ErrRepeated)
}
