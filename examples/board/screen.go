package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// screen prints lines. On a terminal it keeps a table below them.
type screen struct {
	out     io.Writer
	size    func() (columns, rows int) // of the terminal; nil: no terminal
	colours cli.Colours

	said  []string     // not printed yet
	table []int        // the widths of the table's lines on the terminal
	below atomic.Int32 // how many lines the cursor has moved down since
}

// say prints a line, with the time, at the next flush.
func (s *screen) say(text, colour string) {
	now := time.Now().Local().Format(time.DateTime)
	line := cli.Clean(text)
	if colour != "" {
		line = s.colours.Paint(colour, line)
	}
	s.said = append(s.said, s.colours.Paint(cli.Dim, now)+"  "+line)
}

// sayLog prints the lines of a log.
func (s *screen) sayLog(log []byte) {
	for line := range strings.Lines(string(log)) {
		s.said = append(s.said, "  │ "+cli.Clean(line))
	}
}

// moved notes that the terminal has moved the cursor a line down, as it does for Enter.
func (s *screen) moved() { s.below.Add(1) }

// flush prints what was said and, on a terminal, replaces the table, all in one write to avoid flicker.
func (s *screen) flush(table func(columns, rows int) []string) error {
	var b strings.Builder
	if s.size == nil {
		writeLines(&b, s.said)
	} else {
		columns, rows := s.size()
		b.WriteString(s.erase(columns))
		writeLines(&b, s.said)
		lines := table(columns-1, rows) // a full line scrolls some terminals
		s.table = s.table[:0]
		for _, line := range lines {
			s.table = append(s.table, cli.Columns(line))
		}
		writeLines(&b, lines)
	}
	s.said = nil
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}

// erase removes the table. On a terminal that has become narrower its lines take more rows than before. The first row is cleared by itself:
// of what is cleared from the first row of the terminal to the end, tmux keeps a copy in its history, which would be one a second.
func (s *screen) erase(columns int) string {
	up := int(s.below.Swap(0))
	for _, width := range s.table {
		up += max(1, (width+columns-1)/columns)
	}
	if up == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[K\n\x1b[J\x1b[A", up)
}

func writeLines(b *strings.Builder, lines []string) {
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
}

// layOut aligns the cells of a table, header first, within a number of columns.
func (s *screen) layOut(cells [][]string, columns int) []string {
	widths := make([]int, len(header))
	for _, row := range cells {
		for i, cell := range row {
			widths[i] = max(widths[i], cli.Columns(cell))
		}
	}
	widths = fitted(widths, columns)
	lines := make([]string, len(cells))
	for n, row := range cells {
		lines[n] = cli.Fit(s.line(row, widths, n == 0), columns)
	}
	return lines
}

func (s *screen) line(row []string, widths []int, bold bool) string {
	var shown []string
	for i, cell := range row {
		if widths[i] == 0 {
			continue
		}
		text := cli.Pad(cli.Fit(cell, widths[i]), widths[i])
		switch {
		case bold:
			text = s.colours.Paint(cli.Bold, text)
		case i == stateColumn:
			text = s.colours.Paint(cli.StateColour(cell), text)
		}
		shown = append(shown, text)
	}
	return strings.Join(shown, strings.Repeat(" ", gap))
}
