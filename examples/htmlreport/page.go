// Package htmlreport writes reports as HTML pages that need nothing else: one file without scripts, for light and dark, for wide and
// narrow screens.
//
// A [Page] has key figures ([Fact]), warnings ([Note]) and sections of charts ([Chart]) and tables ([Table]). Rows of tables can have
// bars. [Number], [Minutes], [Duration] and [Percent] format what the cells contain. All texts are escaped.
package htmlreport

import (
	"embed"
	"html/template"
	"io"
)

//go:embed page.gohtml style.css
var files embed.FS

var page = template.Must(template.New("page.gohtml").Funcs(template.FuncMap{"cells": Table.drawn, "shapes": Chart.drawn}).ParseFS(files, "page.gohtml", "style.css"))

// Page is a report.
type Page struct {
	Title    string // of the browser's window
	Heading  string
	Intro    string // a line below the heading
	Notes    []Note
	Facts    []Fact
	Sections []Section
}

// Note is a warning, such as that the report is not complete. It may have no title.
type Note struct{ Title, Text string }

// Fact is a key figure. Its note is small.
type Fact struct{ Name, Value, Note string }

// Section has charts, side by side if the screen is wide, and tables below them.
type Section struct {
	Heading string
	Text    string // a line below the heading
	Charts  []Chart
	Tables  []Table
}

// Table scrolls sideways if the screen is narrow, and shows that it does.
type Table struct {
	Folded  string // if not empty, the table is hidden until the reader opens this line
	Columns []Column
	Rows    [][]Cell // the first cell is the row's heading
	Empty   string   // the text instead of a table without rows
	After   string   // a line below the table, such as that there are more rows elsewhere
}

// Column is a column of a table. Words are on the left, numbers on the right.
type Column struct {
	Name   string
	Words  bool
	Colour Colour   // marks the name, as a legend of drawings
	Draw   []Colour // cells are drawings of their sizes: a bar for one colour, or a line with a dot for each of several
}

// Cell is a cell of a table.
type Cell struct {
	Text  string
	Notes []string // small, below the text
	URL   string
	Sizes []float64 // for a column with Draw: as many as it has colours
}

// Colour is a colour of the stylesheet, which differs between light and dark.
type Colour string

// The colours. Good, Bad and Other are for results; First, Second and Third for anything else.
const (
	Good   Colour = "good"
	Bad    Colour = "bad"
	Other  Colour = "other"
	First  Colour = "first"
	Second Colour = "second"
	Third  Colour = "third"
)

// Cells returns cells of texts.
func Cells(texts ...string) []Cell {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	return cells
}

// Write writes the page.
func (p Page) Write(w io.Writer) error { return page.Execute(w, p) }
