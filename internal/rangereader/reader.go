// Package rangereader reads content over HTTP across lost connections. After a lost connection it requests the rest, as a range.
// It never mixes bytes of two contents, and it takes the end of a response for the end of the content only where the headers,
// or another request, confirm it. Both are errors otherwise.
//
// The code goes from the request to the bytes: request.go sends requests until one fits, response.go finds the place in a
// response to read on at, part.go reads the response's header, and reader.go reads the body.
package rangereader

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"
)

// Source says how content is requested.
type Source struct {
	// Fetch sends a GET request with header, which may ask for a range of the content. It returns a response
	// 200 or 206, or an error: a [NotSatisfiableError] for a response 416. Retries are up to Fetch.
	Fetch func(ctx context.Context, header http.Header) (*http.Response, error)
	// Retry reports whether calling Fetch again may succeed after an error of Fetch. nil: it never does.
	Retry func(error) bool
	// MaxAttempts is how many responses in a row may fail without a new byte. The last failure ends reading.
	MaxAttempts int
	// Backoff returns how long to wait before the next request, where n failures came before the last one.
	Backoff func(n int) time.Duration
	// WrapError returns the error to show for err, which ended reading at offset. Errors of Fetch are shown
	// as they are.
	WrapError func(offset int64, err error) error
}

// Range selects a part of the content. Tail and TailLines can't be combined with other fields.
type Range struct {
	Offset    int64 // bytes to skip at the beginning
	Length    int64 // bytes to read at most; 0: no limit
	Tail      int64 // bytes to read before the end; 0: all
	TailLines int   // lines to read before the end; 0: all
}

// Reader reads content. It is an [io.ReadCloser] and an [io.WriterTo]. One goroutine may read while another one calls Close.
type Reader struct {
	source Source
	ctx    context.Context //nolint:containedctx // reading is bound to it, as a response body is to its request's
	cancel context.CancelFunc

	mu     sync.Mutex // guards body and closed, for Close
	body   io.ReadCloser
	closed bool

	read     history // the bytes that were read; its end is the offset of the next one
	limit    int64   // offset to stop at; -1: the end of the content
	tail     int64   // bytes to read before the end, until a response shows where they begin; 0: none
	err      error   // that Read returns from now on
	failures failures

	part          part    // the last response that was accepted
	announced     int64   // the largest size that a response had in its header
	finished      version // of the content that was last read to its end
	decoded       int64   // length of the longest decoded body that ended with its connection; -1: none
	whole         bool    // request everything, because ranges don't work
	unsatisfiable bool    // a 416 said that there is nothing to read at all, which a body that ends before confirms
	polling       bool    // the content may not have grown yet: cleared by the first response with something new
}

