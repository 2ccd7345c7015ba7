package pipelines_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// A log or a cache is read across connections that break, and it may be another one by then. These tests prove that no two are
// mixed, and that an end is believed only where it is one.

// ignoringIfRange serves ranges without asking whether they are of what the client has.
func ignoringIfRange(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		req.Header.Del("If-Range")
		handle(w, req)
	}
}

// readers read content that one handler serves, as a log and as a cache.
func readers() map[string]func(*testing.T, http.HandlerFunc) ([]byte, error) {
	return map[string]func(*testing.T, http.HandlerFunc) ([]byte, error){
		"of a log": func(t *testing.T, handle http.HandlerFunc) ([]byte, error) {
			t.Helper()
			return io.ReadAll(openLog(t, newClient(t, record(t, handle).base()), nil))
		},
		"of a cache": func(t *testing.T, handle http.HandlerFunc) ([]byte, error) {
			t.Helper()
			var b bytes.Buffer
			n, err := downloadFrom(t, handle, &b)
			require.EqualValues(t, b.Len(), n)
			return b.Bytes(), err
		},
	}
}

// downloadFrom downloads a cache whose content a storage host serves, under another link each time.
func downloadFrom(t *testing.T, handle http.HandlerFunc, w io.Writer) (int64, error) {
	t.Helper()
	storage := record(t, handle)
	links := 0
	api := record(t, func(w http.ResponseWriter, req *http.Request) {
		links++
		serveJSON(fmt.Sprintf(`{"uri":"%s/c?sig=%d"}`, storage.URL, links))(w, req)
	})
	return newClient(t, api.base()).Caches.Download(t.Context(), repo, "{c}", w)
}

func TestAnotherObjectOfTheSameSizeIsNotReadOn(t *testing.T) {
	content := noise(10_000)
	other := append(bytes.Clone(content[:5_000]), bytes.Repeat([]byte("x"), 5_000)...) // no comparison of bytes would find it
	for name, tc := range map[string]struct{ first, then []string }{
		"whose ETag differs":          {[]string{"ETag", `"v1"`}, []string{"ETag", `"v2"`}},
		"whose weak ETag differs":     {[]string{"ETag", `W/"v1"`}, []string{"ETag", `W/"v2"`}},
		"whose ETag is weak now":      {[]string{"ETag", `"v1"`}, []string{"ETag", `W/"v2"`}},
		"that has no ETag":            {[]string{"ETag", `"v1"`}, nil},
		"that has no weak ETag":       {[]string{"ETag", `W/"v1"`}, nil},
		"that has a date instead":     {[]string{"ETag", `"v1"`}, []string{"Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"}},
		"of another date":             {[]string{"Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"}, []string{"Last-Modified", "Fri, 02 Jan 2026 00:00:00 GMT"}},
		"that has no date":            {[]string{"Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"}, nil},
		"whose ETag alone is another": {[]string{"ETag", `"1"`, "Last-Modified", "x"}, []string{"ETag", `"2"`, "Last-Modified", "x"}},
	} {
		for kind, read := range readers() {
			t.Run(name+", "+kind, func(t *testing.T) {
				first := withHeaders(serveLog(content, ""), tc.first...)
				then := withHeaders(serveLog(other, ""), tc.then...)
				got, err := read(t, sequence(cut(4_000, first), ignoringIfRange(then)))
				require.ErrorContains(t, err, "has changed since its beginning was read")
				require.Equal(t, content[:4_000], got)
			})
		}
	}
}

func TestTheSameObjectIsReadOnHoweverItsVersionIsSpelt(t *testing.T) {
	content := noise(10_000)
	for name, tc := range map[string]struct{ first, then []string }{
		"weak at first":   {[]string{"ETag", `W/"v1"`}, []string{"ETag", `"v1"`}},
		"weak afterwards": {[]string{"ETag", `"v1"`}, []string{"ETag", `W/"v1"`}},
		"not at first":    {nil, []string{"ETag", `"v1"`}},
		"never":           {nil, nil},
	} {
		for kind, read := range readers() {
			t.Run(name+", "+kind, func(t *testing.T) {
				first := withHeaders(serveLog(content, ""), tc.first...)
				then := withHeaders(serveLog(content, ""), tc.then...)
				got, err := read(t, sequence(cut(4_000, first), ignoringIfRange(then)))
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got), "got %d bytes, want %d", len(got), len(content))
			})
		}
	}
}

