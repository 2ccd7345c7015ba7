package rangereader_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

func TestARequestAsksForTheRangeThatIsLeft(t *testing.T) {
	content := noise(1_000)
	for name, tc := range map[string]struct {
		part        rangereader.Range
		first, then string
	}{
		"everything":    {rangereader.Range{}, "", "bytes=4-"},
		"an offset":     {rangereader.Range{Offset: 10}, "bytes=10-", "bytes=14-"},
		"a length":      {rangereader.Range{Length: 10}, "bytes=0-9", "bytes=4-9"},
		"a middle part": {rangereader.Range{Offset: 10, Length: 10}, "bytes=10-19", "bytes=14-19"},
		"a tail":        {rangereader.Range{Tail: 10}, "bytes=-10", "bytes=994-999"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(cut(4, serve(content)), serve(content))
			_, err := read(t, s, tc.part)
			require.NoError(t, err)
			require.Equal(t, []string{tc.first, tc.then}, s.ranges())
			for _, header := range s.requests {
				require.Equal(t, "*/*", header.Get("Accept"))
				require.Equal(t, "identity", header.Get("Accept-Encoding"))
			}
		})
	}
}

func TestIfRangeIsAStrongETag(t *testing.T) {
	content := noise(1_000)
	for etag, want := range map[string]string{
		`"v1"`: `"v1"`, `W/"v1"`: "", "v1": "", "": "", "\"v\r\n1\"": "", "\"v\x7f\"": "",
	} {
		t.Run(etag, func(t *testing.T) {
			s := serving(cut(10, whole(content, "ETag", etag)), whole(content, "ETag", etag))
			_, err := read(t, s, rangereader.Range{})
			require.NoError(t, err)
			require.Empty(t, s.requests[0].Values("If-Range"))
			require.Equal(t, want, s.requests[1].Get("If-Range"))
		})
	}
}

func TestAnErrorOfFetchEndsReadingUnlessItMayBeRetried(t *testing.T) {
	content := noise(1_000)
	s := serving(cut(10, serve(content)), refused, serve(content))
	_, err := read(t, s, rangereader.Range{})
	require.Equal(t, errRefused, err, "it is returned as it is")
	require.Len(t, s.requests, 2)

	for name, tc := range map[string]struct {
		s        *storage
		complete bool
	}{
		"and then it succeeds": {serving(cut(10, serve(content)), refused, serve(content)), true},
		"and it fails again":   {serving(cut(10, serve(content)), refused), false},
	} {
		t.Run(name, func(t *testing.T) {
			retrying := source(tc.s.fetch)
			retrying.Retry = func(err error) bool { return err == errRefused } //nolint:errorlint // it is that one
			r, err := rangereader.Open(t.Context(), retrying, rangereader.Range{})
			require.NoError(t, err)
			defer r.Close()
			got, err := io.ReadAll(r)
			require.Len(t, tc.s.requests, 3)
			if tc.complete {
				require.NoError(t, err)
				equal(t, content, got)
				return
			}
			require.ErrorIs(t, err, errRefused)
			require.ErrorContains(t, err, "at byte 10")
		})
	}
}

func TestAFirstRequestThatFailsIsAnErrorOfOpen(t *testing.T) {
	r, err := rangereader.Open(t.Context(), source(serving(refused).fetch), rangereader.Range{})
	require.Nil(t, r)
	require.Equal(t, errRefused, err)
}

