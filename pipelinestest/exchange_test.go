package pipelinestest

import (
	"io"
	"net/http"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// roundTrip returns the response of a handler.
func roundTrip(t *testing.T, method string, h http.HandlerFunc) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+apiHost, nil)
	require.NoError(t, err)
	resp, err := (&transport{api: h}).RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestAHandlerMayStreamWithoutALength(t *testing.T) {
	resp, body, err := roundTrip(t, http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		n, err := w.Write(nil)
		assert.NoError(t, err)
		assert.Zero(t, n)
		_, _ = io.WriteString(w, "one ")
		assert.NoError(t, http.NewResponseController(w).Flush())
		_, _ = io.WriteString(w, "two")
		w.WriteHeader(http.StatusTeapot)
	})
	require.NoError(t, err)
	require.Equal(t, "one two", body)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.EqualValues(t, -1, resp.ContentLength)
}

func TestAHandlerThatWritesNothingRespondsOK(t *testing.T) {
	resp, body, err := roundTrip(t, http.MethodGet, func(http.ResponseWriter, *http.Request) {})
	require.NoError(t, err)
	require.Empty(t, body)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestABodyMayNotExceedItsContentLength(t *testing.T) {
	_, body, err := roundTrip(t, http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "four")
		_, err := io.WriteString(w, "more")
		assert.ErrorIs(t, err, http.ErrContentLength)
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "four", body)

	_, _, err = roundTrip(t, http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestAResponseWithoutContentTakesNoBody(t *testing.T) {
	resp, _, err := roundTrip(t, http.MethodDelete, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		_, err := io.WriteString(w, "x")
		assert.ErrorIs(t, err, http.ErrBodyNotAllowed)
	})
	require.NoError(t, err)
	require.Zero(t, resp.ContentLength)
}

func TestAResponseThatCannotBeEncodedIsAServerError(t *testing.T) {
	require.Equal(t, http.StatusInternalServerError, jsonResponse(http.StatusOK, func() {}).status)
}

func TestAHandlerThatEndsItsGoroutineLosesTheConnection(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+apiHost, nil)
	require.NoError(t, err)
	fails := func(http.ResponseWriter, *http.Request) { runtime.Goexit() } // as testing.T.FailNow does
	_, err = (&transport{api: http.HandlerFunc(fails)}).RoundTrip(req)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestAPanicOfAHandlerIsNotRecovered(t *testing.T) {
	x := &exchange{}
	require.PanicsWithValue(t, "bug", func() { x.finish("bug") })
}
