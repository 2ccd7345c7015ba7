package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

// isEnd tells the end of a stream from a lost connection, whose error may have an io.EOF inside.
func isEnd(err error) bool {
	return err == io.EOF //nolint:errorlint // not inside
}

// castagnoli is the polynomial that processors know: its sums cost next to nothing.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// overlap is how much of what was read is kept, to compare it with a response that starts in the middle of it.
const overlap = 1 << 10

// rangeReader reads content that the API gives out or redirects to, across lost connections. Positions count from the
// content's beginning.
type rangeReader struct {
	ctx    context.Context //nolint:containedctx // reading is bound to the call's context, as a response body is
	cancel context.CancelFunc
	policy RetryPolicy
	name   string // of the operation, for errors
	fetch  fetcher

	mu     sync.Mutex // guards body and closed, for Close
	body   io.ReadCloser
	closed bool

	begin int64  // where reading began
	pos   int64  // of the next byte
	limit int64  // where the caller wants to stop; -1: at the end
	sum   uint32 // of the bytes from begin to pos
	last  []byte // the newest of them, at most overlap

	size    int64   // of the whole content; -1: unknown
	end     int64   // where the response that is being read says it ends; -1: it doesn't
	framed  bool    // as [part] says of it
	version version // likewise
	read    version // of the content that was last read to its end
	whole   bool    // ask for everything: ranges are of no use
	nothing bool    // a 416 said so of pos before anything was read
	polling bool    // there may be nothing at pos yet, until a response has something

	failures int   // in a row, without a byte between
	breaks   int   // of connections, in all
	resumed  int64 // where the last response began
	err      error // that Read goes on to return
}

// open sends the first request. It is bound to ctx, and to Close.
func (r *rangeReader) open(ctx context.Context, policy RetryPolicy, name string, o LogOptions, fetch fetcher) error {
	r.prepare(ctx, policy, name, o, fetch)
	err := r.start(o.Tail)
	if err != nil && r.cancel != nil {
		r.cancel()
	}
	return err
}

func (r *rangeReader) prepare(ctx context.Context, policy RetryPolicy, name string, o LogOptions, fetch fetcher) {
	*r = rangeReader{policy: policy, name: name, fetch: fetch, begin: o.Offset, pos: o.Offset, limit: -1, size: -1, end: -1}
	if o.Length > 0 {
		r.limit = o.Offset + o.Length
	}
	if ctx != nil { // else request says so
		r.ctx, r.cancel = context.WithCancel(ctx)
	}
}

// start asks for the first time, or anew. An end is no error to start with: Read tells of it.
func (r *rangeReader) start(tail int64) error {
	err := r.connect(nil, tail)
	if isEnd(err) {
		r.err, err = io.EOF, nil
	}
	return err
}

// poll asks for what has come since the end was reached. last says that no more will come than there is now.
func (r *rangeReader) poll(last bool) error {
	r.err, r.version, r.failures, r.breaks = nil, version{}, 0, 0 // a growing log is another version each time
	r.polling = !last || r.pos > r.begin
	return r.start(0)
}

// atEnd makes Read say that there is nothing more for now.
func (r *rangeReader) atEnd() { r.err = io.EOF }

// swap makes body the one that is read.
func (r *rangeReader) swap(body io.ReadCloser) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		body.Close()
		return fs.ErrClosed
	}
	if r.body != nil {
		r.body.Close()
	}
	r.body, r.resumed, r.polling = body, r.pos, false
	return nil
}

