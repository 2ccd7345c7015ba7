package rangereader_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

var errLost = errors.New("connection lost")

// noise returns n bytes that don't repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// lines returns n lines of different lengths.
func lines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		b.WriteString("line " + strconv.Itoa(i) + strings.Repeat(".", i%97) + "\n")
	}
	return b.Bytes()
}

// zip compresses content.
func zip(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

type fetchFunc = func(context.Context, http.Header) (*http.Response, error)

// storage serves content without a network. It sends the responses in turn, the last one again and again, and keeps the headers of the
// requests.
type storage struct {
	responses []func(header http.Header) (*http.Response, error)
	requests  []http.Header
}

func serving(responses ...func(http.Header) (*http.Response, error)) *storage {
	return &storage{responses: responses}
}

func (s *storage) fetch(_ context.Context, header http.Header) (*http.Response, error) {
	s.requests = append(s.requests, header)
	resp, err := s.responses[min(len(s.requests), len(s.responses))-1](header)
	if err == nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil, rangereader.NotSatisfiable(errors.New("no such range"), resp.Header)
	}
	return resp, err
}

// ranges returns the Range headers of the requests.
func (s *storage) ranges() []string {
	all := make([]string, len(s.requests))
	for i, header := range s.requests {
		all[i] = header.Get("Range")
	}
	return all
}

// source is a Source that fetches by a function, with three attempts and without waits.
func source(fetch fetchFunc) rangereader.Source {
	return rangereader.Source{
		Fetch: fetch, MaxAttempts: 3, Backoff: func(int) time.Duration { return 0 },
		WrapError: func(offset int64, err error) error { return fmt.Errorf("at byte %d: %w", offset, err) },
	}
}

// read reads a part of what s serves.
func read(t *testing.T, s *storage, part rangereader.Range) ([]byte, error) {
	t.Helper()
	r, err := rangereader.Open(t.Context(), source(s.fetch), part)
	if err != nil {
		require.Nil(t, r)
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// equal compares contents without printing them.
func equal(t *testing.T, want, got []byte) {
	t.Helper()
	require.True(t, bytes.Equal(want, got), "got %d bytes, want %d", len(got), len(want))
}

// response makes a response with pairs of a header's name and value.
func response(status int, body []byte, header ...string) func(http.Header) (*http.Response, error) {
	return func(http.Header) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}, nil
	}
}

// serve serves content as net/http does, with ranges.
func serve(content []byte, header ...string) func(http.Header) (*http.Response, error) {
	return func(request http.Header) (*http.Response, error) {
		req := &http.Request{Method: http.MethodGet, Header: request}
		w := httptest.NewRecorder()
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "text/plain")
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
		return w.Result(), nil
	}
}

// whole serves content without ranges.
func whole(content []byte, header ...string) func(http.Header) (*http.Response, error) {
	return response(http.StatusOK, content, header...)
}

// unknownLength takes the length away. The body still ends with a chunk, and not with its connection.
func unknownLength(next func(http.Header) (*http.Response, error)) func(http.Header) (*http.Response, error) {
	return func(header http.Header) (*http.Response, error) {
		resp, err := next(header)
		resp.ContentLength = -1
		return resp, err
	}
}

// closeDelimited makes the end of the connection the only end of the body.
func closeDelimited(next func(http.Header) (*http.Response, error)) func(http.Header) (*http.Response, error) {
	return func(header http.Header) (*http.Response, error) {
		resp, err := unknownLength(next)(header)
		resp.Close = true
		return resp, err
	}
}

// cut loses the connection after n bytes of the body.
func cut(n int, next func(http.Header) (*http.Response, error)) func(http.Header) (*http.Response, error) {
	return func(header http.Header) (*http.Response, error) {
		resp, err := next(header)
		if err == nil {
			resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, int64(n)), failingReader{errLost}))
		}
		return resp, err
	}
}

// ignoringIfRange serves ranges also of another version than the client has.
func ignoringIfRange(next func(http.Header) (*http.Response, error)) func(http.Header) (*http.Response, error) {
	return func(header http.Header) (*http.Response, error) {
		header = header.Clone()
		header.Del("If-Range")
		return next(header)
	}
}

// pastEnd is a response 416. An empty Content-Range is left out.
func pastEnd(contentRange string) func(http.Header) (*http.Response, error) {
	if contentRange == "" {
		return response(http.StatusRequestedRangeNotSatisfiable, nil)
	}
	return response(http.StatusRequestedRangeNotSatisfiable, nil, "Content-Range", contentRange)
}

// partial is a response 206.
func partial(contentRange string, body []byte, header ...string) func(http.Header) (*http.Response, error) {
	return response(http.StatusPartialContent, body, append(header, "Content-Range", contentRange)...)
}

// refused is an error of Fetch.
func refused(http.Header) (*http.Response, error) { return nil, errRefused }

var errRefused = errors.New("refused")

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
