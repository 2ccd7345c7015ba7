package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// PrintTable prints rows below a header, cleaned by [Clean].
func PrintTable(w io.Writer, header []string, rows [][]string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = Clean(cell)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	_ = table.Flush() // errors of w are ignored, as with fmt.Fprint
}
