package rangereader_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

func TestGzipIsDecoded(t *testing.T) {
	content := lines(2_000)
	stored := zip(content)
	two := append(zip(content[:1_000]), zip(content[1_000:])...)
	half := len(stored) / 2
	gzipped := []string{"Content-Encoding", "gzip"}
	tagged := append([]string{"ETag", `"v1"`}, gzipped...)
	for name, responses := range map[string][]func(http.Header) (*http.Response, error){
		"with ranges of the stored form": {serve(stored, gzipped...)},
		"with an ETag":                   {serve(stored, tagged...)},
		"under an old name":              {serve(stored, "Content-Encoding", "X-Gzip")},
		"beside identity":                {serve(stored, "Content-Encoding", "identity, gzip")},
		"without ranges":                 {whole(stored, gzipped...)},
		"of unknown length":              {unknownLength(whole(stored, gzipped...))},
		"whose connection is its end":    {closeDelimited(whole(stored, gzipped...))},
		"in two members":                 {serve(two, gzipped...)},
		"across a cut":                   {cut(half, serve(stored, tagged...)), serve(stored, tagged...)},
		"across a cut, compressed anew":  {cut(half, serve(stored, tagged...)), serve(two, "ETag", `"v2"`, "Content-Encoding", "gzip")},
		"across a cut, plain afterwards": {cut(half, serve(stored, tagged...)), serve(content, "ETag", `"v1"`)},
		"across a cut, plain before":     {cut(5_000, serve(content, "ETag", `"v1"`)), serve(stored, tagged...)},
		"by the transport":               {uncompressed(content)},
		"by the transport, across a cut": {cut(5_000, uncompressed(content)), uncompressed(content)},
	} {
		end := int64(len(content))
		for part, want := range map[rangereader.Range][]byte{
			{}:                             content,
			{Offset: 60_000}:               content[60_000:],
			{Offset: 5_000, Length: 1_000}: content[5_000:6_000],
			{Offset: end}:                  nil,
			{Offset: end + 1}:              nil,
			{Tail: 10}:                     content[end-10:],
		} {
			t.Run(name, func(t *testing.T) {
				s := serving(responses...)
				got, err := read(t, s, part)
				require.NoError(t, err, "%+v", part)
				equal(t, want, got)
				if len(responses) == 1 {
					require.LessOrEqual(t, len(s.requests), 2, "one for a range of the stored form, one for everything")
				}
			})
		}
	}
}

// uncompressed serves content that net/http has decoded.
func uncompressed(content []byte) func(http.Header) (*http.Response, error) {
	return func(header http.Header) (*http.Response, error) {
		resp, err := unknownLength(whole(content))(header)
		resp.Uncompressed = true
		return resp, err
	}
}

func TestAnEncodingThatCannotBeDecodedIsAnError(t *testing.T) {
	content := lines(100)
	stored := zip(content)
	corrupt, wrongSum := bytes.Clone(stored), bytes.Clone(stored)
	corrupt[10] |= 6 // the type of the first block, which doesn't exist
	wrongSum[len(wrongSum)-6]++
	encoded := func(body []byte, name string) *storage { return serving(serve(body, "Content-Encoding", name)) }
	for name, tc := range map[string]struct {
		s        *storage
		says     string
		requests int
	}{
		"brotli":                       {encoded(stored, "br"), `(Content-Encoding "br"): only gzip`, 1},
		"two in one":                   {encoded(stored, "gzip, gzip"), `"gzip, gzip"`, 1},
		"gzip that isn't":              {encoded(content, "gzip"), "invalid header", 1},
		"gzip that is corrupt":         {encoded(corrupt, "gzip"), `"gzip"`, 1},
		"gzip whose checksum is wrong": {encoded(wrongSum, "gzip"), "checksum", 1},
		"gzip with garbage at its end": {encoded(append(bytes.Clone(stored), "garbage garbage"...), "gzip"), "invalid header", 1},
		"a part of gzip":               {serving(partial("bytes 100-199/1000", stored[100:200], "Content-Encoding", "gzip")), "only a part", 2},
		"a name with odd characters":   {encoded(stored, "\x80\"\x1b"), `\"\x1b"`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, tc.s, rangereader.Range{})
			var encoding *rangereader.EncodingError
			require.ErrorAs(t, err, &encoding)
			require.ErrorContains(t, err, "at byte ")
			require.ErrorContains(t, err, tc.says)
			require.Error(t, encoding.Unwrap())
			require.True(t, bytes.HasPrefix(content, got), "nothing but content is returned")
			require.Len(t, tc.s.requests, tc.requests)
		})
	}
}

