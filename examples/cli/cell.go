package cli

import "strings"

// Cell makes a text of the service safe for a terminal and for a spreadsheet, which would take some texts for formulas.
func Cell(text string) string {
	text = Clean(text)
	if text != "" && strings.ContainsRune("=+-@", rune(text[0])) {
		return "'" + text
	}
	return text
}