func TestA416IsTheEndOnlyIfEverythingWasRead(t *testing.T) {
	content := noise(4_000)
	broken := cut(4_000, unknownLength(whole(append(bytes.Clone(content), "x"...))))
	for name, tc := range map[string]struct {
		contentRange string
		complete     bool
	}{
		"of as much as was read": {"bytes */4000", true},
		"of less":                {"bytes */100", false},
		"of more":                {"bytes */9000", false},
		"without Content-Range":  {"", false},
		"of nonsense":            {"bytes */many", false},
		"of a negative size":     {"bytes */-1", false},
		"of an unknown size":     {"bytes */*", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, serving(broken, pastEnd(tc.contentRange)), rangereader.Range{})
			equal(t, content, got)
			if tc.complete {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	}
	for name, contentRange := range map[string]string{"of less": "bytes */100", "of as much as was read": "bytes */3000"} {
		t.Run(name+", though the length was told", func(t *testing.T) {
			got, err := read(t, serving(cut(3_000, serve(content)), pastEnd(contentRange)), rangereader.Range{})
			require.ErrorIs(t, err, rangereader.ErrChanged)
			equal(t, content[:3_000], got)
		})
	}
	t.Run("of as much as was read, which is wrong", func(t *testing.T) {
		got, err := read(t, serving(cut(3_000, serve(content)), pastEnd("bytes */3000"), whole(content)), rangereader.Range{})
		require.NoError(t, err)
		equal(t, content, got)
	})
}

func TestA416ThatIsWrongIsFoundOutByTheWhole(t *testing.T) {
	content := noise(1_000)
	for _, contentRange := range []string{"bytes */1000", "bytes */5", ""} {
		for name, tc := range map[string]struct {
			part rangereader.Range
			want []byte
		}{
			"offset": {rangereader.Range{Offset: 600}, content[600:]},
			"length": {rangereader.Range{Offset: 600, Length: 100}, content[600:700]},
			"tail":   {rangereader.Range{Tail: 400}, content[600:]},
		} {
			for _, then := range []func(http.Header) (*http.Response, error){whole(content), unknownLength(whole(content))} {
				s := serving(pastEnd(contentRange), then)
				got, err := read(t, s, tc.part)
				require.NoError(t, err)
				require.True(t, bytes.Equal(tc.want, got), "%q, %s: got %d bytes, want %d", contentRange, name, len(got), len(tc.want))
				require.Empty(t, s.ranges()[1])
			}
		}
	}
}

func TestA416IsAnEmptyPart(t *testing.T) {
	content := noise(500)
	for name, tc := range map[string]struct {
		s        *storage
		part     rangereader.Range
		requests int
	}{
		"at the end":                             {serving(pastEnd("bytes */500")), rangereader.Range{Offset: 500}, 1},
		"past the end":                           {serving(pastEnd("bytes */500"), whole(content)), rangereader.Range{Offset: 600}, 2},
		"past the end, by the whole":             {serving(pastEnd(""), whole(content)), rangereader.Range{Offset: 600}, 2},
		"past the end, confirmed without a size": {serving(pastEnd(""), unknownLength(whole(content))), rangereader.Range{Offset: 600}, 2},
		"at the end, confirmed without a size":   {serving(pastEnd(""), unknownLength(whole(content))), rangereader.Range{Offset: 500}, 2},
		"past the end, though nothing is framed": {serving(pastEnd(""), closeDelimited(whole(content))), rangereader.Range{Offset: 600}, 2},
		"at the end, though nothing is framed":   {serving(pastEnd(""), closeDelimited(whole(content))), rangereader.Range{Offset: 500}, 2},
		"of empty content, without a size":       {serving(pastEnd(""), unknownLength(whole(nil))), rangereader.Range{Tail: 10}, 2},
		"of empty content":                       {serving(pastEnd("bytes */0")), rangereader.Range{Tail: 10}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, tc.s, tc.part)
			require.NoError(t, err)
			require.Empty(t, got)
			require.Len(t, tc.s.requests, tc.requests)
		})
	}
}

func TestA416ThatStaysIsTheErrorOfFetch(t *testing.T) {
	_, err := read(t, serving(pastEnd("")), rangereader.Range{Offset: 5})
	require.EqualError(t, err, "at byte 5: no such range")
}

func TestNotSatisfiableIsItsCause(t *testing.T) {
	err := rangereader.NotSatisfiable(errRefused, http.Header{})
	require.ErrorIs(t, err, errRefused)
	require.EqualError(t, err, errRefused.Error())
}

func TestFetchGetsTheContextOfTheReader(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "value")
	r, err := rangereader.Open(ctx, source(func(ctx context.Context, header http.Header) (*http.Response, error) {
		require.Equal(t, "value", ctx.Value(key{}))
		return serve(noise(10))(header)
	}), rangereader.Range{})
	require.NoError(t, err)
	require.NoError(t, r.Close())
}
