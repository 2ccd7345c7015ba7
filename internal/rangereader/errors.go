package rangereader

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// ErrChanged says that the content isn't the one whose beginning was read.
var ErrChanged = errors.New("the content has changed since its beginning was read")

var (
	errUnconfirmed = fmt.Errorf("the response ended without a sign that it was complete: %w", io.ErrUnexpectedEOF)
	errPiece       = fmt.Errorf("the response was only a piece: %w", io.ErrUnexpectedEOF)
)

// unfitError says that reading can't go on with a response. It may with one that has the whole content, because that is compared
// with everything that was read before. If not, err is the error.
type unfitError struct{ err error }

func (e *unfitError) Error() string { return e.err.Error() }

// Unwrap returns the error if a response with the whole content doesn't help.
func (e *unfitError) Unwrap() error { return e.err }

// NotSatisfiableError is a response 416: the content has no bytes in the requested range.
type NotSatisfiableError struct {
	err  error
	size int64 // of the content; -1: unknown
}

// NotSatisfiable returns the error of [Source].Fetch for a response 416. err is its cause, and header the response's: its
// Content-Range, such as "bytes */1234", may tell the size of the content.
func NotSatisfiable(err error, header http.Header) *NotSatisfiableError {
	e := &NotSatisfiableError{err, -1}
	total, ok := strings.CutPrefix(header.Get("Content-Range"), "bytes */")
	if size, err := strconv.ParseInt(total, 10, 64); ok && err == nil && size >= 0 {
		e.size = size
	}
	return e
}

func (e *NotSatisfiableError) Error() string { return e.err.Error() }

// Unwrap returns the error that [NotSatisfiable] was called with.
func (e *NotSatisfiableError) Unwrap() error { return e.err }
