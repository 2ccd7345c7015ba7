package pipelines_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
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

func TestALogIsReadWhole(t *testing.T) {
	content := noise(300_000)
	storage := record(t, serveLog(content, `"v1"`))
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		size   int64
		known  bool
	}{
		"served by the API":                            {serveLog(content, ""), 300_000, true},
		"of unknown length":                            {whole(content, false), 0, false},
		"behind a redirect":                            {http.RedirectHandler(storage.URL+"/log?sig=x", http.StatusTemporaryRedirect).ServeHTTP, 300_000, true},
		"across connections that are cut":              {sequence(cut(1000, serveLog(content, "")), cut(100_000, serveLog(content, "")), cut(1, serveLog(content, "")), serveLog(content, "")), 300_000, true},
		"across cut connections, with an ETag":         {sequence(cut(1000, serveLog(content, `"v1"`)), serveLog(content, `"v1"`)), 300_000, true},
		"though ranges are not served":                 {sequence(cut(100_000, whole(content, true)), whole(content, true)), 300_000, true},
		"though neither ranges nor lengths are served": {sequence(cut(200_000, whole(content, false)), whole(content, false)), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, tc.handle)
			log := openLog(t, newClient(t, srv.base()), nil)
			got, err := io.ReadAll(log)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got))
			size, known := log.Size()
			require.Equal(t, tc.size, size)
			require.Equal(t, tc.known, known)
			first := srv.seen()[0]
			require.Equal(t, "/2.0/repositories/acme/site/pipelines/8/steps/%7Bs%7D/log", first.Path)
			require.Equal(t, "*/*", first.Header.Get("Accept"))
			require.Empty(t, first.Header.Get("Range"))
			n, err := log.Read(make([]byte, 1))
			require.Zero(t, n)
			require.Equal(t, io.EOF, err, "the end stays the end")
		})
	}
	for _, req := range storage.seen() {
		require.Empty(t, req.Header.Get("Authorization"))
	}
}

func TestALostConnectionIsResumedWhereItBroke(t *testing.T) {
	content := noise(10_000)
	srv := record(t, sequence(cut(4_000, serveLog(content, `"v1"`)), serveLog(content, `"v1"`)))
	var got bytes.Buffer
	n, err := openLog(t, newClient(t, srv.base()), nil).WriteTo(&got)
	require.NoError(t, err)
	require.EqualValues(t, 10_000, n)
	require.Equal(t, content, got.Bytes())
	resumed := srv.seen()[1].Header
	require.Equal(t, "bytes=4000-", resumed.Get("Range"))
	require.Equal(t, `"v1"`, resumed.Get("If-Range"))
}

func TestAPartOfALogIsRead(t *testing.T) {
	content := noise(10_000)
	for name, o := range map[string]struct {
		options pipelines.LogOptions
		want    []byte
	}{
		"from an offset":              {pipelines.LogOptions{Offset: 9_000}, content[9_000:]},
		"a length from the beginning": {pipelines.LogOptions{Length: 10}, content[:10]},
		"a length from an offset":     {pipelines.LogOptions{Offset: 5_000, Length: 1_000}, content[5_000:6_000]},
		"a length past the end":       {pipelines.LogOptions{Offset: 9_990, Length: 1_000}, content[9_990:]},
		"an offset at the end":        {pipelines.LogOptions{Offset: 10_000}, nil},
		"an offset past the end":      {pipelines.LogOptions{Offset: 99_000}, nil},
		"the tail":                    {pipelines.LogOptions{Tail: 100}, content[9_900:]},
		"a tail longer than the log":  {pipelines.LogOptions{Tail: 99_000}, content},
	} {
		for how, handle := range map[string]http.HandlerFunc{
			"with ranges": serveLog(content, ""), "without": whole(content, true), "without lengths": whole(content, false),
			"with a cut": sequence(cut(5, serveLog(content, "")), serveLog(content, "")),
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				srv := record(t, handle)
				got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &o.options))
				require.NoError(t, err)
				require.True(t, bytes.Equal(o.want, got), "%d bytes, not %d", len(got), len(o.want))
			})
		}
	}
}

