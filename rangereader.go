package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// fetcher asks for content with a header that may name a range of it.
type fetcher func(ctx context.Context, header http.Header) (*http.Response, error)

// isEnd tells the end of a stream from a lost connection, whose error may have an io.EOF inside.
func isEnd(err error) bool {
	return err == io.EOF //nolint:errorlint // not inside
}

// errChanged says that what is to be read on is not what was read before.
var errChanged = errors.New("the content has changed since its beginning was read")

// overlap is how much of what was read is kept, to recognize it when a server can only start from the beginning.
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

	pos      int64  // of the next byte
	limit    int64  // where the caller wants to stop; -1: at the end
	size     int64  // of the whole content; -1: unknown
	end      int64  // where the answer that is being read says it ends; -1: it doesn't
	etag     string // of that answer
	last     []byte // the bytes before pos, at most overlap
	failures int    // in a row, without a byte between
	breaks   int    // of connections, in all
	resumed  int64  // where the last connection began
	err      error  // that Read goes on to return
}

// open sends the first request. It is bound to ctx, and to Close.
func (r *rangeReader) open(ctx context.Context, c *Client, name string, part LogOptions, fetch fetcher) error {
	*r = rangeReader{policy: c.policy, name: name, fetch: fetch, pos: part.Offset, limit: -1, size: -1, end: -1}
	if part.Length > 0 {
		r.limit = part.Offset + part.Length
	}
	if ctx != nil { // else request says so
		r.ctx, r.cancel = context.WithCancel(ctx)
	}
	err := r.start(part.Tail)
	if err != nil && r.cancel != nil {
		r.cancel()
	}
	return err
}

// start asks for the first time, or anew.
func (r *rangeReader) start(tail int64) error {
	spec := ""
	switch {
	case tail > 0:
		spec = "bytes=-" + strconv.FormatInt(tail, 10)
	case r.pos > 0 || r.limit >= 0:
		spec = r.rangeSpec()
	}
	resp, err := r.request(spec)
	switch {
	case pastEnd(err):
		err = io.EOF
	case anotherLinkMayDo(err):
	case err != nil:
		return err
	case tail > 0:
		err = r.attachTail(resp, tail)
	default:
		err = r.attach(resp)
	}
	return r.settle(err, tail)
}

// settle decides what comes after an attempt to attach an answer. An end isn't an error to start with: Read tells of it.
func (r *rangeReader) settle(err error, tail int64) error {
	switch {
	case err == nil || errors.Is(err, fs.ErrClosed):
		return err
	case isEnd(err):
		r.err = io.EOF
		return nil
	case errors.Is(err, errChanged):
		return r.wrap(err)
	case tail > 0: // the position isn't known, so there is nothing to resume
		if err := r.backoff(err); err != nil {
			return err
		}
		return r.start(tail)
	}
	if err = r.resume(err); isEnd(err) {
		r.err, err = io.EOF, nil
	}
	return err
}

// next asks for what has come since the end was reached.
func (r *rangeReader) next() error {
	r.err, r.etag, r.failures, r.breaks = nil, "", 0, 0 // a growing log is another version each time
	return r.start(0)
}

// atEnd makes Read say that there is nothing more for now.
func (r *rangeReader) atEnd() { r.err = io.EOF }

func (r *rangeReader) rangeSpec() string {
	spec := "bytes=" + strconv.FormatInt(r.pos, 10) + "-"
	if r.limit >= 0 {
		spec += strconv.FormatInt(r.limit-1, 10)
	}
	return spec
}

func (r *rangeReader) request(spec string) (*http.Response, error) {
	// JSON alone is answered 406; a compressed body has other positions.
	header := http.Header{"Accept": {"*/*"}, "Accept-Encoding": {"identity"}}
	if spec != "" {
		header.Set("Range", spec)
		if r.etag != "" {
			header.Set("If-Range", r.etag)
		}
	}
	return r.fetch(r.ctx, header)
}

