package pipelines

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

// part is what a response holds of the content, as its status and header tell.
type part struct {
	body    io.ReadCloser
	partial bool  // it may be no more than a piece
	from    int64 // position of the body's first byte
	end     int64 // position after its last byte; -1: not told
	size    int64 // of the whole content; -1: not told
	version version
	framed  bool // a lost connection can't pass for the end of the body
	encoded bool // the body was compressed, so ranges don't count the bytes that are read
}

// readPart reads the header of resp.
func readPart(resp *http.Response) (part, error) {
	p := part{body: resp.Body, end: -1, size: -1, version: versionOf(resp.Header), framed: !closeDelimited(resp)}
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		var ok bool
		if p.from, p.end, p.size, ok = parseContentRange(resp.Header.Get("Content-Range")); !ok {
			return p, errors.New("a partial response without its range")
		}
		p.partial = true
		p.body = withReader(resp.Body, io.LimitReader(resp.Body, p.end-p.from))
	case resp.ContentLength >= 0:
		p.end, p.size = resp.ContentLength, resp.ContentLength
	}
	encoding := contentEncoding(resp.Header)
	if p.end == 0 || (encoding == "" && !resp.Uncompressed) {
		return p, nil
	}
	return p.decoded(encoding)
}

// decoded is p with a body that was compressed. An empty encoding says that the transport decodes it.
func (p part) decoded(encoding string) (part, error) {
	switch encoding {
	case "":
		encoding = "gzip" // the one that net/http knows
	case "gzip", "x-gzip":
		p.body = &gunzip{body: p.body}
	default:
		return p, &encodingError{encoding, errors.New("only gzip can be decoded")}
	}
	if p.from > 0 || p.end != p.size {
		return p, &unfitError{&encodingError{encoding, errors.New("only a part of it came, which can't be decoded by itself")}}
	}
	p.partial, p.end, p.size, p.framed, p.encoded = false, -1, -1, true, true
	return p, nil
}

// closeDelimited reports whether nothing but the end of the connection marks the end of the body. Chunks and HTTP/2 have an end
// of their own.
func closeDelimited(resp *http.Response) bool {
	return resp.Close && resp.ContentLength < 0 && !resp.Uncompressed && !slices.Contains(resp.TransferEncoding, "chunked")
}

func withReader(body io.Closer, r io.Reader) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{r, body}
}

// contentEncoding returns how the body is compressed: "" if it isn't, and all names where it was done more than once.
func contentEncoding(h http.Header) string {
	var names []string
	for name := range strings.SplitSeq(strings.Join(h.Values("Content-Encoding"), ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "identity" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// encodingError says that the content is compressed in a way that can't be undone.
type encodingError struct {
	encoding string // as the header names it; empty: the transport has undone it
	err      error
}

func (e *encodingError) Error() string {
	return fmt.Sprintf("the content is compressed (Content-Encoding %q): %v", oneLine(e.encoding), e.err)
}

func (e *encodingError) Unwrap() error { return e.err }

// gunzip decodes a body from its beginning.
type gunzip struct {
	body io.ReadCloser
	zip  *gzip.Reader // nil before the first read
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.zip == nil {
		if g.zip, err = gzip.NewReader(g.body); err != nil {
			g.zip = nil
			return 0, gzipError(err) // io.EOF: the body is empty
		}
	}
	n, err = g.zip.Read(p)
	return n, gzipError(err)
}

func (g *gunzip) Close() error { return g.body.Close() }

// gzipError tells content that isn't gzip, which stays as it is, from a lost connection.
func gzipError(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		return &encodingError{"gzip", err}
	}
	return err
}

// version tells content from other content under the same URL.
type version struct{ etag, modified string }

func versionOf(h http.Header) version { return version{h.Get("ETag"), h.Get("Last-Modified")} }

// differs reports whether w is of other content than v, as far as v tells. Weak ETags are compared like strong ones.
func (v version) differs(w version) bool {
	if v.etag != "" {
		return strings.TrimPrefix(v.etag, "W/") != strings.TrimPrefix(w.etag, "W/")
	}
	return v.modified != "" && v.modified != w.modified
}

// strong returns an ETag that stands for the very bytes, the only kind that If-Range takes.
func (v version) strong() string {
	if strings.HasPrefix(v.etag, `"`) && header.ValidValue(v.etag) {
		return v.etag
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

// pastEndError is a response 416: nothing of the content lies in the range asked for.
type pastEndError struct {
	err  error
	size int64 // of the content; -1: not told
}

func (e *pastEndError) Error() string { return e.err.Error() }

func (e *pastEndError) Unwrap() error { return e.err }

// newPastEndError reads the header of a response 416, "bytes */1234".
func newPastEndError(err error, h http.Header) *pastEndError {
	e := &pastEndError{err, -1}
	total, ok := strings.CutPrefix(h.Get("Content-Range"), "bytes */")
	if size, err := strconv.ParseInt(total, 10, 64); ok && err == nil && size >= 0 {
		e.size = size
	}
	return e
}
