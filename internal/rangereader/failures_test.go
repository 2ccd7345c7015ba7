package rangereader_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

func TestWaitsGrowWithTheFailuresInARow(t *testing.T) {
	content := noise(300_000)
	for name, tc := range map[string]struct {
		s     *storage
		waits []int
		fails bool
	}{
		"none after the first":         {serving(cut(10, serve(content)), serve(content)), nil, false},
		"none after many bytes":        {serving(cut(10, serve(content)), cut(100_000, serve(content)), cut(100_000, serve(content)), serve(content)), nil, false},
		"one after few bytes":          {serving(cut(10, serve(content)), cut(10, serve(content)), serve(content)), []int{0}, false},
		"longer ones without any":      {serving(cut(10, serve(content)), cut(0, serve(content))), []int{1, 2}, true},
		"from the start after a byte":  {serving(cut(0, serve(content)), cut(0, serve(content)), cut(1, serve(content)), serve(content)), []int{1, 0}, false},
		"the same after a piece of it": {serving(partial("bytes 0-9/300000", content[:10]), cut(0, serve(content)), serve(content)), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var waits []int
				slow := source(tc.s.fetch)
				slow.MaxAttempts = 4
				slow.Backoff = func(n int) time.Duration {
					waits = append(waits, n)
					return time.Hour << n
				}
				start := time.Now()
				r, err := rangereader.Open(t.Context(), slow, rangereader.Range{})
				require.NoError(t, err)
				defer r.Close()
				got, err := io.ReadAll(r)
				if tc.fails {
					require.ErrorIs(t, err, errLost)
				} else {
					require.NoError(t, err)
					equal(t, content, got)
				}
				require.Equal(t, tc.waits, waits)
				var sum time.Duration
				for _, n := range waits {
					sum += time.Hour << n
				}
				require.Equal(t, sum, time.Since(start))
			})
		})
	}
}

func TestReadingEndsAfterTooManyFailuresInARow(t *testing.T) {
	content := noise(1_000)
	s := serving(cut(400, serve(content)), cut(0, serve(content)))
	got, err := read(t, s, rangereader.Range{})
	equal(t, content[:400], got)
	require.ErrorIs(t, err, errLost)
	require.ErrorContains(t, err, "at byte 400")
	require.Len(t, s.requests, 3, "MaxAttempts responses without a new byte, the one with 400 included")

	s = serving(cut(1, serve(content)))
	got, err = read(t, s, rangereader.Range{})
	require.NoError(t, err, "each response has a new byte")
	equal(t, content, got)
	require.Len(t, s.requests, 1_000)
}