// attach reads on from resp, at pos. It returns io.EOF if there is nothing at pos.
func (r *rangeReader) attach(resp *http.Response) error {
	from, err := r.measure(resp)
	if err == nil && r.pos > 0 && from == 0 && r.size == r.pos { // the whole again, and nothing new in it
		err = io.EOF
	}
	if err == nil {
		err = r.skip(resp.Body, from)
	}
	if err == nil && r.size < 0 && r.end == r.pos { // it ends where reading had come to
		err = io.EOF
	}
	if err != nil {
		resp.Body.Close()
		return err
	}
	return r.swap(resp.Body)
}

// measure notes what the headers of resp say and returns the position at which its body starts.
func (r *rangeReader) measure(resp *http.Response) (from int64, err error) {
	r.etag = strongETag(resp.Header)
	from, end, size := int64(0), int64(-1), int64(-1)
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		var ok bool
		if from, end, size, ok = parseContentRange(resp.Header.Get("Content-Range")); !ok {
			return 0, errors.New("a partial answer without its range")
		}
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, end-from), resp.Body}
	case resp.ContentLength >= 0:
		end, size = resp.ContentLength, resp.ContentLength
	}
	if r.size >= 0 && size >= 0 && size < r.size { // logs only grow
		return 0, errChanged
	}
	r.size, r.end = size, end
	return from, nil
}

// attachTail reads the last n bytes from resp.
func (r *rangeReader) attachTail(resp *http.Response, n int64) error {
	from, err := r.measure(resp)
	switch {
	case err != nil:
	case r.size >= 0:
		r.pos = max(from, r.size-n)
		err = r.skip(resp.Body, from)
	case r.end >= 0:
		r.pos = max(from, r.end-n)
		err = r.skip(resp.Body, from)
	default:
		return r.collectTail(resp.Body, n)
	}
	if err != nil {
		resp.Body.Close()
		return err
	}
	return r.swap(resp.Body)
}

// collectTail finds the last n bytes of a body whose length nobody knows by reading all of it.
func (r *rangeReader) collectTail(body io.ReadCloser, n int64) error {
	defer body.Close()
	var tail []byte
	var total int64
	buf := make([]byte, copyBuffer)
	for {
		got, err := body.Read(buf)
		total += int64(got)
		tail = append(tail, buf[:got]...)
		if excess := int64(len(tail)) - n; excess > n || (err != nil && excess > 0) {
			tail = append(tail[:0], tail[excess:]...)
		}
		if isEnd(err) {
			r.size, r.end, r.pos, r.limit = total, total, total-int64(len(tail)), total
			return r.swap(io.NopCloser(bytes.NewReader(tail)))
		}
		if err != nil {
			return err
		}
	}
}

// skip leaves out what lies between the body's start and pos, making sure that it is what was read before.
func (r *rangeReader) skip(body io.Reader, from int64) error {
	n := r.pos - from
	if n < 0 {
		return fmt.Errorf("byte %d was asked for and byte %d came", r.pos, from)
	}
	known := r.last[max(0, int64(len(r.last))-n):]
	if _, err := io.CopyN(io.Discard, body, n-int64(len(known))); err != nil {
		return r.endOfSkip(err)
	}
	again := make([]byte, len(known))
	if _, err := io.ReadFull(body, again); err != nil {
		return r.endOfSkip(err)
	}
	if !bytes.Equal(again, known) {
		return errChanged
	}
	return nil
}

// endOfSkip is the error for content that ends before pos. Where nothing was read yet, the part asked for is empty.
func (r *rangeReader) endOfSkip(err error) error {
	switch {
	case !isEnd(err) && err != io.ErrUnexpectedEOF: //nolint:errorlint // as in isEnd
		return err
	case r.size >= r.pos: // the connection was cut off
		return io.ErrUnexpectedEOF
	case len(r.last) > 0:
		return errChanged
	}
	return io.EOF
}

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
	r.body, r.resumed = body, r.pos
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
	r.last = append(r.last, read[max(0, len(read)-overlap):]...)
	if excess := len(r.last) - overlap; excess > 0 {
		r.last = append(r.last[:0], r.last[excess:]...)
	}
	if r.limit >= 0 && r.pos >= r.limit {
		r.err = io.EOF
	}
}

