package rangereader_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// poll polls s once for each of its responses, and returns what was read. final is said of the last one.
func poll(t *testing.T, s *storage, offset int64) ([]byte, error) {
	t.Helper()
	r := rangereader.New(t.Context(), source(s.fetch), offset)
	defer r.Close()
	var all bytes.Buffer
	for len(s.requests) < len(s.responses) {
		if err := r.Poll(len(s.requests) == len(s.responses)-1); err != nil {
			return all.Bytes(), err
		}
		if _, err := r.WriteTo(&all); err != nil {
			return all.Bytes(), err
		}
	}
	return all.Bytes(), nil
}

func TestPollReadsWhatWasAdded(t *testing.T) {
	content := noise(1_000)
	stored := serve(zip(content), "Content-Encoding", "gzip")
	for name, s := range map[string]*storage{
		"with ranges":                serving(serve(content[:100]), serve(content[:500]), serve(content)),
		"without ranges":             serving(whole(content[:100]), whole(content[:500]), whole(content)),
		"of unknown length":          serving(unknownLength(whole(content[:100])), unknownLength(whole(content))),
		"from nothing":               serving(whole(nil), serve(content)),
		"with an ETag of each size":  serving(serve(content[:100], "ETag", `"1"`), serve(content, "ETag", `"2"`)),
		"and nothing now and then":   serving(serve(content[:100]), serve(content[:100]), serve(content), serve(content)),
		"and a 416 without a size":   serving(serve(content[:100]), pastEnd(""), serve(content), pastEnd("")),
		"though a 416 is of less":    serving(pastEnd("bytes */0"), serve(content)),
		"compressed at the end":      serving(serve(content[:100]), stored, stored),
		"though a connection breaks": serving(cut(10, serve(content[:100])), serve(content)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := poll(t, s, 0)
			require.NoError(t, err)
			equal(t, content, got)
		})
	}
}

func TestPollFromAnOffsetWaitsForTheContentToReachIt(t *testing.T) {
	content := noise(1_000)
	for name, s := range map[string]*storage{
		"a 416 of less":            serving(pastEnd("bytes */100"), pastEnd("bytes */300"), serve(content)),
		"a 416 without a size":     serving(pastEnd(""), serve(content)),
		"less, without ranges":     serving(whole(content[:100]), whole(content[:300]), whole(content)),
		"less, of unknown length":  serving(unknownLength(whole(content[:100])), whole(content)),
		"exactly that":             serving(whole(content[:400]), whole(content)),
		"less, by a range request": serving(serve(content[:100]), serve(content)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := poll(t, s, 400)
			require.NoError(t, err)
			equal(t, content[400:], got)
		})
	}
}

func TestPollTransfersNothingOfContentThatDidNotChange(t *testing.T) {
	content := noise(1_000)
	reads := 0
	counting := func(header http.Header) (*http.Response, error) {
		resp, err := unknownLength(whole(content, "ETag", `"v1"`))(header)
		resp.Body = io.NopCloser(readerFunc(func([]byte) (int, error) { reads++; return 0, io.EOF }))
		return resp, err
	}
	got, err := poll(t, serving(unknownLength(whole(content, "ETag", `"v1"`)), counting, counting), 0)
	require.NoError(t, err)
	equal(t, content, got)
	require.Zero(t, reads)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestPollOfContentThatWasReplacedIsAnError(t *testing.T) {
	content := noise(4_000)
	for name, then := range map[string]func(http.Header) (*http.Response, error){
		"shorter":                    serve(content[:500]),
		"shorter, by a 416":          pastEnd("bytes */500"),
		"longer, by a 416":           pastEnd("bytes */5000"),
		"shorter, whole":             whole(content[:500]),
		"shorter, of unknown length": unknownLength(whole(content[:500])),
		"other, whole":               whole(bytes.Repeat([]byte("x"), 9_000)),
		"other, of unknown length":   unknownLength(whole(bytes.Repeat([]byte("x"), 9_000))),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := poll(t, serving(serve(content), then, then, then), 0)
			require.ErrorIs(t, err, rangereader.ErrChanged)
			equal(t, content, got)
		})
	}
}

func TestAPollThatFailsLeavesTheRestToTheNext(t *testing.T) {
	content := noise(1_000)
	s := serving(serve(content[:400]), refused, serve(content))
	r := rangereader.New(t.Context(), source(s.fetch), 0)
	defer r.Close()
	require.NoError(t, r.Poll(false))
	first, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, errRefused, r.Poll(false))
	n, err := r.Read(make([]byte, 1))
	require.Zero(t, n)
	require.Equal(t, io.EOF, err)
	require.NoError(t, r.Poll(true))
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	equal(t, content, append(first, rest...))
}

func TestAFinalPollThatFindsNothingAtAnOffsetAsksForEverything(t *testing.T) {
	content := noise(1_000)
	s := serving(pastEnd("bytes */0"), whole(content))
	r := rangereader.New(t.Context(), source(s.fetch), 400)
	defer r.Close()
	require.NoError(t, r.Poll(true))
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	equal(t, content[400:], got)
	require.Equal(t, []string{"bytes=400-", ""}, s.ranges())
}

func TestWrapShowsTheOffset(t *testing.T) {
	r := rangereader.New(t.Context(), source(serving(refused).fetch), 7)
	defer r.Close()
	require.EqualError(t, r.Wrap(errRefused), "at byte 7: refused")
}