func TestALogThatGrewIsReadOnThoughIfRangeIsIgnored(t *testing.T) {
	content := noise(10_000)
	srv := record(t, sequence(cut(4_000, serveLog(content[:5_000], `"v1"`)), ignoringIfRange(serveLog(content, `"v2"`))))
	got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got), "got %d bytes, want %d", len(got), len(content))
	require.Len(t, srv.seen(), 3, "the whole is asked for, to compare it")

	other := bytes.Repeat([]byte("x"), 10_000)
	srv = record(t, sequence(cut(4_000, serveLog(content[:5_000], `"v1"`)), ignoringIfRange(serveLog(other, `"v2"`))))
	got, err = io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
	require.ErrorContains(t, err, "has changed since its beginning was read")
	require.Equal(t, content[:4_000], got)
}

func TestAllThatWasReadIsComparedWhereAServerStartsAnew(t *testing.T) {
	content := noise(100_000)
	other := bytes.Clone(content)
	other[3]++
	for kind, read := range readers() {
		for name, then := range map[string]http.HandlerFunc{
			"with another ETag": serveLog(other, `"v2"`), "without ranges": whole(other, true), "without length": whole(other, false),
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				got, err := read(t, sequence(cut(90_000, serveLog(content, `"v1"`)), then))
				require.ErrorContains(t, err, "has changed since its beginning was read")
				require.Equal(t, content[:90_000], got)
			})
		}
	}
}

func TestAnotherObjectThatIsCutBeforeItIsComparedIsNotReadOn(t *testing.T) {
	content, other := noise(10_000), bytes.Repeat([]byte("x"), 10_000)
	for kind, read := range readers() {
		t.Run(kind, func(t *testing.T) {
			got, err := read(t, sequence(cut(4_000, serveLog(content, `"v1"`)), cut(100, serveLog(other, `"v2"`)), serveLog(other, `"v2"`)))
			require.ErrorContains(t, err, "has changed since its beginning was read")
			require.Equal(t, content[:4_000], got)
		})
	}
}

func TestARangePastTheEndIsAnEndOnlyWhereAllWasRead(t *testing.T) {
	content := noise(4_000)
	for name, tc := range map[string]struct {
		contentRange string
		complete     bool
	}{
		"of as much as was read": {"bytes */4000", true},
		"of less":                {"bytes */100", false},
		"of more":                {"bytes */9000", false},
		"of nobody knows what":   {"", false},
		"of nonsense":            {"bytes */many", false},
		"of an unknown size":     {"bytes */*", false},
	} {
		for kind, read := range readers() {
			t.Run(name+", "+kind, func(t *testing.T) {
				broken := cut(4_000, whole(append(content, "x"...), false))
				got, err := read(t, sequence(broken, pastEnd(tc.contentRange)))
				require.Equal(t, content, got)
				if tc.complete {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			})
		}
	}
	t.Run("of less, though the length was told", func(t *testing.T) {
		_, err := readers()["of a log"](t, sequence(cut(3_000, serveLog(content, "")), pastEnd("bytes */100")))
		require.ErrorContains(t, err, "has changed since its beginning was read")
	})
}

func TestAnOffsetThatAServerWronglyCallsPastTheEndIsReadAllTheSame(t *testing.T) {
	content := noise(1_000)
	noRanges := func(contentRange string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Range") != "" {
				pastEnd(contentRange)(w, req)
				return
			}
			whole(content, true)(w, req)
		}
	}
	for _, contentRange := range []string{"bytes */1000", "bytes */5", ""} {
		for _, o := range []pipelines.LogOptions{{Offset: 600}, {Offset: 600, Length: 100}, {Tail: 400}} {
			srv := record(t, noRanges(contentRange))
			got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &o))
			require.NoError(t, err)
			want := content[600:]
			if o.Length > 0 {
				want = content[600:700]
			}
			require.True(t, bytes.Equal(want, got), "%q, %+v: got %d bytes, want %d", contentRange, o, len(got), len(want))
		}
	}
}

