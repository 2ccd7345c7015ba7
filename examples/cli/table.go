package cli

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// number matches a cell that is a number, also with a unit of size, or empty.
var number = regexp.MustCompile(`^([+-]?\d[\d,]*(\.\d+)?( ?([kMGTPE]i?)?B| ?%)?)?$`)

// PrintTable prints rows below a header, cleaned by [Clean], and numbers aligned right. On a terminal, the cells of a row that don't fit are on
// further lines: none is divided, as a terminal would do. If there are no rows it prints the sentence empty instead.
func PrintTable(w io.Writer, empty string, header []string, rows [][]string) {
	if len(rows) == 0 {
		fmt.Fprintln(w, empty)
		return
	}
	var columns []column
	for i, row := range append([][]string{header}, rows...) {
		columns = measure(columns, row, i == 0)
	}
	width := columnsOf(w)
	for _, row := range append([][]string{header}, rows...) {
		printRow(w, columns, row, width)
	}
}

// printRow prints a row on lines of a width, 0: any.
func printRow(w io.Writer, columns []column, row []string, width int) {
	line := ""
	for i, cell := range row {
		cell = Clean(cell)
		aligned := columns[i].align(cell)
		if cell != "" && i > 0 && width > 0 && Columns(line+strings.TrimRight(aligned, " ")) > width {
			if line = strings.TrimRight(line, " "); line != "" {
				fmt.Fprintln(w, line)
			}
			line, aligned = "    ", Pad(cell, columns[i].width)
		}
		line += aligned + "  "
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// column is what a table knows of a column.
type column struct {
	width int
	words bool // not numbers only
}

func measure(columns []column, row []string, header bool) []column {
	for i, cell := range row {
		if i == len(columns) {
			columns = append(columns, column{})
		}
		cell = Clean(cell)
		columns[i].width = max(columns[i].width, Columns(cell))
		columns[i].words = columns[i].words || !header && !number.MatchString(cell)
	}
	return columns
}

func (c column) align(cell string) string {
	if c.words {
		return Pad(cell, c.width)
	}
	return Pad("", c.width-Columns(cell)) + cell
}
