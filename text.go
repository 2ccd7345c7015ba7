package pipelines

import (
	"unicode/utf8"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// maxLine is the longest text that oneLine returns, in bytes and without the ellipsis.
const maxLine = 500

// oneLine makes text from the service printable and shortens it to maxLine.
func oneLine(s string) string {
	if s = redact.Printable(s); len(s) <= maxLine {
		return s
	}
	cut := maxLine
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
