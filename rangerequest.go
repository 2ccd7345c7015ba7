package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"strconv"
)

// fetcher asks for content with a header that may name a range of it. A 416 is a [pastEndError].
type fetcher func(ctx context.Context, header http.Header) (*http.Response, error)

var (
	// errChanged says that what is to be read on is not what was read before.
	errChanged = errors.New("the content has changed since its beginning was read")
	// errUnconfirmed is the end of a body that a lost connection would end in the same way.
	errUnconfirmed = fmt.Errorf("the response ended without a sign that it was complete: %w", io.ErrUnexpectedEOF)
	// errPiece is the end of a body that claims to be no more than a piece of the content.
	errPiece = fmt.Errorf("the response was only a piece: %w", io.ErrUnexpectedEOF)
)

// unfitError says that reading can't continue with a response. A request for the whole content may help, because everything that
// was read before is then compared; err is the error if it doesn't.
type unfitError struct{ err error }

func (e *unfitError) Error() string { return e.err.Error() }

func (e *unfitError) Unwrap() error { return e.err }

// connect sends requests until reading can continue with a response. cause is why the last one ended, nil if there was none. It
// returns io.EOF where nothing is left to read.
func (r *rangeReader) connect(cause error, tail int64) error {
	ended := (cause == errPiece || cause == errUnconfirmed) && r.pos > r.resumed //nolint:errorlint // not inside
	for {
		if cause != nil && !ended {
			if err := r.backoff(cause); err != nil {
				return err
			}
		}
		again, err := r.ask(tail)
		if !again {
			return err
		}
		cause, ended = err, false
	}
}

// ask sends one request and continues with its response. again reports whether another request may help.
func (r *rangeReader) ask(tail int64) (again bool, err error) {
	resp, err := r.request(tail)
	var past *pastEndError
	switch {
	case errors.As(err, &past):
		err = r.pastEnd(past)
	case err != nil && r.isClosed():
		return false, fs.ErrClosed
	case err != nil:
		return anotherLinkMayDo(err), err
	default:
		err = r.attach(resp, tail)
	}
	var unfit *unfitError
	var encoded *encodingError
	switch {
	case err == nil, isEnd(err), errors.Is(err, fs.ErrClosed):
		return false, err
	case errors.As(err, &unfit) && !r.whole:
		r.whole = true
		return r.ask(tail)
	case unfit != nil:
		return false, r.wrap(unfit.err)
	}
	if errors.Is(err, errChanged) || errors.As(err, &encoded) {
		return false, r.wrap(err)
	}
	return true, err
}

func (r *rangeReader) request(tail int64) (*http.Response, error) {
	// JSON alone is answered 406; a compressed body has other positions.
	header := http.Header{"Accept": {"*/*"}, "Accept-Encoding": {"identity"}}
	if spec := r.rangeSpec(tail); spec != "" {
		header.Set("Range", spec)
		if etag := r.version.strong(); etag != "" {
			header.Set("If-Range", etag)
		}
	}
	return r.fetch(r.ctx, header)
}

func (r *rangeReader) rangeSpec(tail int64) string {
	switch {
	case r.whole:
		return ""
	case tail > 0:
		return "bytes=-" + strconv.FormatInt(tail, 10)
	case r.limit >= 0:
		return fmt.Sprintf("bytes=%d-%d", r.pos, r.limit-1)
	case r.pos > 0:
		return fmt.Sprintf("bytes=%d-", r.pos)
	}
	return ""
}

// pastEnd decides what a 416 means: io.EOF, the end, if its size is the position, or if it tells no size and nothing is known to
// be missing.
func (r *rangeReader) pastEnd(past *pastEndError) error {
	read := r.pos > r.begin
	switch size := past.size; {
	case size == r.pos,
		size < 0 && (r.polling || (r.end >= 0 && r.pos >= r.end)),
		!read && r.polling && size >= r.size && size < r.pos:
		r.size = size
		return io.EOF
	case !read:
		r.nothing = true
		return &unfitError{past.err}
	case size < 0 && r.size < 0:
		return &unfitError{errUnconfirmed}
	case r.size < 0:
		return &unfitError{fmt.Errorf("%w: %w", errChanged, io.ErrUnexpectedEOF)}
	}
	return &unfitError{errChanged}
}