// unframed serves responses whose end is the connection's, as HTTP/1.0 did. Each connection is given to the next handler, the last
// of them to all further ones.
func unframed(t *testing.T, handle ...func(req *http.Request) (header, body string)) (base string, asked func() int) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done, n := make(chan struct{}), 0
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				header, body := handle[min(n, len(handle)-1)](req)
				_, _ = io.WriteString(conn, header+"\r\n\r\n"+body)
				n++
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String(), func() int { l.Close(); <-done; return n }
}

func TestABodyThatEndsWithItsConnectionIsWholeOnceTheServiceSaysSo(t *testing.T) {
	content := string(noise(10_000))
	say := func(header, body string) func(*http.Request) (string, string) {
		return func(*http.Request) (string, string) { return header, body }
	}
	const ok = "HTTP/1.0 200 OK"
	past := func(contentRange string) func(*http.Request) (string, string) {
		return say("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0"+contentRange, "")
	}
	rest := say("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4000-9999/10000", content[4_000:])
	type step = func(*http.Request) (string, string)
	for name, tc := range map[string]struct {
		steps []step
		want  string
		whole bool
		most  int
	}{
		"by a 416 of its size":                     {[]step{say(ok, content), past("\r\nContent-Range: bytes */10000")}, content, true, 2},
		"or not, by a 416 of another size":         {[]step{say(ok, content[:4_000]), past("\r\nContent-Range: bytes */10000")}, content[:4_000], false, 3},
		"or not, by a 416 without one":             {[]step{say(ok, content[:4_000]), past("")}, content[:4_000], false, 3},
		"or sends the rest":                        {[]step{say(ok, content[:4_000]), rest}, content, true, 2},
		"or sends the whole, with its length":      {[]step{say(ok, content[:4_000]), say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10000", content)}, content, true, 2},
		"or not, where it always ends there":       {[]step{say("HTTP/1.1 200 OK", content[:4_000])}, content[:4_000], false, 2},
		"or sends more each time":                  {[]step{say(ok, content[:4_000]), say(ok, content[:8_000]), say(ok, content), past("\r\nContent-Range: bytes */10000")}, content, true, 4},
		"or not, where it sends another log":       {[]step{say(ok, content[:4_000]), say(ok, content[1:9_000])}, content[:4_000], false, 2},
		"or not, where it sends less of it":        {[]step{say(ok, content[:4_000]), say(ok, content[:3_000])}, content[:4_000], false, 4},
		"though it needn't: the chunks have ended": {[]step{say("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n")}, "abc", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			base, asked := unframed(t, tc.steps...)
			got, err := io.ReadAll(openLog(t, newClient(t, base), nil))
			require.True(t, tc.want == string(got), "got %d bytes, want %d", len(got), len(tc.want)) //nolint:testifylint // no kilobytes of noise
			require.LessOrEqual(t, asked(), tc.most)
			if tc.whole {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			if !strings.Contains(err.Error(), "has changed") {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		})
	}
	t.Run("which is no retry", func(t *testing.T) {
		base, _ := unframed(t, say(ok, content), past("\r\nContent-Range: bytes */10000"))
		got, err := io.ReadAll(openLog(t, newClient(t, base, pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})), nil))
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	})
}

func TestAPieceOfALogIsNoFailure(t *testing.T) {
	content := noise(1_000)
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		var from int
		_, _ = fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from)
		if from == len(content) {
			pastEnd("")(w, req)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, from+99))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[from : from+100])
	})
	c := newClient(t, srv.base(), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1}))
	got, err := io.ReadAll(openLog(t, c, &pipelines.LogOptions{Offset: 200}))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content[200:], got), "got %d bytes, want 800", len(got))
}

