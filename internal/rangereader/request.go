package rangereader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

// connect sends requests until reading can go on with a response. cause is the failure of the last response, nil if it didn't
// fail. connect returns io.EOF if there is nothing to read.
func (r *Reader) connect(cause error) error {
	for {
		if cause != nil {
			if err := r.backOff(cause); err != nil {
				return err
			}
		}
		again, err := r.request()
		if !again {
			return err
		}
		cause = err
	}
}

// backOff waits after a failed response. It returns an error if there is to be no other request.
func (r *Reader) backOff(cause error) error {
	if err := ctxtime.Err(r.ctx); err != nil {
		return r.ended(err)
	}
	wait, ok := r.failures.add(r.Offset(), &r.source)
	if !ok {
		return r.Wrap(cause)
	}
	if wait > 0 {
		if err := ctxtime.Sleep(r.ctx, wait); err != nil {
			return r.ended(err)
		}
	}
	return nil
}

// ended returns the error of reading whose context has ended with err. Close ends it too.
func (r *Reader) ended(err error) error {
	if r.Closed() {
		return fs.ErrClosed
	}
	return r.Wrap(err)
}

// request sends one request and continues with its response. again reports whether to send another request; err is then the
// failure, nil if there was none.
func (r *Reader) request() (again bool, err error) {
	resp, err := r.source.Fetch(r.ctx, r.requestHeader())
	var past *NotSatisfiableError
	switch {
	case errors.As(err, &past):
		return r.judge(r.pastEnd(past))
	case err == nil:
		return r.judge(r.attach(resp))
	case r.Closed():
		return false, fs.ErrClosed
	}
	return r.source.Retry != nil && r.source.Retry(err), err
}

// requestHeader returns the header of a request for what is left to read.
func (r *Reader) requestHeader() http.Header {
	header := http.Header{
		"Accept":          {"*/*"},
		"Accept-Encoding": {"identity"}, // ranges count the bytes of the encoded form
	}
	if spec := r.rangeSpec(); spec != "" {
		header.Set("Range", spec)
		if etag := r.part.version.strong(); etag != "" {
			header.Set("If-Range", etag)
		}
	}
	return header
}

// rangeSpec returns the Range header. Empty: the whole content.
func (r *Reader) rangeSpec() string {
	switch {
	case r.whole:
		return ""
	case r.tail > 0:
		return "bytes=-" + strconv.FormatInt(r.tail, 10)
	case r.limit >= 0:
		return fmt.Sprintf("bytes=%d-%d", r.Offset(), r.limit-1)
	case r.Offset() > 0:
		return fmt.Sprintf("bytes=%d-", r.Offset())
	}
	return ""
}

// pastEnd decides what a response 416 means. It returns io.EOF if the content ends at the offset: if the response says so, and no
// other said that there is more, or if nothing is known to be missing.
func (r *Reader) pastEnd(past *NotSatisfiableError) error {
	unread := r.read.empty()
	switch size := past.size; {
	case size == r.Offset() && size >= r.announced,
		size < 0 && (r.polling || (r.part.end >= 0 && r.Offset() >= r.part.end)),
		unread && r.polling && size >= r.part.size && size < r.Offset():
		r.part.size = size
		return io.EOF
	case unread:
		r.unsatisfiable = true
		return &unfitError{past.err}
	case size < 0 && r.part.size < 0:
		return &unfitError{errUnconfirmed}
	case r.part.size < 0:
		return &unfitError{fmt.Errorf("%w: %w", ErrChanged, io.ErrUnexpectedEOF)}
	}
	return &unfitError{ErrChanged}
}

// judge decides what follows err, the result of a response. It requests the whole content, once, where a range doesn't fit.
func (r *Reader) judge(err error) (again bool, _ error) {
	var unfit *unfitError
	var encoding *EncodingError
	switch {
	case err == nil, IsEOF(err), errors.Is(err, fs.ErrClosed):
		return false, err
	case errors.As(err, &unfit) && !r.whole:
		r.whole = true
		return true, nil
	case unfit != nil:
		return false, r.Wrap(unfit.err)
	case errors.Is(err, ErrChanged), errors.As(err, &encoding):
		return false, r.Wrap(err)
	case errors.Is(err, errUnconfirmed): // the next response tells, so it isn't a failure
		return true, nil
	}
	return true, err
}
