package cli

import (
	"strings"
	"unicode"
)

// Clean returns a text of the service as one line that is safe for a terminal. It removes control characters, with which every escape
// sequence begins, and characters that reverse the direction of text. White space becomes single spaces.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// Cell makes a text of the service safe for a terminal and for a spreadsheet, which would take some texts for formulas.
func Cell(text string) string {
	text = Clean(text)
	if text != "" && strings.ContainsRune("=+-@", rune(text[0])) {
		return "'" + text
	}
	return text
}
