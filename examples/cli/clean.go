package cli

import (
	"strings"
	"unicode"
)

// Clean returns a text of the service as one line that a terminal shows and doesn't obey: without control characters, which begin
// every escape sequence, and without those that reverse the direction of text; white space becomes single spaces.
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
