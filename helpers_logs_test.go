package pipelines_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// noise is n bytes that don't repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// serveLog serves content with ranges.
func serveLog(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
	}
}

// whole serves content without ranges, in one piece of unknown length unless it is told.
func whole(content []byte, tellLength bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if tellLength {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		}
		_, _ = w.Write(content[:len(content)/2])
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(content[len(content)/2:])
	}
}

// cut lets a handler write n bytes of body and then drops the connection.
func cut(n int, handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		handle(&cutWriter{ResponseWriter: w, left: n}, req)
	}
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) >= w.left {
		_, _ = w.ResponseWriter.Write(p[:w.left])
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	w.left -= len(p)
	return w.ResponseWriter.Write(p)
}

func openLog(t *testing.T, c *pipelines.Client, o *pipelines.LogOptions) *pipelines.Log {
	t.Helper()
	log, err := c.Steps.GetLog(t.Context(), repo, "8", "{s}", o)
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	return log
}

// withHeaders adds headers to what a handler serves.
func withHeaders(handle http.HandlerFunc, pairs ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			w.Header().Set(pairs[i], pairs[i+1])
		}
		handle(w, req)
	}
}

// pastEnd returns a response 416; a contentRange that is empty is left out.
func pastEnd(contentRange string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentRange != "" {
			w.Header().Set("Content-Range", contentRange)
		}
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	}
}

// zip compresses content, in so many members.
func zip(t testing.TB, content []byte, members int) []byte {
	t.Helper()
	var b bytes.Buffer
	for i := range members {
		w := gzip.NewWriter(&b)
		_, err := w.Write(content[i*len(content)/members : (i+1)*len(content)/members])
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	return b.Bytes()
}

// text is a log that compresses well.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		b.WriteString("line " + strconv.Itoa(i) + " of a log that says nothing\n")
	}
	return b.Bytes()[:n]
}

// stubborn serves a pipeline that has ended, whose one step reads as given and whose log comes at the n-th asking.
func stubborn(step string, n int, log string) http.HandlerFunc {
	asked := 0
	return func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/log"):
			if asked++; asked < n {
				serve(404, "text/plain", "")(w, req)
				return
			}
			serveLog([]byte(log), "")(w, req)
		case strings.HasSuffix(req.URL.Path, "/steps"):
			serveJSON(`{"values":[`+step+`]}`)(w, req)
		case strings.Contains(req.URL.Path, "/steps/"):
			serveJSON(step)(w, req)
		default:
			serveJSON(`{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
		}
	}
}

// inBubble runs a test on a fake clock against a handler, and counts its requests.
func inBubble(t *testing.T, handle http.HandlerFunc, test func(t *testing.T, c *pipelines.Client, asked func() int)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		counting := func(w http.ResponseWriter, req *http.Request) { n.Add(1); handle(w, req) }
		hc := &http.Client{Transport: hosts{"http://api.example": counting}}
		test(t, newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), func() int { return int(n.Load()) })
	})
}

// noLog answers for a step as given, whose log there is none of.
func noLog(step string) http.HandlerFunc { return stubborn(step, 1e9, "") }

const (
	ranStep  = `{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z","state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`
	stopped  = `{"uuid":"{s}","name":"A","state":{"name":"COMPLETED","result":{"name":"STOPPED"}}}`
	neverRan = `{"uuid":"{s}","name":"A","started_on":"2026-01-01T00:00:00Z","state":{"name":"COMPLETED","result":{"name":"NOT_RUN"}}}`
)
