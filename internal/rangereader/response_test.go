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

func TestContentRangeIsParsed(t *testing.T) {
	content := noise(1_000)
	for contentRange, tc := range map[string]struct {
		body  []byte
		valid bool
	}{
		"bytes 500-999/1000":                 {content[500:], true},
		"bytes 400-999/1000":                 {content[400:], true},
		"bytes 0-999/1000":                   {content, true},
		"bytes 500-999/*":                    {content[500:], true},
		"bytes 600-999/1000":                 {content[600:], false},
		"":                                   {content[500:], false},
		"bytes x-999/1000":                   {content[500:], false},
		"bytes 500-y/1000":                   {content[500:], false},
		"bytes 500-999/z":                    {content[500:], false},
		"bytes 500-999":                      {content[500:], false},
		"bytes 500/1000":                     {content[500:], false},
		"lines 500-999/1000":                 {content[500:], false},
		"bytes 500-400/1000":                 {content[500:], false},
		"bytes 500-499/1000":                 {content[500:], false},
		"bytes 500-499/0":                    {content[500:], false},
		"bytes 500-999/-1":                   {content[500:], false},
		"bytes -500-999/1000":                {content[500:], false},
		"bytes 500-999/900":                  {content[500:], false},
		"bytes 500-999/999":                  {content[500:], false},
		"bytes 500-9223372036854775807/*":    {content[500:], false},
		"bytes 500-99999999999999999999/*":   {content[500:], false},
		"bytes 0-399/1000":                   {content[:400], false},
		"bytes 500-999/99999999999999999999": {content[500:], false},
	} {
		t.Run(contentRange, func(t *testing.T) {
			s := serving(partial(contentRange, tc.body), partial(contentRange, tc.body), partial(contentRange, tc.body), pastEnd("bytes */1000"))
			if contentRange == "bytes 500-999/*" {
				s = serving(partial(contentRange, tc.body), pastEnd("bytes */1000"))
			}
			got, err := read(t, s, rangereader.Range{Offset: 500})
			if tc.valid {
				require.NoError(t, err)
				equal(t, content[500:], got)
				return
			}
			require.ErrorContains(t, err, "at byte 500")
			require.Empty(t, got)
			require.Len(t, s.requests, 3, "MaxAttempts")
		})
	}
}

func TestABodyIsNoLongerThanItsContentRange(t *testing.T) {
	content := noise(1_000)
	got, err := read(t, serving(partial("bytes 500-999/1000", append(bytes.Clone(content[500:]), "garbage"...))), rangereader.Range{Offset: 500})
	require.NoError(t, err)
	equal(t, content[500:], got)
}

// replaced says in a test's table that reading is to end because the content has changed.
const replaced = false

func TestVersionsAreToldApart(t *testing.T) {
	content := noise(10_000)
	other := append(bytes.Clone(content[:5_000]), bytes.Repeat([]byte("x"), 5_000)...) // no comparison of bytes shows it
	const january, february = "Thu, 01 Jan 2026 00:00:00 GMT", "Sun, 01 Feb 2026 00:00:00 GMT"
	for name, tc := range map[string]struct {
		first, then []string
		same        bool
	}{
		"another ETag":                {[]string{"ETag", `"v1"`}, []string{"ETag", `"v2"`}, replaced},
		"another weak ETag":           {[]string{"ETag", `W/"v1"`}, []string{"ETag", `W/"v2"`}, replaced},
		"no ETag any more":            {[]string{"ETag", `"v1"`}, nil, replaced},
		"a date in place of the ETag": {[]string{"ETag", `"v1"`}, []string{"Last-Modified", january}, replaced},
		"another ETag, the same date": {[]string{"ETag", `"v1"`, "Last-Modified", january}, []string{"ETag", `"v2"`, "Last-Modified", january}, replaced},
		"another date":                {[]string{"Last-Modified", january}, []string{"Last-Modified", february}, replaced},
		"no date any more":            {[]string{"Last-Modified", january}, nil, replaced},
		"a strong ETag that was weak": {[]string{"ETag", `W/"v1"`}, []string{"ETag", `"v1"`}, true},
		"a weak ETag that was strong": {[]string{"ETag", `"v1"`}, []string{"ETag", `W/"v1"`}, true},
		"an ETag that was not there":  {nil, []string{"ETag", `"v1"`}, true},
		"never one":                   {nil, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			served := content
			if !tc.same {
				served = other
			}
			then := partial("bytes 4000-9999/10000", served[4_000:], tc.then...)
			got, err := read(t, serving(cut(4_000, whole(content, tc.first...)), then), rangereader.Range{})
			if tc.same {
				require.NoError(t, err)
				equal(t, content, got)
				return
			}
			require.ErrorIs(t, err, rangereader.ErrChanged)
			equal(t, content[:4_000], got)
		})
	}
}

func TestContentThatGrewIsComparedAsAWhole(t *testing.T) {
	content := noise(10_000)
	first := cut(4_000, serve(content[:5_000], "ETag", `"v1"`))
	s := serving(first, ignoringIfRange(serve(content, "ETag", `"v2"`)))
	got, err := read(t, s, rangereader.Range{})
	require.NoError(t, err)
	equal(t, content, got)
	require.Equal(t, []string{"", "bytes=4000-", ""}, s.ranges())

	other := bytes.Repeat([]byte("x"), 10_000)
	got, err = read(t, serving(first, ignoringIfRange(serve(other, "ETag", `"v2"`))), rangereader.Range{})
	require.ErrorIs(t, err, rangereader.ErrChanged)
	equal(t, content[:4_000], got)
}