func TestLogOptionsThatCannotWorkAreRefused(t *testing.T) {
	srv := record(t, serveLog(nil, ""))
	c := newClient(t, srv.base())
	for _, o := range []pipelines.LogOptions{{Offset: -1}, {Length: -1}, {Tail: -1}, {Tail: 1, Offset: 1}, {Tail: 1, Length: 1}} {
		_, err := c.Steps.GetLog(t.Context(), repo, "8", "{s}", &o)
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	}
	_, err := c.Steps.GetLog(nil, repo, "8", "{s}", nil) //nolint:staticcheck // a mistake that users make
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	_, err = c.Steps.FollowLog(t.Context(), repo, "8", "{s}", &pipelines.FollowOptions{Offset: -1})
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	_, err = c.Steps.FollowLog(t.Context(), repo, "8", "{s}", &pipelines.FollowOptions{RequestsPerHour: -1})
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.Empty(t, srv.seen())
}

func TestAContainersLogIsReadByItsUUID(t *testing.T) {
	srv := record(t, serveLog([]byte("redis"), ""))
	log, err := newClient(t, srv.base()).Steps.GetContainerLog(t.Context(), repo, "8", "{s}", "{c}", nil)
	require.NoError(t, err)
	defer log.Close()
	got, err := io.ReadAll(log)
	require.NoError(t, err)
	require.Equal(t, "redis", string(got))
	require.Equal(t, "/2.0/repositories/acme/site/pipelines/8/steps/%7Bs%7D/logs/%7Bc%7D", srv.only(t).Path)
}

func TestAStepWithoutALogIsNotFound(t *testing.T) {
	srv := record(t, answer(404, "application/json", `{"error":{"message":"Not Found","detail":"Log in step {s} does not exist."}}`))
	_, err := newClient(t, srv.base()).Steps.GetLog(t.Context(), repo, "8", "{s}", nil)
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.ErrorContains(t, err, "does not exist")
}

func TestAnExpiredStorageLinkIsAskedForAgain(t *testing.T) {
	content := noise(50_000)
	expired := answer(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>")
	storage := record(t, sequence(expired, cut(20_000, serveLog(content, `"v1"`)), expired, serveLog(content, `"v1"`)))
	api := record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, storage.URL+"/log", http.StatusTemporaryRedirect)
	})
	got, err := io.ReadAll(openLog(t, newClient(t, api.base()), nil))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.Len(t, api.seen(), 4, "each time the API gives a fresh link")

	never := record(t, expired)
	api2 := record(t, http.RedirectHandler(never.URL, http.StatusTemporaryRedirect).ServeHTTP)
	_, err = newClient(t, api2.base()).Steps.GetLog(t.Context(), repo, "8", "{s}", nil)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.Len(t, never.seen(), 3)
}

func TestALogThatIsNoLongerTheSameIsAnError(t *testing.T) {
	content, other := noise(10_000), bytes.Repeat([]byte("x"), 20_000)
	for name, then := range map[string]http.HandlerFunc{
		"another ETag and content": serveLog(other, `"v2"`),
		"another content, whole":   whole(other, true),
		"another, of no length":    whole(other, false),
		"a shorter one":            serveLog(content[:100], `"v2"`),
		"a shorter one, whole":     whole(content[:100], true),
		"none":                     whole(nil, true),
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, sequence(cut(4_000, serveLog(content, `"v1"`)), then))
			got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
			require.ErrorContains(t, err, "has changed since its beginning was read")
			require.Equal(t, content[:4_000], got, "nothing of the other is mixed in")
		})
	}
}

func TestALogThatGrewWhileTheConnectionWasLostIsReadOn(t *testing.T) {
	content := noise(10_000)
	srv := record(t, sequence(cut(4_000, serveLog(content[:5_000], `"v1"`)), serveLog(content, `"v2"`)))
	got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
}

func TestServersThatLieAboutRangesAreFoundOut(t *testing.T) {
	content := noise(1_000)
	partial := func(contentRange string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body)
		}
	}
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		fails  bool
	}{
		"a start that is too late":   {partial("bytes 600-999/1000", content[600:]), true},
		"no range at all":            {partial("", content[500:]), true},
		"a range that is not one":    {partial("bytes x-y/z", content[500:]), true},
		"a range of another unit":    {partial("lines 500-999/1000", content[500:]), true},
		"an end before the start":    {partial("bytes 500-400/1000", content[500:]), true},
		"an end past the size":       {partial("bytes 500-999/900", content[500:]), true},
		"an end past any number":     {partial("bytes 500-9223372036854775807/*", content[500:]), true},
		"a start that is too early":  {partial("bytes 400-999/1000", content[400:]), false},
		"an unknown size":            {partial("bytes 500-999/*", content[500:]), false},
		"a body longer than it says": {partial("bytes 500-999/1000", append(bytes.Clone(content[500:]), "garbage"...)), false},
		"a piece at a time": {func(w http.ResponseWriter, req *http.Request) {
			var from int
			_, _ = fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from)
			to := min(from+100, 1000)
			partial(fmt.Sprintf("bytes %d-%d/1000", from, to-1), content[from:to])(w, req)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, tc.handle)
			log, err := newClient(t, srv.base()).Steps.GetLog(t.Context(), repo, "8", "{s}", &pipelines.LogOptions{Offset: 500})
			if tc.fails {
				require.Error(t, err)
				require.Len(t, srv.seen(), 3)
				return
			}
			require.NoError(t, err)
			defer log.Close()
			got, err := io.ReadAll(log)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content[500:], got))
		})
	}
}

