package rangereader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

func TestContentIsReadWhole(t *testing.T) {
	content := noise(300_000)
	for name, s := range map[string]*storage{
		"with ranges":                serving(serve(content)),
		"without ranges":             serving(whole(content)),
		"of unknown length":          serving(unknownLength(whole(content))),
		"across lost connections":    serving(cut(1, serve(content)), cut(100_000, serve(content)), cut(1, serve(content)), serve(content)),
		"from its beginning again":   serving(cut(100_000, whole(content)), whole(content)),
		"again, of unknown length":   serving(cut(100_000, unknownLength(whole(content))), unknownLength(whole(content))),
		"after a cut in front of it": serving(cut(0, serve(content)), serve(content)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, s, rangereader.Range{})
			require.NoError(t, err)
			equal(t, content, got)
		})
	}
}

func TestAPartIsRead(t *testing.T) {
	content := noise(10_000)
	for name, tc := range map[string]struct {
		part rangereader.Range
		want []byte
	}{
		"from an offset":                 {rangereader.Range{Offset: 9_000}, content[9_000:]},
		"a length":                       {rangereader.Range{Length: 10}, content[:10]},
		"a length from an offset":        {rangereader.Range{Offset: 5_000, Length: 1_000}, content[5_000:6_000]},
		"a length past the end":          {rangereader.Range{Offset: 9_990, Length: 1_000}, content[9_990:]},
		"an offset at the end":           {rangereader.Range{Offset: 10_000}, nil},
		"an offset past the end":         {rangereader.Range{Offset: 99_000}, nil},
		"the tail":                       {rangereader.Range{Tail: 100}, content[9_900:]},
		"a tail longer than the content": {rangereader.Range{Tail: 99_000}, content},
	} {
		for how, s := range map[string]*storage{
			"with ranges":       serving(serve(content)),
			"without ranges":    serving(whole(content)),
			"of unknown length": serving(unknownLength(whole(content))),
			"across a cut":      serving(cut(5, serve(content)), serve(content)),
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				got, err := read(t, s, tc.part)
				require.NoError(t, err)
				equal(t, tc.want, got)
			})
		}
	}
}

func TestAReaderOverHTTPResumesWhereTheConnectionWasLost(t *testing.T) {
	content := noise(100_000)
	var requests []http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests = append(requests, req.Header)
		w.Header().Set("ETag", `"v1"`)
		if len(requests) == 1 {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(content[:40_000])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
	}))
	defer srv.Close()
	r, err := rangereader.Open(t.Context(), source(func(ctx context.Context, header http.Header) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		require.NoError(t, err)
		req.Header = header
		return srv.Client().Do(req)
	}), rangereader.Range{})
	require.NoError(t, err)
	defer r.Close()
	var got bytes.Buffer
	n, err := r.WriteTo(&got)
	require.NoError(t, err)
	require.EqualValues(t, len(content), n)
	equal(t, content, got.Bytes())
	require.Len(t, requests, 2)
	require.Equal(t, fmt.Sprintf("bytes=%d-", 40_000), requests[1].Get("Range"))
	require.Equal(t, `"v1"`, requests[1].Get("If-Range"))
}

func TestOffsetAndSize(t *testing.T) {
	content := noise(1_000)
	r, err := rangereader.Open(t.Context(), source(serving(serve(content)).fetch), rangereader.Range{Offset: 400})
	require.NoError(t, err)
	defer r.Close()
	require.EqualValues(t, 400, r.Offset())
	size, known := r.Size()
	require.EqualValues(t, 1_000, size)
	require.True(t, known)
	_, err = io.ReadFull(r, make([]byte, 100))
	require.NoError(t, err)
	require.EqualValues(t, 500, r.Offset())

	r, err = rangereader.Open(t.Context(), source(serving(unknownLength(whole(content))).fetch), rangereader.Range{})
	require.NoError(t, err)
	defer r.Close()
	size, known = r.Size()
	require.Zero(t, size)
	require.False(t, known)
}

func TestReadOfNothingReadsNothing(t *testing.T) {
	r, err := rangereader.Open(t.Context(), source(serving(serve(noise(10))).fetch), rangereader.Range{})
	require.NoError(t, err)
	defer r.Close()
	n, err := r.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Zero(t, r.Offset())
}

func TestTheEndStaysTheEnd(t *testing.T) {
	s := serving(serve(noise(10)))
	r, err := rangereader.Open(t.Context(), source(s.fetch), rangereader.Range{})
	require.NoError(t, err)
	defer r.Close()
	_, err = io.ReadAll(r)
	require.NoError(t, err)
	for range 2 {
		n, err := r.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
	}
	require.Len(t, s.requests, 1)
}

func TestALengthThatIsOfACompressedFormIsNotBelieved(t *testing.T) {
	content := noise(1_000)
	s := serving(func(header http.Header) (*http.Response, error) {
		resp, err := whole(content)(header)
		resp.ContentLength = 100
		return resp, err
	})
	r, err := rangereader.Open(t.Context(), source(s.fetch), rangereader.Range{})
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	equal(t, content, got)
	_, known := r.Size()
	require.False(t, known)
}

