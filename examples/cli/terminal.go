package cli

import (
	"os"

	"golang.org/x/term"
)

// StdoutTerminal describes the terminal on the standard output: its size in columns and rows, and whether it is to show colours. Size is
// nil if there is none.
func StdoutTerminal() (size func() (columns, rows int), colours Colours) {
	fd := int(os.Stdout.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return nil, false
	}
	return func() (int, int) { return terminalSize(fd) }, os.Getenv("NO_COLOR") == ""
}

// stderrTerminal describes the terminal on the standard error. Columns is nil if there is none.
func stderrTerminal() (columns func() int) {
	fd := int(os.Stderr.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() int {
		columns, _ := terminalSize(fd)
		return columns
	}
}

func terminalSize(fd int) (columns, rows int) {
	columns, rows, err := term.GetSize(fd)
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}