func TestALogThatKeepsBreakingEndsWithAnError(t *testing.T) {
	content := noise(1_000)
	srv := record(t, sequence(cut(400, serveLog(content, "")), drop))
	got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
	require.Error(t, err)
	require.Equal(t, content[:400], got)

	again := record(t, sequence(cut(400, serveLog(content, "")), drop))
	n, err := openLog(t, newClient(t, again.base()), nil).WriteTo(io.Discard)
	require.Error(t, err, "though the lost connection's error has an io.EOF inside")
	require.EqualValues(t, 400, n)

	cutAtOnce := record(t, cut(0, serveLog(content, "")))
	_, err = io.ReadAll(openLog(t, newClient(t, cutAtOnce.base()), nil))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "pipelines: Steps.GetLog: at byte 0")
	require.Len(t, cutAtOnce.seen(), 3)

	ignoresRanges := record(t, cut(3, whole(content, true)))
	_, err = newClient(t, ignoresRanges.base()).Steps.GetLog(t.Context(), repo, "8", "{s}", &pipelines.LogOptions{Offset: 5})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, ignoresRanges.seen(), 3)
	tail := record(t, cut(5, whole(content, false)))
	_, err = newClient(t, tail.base()).Steps.GetLog(t.Context(), repo, "8", "{s}", &pipelines.LogOptions{Tail: 5})
	require.Error(t, err)
	require.Len(t, tail.seen(), 3)
}

func TestAStalledLogIsResumed(t *testing.T) {
	content := noise(10_000)
	stalls := func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "10000")
		_, _ = w.Write(content[:3_000])
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	}
	srv := record(t, sequence(stalls, serveLog(content, "")))
	got, err := io.ReadAll(openLog(t, newClient(t, srv.base(), pipelines.WithStallTimeout(50*time.Millisecond)), nil))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
}

func TestALogEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = w.Write([]byte("abc"))
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	})
	log, err := newClient(t, srv.base()).Steps.GetLog(ctx, repo, "8", "{s}", nil)
	require.NoError(t, err)
	defer log.Close()
	_, err = io.ReadFull(log, make([]byte, 3))
	require.NoError(t, err)
	cancel()
	_, err = log.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, srv.seen(), 1)
}

func TestClosingALogEndsAReadThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			body, w := io.Pipe()
			context.AfterFunc(req.Context(), func() { _ = w.CloseWithError(req.Context().Err()) })
			return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: body, Request: req}, nil
		})}
		log := openLog(t, newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)), nil)
		start, done := time.Now(), make(chan error)
		go func() {
			_, err := io.ReadAll(log)
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, log.Close())
		require.ErrorIs(t, <-done, fs.ErrClosed)
		require.Zero(t, time.Since(start), "at once")
		require.NoError(t, log.Close(), "a second time does no harm")
	})
}

// failingWriter takes n bytes.
type failingWriter struct{ n int }

var errDiskFull = errors.New("disk full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		return w.n, errDiskFull
	}
	w.n -= len(p)
	return len(p), nil
}

func TestAWriterThatFailsEndsTheCopy(t *testing.T) {
	srv := record(t, serveLog(noise(1_000_000), ""))
	n, err := io.Copy(&failingWriter{n: 200_000}, openLog(t, newClient(t, srv.base()), nil))
	require.ErrorIs(t, err, errDiskFull)
	require.EqualValues(t, 200_000, n)
}

func TestALargeLogNeedsLittleMemory(t *testing.T) {
	const size = 1 << 30
	chunk := noise(1 << 16)
	h := sha256.New()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		for range size / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	log := openLog(t, newClient(t, srv.URL), nil)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, err := io.Copy(h, log)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "all that was ever allocated, the server's share included")
}