func TestALogThatLiesCompressedIsRead(t *testing.T) {
	content := text(100_000)
	stored := zip(t, content, 1)
	require.Less(t, len(stored), 50_000)
	encoded := func(handle http.HandlerFunc, name string) http.HandlerFunc {
		return withHeaders(handle, "Content-Encoding", name)
	}
	for name, handle := range map[string]http.HandlerFunc{
		"with ranges of what lies there": encoded(serveLog(stored, ""), "gzip"),
		"with an ETag":                   encoded(serveLog(stored, `"v1"`), "gzip"),
		"under an old name":              encoded(serveLog(stored, ""), "X-Gzip"),
		"beside a name for nothing":      encoded(serveLog(stored, ""), "identity, gzip"),
		"without ranges":                 encoded(whole(stored, true), "gzip"),
		"without ranges or a length":     encoded(whole(stored, false), "gzip"),
		"in several members":             encoded(serveLog(zip(t, content, 7), ""), "gzip"),
		"with a cut":                     sequence(cut(len(stored)/2, encoded(serveLog(stored, `"v1"`), "gzip")), encoded(serveLog(stored, `"v1"`), "gzip")),
		"with a cut, without a length":   sequence(cut(len(stored)/2, encoded(whole(stored, false), "gzip")), encoded(whole(stored, false), "gzip")),
		"with a cut, compressed anew":    sequence(cut(len(stored)/2, encoded(serveLog(stored, `"v1"`), "gzip")), encoded(serveLog(zip(t, content, 2), `"v2"`), "gzip")),
		"only now and then":              sequence(cut(5_000, serveLog(content, `"v1"`)), encoded(serveLog(stored, `"v2"`), "gzip")),
		"only at first":                  sequence(cut(len(stored)/2, encoded(serveLog(stored, `"v2"`), "gzip")), serveLog(content, `"v1"`)),
	} {
		for part, o := range map[string]pipelines.LogOptions{
			"all of it": {}, "from an offset": {Offset: 60_000}, "from a small offset": {Offset: 10}, "a length": {Length: 70_000}, "a small length": {Length: 7},
			"a length from an offset": {Offset: 30_000, Length: 40_000}, "the tail": {Tail: 45_000}, "a small tail": {Tail: 5},
			"past the end": {Offset: 200_000}, "a tail longer than the log": {Tail: 200_000},
		} {
			t.Run(name+", "+part, func(t *testing.T) {
				srv := record(t, handle)
				log := openLog(t, newClient(t, srv.base()), &o)
				got, err := io.ReadAll(log)
				require.NoError(t, err)
				want := content[min(o.Offset, 100_000):]
				switch {
				case o.Length > 0:
					want = want[:o.Length]
				case o.Tail > 0:
					want = content[max(0, 100_000-o.Tail):]
				}
				require.True(t, bytes.Equal(want, got), "got %d bytes, want %d", len(got), len(want))
				if size, known := log.Size(); known {
					require.EqualValues(t, 100_000, size)
				}
				require.Equal(t, "identity", srv.seen()[0].Header.Get("Accept-Encoding"))
				if !strings.Contains(name, "cut") && !strings.HasPrefix(name, "only") {
					require.LessOrEqual(t, len(srv.seen()), 2, "one for a range of what lies there, one for all of it")
				}
			})
		}
	}
}

