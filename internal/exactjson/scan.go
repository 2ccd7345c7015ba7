package exactjson

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner reads a JSON text. Once it has failed it reads nothing.
type scanner struct {
	data    []byte
	at      int
	depth   int
	failed  bool
	scratch []byte // of text
}

// fail ends the scan.
func (s *scanner) fail() { s.failed, s.at = true, len(s.data) }

// space skips white space.
func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\n', '\r', '\t':
			s.at++
		default:
			return
		}
	}
}

// peek returns the byte at which the next token begins, or 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at == len(s.data) {
		return 0
	}
	return s.data[s.at]
}

// optional skips a byte, and reports whether it is the next one.
func (s *scanner) optional(c byte) bool {
	if s.at == len(s.data) || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) expect(c byte) {
	if s.space(); !s.optional(c) {
		s.fail()
	}
}

// open begins an object or an array.
func (s *scanner) open(begin byte) {
	s.expect(begin)
	if s.depth++; s.depth > maxDepth {
		s.fail()
	}
}

// more reports whether an object or an array, of which n elements were read, has another. If not, more ends it.
func (s *scanner) more(n int, end byte) bool {
	if s.space(); s.optional(end) {
		s.depth--
		return false
	}
	if n > 0 {
		s.expect(',')
	}
	if s.at == len(s.data) {
		s.fail()
	}
	return !s.failed
}

// name reads the name of a member.
func (s *scanner) name() []byte {
	name := s.text()
	s.expect(':')
	return name
}

// text reads a string. The bytes are valid up to the next call.
func (s *scanner) text() []byte {
	s.expect('"')
	start, ascii, escaped := s.at, true, false
	for {
		s.at += ordinary(s.data[s.at:])
		if s.at >= len(s.data) {
			s.fail()
			return nil
		}
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.unquote(start, ascii, escaped)
		case c == '\\':
			escaped = true
			s.at = min(s.at+2, len(s.data))
		case c < ' ':
			s.fail()
			return nil
		default:
			ascii = false
			s.at++
		}
	}
}

// unquote returns the text of the string that begins at start, without its quote, and has just been read.
func (s *scanner) unquote(start int, ascii, escaped bool) []byte {
	text := s.data[start : s.at-1]
	if escaped {
		var err error
		if s.scratch, err = jsontext.AppendUnquote(s.scratch[:0], s.data[start-1:s.at]); err != nil {
			s.fail()
		}
		return s.scratch
	}
	if !ascii && !utf8.Valid(text) {
		s.fail()
	}
	return text
}

// ordinary returns how many bytes at the beginning are ASCII that stands for itself in a string.
func ordinary(data []byte) int {
	const low, high = 0x0101010101010101, 0x8080808080808080 // the lowest and the highest bit of each byte
	n := 0
	for ; len(data)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(data[n:])
		// The subtractions set the high bit of a byte below the subtracted one. A borrow reaches only bytes after such a byte.
		special := (w | (w - low*' ') | ((w ^ low*'"') - low) | ((w ^ low*'\\') - low)) & high
		if special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	for n < len(data) && data[n] >= ' ' && data[n] < utf8.RuneSelf && data[n] != '"' && data[n] != '\\' {
		n++
	}
	return n
}

// literal reads a literal.
func (s *scanner) literal(text string) {
	if len(s.data)-s.at < len(text) || string(s.data[s.at:s.at+len(text)]) != text {
		s.fail()
		return
	}
	s.at += len(text)
}

// number reads a number.
func (s *scanner) number() []byte {
	start := s.at
	s.optional('-')
	if !s.optional('0') {
		s.digits()
	}
	if s.optional('.') {
		s.digits()
	}
	if s.optional('e') || s.optional('E') {
		_ = s.optional('+') || s.optional('-')
		s.digits()
	}
	return s.data[start:s.at]
}

func (s *scanner) digits() {
	start := s.at
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' {
		s.at++
	}
	if s.at == start {
		s.fail()
	}
}

// skip reads any value.
func (s *scanner) skip() {
	switch s.peek() {
	case '{':
		s.open('{')
		for n := 0; s.more(n, '}'); n++ {
			s.name()
			s.skip()
		}
	case '[':
		s.open('[')
		for n := 0; s.more(n, ']'); n++ {
			s.skip()
		}
	case '"':
		s.text()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}
