package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// sanitized returns the lines of a log that is split.
func sanitized(colour bool, pieces ...string) []string { return masked(secrets{}, colour, pieces...) }

func masked(hidden secrets, colour bool, pieces ...string) []string {
	var lines []string
	s := newSanitizer(colour, hidden, func(line string) { lines = append(lines, line) })
	for _, piece := range pieces {
		s.write([]byte(piece))
	}
	s.flush()
	return lines
}

func TestSanitizer(t *testing.T) {
	const red, end = "\x1b[31m", "\x1b[0m"
	for name, tt := range map[string]struct {
		log    string
		plain  []string
		colour []string // nil: the same
	}{
		"nothing":                  {"", nil, nil},
		"lines":                    {"a\n\nb\n", []string{"a", "", "b"}, nil},
		"no end":                   {"a\nb", []string{"a", "b"}, nil},
		"tab and other scripts":    {"a\té 日本 🎉\n", []string{"a\té 日本 🎉"}, nil},
		"CRLF":                     {"a\r\nb\r\r\n", []string{"a", "b"}, nil},
		"progress bar":             {"10 %\r50 %\r100 %\nok\r", []string{"100 %", "ok"}, nil},
		"controls":                 {"a\a\b\v\f\x00\x7fb\n", []string{"ab"}, nil},
		"C1 controls":              {"a\u0085\u008db\n", []string{"ab"}, nil},
		"no UTF-8":                 {"a\x9b31mb\xff\n", []string{"a\uFFFD31mb\uFFFD"}, nil},
		"half a character":         {"a\xe6\x97", []string{"a\uFFFD\uFFFD"}, nil},
		"reversed text":            {"a\u202eb\u2066c\u2028d\n", []string{"abcd"}, nil},
		"colour":                   {"a" + red + "b" + end + "c\n", []string{"abc"}, []string{"a" + red + "b" + end + "c"}},
		"colour over lines":        {red + "a\nb\n" + end + "c\n", []string{"a", "b", "c"}, []string{red + "a" + end, red + "b" + end, "c"}},
		"colour of a replaced":     {"a" + red + "\rb\n", []string{"b"}, []string{red + "b" + end}},
		"colour, then nothing":     {"a\n" + red, []string{"a"}, nil},
		"short reset":              {red + "a\x1b[m\nb\n", []string{"a", "b"}, []string{red + "a\x1b[m", "b"}},
		"colour with subparameter": {"\x1b[38:5:1ma\n", []string{"a"}, []string{"\x1b[38:5:1ma" + end}},
		"not a colour after all":   {"\x1b[>4;1ma\x1b[?1mb\x1b[1 mc\n", []string{"abc"}, nil},
		"numbers too large":        {"\x1b[999999999999999999999999ma\x1b[38;5;1000mb\n", []string{"ab"}, nil},
		"hidden":                   {"a\x1b[8mb\x1b[1;08;31mc\n", []string{"abc"}, []string{"ab\x1b[1;31mc" + end}},
		"endless colour":           {"\x1b[" + strings.Repeat("1;", 40) + "ma\n", []string{"a"}, nil},
		"cursor and screen":        {"a\x1b[2J\x1b[1;1H\x1b[3A\x1b[Kb\n", []string{"ab"}, nil},
		"control in a sequence":    {"a\x1b[3\a1mb\n", []string{"ab"}, []string{"a" + red + "b" + end}},
		"CSI of one character":     {"a\u009b2Jb\u009b31mc\n", []string{"abc"}, []string{"ab" + red + "c" + end}},
		"title":                    {"a\x1b]0;owned\ab\x1b]2;owned\x1b\\c\u009d0;owned\u009cd\n", []string{"abcd"}, nil},
		"link":                     {"\x1b]8;;http://x\x1b\\a\x1b]8;;\x1b\\b\n", []string{"ab"}, nil},
		"DCS, SOS, PM, APC":        {"a\x1bPx\x1b\\b\x1bXx\x1b\\c\x1b^x\x1b\\d\x1b_x\x1b\\e\n", []string{"abcde"}, nil},
		"reset of the terminal":    {"a\x1bcb\x1b7c\x1b(0d\x1b#8e\n", []string{"abcde"}, nil},
		"cancelled":                {"a\x1b]0;x\x18b\x1b[3\x1ac\n", []string{"abc"}, nil},
		"unfinished sequences":     {"a\x1b]0;x\nb\x1b[3\nc\x1b\nd\n", []string{"a", "b", "c", "d"}, nil},
		"no part of a sequence":    {"a\x1b[3éb\x1bé\n", []string{"aébé"}, nil},
		"a new one in the old":     {"a\x1b]0;x\x1b[31mb\n", []string{"ab"}, []string{"a" + red + "b" + end}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.plain, sanitized(false, tt.log))
			if tt.colour == nil {
				tt.colour = tt.plain
			}
			require.Equal(t, tt.colour, sanitized(true, tt.log))
		})
	}
}

