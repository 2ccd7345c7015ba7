package rangereader_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// lastLines returns the last n lines of a text, in the plainest way.
func lastLines(text []byte, n int) []byte {
	all := bytes.SplitAfter(text, []byte("\n"))
	if len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	return bytes.Join(all[max(0, len(all)-n):], nil)
}

func TestTheLastLinesAreRead(t *testing.T) {
	short, long := lines(10), lines(20_000)
	oneLine := bytes.Repeat([]byte("x"), 300_000)
	for name, text := range map[string][]byte{
		"a short text": short, "a long text": long, "no text": nil, "one long line": oneLine,
		"no line end at the end": long[:len(long)-1], "empty lines": bytes.Repeat([]byte("\n"), 70_000),
	} {
		responses := map[string]func(http.Header) (*http.Response, error){
			"ranges": serve(text), "no ranges": whole(text), "no length": unknownLength(whole(text)),
			"compressed": serve(zip(text), "Content-Encoding", "gzip"),
		}
		for _, n := range []int{1, 2, 10, 1_500, 19_999, 50_000} {
			for how, response := range responses {
				got, err := read(t, serving(response), rangereader.Range{TailLines: n})
				require.NoError(t, err)
				want := lastLines(text, n)
				require.True(t, bytes.Equal(want, got), "%d of %s, %s: got %d bytes, want %d", n, name, how, len(got), len(want))
			}
		}
	}
}

func TestTheLastLinesTakeFewRequests(t *testing.T) {
	text := lines(20_000)
	for n, requests := range map[int]int{1: 1, 1_000: 1, 3_000: 3, 20_000: 6} {
		s := serving(serve(text))
		_, err := read(t, s, rangereader.Range{TailLines: n})
		require.NoError(t, err)
		require.Len(t, s.requests, requests, "%d lines", n)
	}
}

func TestTheLastLinesAreThoseThatTheContentHad(t *testing.T) {
	text := lines(20_000)
	before := text[:len(text)/2]
	got, err := read(t, serving(serve(before), serve(text)), rangereader.Range{TailLines: 5_000})
	require.NoError(t, err)
	equal(t, lastLines(before, 5_000), got)
}

func TestTheLastLinesOfContentThatShrankAreAnError(t *testing.T) {
	text := lines(20_000)
	_, err := read(t, serving(serve(text), whole(text[:100])), rangereader.Range{TailLines: 5_000})
	require.ErrorIs(t, err, rangereader.ErrChanged)
}

func TestTheLastLinesOfContentThatCannotBeReadAreAnError(t *testing.T) {
	text := lines(20_000)
	for name, s := range map[string]*storage{
		"at first":                  serving(refused),
		"in the first part":         serving(cut(10, serve(text)), refused),
		"in the next part":          serving(serve(text), refused),
		"in the middle of the next": serving(serve(text), cut(10, serve(text)), refused),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, s, rangereader.Range{TailLines: 5_000})
			require.ErrorIs(t, err, errRefused)
		})
	}
}

func TestLinesThatAreReadAgainKeepTheSize(t *testing.T) {
	text := lines(100)
	r, err := rangereader.Open(t.Context(), source(serving(serve(text)).fetch), rangereader.Range{TailLines: 3})
	require.NoError(t, err)
	defer r.Close()
	size, known := r.Size()
	require.True(t, known)
	require.EqualValues(t, len(text), size)
	require.EqualValues(t, len(text)-len(lastLines(text, 3)), r.Offset())
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	equal(t, lastLines(text, 3), got)
	require.EqualValues(t, len(text), r.Offset())
}

func TestATailIsTheOneThatTheContentHad(t *testing.T) {
	content := noise(10_000)
	for name, tc := range map[string]struct {
		s    *storage
		want []byte
	}{
		"though it grew":                 {serving(cut(50, serve(content[:5_000])), serve(content)), content[4_900:5_000]},
		"of empty content":               {serving(whole(nil)), nil},
		"of empty content, by net/http":  {serving(serve(nil)), nil},
		"of empty content, no length":    {serving(unknownLength(whole(nil))), nil},
		"of a piece of unknown size":     {serving(partial("bytes 9000-9999/*", content[9_000:])), content[9_900:]},
		"after a cut, without a length":  {serving(cut(5_000, unknownLength(whole(content))), unknownLength(whole(content))), content[9_900:]},
		"of content shorter than itself": {serving(unknownLength(whole(content[:50]))), content[:50]},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, tc.s, rangereader.Range{Tail: 100})
			require.NoError(t, err)
			equal(t, tc.want, got)
		})
	}
}

func TestATailThatEndsWithItsConnectionIsNotBelieved(t *testing.T) {
	s := serving(closeDelimited(whole(noise(10_000))))
	_, err := read(t, s, rangereader.Range{Tail: 10})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, []string{"bytes=-10", ""}, s.ranges())
}

func TestALongTailOfUnknownLengthIsRead(t *testing.T) {
	content := noise(1_000_000)
	for _, n := range []int64{1, 65_535, 65_536, 65_537, 70_000, 500_000, 999_999, 1_000_000, math.MaxInt64} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			got, err := read(t, serving(unknownLength(whole(content))), rangereader.Range{Tail: n})
			require.NoError(t, err)
			equal(t, content[max(0, int64(len(content))-n):], got)
		})
	}
}

func TestATailOfUnknownLengthNeedsNoMoreMemoryThanItHas(t *testing.T) {
	const size, n = 64 << 20, 8 << 20
	s := serving(func(http.Header) (*http.Response, error) {
		zeros := readerFunc(func(p []byte) (int, error) { clear(p); return len(p), nil })
		return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(io.LimitReader(zeros, size))}, nil
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := rangereader.Open(t.Context(), source(s.fetch), rangereader.Range{Tail: n})
	require.NoError(t, err)
	defer r.Close()
	got, err := io.Copy(io.Discard, r)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.EqualValues(t, n, got)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(n+1<<20), "all that was ever allocated")
}
