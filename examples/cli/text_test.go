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
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"日本語", 4, "日…"}, {"日本語", 1, "…"}, {"日本語", 6, "日本語"}, {"abc", 0, ""}, {"abc", -1, ""}, {"", 0, ""},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"}, {"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
		{"👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 4, "👩‍👩‍👧‍👦👩‍👩‍👧‍👦"}, {"👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 3, "👩‍👩‍👧‍👦…"}, {"🇩🇪🇫🇷", 3, "🇩🇪…"},
	} {
		require.Equal(t, c.want, Fit(c.text, c.columns), "%q in %d", c.text, c.columns)
	}
	require.Equal(t, "日  ", Pad("日", 4))
	require.Equal(t, "👩‍👩‍👧‍👦  ", Pad("👩‍👩‍👧‍👦", 4))
	require.Equal(t, "abc", Pad("abc", 2))
}

func TestColumnsAreThoseOfATerminal(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "abc": 3, "日本語": 6, "한글": 4, "é": 1, "e\u0301": 1, "👩‍👩‍👧‍👦": 2, "🇩🇪": 2, "🏳️‍🌈": 2, "🧑🏽‍💻": 2, "❤️": 2, "1️⃣": 2,
		"✓ …│█": 5, "नी": 1, "a\u200bb": 2, "\x1b[1mbold\x1b[0m": 4,
	} {
		require.Equal(t, want, Columns(text), "%q", text)
	}
}

func TestCount(t *testing.T) {
	for want, n := range map[string]int{"0 runs": 0, "1 run": 1, "2 runs": 2, "1,234,567 runs": 1234567} {
		require.Equal(t, want, Count(n, "run", "runs"))
	}
}

func TestACellIsNoFormulaWhereverASpreadsheetBeginsOne(t *testing.T) {
	for text, want := range map[string]string{
		"a-b=c": "a-b=c", "0 0 12 * * ? *": "0 0 12 * * ? *", "": "", "a;b": "a;b",
		"=1": "'=1", "\t@a": "'@a", "＝1": "'＝1", "＋1": "'＋1",
		"a;=1": "a;'=1", "-1; -2": "'-1; '-2", // in much of Europe the semicolon separates the cells of a file
	} {
		require.Equal(t, want, Cell(text))
	}
}
