package isoduration_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/isoduration"
)

func TestDurationsAreParsed(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT0.9589264S":            958926400,
		"PT0,5S":                  500 * time.Millisecond,
		"PT1H2M3S":                time.Hour + 2*time.Minute + 3*time.Second,
		"P1DT1H":                  25 * time.Hour,
		"P2W":                     14 * 24 * time.Hour,
		"-PT1S":                   -time.Second,
		"+PT1S":                   time.Second,
		"PT-1S":                   -time.Second,
		"P":                       0,
		"":                        0,
		"1s":                      0,
		"PT1":                     0,
		"PTS":                     0,
		"P1Y":                     0,
		"P1M":                     0,
		"PT1D":                    0,
		"PT1..5S":                 0,
		"PT1TS":                   0,
		"PT99999999999999999999S": 0,
	} {
		require.Equal(t, want, isoduration.Parse(text), text)
	}
}

func TestSecondsThatDoNotFitAreZero(t *testing.T) {
	require.Equal(t, 1500*time.Millisecond, isoduration.FromSeconds(1.5))
	for _, seconds := range []float64{1e10, -1e10, math.NaN(), math.Inf(1)} {
		require.Zero(t, isoduration.FromSeconds(seconds), seconds)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("PT0.9589264S")
	f.Add("-P1DT2H3M4,5S")
	f.Fuzz(func(t *testing.T, text string) {
		d := isoduration.Parse(text)
		if d.Abs() > 100*24*time.Hour { // float64 has no nanoseconds beyond
			return
		}
		require.InDelta(t, d, isoduration.Parse(isoduration.Format(d)), float64(time.Microsecond), "what is formatted is parsed again")
	})
}
