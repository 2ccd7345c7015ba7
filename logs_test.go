package pipelines_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

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

func TestALogResumesWhereItsConnectionWasLost(t *testing.T) {
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
	_, err := c.Steps.GetLog(t.Context(), repo, "8", "{s}", &pipelines.LogOptions{Offset: math.MaxInt64, Length: 1})
	require.EqualError(t, err, "pipelines: Steps.GetLog: invalid argument: LogOptions.Offset plus Length overflows int64")
	_, err = c.Steps.GetLog(nil, repo, "8", "{s}", nil) //nolint:staticcheck // a mistake that users make
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
	srv := record(t, serve(404, "application/json", `{"error":{"message":"Not Found","detail":"Log in step {s} does not exist."}}`))
	_, err := newClient(t, srv.base()).Steps.GetLog(t.Context(), repo, "8", "{s}", nil)
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.ErrorContains(t, err, "does not exist")
}

func TestALogRequestsAnotherLinkWhenItsLinkHasExpired(t *testing.T) {
	content := noise(50_000)
	expired := serve(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>")
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

func TestLogsDetectServersThatLieAboutRanges(t *testing.T) {
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
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		text := lines("a", 1000)
		run := r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Log: text}}}, time.Now())
		steps, err := c.Steps.List(t.Context(), repo, run.UUID, nil).Collect()
		require.NoError(t, err)
		srv.Inject(pipelinestest.Fault{Storage: true, Times: 1, Stall: true, After: 3000})
		log, err := c.Steps.GetLog(t.Context(), repo, run.UUID, steps[0].UUID, nil)
		require.NoError(t, err)
		defer log.Close()
		got, err := io.ReadAll(log)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	})
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

func TestALogStopsAtAWriterThatFails(t *testing.T) {
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

func TestTheLastLinesOfALog(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for name, test := range map[string]struct {
		log   string
		lines int
		want  string
	}{
		"some":                         {"a\nb\nc\n", 2, "b\nc\n"},
		"one":                          {"a\nb\nc\n", 1, "c\n"},
		"as many as there are":         {"a\nb\nc\n", 3, "a\nb\nc\n"},
		"more than there are":          {"a\nb\nc\n", 9, "a\nb\nc\n"},
		"of a log without a line end":  {"a\nb\nc", 2, "b\nc"},
		"empty lines":                  {"a\n\n\n", 2, "\n\n"},
		"a line that is long":          {"a\n" + long + "\n", 1, long + "\n"},
		"lines before a long one":      {"a\nb\n" + long + "\n", 2, "b\n" + long + "\n"},
		"all of a long log":            {"a\n" + long + "\n" + long + "\n", 3, "a\n" + long + "\n" + long + "\n"},
		"a log that is one long line":  {long, 1, long},
		"lines that a part cuts apart": {strings.Repeat("line\n", 50_000), 30_000, strings.Repeat("line\n", 30_000)},
	} {
		t.Run(name, func(t *testing.T) {
			srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
			run := srv.AddRepository("acme", "site").AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Log: test.log}}}, time.Now())
			c := srv.Client()
			steps, err := c.Steps.List(t.Context(), repo, run.UUID, nil).Collect()
			require.NoError(t, err)
			log, err := c.Steps.GetLog(t.Context(), repo, run.UUID, steps[0].UUID, &pipelines.LogOptions{TailLines: test.lines})
			require.NoError(t, err)
			defer log.Close()
			var got strings.Builder
			_, err = log.WriteTo(&got)
			require.NoError(t, err)
			require.Equal(t, len(test.want), got.Len())
			if got.String() != test.want { // which may be too long to show
				t.Errorf("got another text of %d bytes, want %d bytes", got.Len(), len(test.want))
			}
		})
	}
	c := newClient(t, "http://127.0.0.1:1")
	for _, o := range []pipelines.LogOptions{{TailLines: -1}, {TailLines: 1, Tail: 1}, {TailLines: 1, Offset: 1}, {TailLines: 1, Length: 1}} {
		_, err := c.Steps.GetLog(t.Context(), repo, "1", "{s}", &o)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	}
}

func TestPiecesOfALogWhoseSizeNobodyTellsAreAllRead(t *testing.T) {
	content := noise(1000)
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		var from int
		_, _ = fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from)
		if from >= len(content) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		to := min(from+300, len(content))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, to-1))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[from:to])
	})
	for _, o := range []pipelines.LogOptions{{Offset: 10}, {Offset: 10, Length: 500}} {
		got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &o))
		require.NoError(t, err)
		want := content[10:]
		if o.Length > 0 {
			want = content[10:510]
		}
		require.True(t, bytes.Equal(want, got), "%d of %d bytes", len(got), len(want))
	}
}

func TestATailOfALogThatIsTooLongIsCut(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-99/100")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(noise(100))
	})
	got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &pipelines.LogOptions{Tail: 10}))
	require.NoError(t, err)
	require.Equal(t, noise(100)[90:], got)
}

func TestALogThatBreaksAfterItsLastByteIsWhole(t *testing.T) {
	content := noise(500)
	breaks := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(content)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	srv := record(t, sequence(breaks, whole(content, true)))
	got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
	require.NoError(t, err)
	require.Equal(t, content, got)
}

func TestALogTellsWhyItsContextEnded(t *testing.T) {
	why := errors.New("the deploy was called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	})
	c := newClient(t, srv.base())
	l, err := c.Steps.GetLog(ctx, repo, "1", "s", nil)
	require.NoError(t, err)
	defer l.Close()
	buf := make([]byte, 5)
	_, err = io.ReadFull(l, buf)
	require.NoError(t, err)
	cancel(why)
	_, err = io.ReadAll(l)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, why)
}