func TestContentThatIsAnotherIsAnError(t *testing.T) {
	content := noise(100_000)
	other := bytes.Clone(content)
	other[3]++
	for name, then := range map[string]func(http.Header) (*http.Response, error){
		"with another ETag":            serve(other, "ETag", `"v2"`),
		"whole":                        whole(other),
		"whole, of unknown length":     unknownLength(whole(other)),
		"shorter":                      whole(content[:100]),
		"shorter, of unknown length":   unknownLength(whole(content[:100])),
		"shorter, by its range":        partial("bytes 90000-91999/92000", content[90_000:92_000]),
		"empty":                        whole(nil),
		"longer, and differs earlier":  whole(append(bytes.Clone(other), "more"...)),
		"different by its first bytes": partial("bytes 89000-99999/100000", bytes.Repeat([]byte("x"), 11_000)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, serving(cut(90_000, serve(content, "ETag", `"v1"`)), withETag(then)), rangereader.Range{})
			require.ErrorIs(t, err, rangereader.ErrChanged)
			equal(t, content[:90_000], got)
		})
	}
}

func TestAResponseThatCouldNotBeComparedTellsNoVersion(t *testing.T) {
	content, other := noise(10_000), bytes.Repeat([]byte("x"), 10_000)
	s := serving(cut(4_000, serve(content, "ETag", `"v1"`)), cut(100, serve(other, "ETag", `"v2"`)), serve(other, "ETag", `"v2"`))
	got, err := read(t, s, rangereader.Range{})
	require.ErrorIs(t, err, rangereader.ErrChanged)
	equal(t, content[:4_000], got)
	require.Equal(t, `"v1"`, s.requests[2].Get("If-Range"))
}

// withETag adds the ETag "v1" to a response without one.
func withETag(next func(http.Header) (*http.Response, error)) func(http.Header) (*http.Response, error) {
	return func(header http.Header) (*http.Response, error) {
		resp, err := next(header)
		if resp.Header.Get("ETag") == "" {
			resp.Header.Set("ETag", `"v1"`)
		}
		return resp, err
	}
}

func TestAResponseThatStartsEarlierIsCompared(t *testing.T) {
	content := noise(10_000)
	changed := bytes.Clone(content)
	changed[3_500]++
	for _, tc := range []struct {
		name  string
		start int64 // of reading
		from  int   // of the second response
		body  []byte
		same  bool
	}{
		{"far earlier", 0, 1_000, content, true},
		{"a byte earlier", 0, 3_999, content, true},
		{"at the start of reading", 100, 100, content, true},
		{"before the start of reading", 100, 50, content, true},
		{"far earlier, changed", 0, 1_000, changed, false},
		{"within what is kept, changed", 0, 3_400, changed, false},
		{"at the start of reading, changed", 100, 100, changed, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serving(cut(4_000-int(tc.start), serve(content)), partial(fmt.Sprintf("bytes %d-9999/10000", tc.from), tc.body[tc.from:]))
			got, err := read(t, s, rangereader.Range{Offset: tc.start})
			if tc.same {
				require.NoError(t, err)
				equal(t, content[tc.start:], got)
				return
			}
			require.ErrorIs(t, err, rangereader.ErrChanged)
			equal(t, content[tc.start:4_000], got)
		})
	}
}

func TestABodyThatIsCutBeforeTheOffsetIsAFailure(t *testing.T) {
	content := noise(1_000)
	for name, first := range map[string]func(http.Header) (*http.Response, error){
		"by the connection":               cut(3, whole(content)),
		"by an error of its end":          short(whole(content), 3),
		"whose connection is its only":    closeDelimited(whole(content[:3])),
		"within the bytes to skip, again": cut(499, partial("bytes 0-999/1000", content)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, serving(first, serve(content)), rangereader.Range{Offset: 500})
			require.NoError(t, err)
			equal(t, content[500:], got)
			_, err = read(t, serving(first), rangereader.Range{Offset: 500})
			require.Error(t, err)
		})
	}
}

// short ends a body early, as some transports do.
func short(next func(http.Header) (*http.Response, error), n int64) func(http.Header) (*http.Response, error) {
	return func(header http.Header) (*http.Response, error) {
		resp, err := next(header)
		resp.Body = io.NopCloser(io.LimitReader(resp.Body, n))
		return resp, err
	}
}

func TestABodyThatEndsEarlyIsContinued(t *testing.T) {
	content := noise(10_000)
	s := serving(short(whole(content), 4_000), serve(content))
	got, err := read(t, s, rangereader.Range{})
	require.NoError(t, err)
	equal(t, content, got)
	require.Equal(t, []string{"", "bytes=4000-"}, s.ranges())
}

func TestContentOfLessThanItsLengthIsAnError(t *testing.T) {
	content := noise(1_000)
	for _, n := range []int{600, 601, 999} {
		got, err := read(t, serving(cut(600, whole(content)), unknownLength(whole(content[:n]))), rangereader.Range{})
		require.ErrorIs(t, err, rangereader.ErrChanged, "%d bytes", n)
		equal(t, content[:n], got)
	}
	got, err := read(t, serving(cut(600, whole(content)), cut(600, unknownLength(whole(content))), pastEnd("bytes */600")), rangereader.Range{})
	require.ErrorIs(t, err, rangereader.ErrChanged)
	equal(t, content[:600], got)
}
