package cli

import (
	"os"

	"golang.org/x/term"
)

// terminal returns the size of a terminal in columns and rows; nil: the file is none.
func terminal(file *os.File) (size func() (columns, rows int)) {
	fd := int(file.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() (int, int) {
		columns, rows, err := term.GetSize(fd)
		if err != nil || columns <= 0 || rows <= 0 {
			return 80, 24
		}
		return columns, rows
	}
}
