package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClock(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0:00": 999 * time.Millisecond, "0:59": 59 * time.Second, "59:59": time.Hour - 1, "1:00:00": time.Hour, "100:02:03": 100*time.Hour + 123*time.Second,
	} {
		require.Equal(t, want, Clock(d))
	}
}

func TestFit(t *testing.T) {
	require.Equal(t, "abc", Fit("abc", 3))
	require.Equal(t, "ab…", Fit("abcd", 3))
	require.Equal(t, "日…", Fit("日本語", 4))
	require.Equal(t, "…", Fit("日本語", 1))
	require.Equal(t, "日  ", Pad("日", 4))
	require.Equal(t, "abc", Pad("abc", 2))
}