func TestAContentEncodingThatCannotBeUndoneIsAnError(t *testing.T) {
	content := text(10_000)
	stored := zip(t, content, 1)
	middle := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 100-%d/%d", len(stored)-1, len(stored)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(stored[100:])
	}
	corrupt := bytes.Clone(stored)
	corrupt[len(corrupt)-6]++
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		says   string
		most   int
	}{
		"brotli":                          {withHeaders(serveLog(stored, ""), "Content-Encoding", "br"), `"br"`, 1},
		"Zstandard":                       {withHeaders(serveLog(stored, ""), "Content-Encoding", "zstd"), `"zstd"`, 1},
		"two in one":                      {withHeaders(serveLog(stored, ""), "Content-Encoding", "gzip, gzip"), `"gzip, gzip"`, 1},
		"gzip from the middle":            {middle, "only a part", 2},
		"gzip that isn't":                 {withHeaders(serveLog(content, ""), "Content-Encoding", "gzip"), "gzip", 1},
		"gzip whose checksum is wrong":    {withHeaders(serveLog(corrupt, ""), "Content-Encoding", "gzip"), "gzip", 1},
		"gzip with garbage at the end":    {withHeaders(serveLog(append(bytes.Clone(stored), "garbage garbage"...), ""), "Content-Encoding", "gzip"), "gzip", 1},
		"a name that is meant for no one": {withHeaders(serveLog(stored, ""), "Content-Encoding", "\x80\""), "compressed", 1},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, tc.handle)
			log, err := newClient(t, srv.base()).Steps.GetLog(t.Context(), repo, "8", "{s}", nil)
			if err == nil {
				defer log.Close()
				var got []byte
				got, err = io.ReadAll(log)
				require.True(t, bytes.HasPrefix(content, got), "nothing but text is handed out")
			}
			require.ErrorContains(t, err, "Content-Encoding")
			require.ErrorContains(t, err, tc.says)
			require.LessOrEqual(t, len(srv.seen()), tc.most)
			_, err = downloadFrom(t, tc.handle, io.Discard)
			require.ErrorContains(t, err, "Content-Encoding")
		})
	}
	t.Run("ends FollowLog and Watch at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			step := `{"uuid":"{s}","name":"A","state":{"name":"COMPLETED","result":{"name":"SUCCESSFUL"}}}`
			c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: hosts{
				"http://api.example": withHeaders(stubborn(step, 1, "all"), "Content-Encoding", "br"),
			}}))
			_, err := c.Steps.FollowLog(t.Context(), repo, "8", "{s}", nil)
			require.ErrorContains(t, err, `"br"`)
			_, err = collect(t, t.Context(), c, "8")
			require.ErrorContains(t, err, `"br"`)
			require.Zero(t, time.Since(start))
		})
	})
}

func TestALogThatIsCompressedUnaskedAndEmptyIsEmpty(t *testing.T) {
	for _, handle := range []http.HandlerFunc{serveLog(nil, ""), whole(nil, false), serveLog(zip(t, nil, 1), "")} {
		srv := record(t, withHeaders(handle, "Content-Encoding", "gzip"))
		got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestADownloadThatLiesCompressedIsDecoded(t *testing.T) {
	content := text(100_000)
	stored := zip(t, content, 1)
	served := withHeaders(serveLog(stored, `"v1"`), "Content-Encoding", "gzip")
	for name, handle := range map[string]http.HandlerFunc{"in one piece": served, "with a cut": sequence(cut(len(stored)/2, served), served)} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			n, err := downloadFrom(t, handle, &got)
			require.NoError(t, err)
			require.EqualValues(t, len(content), n)
			require.True(t, bytes.Equal(content, got.Bytes()))
		})
	}
}

// decoding is a transport that decodes by itself, as net/http does for those who don't choose an encoding.
type decoding struct{}

func (decoding) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del("Accept-Encoding")
	return http.DefaultTransport.RoundTrip(req)
}

func TestALogThatTheTransportDecodesIsRead(t *testing.T) {
	content := text(100_000)
	stored := zip(t, content, 1)
	served := withHeaders(serveLog(stored, `"v1"`), "Content-Encoding", "gzip")
	for _, o := range []pipelines.LogOptions{{}, {Offset: 60_000}, {Tail: 10}, {Offset: 5, Length: 50_000}} {
		srv := record(t, sequence(cut(len(stored)/2, served), served))
		log := openLog(t, newClient(t, srv.base(), pipelines.WithHTTPClient(&http.Client{Transport: decoding{}})), &o)
		got, err := io.ReadAll(log)
		require.NoError(t, err)
		want := content[o.Offset:]
		switch {
		case o.Length > 0:
			want = want[:o.Length]
		case o.Tail > 0:
			want = content[100_000-o.Tail:]
		}
		require.True(t, bytes.Equal(want, got), "%+v: got %d bytes, want %d", o, len(got), len(want))
		if size, known := log.Size(); known {
			require.EqualValues(t, 100_000, size)
		}
	}
}

