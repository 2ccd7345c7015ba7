package rangereader

import (
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

// part is what a response has of the content, by its status and header.
type part struct {
	body    io.ReadCloser
	partial bool  // the response is a 206
	from    int64 // offset of the body's first byte
	end     int64 // offset after its last byte; -1: unknown
	size    int64 // of the whole content; -1: unknown
	version version
	framed  bool // the body has an end of its own, or is decoded, so that a lost connection shows
	encoded bool // the body was compressed, so that ranges and lengths don't count the bytes that are read
}

var unknownPart = part{end: -1, size: -1}

// readPart reads the header of a response.
func readPart(resp *http.Response) (part, error) {
	p := unknownPart
	p.body, p.version, p.framed = resp.Body, versionOf(resp.Header), framed(resp)
	if resp.StatusCode == http.StatusPartialContent {
		var ok bool
		if p.from, p.end, p.size, ok = parseContentRange(resp.Header.Get("Content-Range")); !ok {
			return p, errors.New("a response 206 without a valid Content-Range")
		}
		p.partial = true
		if !resp.Uncompressed { // else the range counts other bytes
			p.body = readCloser{io.LimitReader(resp.Body, p.end-p.from), resp.Body}
		}
	} else if resp.ContentLength >= 0 {
		p.end, p.size = resp.ContentLength, resp.ContentLength
	}
	encoding := contentEncoding(resp.Header)
	if p.end == 0 || (encoding == "" && !resp.Uncompressed) {
		return p, nil
	}
	return p.decode(encoding)
}

// readCloser is a body that is read in another way than it is closed.
type readCloser struct {
	io.Reader
	io.Closer
}

// framed reports whether the body of a response ends otherwise than with its connection: by its length, by its last chunk, or as
// HTTP/2 does.
func framed(resp *http.Response) bool {
	return !resp.Close || resp.ContentLength >= 0 || slices.Contains(resp.TransferEncoding, "chunked")
}

// parseContentRange parses "bytes 0-99/1234": the offsets of the first byte and after the last one, and the size, which is -1 for
// "*". Of empty content net/http's server sends "bytes 0--1/0".
func parseContentRange(s string) (from, end, size int64, ok bool) {
	s, isBytes := strings.CutPrefix(s, "bytes ")
	span, total, _ := strings.Cut(s, "/")
	first, last, _ := strings.Cut(span, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	size, err3 := int64(-1), error(nil)
	if total != "*" {
		size, err3 = strconv.ParseInt(total, 10, 64)
	}
	if !isBytes || err1 != nil || err2 != nil || err3 != nil || to == math.MaxInt64 {
		return 0, 0, 0, false
	}
	empty := from == 0 && to == -1 && size == 0
	return from, to + 1, size, empty || (from >= 0 && from <= to && (total == "*" || to < size))
}

// version tells content from other content under the same URL.
type version struct{ etag, modified string }

func versionOf(h http.Header) version { return version{h.Get("ETag"), h.Get("Last-Modified")} }

// differs reports whether w is certainly another version than v. A weak ETag counts as a strong one.
func (v version) differs(w version) bool {
	if v.etag != "" {
		return strings.TrimPrefix(v.etag, "W/") != strings.TrimPrefix(w.etag, "W/")
	}
	return v.modified != "" && v.modified != w.modified
}

// strong returns the ETag if it is a strong one, which If-Range requires.
func (v version) strong() string {
	if strings.HasPrefix(v.etag, `"`) && header.ValidValue(v.etag) {
		return v.etag
	}
	return ""
}