func TestMaxAttemptsOfACallAppliesToResumingItsLog(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	c := newClient(t, srv.base())
	l, err := c.Steps.GetLog(t.Context(), repo, "1", "s", nil, pipelines.WithMaxAttempts(1))
	require.NoError(t, err)
	defer l.Close()
	_, err = io.ReadAll(l)
	require.Error(t, err)
	require.Len(t, srv.seen(), 1)
}

func TestALogRefusesANilContext(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1")
	require.NotPanics(t, func() {
		_, err := c.Steps.FollowLog(nil, repo, "1", "s", nil) //nolint:staticcheck // on purpose
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		_, err = c.Steps.GetLog(nil, repo, "1", "s", &pipelines.LogOptions{TailLines: 4}) //nolint:staticcheck // on purpose
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	})
}

// counted is a body that counts how many are open.
type counted struct {
	io.ReadCloser
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error { c.once.Do(func() { c.open.Add(-1) }); return c.ReadCloser.Close() }

func TestTheTailOfALogLeavesNoConnection(t *testing.T) {
	log := []byte(strings.Repeat("0123456789abcde\n", 20000)) // 320 kB
	for _, ranges := range []bool{true, false} {
		var open atomic.Int32
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 200, "")
			from, to := 0, len(log)
			if r := req.Header.Get("Range"); r != "" && ranges {
				var a, b int
				if n, _ := fmt.Sscanf(r, "bytes=%d-%d", &a, &b); strings.HasPrefix(r, "bytes=-") {
					fmt.Sscanf(r, "bytes=-%d", &b)
					from = max(0, len(log)-b)
				} else if n == 2 {
					from, to = a, min(b+1, len(log))
				} else {
					from = a
				}
				resp.StatusCode = 206
				resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(log)))
			}
			resp.ContentLength = int64(to - from)
			open.Add(1)
			resp.Body = &counted{ReadCloser: io.NopCloser(bytes.NewReader(log[from:to])), open: &open}
			return resp, nil
		})
		for _, n := range []int{1, 10, 5000, 9000, 19999, 20000, 20001, 1 << 40} {
			l, err := c.Steps.GetLog(t.Context(), repo, "1", "s", &pipelines.LogOptions{TailLines: n})
			require.NoError(t, err)
			text, err := io.ReadAll(l)
			require.NoError(t, err)
			require.Equal(t, min(n, 20000), bytes.Count(text, []byte("\n")))
			require.NoError(t, l.Close())
			require.Zero(t, open.Load(), "ranges %v, %d lines", ranges, n)
		}
	}
}

func TestAGrowingLogsTailIsTheOneItHad(t *testing.T) {
	log := []byte(strings.Repeat("0123456789abcde\n", 20000)) // 320 kB
	c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
		resp := respond(req, 206, "")
		var first, last int
		spec := req.Header.Get("Range")
		var from int
		to := len(log)
		switch n, _ := fmt.Sscanf(spec, "bytes=%d-%d", &first, &last); {
		case strings.HasPrefix(spec, "bytes=-"): // -last, as scanned for first
			from = max(0, len(log)+first)
		case n == 2:
			from, to = first, min(last+1, len(log))
		default:
			from = first
		}
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(log)))
		resp.ContentLength = int64(to - from)
		resp.Body = io.NopCloser(bytes.NewReader(log[from:to]))
		log = append(log, "another line\n"...)
		return resp, nil
	})
	l, err := c.Steps.GetLog(t.Context(), repo, "1", "s", &pipelines.LogOptions{TailLines: 9000})
	require.NoError(t, err)
	defer l.Close()
	text, err := io.ReadAll(l)
	require.NoError(t, err)
	require.Equal(t, 9000, bytes.Count(text, []byte("\n")))
}

func TestALogsBytesPassUnchanged(t *testing.T) {
	var content []byte
	for i := range 1 << 16 { // each pair of bytes, most of them no UTF-8
		content = append(content, byte(i>>8), byte(i))
	}
	content = append(content, "an end that fills no buffer\xff"...)
	junk := func(w http.ResponseWriter) {
		for _, header := range []string{"Content-Type", "Etag", "Content-Disposition", "X-Request-Id"} {
			w.Header().Set(header, "\"\xff\xc3\"")
		}
	}
	t.Run("through Log, over lost connections", func(t *testing.T) {
		storage := record(t, func(w http.ResponseWriter, req *http.Request) {
			junk(w)
			cut(30_001, serveLog(content, "\"\xff\xc3\""))(w, req)
		})
		api := record(t, http.RedirectHandler(storage.URL+"/\xff%FF", http.StatusTemporaryRedirect).ServeHTTP)
		got, err := io.ReadAll(openLog(t, newClient(t, api.base()), nil))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
		require.Greater(t, len(storage.seen()), 1)
	})
	synctest.Test(t, func(t *testing.T) {
		step := `{"uuid":"{s}","name":"A","state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			junk(w)
			stubborn(step, 1, string(content))(w, req)
		}}}))
		r, err := c.Steps.FollowLog(t.Context(), repo, "1", "{s}", nil)
		require.NoError(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got), "through FollowLog")
		seen, err := collect(t, t.Context(), c, "1")
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, seen.logs["A"].Bytes()), "through Watch")
	})
}