// panicky is a writer that panics.
type panicky struct{}

func (panicky) Write([]byte) (int, error) { panic("the writer's own bug") }

func TestAWriterThatPanicsLeavesNoConnectionBehind(t *testing.T) {
	for name, write := range map[string]func(c *pipelines.Client) error{
		"of a log": func(c *pipelines.Client) error {
			log, err := c.Steps.GetLog(context.Background(), repo, "1", "{s}", nil)
			if err == nil {
				_, err = log.WriteTo(panicky{})
			}
			return err
		},
		"of a cache": func(c *pipelines.Client) error {
			_, err := c.Caches.Download(context.Background(), repo, "{c}", panicky{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{})
			var srv *recorder
			srv = record(t, func(w http.ResponseWriter, req *http.Request) {
				if strings.HasSuffix(req.URL.Path, "/content-uri") {
					serveJSON(`{"uri":"`+srv.URL+`/content"}`)(w, req)
					return
				}
				_, _ = w.Write([]byte("abc"))
				_ = http.NewResponseController(w).Flush()
				<-req.Context().Done() // the client has closed the connection
				close(gone)
			})
			require.PanicsWithValue(t, "the writer's own bug", func() { _ = write(newClient(t, srv.base())) })
			<-gone
		})
	}
}

func TestAResponseThatStartsEarlierIsCompared(t *testing.T) {
	content := noise(10_000)
	other := bytes.Clone(content)
	other[3_500]++
	for name, tc := range map[string]struct {
		from int
		rest []byte
		says string
	}{
		"and is the same":                {2_500, content, ""},
		"and is the same, just before":   {3_999, content, ""},
		"and is another":                 {2_500, other, "has changed since its beginning was read"},
		"and is another from the start":  {0, other, "has changed since its beginning was read"},
		"and is the same from the start": {0, content, ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, sequence(cut(4_000, serveLog(content, "")), func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-9999/10000", tc.from))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(tc.rest[tc.from:])
			}))
			got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), nil))
			require.Len(t, srv.seen(), 2)
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				require.Equal(t, content[:4_000], got)
				return
			}
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got), "got %d bytes, want %d", len(got), len(content))
		})
	}
}

func TestAnOffsetPastTheEndTransfersNothing(t *testing.T) {
	content := noise(5_000)
	for _, tellLength := range []bool{true, false} {
		for contentRange, requests := range map[string]int{"bytes */5000": 1, "bytes */4000": 2, "": 2} {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Range") != "" {
					pastEnd(contentRange)(w, req)
					return
				}
				whole(content, tellLength)(w, req)
			})
			got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &pipelines.LogOptions{Offset: 5_000}))
			require.NoError(t, err)
			require.Empty(t, got)
			require.Len(t, srv.seen(), requests, "416 with %q", contentRange)
		}
	}
}

func TestATailThatEndsWithItsConnectionIsNotBelieved(t *testing.T) {
	content := string(noise(10_000))
	base, asked := unframed(t, func(*http.Request) (string, string) { return "HTTP/1.0 200 OK", content })
	_, err := newClient(t, base).Steps.GetLog(t.Context(), repo, "8", "{s}", &pipelines.LogOptions{Tail: 10})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, 2, asked())
}

func TestATailIsTheOneThatTheLogHad(t *testing.T) {
	content := noise(10_000)
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		want   []byte
	}{
		"though it grew since":       {sequence(cut(50, serveLog(content[:5_000], "")), serveLog(content, "")), content[4_900:5_000]},
		"of an empty log":            {whole(nil, true), nil},
		"of an empty log, no length": {whole(nil, false), nil},
		"of an empty log, by a 416":  {pastEnd("bytes */0"), nil},
		"of an empty log, by a 206":  {serveLog(nil, ""), nil}, // net/http's server sends "bytes 0--1/0"
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, tc.handle)
			got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &pipelines.LogOptions{Tail: 100}))
			require.NoError(t, err)
			require.Equal(t, string(tc.want), string(got))
		})
	}
}