func TestABodyThatEndsWithItsConnectionIsWholeOnceAResponseSaysSo(t *testing.T) {
	content := noise(10_000)
	head := closeDelimited(whole(content[:4_000]))
	for name, tc := range map[string]struct {
		s        *storage
		want     []byte
		complete bool
		requests int
	}{
		"a 416 of its size":             {serving(closeDelimited(whole(content)), pastEnd("bytes */10000")), content, true, 2},
		"a 416 of another size":         {serving(head, pastEnd("bytes */10000")), content[:4_000], false, 3},
		"a 416 without a size":          {serving(head, pastEnd("")), content[:4_000], false, 3},
		"the rest":                      {serving(head, serve(content)), content, true, 2},
		"the whole with its length":     {serving(head, whole(content)), content, true, 2},
		"the same again":                {serving(head), content[:4_000], false, 2},
		"more each time":                {serving(head, closeDelimited(whole(content)), pastEnd("bytes */10000")), content, true, 3},
		"other content":                 {serving(head, closeDelimited(whole(content[1:]))), content[:4_000], false, 2},
		"less of it":                    {serving(head, closeDelimited(whole(content[:3_000]))), content[:4_000], false, 4},
		"nothing at all, ever":          {serving(closeDelimited(whole(nil))), nil, false, 3},
		"nothing, but at first":         {serving(closeDelimited(whole(nil)), serve(content)), content, true, 2},
		"nothing but the same piece":    {serving(partial("bytes 0-3999/10000", content[:4_000]), partial("bytes 3999-3999/10000", content[3_999:4_000])), content[:4_000], false, 4},
		"the last chunk, without a 416": {serving(unknownLength(whole(content))), content, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, tc.s, rangereader.Range{})
			equal(t, tc.want, got)
			require.Len(t, tc.s.requests, tc.requests)
			switch {
			case tc.complete:
				require.NoError(t, err)
			case name == "other content":
				require.ErrorIs(t, err, rangereader.ErrChanged)
			default:
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		})
	}
}

func TestPiecesAreNoFailures(t *testing.T) {
	content := noise(1_000)
	s := serving(func(header http.Header) (*http.Response, error) {
		var from int
		_, _ = fmt.Sscanf(header.Get("Range"), "bytes=%d-", &from)
		if from == len(content) {
			return pastEnd("")(header)
		}
		return partial(fmt.Sprintf("bytes %d-%d/*", from, from+99), content[from:from+100])(header)
	})
	one := source(s.fetch)
	one.MaxAttempts = 1
	r, err := rangereader.Open(t.Context(), one, rangereader.Range{Offset: 200})
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	equal(t, content[200:], got)
	require.Len(t, s.requests, 9)
}

func TestCloseEndsAReadThatIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := rangereader.Open(t.Context(), source(func(ctx context.Context, _ http.Header) (*http.Response, error) {
			body, w := io.Pipe()
			context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
			return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: body}, nil
		}), rangereader.Range{})
		require.NoError(t, err)
		done := make(chan error)
		go func() {
			_, err := io.ReadAll(r)
			done <- err
		}()
		synctest.Wait()
		require.False(t, r.Closed())
		require.NoError(t, r.Close())
		require.Equal(t, fs.ErrClosed, <-done)
		require.True(t, r.Closed())
		require.NoError(t, r.Close(), "a second time does no harm")
		require.Error(t, r.Context().Err())
	})
}

func TestCloseEndsTheWaitBeforeAnotherRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := source(func(context.Context, http.Header) (*http.Response, error) { return nil, errLost })
		one.Retry = func(error) bool { return true }
		one.Backoff = func(int) time.Duration { return time.Hour }
		r := rangereader.New(t.Context(), one, 0)
		done := make(chan error)
		go func() { done <- r.Poll(false) }()
		synctest.Wait()
		require.NoError(t, r.Close())
		require.Equal(t, fs.ErrClosed, <-done)
	})
}

func TestCloseEndsARequest(t *testing.T) {
	for name, after := range map[string]func(ctx context.Context) (*http.Response, error){
		"that fails":    func(ctx context.Context) (*http.Response, error) { return nil, ctx.Err() },
		"that succeeds": func(context.Context) (*http.Response, error) { return serve(noise(10))(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rangereader.New(t.Context(), source(func(ctx context.Context, _ http.Header) (*http.Response, error) {
					<-ctx.Done()
					return after(ctx)
				}), 0)
				done := make(chan error)
				go func() { done <- r.Poll(false) }()
				synctest.Wait()
				require.NoError(t, r.Close())
				require.Equal(t, fs.ErrClosed, <-done)
			})
		})
	}
}

func TestTheEndOfTheContextEndsReading(t *testing.T) {
	cause := errors.New("the program stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := serving(cut(4, serve(noise(10))))
	r, err := rangereader.Open(ctx, source(s.fetch), rangereader.Range{})
	require.NoError(t, err)
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 4))
	require.NoError(t, err)
	cancel(cause)
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "at byte 4")
	require.Len(t, s.requests, 1)
}

func TestTheEndOfTheContextEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		slow := source(serving(cut(0, serve(noise(10)))).fetch)
		slow.Backoff = func(int) time.Duration { return time.Hour }
		start := time.Now()
		r, err := rangereader.Open(ctx, slow, rangereader.Range{})
		require.NoError(t, err)
		defer r.Close()
		_, err = io.ReadAll(r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
	})
}