// Read implements [io.Reader].
func (r *rangeReader) Read(p []byte) (int, error) {
	for r.err == nil {
		if p = r.clip(p); len(p) == 0 {
			return 0, nil
		}
		n, err := r.body.Read(p)
		if n > 0 {
			r.advance(p[:n])
		}
		if err != nil {
			r.body.Close()
			r.err = r.after(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// clip keeps a read from going past the limit.
func (r *rangeReader) clip(p []byte) []byte {
	if r.limit >= 0 && int64(len(p)) > r.limit-r.pos {
		return p[:r.limit-r.pos]
	}
	return p
}

func (r *rangeReader) advance(read []byte) {
	r.pos += int64(len(read))
	r.sum = crc32.Update(r.sum, castagnoli, read)
	r.last = append(r.last, read[max(0, len(read)-overlap):]...)
	if excess := len(r.last) - overlap; excess > 0 {
		r.last = append(r.last[:0], r.last[excess:]...)
	}
	if r.size >= 0 && r.pos > r.size { // it was not the content's: of its compressed form, perhaps
		r.size, r.end = -1, -1
	}
	if r.limit >= 0 && r.pos >= r.limit {
		r.err = io.EOF
	}
}

// after decides what the end of a body means: nil if reading goes on with another one.
func (r *rangeReader) after(err error) error {
	var encoded *encodingError
	switch {
	case r.err != nil: // the limit was reached with the last bytes
		return r.err
	case isEnd(err):
		return r.afterEnd()
	case errors.As(err, &encoded):
		return r.wrap(err)
	}
	return r.connect(err, 0)
}

// afterEnd decides whether the end of a body is the content's. Where it isn't known to be, the service is asked until it says so.
func (r *rangeReader) afterEnd() error {
	switch {
	case r.size >= 0 && r.pos >= r.size, r.size < 0 && r.end < 0 && r.framed:
		r.read = r.version
		return io.EOF
	case r.end >= 0 && r.pos < r.end:
		return r.connect(io.ErrUnexpectedEOF, 0)
	case r.end >= 0:
		return r.connect(errPiece, 0)
	case r.pos == r.resumed && r.pos > r.begin: // asking again has brought no more
		return r.wrap(errUnconfirmed)
	}
	return r.connect(errUnconfirmed, 0)
}

// backoff gives up where cause has come too often without a byte in between. The first time there is no wait, since most
// lost connections are accidents, unless the last one brought little too.
func (r *rangeReader) backoff(cause error) error {
	brought := r.pos - r.resumed
	if brought > 0 {
		r.failures = 0
	}
	switch {
	case r.isClosed():
		return fs.ErrClosed
	case r.ctx.Err() != nil:
		return r.wrap(ctxtime.Err(r.ctx))
	case r.failures >= r.policy.MaxAttempts-1:
		return r.wrap(cause)
	}
	r.failures++
	r.breaks++
	r.resumed = r.pos
	if r.failures == 1 && (r.breaks == 1 || brought >= copyBuffer) {
		return nil
	}
	if err := ctxtime.Sleep(r.ctx, r.policy.backoff(r.failures-1, 0)); err != nil {
		return r.wrap(err)
	}
	return nil
}

func (r *rangeReader) wrap(err error) error {
	return fmt.Errorf("pipelines: %s: at byte %d: %w", r.name, r.pos, stripURL(err))
}

func (r *rangeReader) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// copyBuffer is large enough to make system calls rare and small enough to stay in a processor's cache.
const copyBuffer = 64 << 10

var copyPool = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// WriteTo implements [io.WriterTo]. Where w panics it closes the reader, since nobody may be left to do it.
func (r *rangeReader) WriteTo(w io.Writer) (int64, error) { return copyStream(w, r) }

// copyStream copies r to w. Where w panics it closes r, since nobody may be left to do it.
func copyStream(w io.Writer, r io.ReadCloser) (written int64, err error) {
	buf := copyPool.Get().(*[copyBuffer]byte)
	defer copyPool.Put(buf)
	returns := false
	defer func() {
		if !returns {
			_ = r.Close()
		}
	}()
	written, err = copyTo(w, r, buf[:])
	returns = true
	return written, err
}

func copyTo(w io.Writer, r io.Reader, buf []byte) (written int64, err error) {
	for {
		n, readErr := r.Read(buf)
		if n > 0 {
			m, err := w.Write(buf[:n])
			written += int64(m)
			if err == nil && m < n {
				err = io.ErrShortWrite
			}
			if err != nil {
				return written, err
			}
		}
		if isEnd(readErr) {
			return written, nil
		}
		if readErr != nil {
			return written, readErr
		}
	}
}

// replay makes the last bytes that were read, which are data, the ones that Read returns next, and all that it returns.
func (r *rangeReader) replay(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	r.err, r.limit = nil, r.pos
	r.pos -= int64(len(data))
	return r.swap(io.NopCloser(bytes.NewReader(data)))
}

// Close implements [io.Closer].
func (r *rangeReader) Close() error {
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
