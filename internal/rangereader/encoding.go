package rangereader

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// EncodingError says that content can't be read because of its Content-Encoding.
type EncodingError struct {
	Encoding string
	Err      error
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("the content is compressed (Content-Encoding %.200q): %v", e.Encoding, e.Err)
}

// Unwrap returns e.Err.
func (e *EncodingError) Unwrap() error { return e.Err }

// contentEncoding returns the encodings of a body, separated by commas. It leaves out those that change nothing.
func contentEncoding(h http.Header) string {
	var names []string
	for name := range strings.SplitSeq(strings.Join(h.Values("Content-Encoding"), ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "identity" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// decode returns p with its body decoded. encoding is empty if net/http decodes it.
func (p part) decode(encoding string) (part, error) {
	switch encoding {
	case "":
		encoding = "gzip" // the only one that net/http decodes
	case "gzip", "x-gzip":
		p.body = &gunzip{body: p.body, framed: p.framed}
	default:
		return p, &EncodingError{encoding, errors.New("only gzip can be decoded")}
	}
	if p.from > 0 || p.end != p.size {
		return p, &unfitError{&EncodingError{encoding, errors.New("only a part was sent, which can't be decoded alone")}}
	}
	p.partial, p.end, p.size, p.framed, p.encoded = false, -1, -1, true, true
	return p, nil
}

// gunzip decodes a body.
type gunzip struct {
	body   io.ReadCloser
	framed bool         // an empty body is an empty content, and not one that was cut
	zip    *gzip.Reader // nil before the first read
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.zip == nil {
		if g.zip, err = gzip.NewReader(g.body); err != nil {
			g.zip = nil
			if IsEOF(err) && !g.framed {
				err = io.ErrUnexpectedEOF
			}
			return 0, gzipError(err) // io.EOF if the body is empty
		}
	}
	n, err = g.zip.Read(p)
	return n, gzipError(err)
}

func (g *gunzip) Close() error { return g.body.Close() }

// gzipError makes an EncodingError of a body that isn't gzip. It returns other errors, of the connection, as they are.
func gzipError(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		return &EncodingError{"gzip", err}
	}
	return err
}

// unframedBody is a decoded body that ends with its connection. Gzip has an end, but another gzip stream may follow. So the end is
// believed once a second body has it.
type unframedBody struct {
	io.ReadCloser
	n     int64  // bytes that were read
	ended *int64 // length of the longest body before
	err   error  // that Read returns from now on
}

func (b *unframedBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err = b.ReadCloser.Read(p)
	b.n += int64(n)
	if IsEOF(err) {
		err = b.afterEOF()
	}
	b.err = err
	return n, err
}

// afterEOF returns io.EOF if another body ended here too, and errUnconfirmed if none was as long.
func (b *unframedBody) afterEOF() error {
	switch {
	case b.n < *b.ended:
		return io.ErrUnexpectedEOF
	case b.n > *b.ended:
		*b.ended = b.n
		return errUnconfirmed
	}
	return io.EOF
}