// growing is a log that grows by a byte a second, and the step that writes it.
type growing struct {
	start   time.Time
	begins  time.Duration // when the log exists
	ends    time.Duration
	content []byte
	lost    int // how many requests for the log fail in between

	mu          sync.Mutex
	transferred int
	requests    []string
}

func (g *growing) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	age := time.Since(g.start)
	isLog := strings.HasSuffix(req.URL.Path, "/log")
	g.requests = append(g.requests, fmt.Sprintf("%s %v", map[bool]string{true: "log", false: "step"}[isLog], age))
	switch {
	case !isLog && age < g.begins:
		answerJSON(`{"state":{"name":"PENDING"}}`)(w, req)
	case !isLog && age < g.ends:
		answerJSON(`{"state":{"name":"IN_PROGRESS"}}`)(w, req)
	case !isLog:
		answerJSON(`{"state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`)(w, req)
	case age < g.begins:
		answer(404, "application/json", `{"error":{"message":"no log"}}`)(w, req)
	case g.lost > 0 && age > g.begins:
		g.lost--
		answer(404, "application/json", `{"error":{"message":"no log"}}`)(w, req)
	default:
		n := min(len(g.content), int((min(age, g.ends)-g.begins)/time.Second))
		counter := &countingWriter{ResponseWriter: w}
		serveLog(g.content[:n], "")(counter, req)
		g.transferred += counter.n
	}
}

type countingWriter struct {
	http.ResponseWriter
	status, n int
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status < 300 {
		w.n += len(p)
	}
	return w.ResponseWriter.Write(p)
}

func TestFollowLogReadsAGrowingLogToItsEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		begins, ends time.Duration
		offset       int64
		lost         int
	}{
		"that exists already":       {0, time.Minute, 0, 0},
		"that begins later":         {30 * time.Second, 90 * time.Second, 0, 0},
		"that grows for an hour":    {0, time.Hour, 0, 0},
		"from an offset":            {0, time.Minute, 20, 0},
		"that is away for a moment": {0, time.Minute, 0, 2},
		"that is finished":          {0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &growing{start: time.Now(), begins: tc.begins, ends: tc.ends, content: noise(3600), lost: tc.lost}
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": g.ServeHTTP}}))
				r, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", &pipelines.FollowOptions{Offset: tc.offset})
				require.NoError(t, err)
				defer r.Close()
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				want := g.content[tc.offset:int((tc.ends-tc.begins)/time.Second)]
				require.True(t, bytes.Equal(want, got), "%d bytes, not %d", len(got), len(want))
				require.Equal(t, len(want), g.transferred, "each byte once")
				if tc.ends == 0 {
					require.Equal(t, g.start, time.Now(), "nothing to wait for")
				}
				require.Less(t, time.Since(g.start), tc.ends+time.Minute)
				require.LessOrEqual(t, len(g.requests), 60+int(tc.ends/(15*time.Second))+1)
			})
		})
	}
}

func TestFollowLogEndsWhereItIsClosedOrItsContextEnds(t *testing.T) {
	for name, end := range map[string]func(io.Closer, context.CancelFunc){
		"closed":    func(r io.Closer, _ context.CancelFunc) { _ = r.Close() },
		"cancelled": func(_ io.Closer, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &growing{start: time.Now(), ends: time.Hour, content: noise(3600)}
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": g.ServeHTTP}}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, err := c.Steps.FollowLog(ctx, repo, "8", "{s}", nil)
				require.NoError(t, err)
				defer r.Close()
				done := make(chan error, 1)
				go func() {
					_, err := io.ReadAll(r)
					done <- err
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				end(r, cancel)
				want := map[string]error{"closed": fs.ErrClosed, "cancelled": context.Canceled}[name]
				require.ErrorIs(t, <-done, want)
				require.Equal(t, time.Minute, time.Since(g.start), "at once")
			})
		})
	}
}

func TestFollowLogGivesUpWhereTheServiceDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &growing{start: time.Now(), ends: time.Hour, content: noise(3600)}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if time.Since(g.start) > time.Minute {
				return respond(req, 503, ""), nil
			}
			return hosts{"http://api.example": g.ServeHTTP}.RoundTrip(req)
		})}))
		r, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", nil)
		require.NoError(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		require.ErrorIs(t, err, pipelines.ErrServer)
		require.NotEmpty(t, got)
	})
}