// after decides what the end of a body means: nil if reading goes on with another one.
func (r *rangeReader) after(err error) error {
	switch {
	case r.err != nil: // the limit was reached with the last bytes
		return r.err
	case isEnd(err) && r.complete():
		return io.EOF
	case isEnd(err):
		err = io.ErrUnexpectedEOF
	}
	return r.resume(err)
}

// complete reports whether the end of a body is the content's. Where only the answer's own end is known, it may be a piece:
// then the service is asked until it says that there is no more.
func (r *rangeReader) complete() bool {
	switch {
	case r.size >= 0:
		return r.pos >= r.size
	case r.end >= 0:
		return false
	}
	return true // the body's own framing is all there is to go by
}

// resume asks for the rest, cause being why that is needed. It returns io.EOF where there is none.
func (r *rangeReader) resume(cause error) error {
	for {
		if err := r.backoff(cause); err != nil {
			return err
		}
		resp, err := r.request(r.rangeSpec())
		switch {
		case pastEnd(err) && r.pos < r.size:
			return r.wrap(errChanged)
		case pastEnd(err):
			return io.EOF
		case anotherLinkMayDo(err):
			cause = err
			continue
		case err != nil:
			return err
		}
		err = r.attach(resp)
		switch {
		case err == nil, isEnd(err), errors.Is(err, fs.ErrClosed):
			return err
		case errors.Is(err, errChanged):
			return r.wrap(err)
		}
		cause = err
	}
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
		return r.wrap(r.ctx.Err())
	case r.failures >= r.policy.MaxAttempts-1:
		return r.wrap(cause)
	}
	r.failures++
	r.breaks++
	r.resumed = r.pos
	if r.failures == 1 && (r.breaks == 1 || brought >= copyBuffer) {
		return nil
	}
	if err := pause(r.ctx, r.policy.backoff(r.failures-1, 0)); err != nil {
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

// WriteTo implements [io.WriterTo].
func (r *rangeReader) WriteTo(w io.Writer) (written int64, err error) {
	buf := copyPool.Get().(*[copyBuffer]byte)
	defer copyPool.Put(buf)
	for {
		n, readErr := r.Read(buf[:])
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

// anotherLinkMayDo holds for the refusal of a link that only a further request to the API replaces.
func anotherLinkMayDo(err error) bool {
	var link *expiredLinkError
	return errors.As(err, &link) && link.direct
}

// pastEnd reports whether the service says that there is nothing in the range asked for.
func pastEnd(err error) bool {
	var answer *APIError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusRequestedRangeNotSatisfiable
}

// strongETag returns an ETag that stands for the very bytes, the only kind that If-Range takes.
func strongETag(h http.Header) string {
	etag := h.Get("ETag")
	if strings.HasPrefix(etag, `"`) && validHeaderValue(etag) {
		return etag
	}
	return ""
}

// parseContentRange reads "bytes 0-99/1234": the positions of the first byte and after the last one, and the size. The size
// may be "*", unknown, for which it returns -1.
func parseContentRange(s string) (from, end, size int64, ok bool) {
	s, unit := strings.CutPrefix(s, "bytes ")
	span, total, slash := strings.Cut(s, "/")
	first, last, dash := strings.Cut(span, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !unit || !slash || !dash || err1 != nil || err2 != nil || from < 0 || to < from || to == math.MaxInt64 {
		return 0, 0, 0, false
	}
	if total == "*" {
		return from, to + 1, -1, true
	}
	size, err := strconv.ParseInt(total, 10, 64)
	return from, to + 1, size, err == nil && size > to
}
