package pipelines

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine is the longest text that oneLine returns, in bytes and without the ellipsis.
const maxLine = 500

// oneLine makes text from the service printable and shortens it to maxLine.
func oneLine(s string) string {
	if s = printable(s); len(s) <= maxLine {
		return s
	}
	cut := maxLine
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// printable replaces characters that a terminal would act on: line ends, other control characters, and those that change the
// writing direction.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