func TestSanitizerIsBounded(t *testing.T) {
	lines := sanitized(false, strings.Repeat("é", maxLine))
	require.Len(t, lines, 2)
	require.Len(t, lines[0], maxLine)

	lines = sanitized(false, "a\x1b]0;"+strings.Repeat("x", maxSequence+10))
	require.Len(t, lines, 1)
	require.Less(t, len(lines[0]), 20, "an endless title is text from some point on")

	lines = sanitized(true, strings.Repeat("\x1b[31m", maxLine)+"a\n")
	for _, line := range lines {
		require.Less(t, len(line), maxLine+2*maxStyle)
	}
	require.Less(t, len(lines[len(lines)-1]), maxLine+2*maxStyle)
}

func TestClean(t *testing.T) {
	require.Equal(t, "Unit tests", clean(" Unit\r\n\x1b[31mtests\x1b]0;owned\a\n", secrets{}))
	require.Empty(t, clean("\x1b[2J", secrets{}))
}

func FuzzSanitizer(f *testing.F) {
	for _, log := range []string{
		"a\r\nb\rc", "\x1b[31mred\x1b[0m", "\x1b]0;title\a\x1b\\", "é\x9b31m\u009b31m", "\x1b[>4;1mx", "\x1bP\x1b[1m\u009c", "\xe6\x97", "\x1b[31m\rx\n\x1b[m",
	} {
		f.Add(log, uint(3))
	}
	f.Fuzz(func(t *testing.T, log string, at uint) {
		for _, colour := range []bool{false, true} {
			lines := sanitized(colour, log)
			for _, line := range lines {
				requireHarmless(t, line, colour)
			}
			cut := at % uint(len(log)+1)
			require.Equal(t, lines, sanitized(colour, log[:cut], log[cut:]), "cut at %d", cut)
			require.Equal(t, lines, sanitized(colour, strings.Split(log, "")...), "in single characters")
		}
	})
}

// FuzzMask has a secret in a log, between and around other text.
func FuzzMask(f *testing.F) {
	f.Add("hunter2", "\x1b[1m", "ab", uint(3))
	f.Add("correct  horse", "\u200f", "\r", uint(8))
	f.Add("aba", "\x1b[31m\x1b[m", "abab", uint(1))
	f.Add("-- begin --\nMII", "", "é", uint(2))
	f.Fuzz(func(t *testing.T, secret, inside, around string, at uint) {
		hidden := secretsOf(secret)
		cut := at % uint(len(secret)+1)
		log := around + secret + around + secret[:cut] + inside + secret[cut:] + around
		for _, colour := range []bool{false, true} {
			lines := masked(hidden, colour, log)
			require.Equal(t, lines, masked(hidden, colour, strings.Split(log, "")...), "in single characters")
			requireMasked(t, hidden, lines)
		}
		requireMasked(t, hidden, []string{clean(log, hidden)})
	})
}

func requireMasked(t *testing.T, hidden secrets, lines []string) {
	t.Helper()
	for _, line := range lines {
		for _, text := range hidden.plain {
			if !strings.Contains(text, "*") { // the mask might be the secret or its end
				require.NotContains(t, withoutColours(line), text)
			}
		}
	}
}

// requireHarmless requires a line without control characters other than tabs and colours.
func requireHarmless(t *testing.T, line string, colour bool) {
	t.Helper()
	require.True(t, utf8.ValidString(line))
	require.LessOrEqual(t, len(line), maxLine+2*maxStyle)
	if colour {
		line = withoutColours(line)
	}
	for _, r := range line {
		require.False(t, r != '\t' && unicode.In(r, unicode.Cc, unicode.Bidi_Control), "%q in %q", r, line)
	}
}

// withoutColours removes SGR sequences from a text.
func withoutColours(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		text = strings.TrimLeft(after, "0123456789;:")
		if !strings.HasPrefix(text, "m") {
			b.WriteString("\x1b[")
			continue
		}
		text = text[1:]
	}
}