func TestALongEncodingIsShortened(t *testing.T) {
	_, err := read(t, serving(whole(noise(1), "Content-Encoding", string(bytes.Repeat([]byte("x"), 5_000)))), rangereader.Range{})
	require.Error(t, err)
	require.Less(t, len(err.Error()), 400)
}

func TestEmptyContentThatIsCompressedIsEmpty(t *testing.T) {
	for _, response := range []func(http.Header) (*http.Response, error){
		whole(nil, "Content-Encoding", "gzip"), unknownLength(whole(nil, "Content-Encoding", "gzip")), serve(zip(nil), "Content-Encoding", "gzip"),
	} {
		got, err := read(t, serving(response), rangereader.Range{})
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestGzipThatIsCutIsReadAgain(t *testing.T) {
	content := lines(100)
	stored := zip(content)
	s := serving(whole(stored[:len(stored)-4], "Content-Encoding", "gzip"), whole(stored, "Content-Encoding", "gzip"))
	got, err := read(t, s, rangereader.Range{})
	require.NoError(t, err)
	equal(t, content, got)
	require.Equal(t, []string{"", ""}, s.ranges(), "ranges count the bytes of the stored form")
	_, err = read(t, serving(whole(stored[:len(stored)-4], "Content-Encoding", "gzip")), rangereader.Range{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestGzipWhoseConnectionIsItsEndMayBeCut(t *testing.T) {
	content := lines(2_000)
	stored := append(zip(content[:50_000]), zip(content[50_000:])...)
	first := len(zip(content[:50_000]))
	ending := func(n int) func(http.Header) (*http.Response, error) {
		return closeDelimited(whole(stored[:n], "Content-Encoding", "gzip"))
	}
	decoded := func(n int) func(http.Header) (*http.Response, error) {
		return closeDelimited(uncompressed(content[:n]))
	}
	for name, responses := range map[string][]func(http.Header) (*http.Response, error){
		"before its first byte":                            {ending(0), ending(len(stored))},
		"before its first byte, twice":                     {ending(0), ending(0), ending(len(stored))},
		"in a member":                                      {ending(first / 2), ending(len(stored))},
		"between two members":                              {ending(first), ending(len(stored))},
		"between two members, after another cut":           {ending(first / 2), ending(first), ending(len(stored))},
		"between two members that net/http decodes":        {decoded(50_000), decoded(len(content))},
		"before its first byte, where net/http decodes it": {decoded(0), decoded(len(content))},
		"between two members, framed then":                 {ending(first), whole(stored, "Content-Encoding", "gzip")},
	} {
		end := int64(len(content))
		for part, want := range map[rangereader.Range][]byte{
			{}:                content,
			{Offset: 60_000}:  content[60_000:],
			{Offset: end}:     nil,
			{Offset: end + 1}: nil,
			{Tail: 10}:        content[end-10:],
		} {
			t.Run(name, func(t *testing.T) {
				got, err := read(t, serving(responses...), part)
				require.NoError(t, err, "%+v", part)
				equal(t, want, got)
			})
		}
	}
	t.Run("each time", func(t *testing.T) {
		_, err := read(t, serving(ending(0)), rangereader.Range{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
	t.Run("which is no retry", func(t *testing.T) {
		s := serving(ending(len(stored)))
		once := source(s.fetch)
		once.MaxAttempts = 1
		r, err := rangereader.Open(t.Context(), once, rangereader.Range{})
		require.NoError(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		equal(t, content, got)
		require.Len(t, s.requests, 2)
	})
}

func TestAPollOfGzipWhoseConnectionIsItsEndMayBeCut(t *testing.T) {
	content := lines(200)
	stored := append(zip(content[:5_000]), zip(content[5_000:])...)
	half := closeDelimited(whole(zip(content[:5_000]), "Content-Encoding", "gzip"))
	all := closeDelimited(whole(stored, "Content-Encoding", "gzip"))
	s := serving(half, half, half, all)
	r := rangereader.New(t.Context(), source(s.fetch), 0)
	defer r.Close()
	var got bytes.Buffer
	for _, final := range []bool{false, true} {
		require.NoError(t, r.Poll(final))
		_, err := r.WriteTo(&got)
		require.NoError(t, err)
	}
	equal(t, content, got.Bytes())
}

func TestARangeThatTheTransportDecodesIsReadToItsEnd(t *testing.T) {
	content := lines(100)
	size := len(zip(content))
	decoding := func(header http.Header) (*http.Response, error) {
		resp, err := uncompressed(content)(header)
		if header.Get("Range") != "" {
			resp.StatusCode = http.StatusPartialContent
			resp.Header.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size))
		}
		return resp, err
	}
	for _, part := range []rangereader.Range{{Tail: 1 << 20}, {Offset: 1}} {
		got, err := read(t, serving(decoding), part)
		require.NoError(t, err)
		equal(t, content[part.Offset:], got)
	}
}
