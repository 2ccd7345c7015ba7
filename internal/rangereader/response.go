package rangereader

import (
	"fmt"
	"io"
	"net/http"
)

// attach continues with a response. It returns io.EOF if there is nothing to read.
func (r *Reader) attach(resp *http.Response) error {
	last := r.part
	p, err := readPart(resp)
	if p.encoded && !framed(resp) {
		p.body = &unframedBody{ReadCloser: p.body, ended: &r.decoded}
	}
	if err == nil {
		err = r.accept(p)
	}
	if err == nil {
		err = r.seek(&p)
	}
	if err != nil {
		resp.Body.Close()
	}
	if err != nil && !IsEOF(err) {
		r.part = last // its version is that of the bytes that were read
		return err
	}
	r.whole, r.unsatisfiable, r.tail = p.encoded, r.unsatisfiable && !p.framed, 0
	if err != nil {
		return err
	}
	return r.setBody(p.body)
}

// accept notes what a response says about the content. It returns [ErrChanged] if that isn't the content that was read before.
func (r *Reader) accept(p part) error {
	least := r.part.size // content only grows
	if !r.read.empty() {
		least = max(least, r.Offset())
	}
	differs := p.partial && r.part.version.differs(p.version)
	switch {
	case differs && (r.part.size < 0 || p.size > r.part.size): // it may have grown: the whole shows
		return &unfitError{ErrChanged}
	case differs, p.size >= 0 && p.size < least:
		return ErrChanged
	}
	r.part, r.announced = p, max(r.announced, p.size)
	return nil
}

// seek reads up to the first byte to read. It returns io.EOF if there is none.
func (r *Reader) seek(p *part) error {
	if r.tail > 0 {
		return r.seekTail(p)
	}
	return r.seekOffset(p)
}

// seekOffset reads up to the offset, which may be in the middle of the body.
func (r *Reader) seekOffset(p *part) error {
	switch {
	case r.nothingNew(p):
		return io.EOF
	case p.from > r.Offset(), p.partial && p.end < r.Offset():
		return fmt.Errorf("byte %d was requested, but the response has bytes %d to %d", r.Offset(), p.from, p.end-1)
	}
	if p.from < r.Offset() {
		if err := r.read.skip(p.body, p.from); err != nil {
			return r.shortBody(err)
		}
	}
	if p.size < 0 && p.end == r.Offset() && !r.whole { // the range is empty
		return io.EOF
	}
	return nil
}

// nothingNew reports whether the header of a response shows that the content ends at the offset or before.
func (r *Reader) nothingNew(p *part) bool {
	if r.Offset() == 0 {
		return false
	}
	if r.read.empty() {
		return p.size >= 0 && p.size <= r.Offset()
	}
	unchanged := p.version == r.finished && p.version.strong() != ""
	return r.polling && p.from == 0 && (p.size == r.Offset() || unchanged)
}

// shortBody returns the error for a body that ended with err before the offset: io.EOF if the content is that short.
func (r *Reader) shortBody(err error) error {
	switch {
	case !IsEOF(err) && err != io.ErrUnexpectedEOF: //nolint:errorlint // not wrapped ones, which are lost connections
		return err
	case r.part.size >= r.Offset() || !r.endIsSure() || !IsEOF(err): // the connection was lost
		return io.ErrUnexpectedEOF
	case !r.read.empty():
		return ErrChanged
	}
	return io.EOF
}
