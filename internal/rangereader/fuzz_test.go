package rangereader_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// FuzzReader reads one of two contents from a server that lies: two bytes of the script make a response. Every body has the right bytes
// of its content for the place that its header names, and the two have different ETags. So what is read has to be a piece of one of them,
// from the offset on, and never of both.
func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 0}, uint16(0), uint16(0), uint16(0))
	f.Add([]byte{1, 7, 2, 9, 3, 3, 4, 1, 5, 5, 6, 0}, uint16(10), uint16(0), uint16(0))
	f.Add([]byte{5, 100, 12, 0, 16, 0}, uint16(0), uint16(0), uint16(0))
	f.Add([]byte{2, 0, 2, 200, 0, 3, 1, 1}, uint16(100), uint16(500), uint16(0))
	f.Add([]byte{10, 100, 8, 100, 10, 250, 8, 250}, uint16(0), uint16(0), uint16(0))
	f.Add([]byte{5, 100, 11, 3, 9, 0, 8, 9}, uint16(300), uint16(0), uint16(0))
	f.Add([]byte{10, 250, 4, 0, 17, 255}, uint16(0), uint16(0), uint16(30))
	one := noise(1_000)
	two := append(bytes.Clone(one[:300]), bytes.Repeat([]byte("x"), 900)...)
	both := []liar{{one, zip(one), `"1"`}, {two, zip(two), `"2"`}}
	f.Fuzz(func(t *testing.T, script []byte, offset, length, tail uint16) {
		if tail > 0 {
			offset, length = 0, 0
		}
		sent, lies := 0, false
		var served [2]bool
		s := serving(func(header http.Header) (*http.Response, error) {
			kind, n := byte(0), 0
			if sent++; 2*sent <= len(script) {
				kind, n = script[2*sent-2], int(script[2*sent-1])
			}
			if sent > 50 {
				return refused(header)
			}
			lies = lies || kind%12 == 7 || kind%12 == 8
			served[kind/12%2] = true
			return both[kind/12%2].respond(header, kind%12, n)
		})
		got, err := read(t, s, rangereader.Range{Offset: int64(offset), Length: int64(length), Tail: int64(tail)})
		if tail > 0 { // a lie about the size moves it
			require.LessOrEqual(t, len(got), int(tail))
			require.True(t, bytes.Contains(one, got) || bytes.Contains(two, got), "%d bytes are of neither content", len(got))
			return
		}
		restOfOne, restOfTwo := one[min(int(offset), len(one)):], two[min(int(offset), len(two)):]
		require.True(t, bytes.HasPrefix(restOfOne, got) || bytes.HasPrefix(restOfTwo, got), "%d bytes from %d on are of neither content", len(got), offset)
		if length > 0 {
			require.LessOrEqual(t, len(got), int(length))
		}
		if err == nil && length == 0 && !lies && served != [2]bool{true, true} { // a 416 may be of the other's size
			require.True(t, bytes.Equal(restOfOne, got) || bytes.Equal(restOfTwo, got), "%d bytes from %d on are not all", len(got), offset)
		}
	})
}

// liar serves one content.
type liar struct {
	content, stored []byte
	etag            string
}

// respond sends one of twelve responses.
func (l liar) respond(header http.Header, kind byte, n int) (*http.Response, error) {
	var from int
	_, _ = fmt.Sscanf(header.Get("Range"), "bytes=%d-", &from)
	size := strconv.Itoa(len(l.content))
	piece := func(from, to int, size string) func(http.Header) (*http.Response, error) {
		from = max(0, min(from, len(l.content)-1))
		to = max(from+1, min(to, len(l.content)))
		return partial(fmt.Sprintf("bytes %d-%d/%s", from, to-1, size), l.content[from:to], "ETag", l.etag)
	}
	var response func(http.Header) (*http.Response, error)
	switch {
	case kind == 0 && from < len(l.content): // the truth
		response = piece(from, len(l.content), size)
	case kind == 0: // as well
		response = pastEnd("bytes */" + size)
	case kind == 1: // another beginning
		response = piece(from-100+n, len(l.content), size)
	case kind == 2: // a piece
		response = piece(from, from+n, size)
	case kind == 3: // a piece of an unknown whole
		response = piece(from, from+n, "*")
	case kind == 4: // the whole, of unknown length
		response = unknownLength(whole(l.content, "ETag", l.etag))
	case kind == 5: // a lost connection
		response = cut(n, piece(from, len(l.content), size))
	case kind == 6: // a Content-Range that is none
		response = partial(strconv.Itoa(n), l.content)
	case kind == 8: // 416 with any size
		response = pastEnd(fmt.Sprintf("bytes */%d", 4*n))
	case kind == 9: // the compressed form
		response = whole(l.stored, "ETag", l.etag, "Content-Encoding", "gzip")
	case kind == 10: // the whole or less of it, and nothing tells
		response = closeDelimited(whole(l.content[:min(4*n, len(l.content))], "ETag", l.etag))
	case kind == 11: // the end of the compressed form
		n = min(n, len(l.stored)-1)
		response = partial(fmt.Sprintf("bytes %d-%d/%d", n, len(l.stored)-1, len(l.stored)), l.stored[n:], "ETag", l.etag, "Content-Encoding", "gzip")
	default: // 416 without a size
		response = pastEnd("")
	}
	return response(header)
}

func TestAReaderOfALiarEnds(t *testing.T) {
	l := liar{noise(1_000), zip(noise(1_000)), `"1"`}
	for kind := range byte(12) {
		s := serving(func(header http.Header) (*http.Response, error) { return l.respond(header, kind, 10) })
		r, err := rangereader.Open(t.Context(), source(s.fetch), rangereader.Range{Offset: 5})
		if err == nil {
			_, _ = io.ReadAll(r)
			require.NoError(t, r.Close())
		}
		require.LessOrEqual(t, len(s.requests), 101, "kind %d", kind)
	}
}