func TestATransportThatEndsABodyEarlyIsAskedForTheRest(t *testing.T) {
	content := noise(10_000)
	short := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10000")
		_, _ = w.Write(content[:4_000])
	}
	c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: hosts{"http://api.example": sequence(short, serveLog(content, ""))}}))
	got, err := io.ReadAll(openLog(t, c, nil))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got), "got %d bytes, want %d", len(got), len(content))
}

func TestATransportThatDecodesAndLeavesTheLengthIsNotTakenAtItsWord(t *testing.T) {
	content := text(100_000)
	stored := zip(t, content, 1)
	c := newClient(t, "http://api.example", pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		resp := respond(req, 200, string(content))
		resp.ContentLength = int64(len(stored))
		resp.Header.Set("Content-Length", strconv.Itoa(len(stored)))
		return resp, nil
	})}))
	log := openLog(t, c, nil)
	got, err := io.ReadAll(log)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got), "got %d bytes, want %d", len(got), len(content))
	_, known := log.Size()
	require.False(t, known)
}

func TestARangePastTheEndOfLessThanTheLengthIsNoEnd(t *testing.T) {
	content := noise(100)
	for kind, read := range readers() {
		t.Run(kind, func(t *testing.T) {
			got, err := read(t, sequence(cut(60, whole(content, true)), pastEnd("bytes */60")))
			require.ErrorContains(t, err, "has changed since its beginning was read")
			require.Equal(t, content[:60], got)
		})
	}
}

func TestAnOffsetThatAServerWronglyCallsPastTheEndIsReadWithoutALength(t *testing.T) {
	content := text(200)
	for _, empty := range []bool{false, true} {
		for _, o := range []pipelines.LogOptions{{Offset: 100}, {Offset: 100, Length: 50}, {Tail: 50}, {TailLines: 1_000}} {
			want := content[o.Offset:]
			switch {
			case empty:
				want = nil
			case o.Length > 0 || o.Tail > 0:
				want = want[:50]
			}
			if o.Tail > 0 && !empty {
				want = content[150:]
			}
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				switch {
				case req.Header.Get("Range") != "":
					pastEnd("")(w, req)
				case empty:
					whole(nil, false)(w, req)
				default:
					whole(content, false)(w, req)
				}
			})
			got, err := io.ReadAll(openLog(t, newClient(t, srv.base()), &o))
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), "%+v", o)
		}
	}
}

func TestCompressedContentThatEndsWithItsConnectionMayBeCut(t *testing.T) {
	content := text(10_000)
	first := string(zip(t, content[:4_000], 1))
	stored := first + string(zip(t, content[4_000:], 1))
	ending := func(body string) func(*http.Request) (string, string) {
		return func(*http.Request) (string, string) {
			return "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close", body
		}
	}
	for name, cut := range map[string]string{"before its first byte": "", "in a member": first[:len(first)/2], "between two members": first} {
		t.Run(name, func(t *testing.T) {
			for _, o := range []pipelines.LogOptions{{}, {Offset: 5_000}, {Tail: 10}, {TailLines: 2}} {
				base, _ := unframed(t, ending(cut), ending(stored))
				got, err := io.ReadAll(openLog(t, newClient(t, base), &o))
				require.NoError(t, err)
				require.True(t, bytes.HasSuffix(content, got), "%+v: got other bytes than the last ones", o)
				require.NotEmpty(t, got)
				if o.TailLines == 0 && o.Tail == 0 {
					require.Len(t, got, 10_000-int(o.Offset))
				}
			}
		})
	}
	t.Run("before its first byte each time", func(t *testing.T) {
		base, _ := unframed(t, ending(""))
		c := newClient(t, base, pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 2}))
		_, err := io.ReadAll(openLog(t, c, nil))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}
