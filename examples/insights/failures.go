package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

var (
	errBudget = errors.New("the requests that --max-requests allows are used up")
	errNoID   = errors.New("it has neither a number nor a UUID")
)

// endsReading reports whether after an error no other request will be successful either.
func endsReading(err error) bool {
	for _, end := range []error{errBudget, pipelines.ErrUnauthorized, pipelines.ErrRateLimited} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// mostFailures is the number of runs in a row whose failures end reading.
const mostFailures = 10

// failures counts the runs that could not be read. A run that fails does not end the report; the service may fail for it alone.
type failures struct {
	mu    sync.Mutex
	count int
	inRow int
	first error
}

// end counts the result of a run, and reports whether reading ends.
func (f *failures) end(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.inRow = 0
		return false
	}
	if endsReading(err) {
		return true
	}
	f.count++
	f.inRow++
	if f.first == nil {
		f.first = err
	}
	return f.inRow >= mostFailures
}

// error returns an error that says what could not be read; nil: nothing.
func (f *failures) error() error {
	if f.count == 0 {
		return nil
	}
	return fmt.Errorf("the steps of %s could not be read: %s", cli.Count(f.count, "run", "runs"), cli.Message(f.first))
}