// attach continues with resp at pos, or tail bytes before the end. It returns io.EOF if there is nothing.
func (r *rangeReader) attach(resp *http.Response, tail int64) error {
	p, err := readPart(resp)
	if err == nil {
		err = r.accept(p)
	}
	switch {
	case err != nil:
	case tail > 0:
		err = r.seekTail(&p, tail)
	case r.nothing && !p.encoded && p.size < 0: // so the 416 wasn't about a compressed form
		err = io.EOF
	default:
		err = r.seek(p)
	}
	if err == nil || isEnd(err) {
		r.whole, r.nothing = p.encoded, false
	}
	if err != nil {
		resp.Body.Close()
		return err
	}
	return r.swap(p.body)
}

// accept records what a response says about the content, unless it belongs to other content than the one before.
func (r *rangeReader) accept(p part) error {
	least := r.size // logs only grow
	if r.pos > r.begin {
		least = max(least, r.pos)
	}
	switch {
	case p.partial && r.version.differs(p.version) && (r.size < 0 || p.size > r.size): // it may have grown
		return &unfitError{errChanged}
	case p.size >= 0 && p.size < least, p.partial && r.version.differs(p.version):
		return errChanged
	}
	r.size, r.end, r.framed, r.version = p.size, p.end, p.framed, p.version
	return nil
}

// seek reads up to pos, which may be in the middle of the body.
func (r *rangeReader) seek(p part) error {
	switch {
	case r.nothingNew(p):
		return io.EOF
	case p.from > r.pos, p.partial && p.end < r.pos:
		return fmt.Errorf("byte %d was asked for, and bytes %d to %d came", r.pos, p.from, p.end-1)
	}
	if err := r.skip(p.body, p.from); err != nil {
		return r.endOfSkip(err)
	}
	if p.size < 0 && p.end == r.pos && !r.whole { // what was asked for is empty
		return io.EOF
	}
	return nil
}

// nothingNew reports whether the content ends before anything new, without reading it.
func (r *rangeReader) nothingNew(p part) bool {
	if r.pos == 0 {
		return false
	}
	if r.pos == r.begin {
		return p.size >= 0 && p.size <= r.pos
	}
	same := p.version == r.read && p.version.strong() != ""
	return r.polling && p.from == 0 && (p.size == r.pos || same)
}

// skip reads what lies between the body's start and pos, and compares it with what was read before.
func (r *rangeReader) skip(body io.Reader, from int64) error {
	if from <= r.begin {
		again := crc32.New(castagnoli)
		if _, err := io.CopyN(io.Discard, body, r.begin-from); err != nil {
			return err
		}
		if _, err := io.CopyN(again, body, r.pos-r.begin); err != nil {
			return err
		}
		if again.Sum32() != r.sum {
			return errChanged
		}
		return nil
	}
	n := r.pos - from
	known := r.last[max(0, int64(len(r.last))-n):]
	if _, err := io.CopyN(io.Discard, body, n-int64(len(known))); err != nil {
		return err
	}
	again := make([]byte, len(known))
	if _, err := io.ReadFull(body, again); err != nil {
		return err
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
	case r.size >= r.pos || !r.framed || !isEnd(err): // the connection was cut off
		return io.ErrUnexpectedEOF
	case r.pos > r.begin:
		return errChanged
	}
	return io.EOF
}

// seekTail reads up to the last n bytes. The log may grow, but its tail is the one that it had.
func (r *rangeReader) seekTail(p *part, n int64) error {
	end := max(p.size, p.end) // -1: neither is told
	if end < 0 {
		total, tail, err := readTail(*p, n)
		if err != nil {
			return err
		}
		p.body.Close()
		p.body = io.NopCloser(bytes.NewReader(tail))
		p.from, end = total-int64(len(tail)), total
		r.size, r.end = total, total
	}
	r.begin = max(p.from, end-n)
	r.pos, r.limit = r.begin, end
	if r.pos == end {
		return io.EOF
	}
	return r.seek(*p)
}

// readTail finds the last n bytes of a body whose length nobody knows by reading all of it.
func readTail(p part, n int64) (total int64, tail []byte, err error) {
	buf := make([]byte, copyBuffer)
	for {
		got, err := p.body.Read(buf)
		total += int64(got)
		tail = append(tail, buf[:got]...)
		if excess := int64(len(tail)) - n; excess > n || (err != nil && excess > 0) {
			tail = append(tail[:0], tail[excess:]...)
		}
		switch {
		case isEnd(err) && !p.framed:
			return 0, nil, &unfitError{errUnconfirmed}
		case isEnd(err):
			return total, tail, nil
		case err != nil:
			return 0, nil, err
		}
	}
}

// anotherLinkMayDo reports whether a link was refused that only a further request to the API replaces.
func anotherLinkMayDo(err error) bool {
	var link *expiredLinkError
	return errors.As(err, &link) && link.direct
}
