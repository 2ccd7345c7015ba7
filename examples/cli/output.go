package cli

import (
	"cmp"
	"fmt"
	"io"
	"sync"
)

// output is the standard output. It keeps the first error, so that what a full disk has swallowed isn't success.
type output struct {
	io.Writer

	size func() (columns, rows int) // of the terminal; nil: there is none

	mu  sync.Mutex
	err error
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = cmp.Or(o.err, err)
	return n, err
}

// Columns returns the width of the terminal, 0 if there is none.
func (o *output) Columns() int {
	if o.size == nil {
		return 0
	}
	columns, _ := o.size()
	return columns
}

// columnsOf returns the width of the terminal that w is, 0 if it is none.
func columnsOf(w io.Writer) int {
	if terminal, ok := w.(interface{ Columns() int }); ok {
		return terminal.Columns()
	}
	return 0
}

// status returns the exit status, given that of the program.
func (o *output) status(program int, stderr io.Writer) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil || program == Trouble || program == Interrupted {
		return program
	}
	fmt.Fprintf(stderr, "The output can't be written: %v\n", o.err)
	return Trouble
}
