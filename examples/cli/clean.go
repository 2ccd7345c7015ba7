package cli

import (
	"regexp"
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

// formula is where a spreadsheet may take a text for a formula: at its beginning and, as some countries' spreadsheets separate cells by
// semicolons, after one.
var formula = regexp.MustCompile(`(^|; ?)([=+\-@＝＋－＠])`)

// Cell makes a text of the service safe for a terminal and for a spreadsheet.
func Cell(text string) string { return formula.ReplaceAllString(Clean(text), "$1'$2") }