// New returns a Reader of growing content from offset on. It sends no request: call [Reader.Poll] before Read.
func New(ctx context.Context, source Source, offset int64) *Reader {
	r := &Reader{source: source, read: history{start: offset, end: offset}, limit: -1, part: unknownPart, decoded: -1}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

// Open sends the first request for a part of the content, and returns its Reader. An empty part is no error.
func Open(ctx context.Context, source Source, part Range) (*Reader, error) {
	if part.TailLines > 0 {
		return openTailLines(ctx, source, part.TailLines)
	}
	r := New(ctx, source, part.Offset)
	r.tail = part.Tail
	if part.Length > 0 {
		r.limit = part.Offset + part.Length
	}
	if err := r.start(); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// Poll requests what was added since Read returned [io.EOF]. final says that the content doesn't grow any more. After an error Read
// returns io.EOF until the next Poll.
func (r *Reader) Poll(final bool) error {
	r.err, r.failures, r.unsatisfiable, r.decoded = nil, failures{}, false, -1
	r.part.version = version{} // each addition makes another one
	r.polling = !final || !r.read.empty()
	err := r.start()
	if err != nil {
		r.err = io.EOF
	}
	return err
}

// start requests the content. It leaves an io.EOF to the first Read.
func (r *Reader) start() error {
	err := r.connect(nil)
	if IsEOF(err) {
		r.err, err = io.EOF, nil
	}
	return err
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.limit >= 0 {
			p = p[:min(int64(len(p)), r.limit-r.Offset())]
		}
		if len(p) == 0 {
			return 0, nil
		}
		n, err := r.body.Read(p)
		if n > 0 {
			r.advance(p[:n])
		}
		if err != nil {
			r.body.Close()
			r.err = r.afterBody(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// advance notes bytes that were read.
func (r *Reader) advance(p []byte) {
	r.read.add(p)
	if r.part.size >= 0 && r.Offset() > r.part.size { // it may be the size of a compressed form
		r.part.size, r.part.end = -1, -1
	}
	if r.limit >= 0 && r.Offset() >= r.limit {
		r.err = io.EOF
	}
}

// afterBody decides what follows a body that ended with err. nil: reading goes on with another response.
func (r *Reader) afterBody(err error) error {
	var encoding *EncodingError
	switch {
	case r.err != nil: // the last bytes reached the limit
		return r.err
	case IsEOF(err):
		return r.afterEOF()
	case errors.As(err, &encoding):
		return r.Wrap(err)
	case errors.Is(err, errUnconfirmed): // it isn't a failure
		return r.connect(nil)
	}
	return r.connect(err)
}

// afterEOF decides whether the end of a body is the end of the content. Where that isn't known, it sends requests until a response
// says so.
func (r *Reader) afterEOF() error {
	progress := r.Offset() > r.failures.resumed
	switch p := r.part; {
	case p.size < 0 && p.end < 0 && r.endIsSure() && r.Offset() < r.announced:
		return r.Wrap(ErrChanged)
	case p.size >= 0 && r.Offset() >= p.size, p.size < 0 && p.end < 0 && r.endIsSure():
		r.finished = p.version
		return io.EOF
	case r.Offset() < p.end:
		return r.connect(io.ErrUnexpectedEOF)
	case progress: // so it isn't a failure
		return r.connect(nil)
	case p.end >= 0:
		return r.connect(errPiece)
	case r.read.empty():
		return r.connect(errUnconfirmed)
	}
	return r.Wrap(errUnconfirmed)
}

// endIsSure reports whether a body of unknown length that has ended wasn't cut off: it has an end of its own, or it ended where a
// 416 said that the content does.
func (r *Reader) endIsSure() bool { return r.part.framed || (r.unsatisfiable && r.read.empty()) }

// replay makes data, the last bytes that were read, the only ones that Read returns from now on.
func (r *Reader) replay(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	r.err, r.limit = nil, r.Offset()
	r.read.end -= int64(len(data))
	return r.setBody(io.NopCloser(bytes.NewReader(data)))
}

// WriteTo implements [io.WriterTo]. It closes the Reader if w panics.
func (r *Reader) WriteTo(w io.Writer) (int64, error) { return Copy(w, r) }

// Offset returns the offset in the content of the next byte that Read returns.
func (r *Reader) Offset() int64 { return r.read.end }

// Size returns the size of the whole content, if the last response told it.
func (r *Reader) Size() (n int64, known bool) { return max(0, r.part.size), r.part.size >= 0 }

// Context returns the context of the requests. It ends with the one that the Reader was made with, or when the Reader is closed.
func (r *Reader) Context() context.Context { return r.ctx }

// Wrap returns err as Read returns errors: with the offset, by [Source].WrapError.
func (r *Reader) Wrap(err error) error { return r.source.WrapError(r.Offset(), err) }

// setBody makes body the one that is read.
func (r *Reader) setBody(body io.ReadCloser) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		body.Close()
		return fs.ErrClosed
	}
	if r.body != nil {
		r.body.Close()
	}
	r.body, r.failures.resumed, r.polling = body, r.Offset(), false
	return nil
}

// Closed reports whether Close was called.
func (r *Reader) Closed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// Close implements [io.Closer]. A Read that is blocked returns [fs.ErrClosed].
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.cancel()
	if r.body != nil {
		return r.body.Close()
	}
	return nil
}

// IsEOF reports whether err is io.EOF itself. The error of a lost connection may wrap one.
func IsEOF(err error) bool {
	return err == io.EOF //nolint:errorlint // not a wrapped one
}
