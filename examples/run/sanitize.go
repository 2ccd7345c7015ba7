package main

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits for what a log can make a sanitizer keep or drop.
const (
	maxSequence = 4 << 10 // characters; a longer escape sequence is text
	maxParams   = 64      // bytes of parameters of a control sequence
)

// sanitizer turns a log, which is untrusted, into lines that are safe to print. Of everything that controls a terminal it keeps only tabs
// and, if colours are wanted, the sequences that set colours (SGR). It removes other escape sequences with their contents, control
// characters, and characters that reverse the direction of text. It masks secrets.
//
// The log may be split anywhere, even within a character. A carriage return restarts the line, as on a terminal, so that the last state of
// a progress bar remains. A colour lasts until the log resets it, also across lines. Each line is complete in itself: it sets the colour
// with which it begins and resets the one with which it ends.
type sanitizer struct {
	colour bool
	emit   func(line string)

	state    sanitizerState
	begun    []byte // an incomplete character, at most 3 bytes
	sequence int    // length of the current escape sequence so far
	params   []byte // of the current control sequence

	line *line
}

type sanitizerState int

const (
	inText       sanitizerState = iota
	inEscape                    // after ESC
	inDesignator                // after ESC and an intermediate character: one more ends it
	inControl                   // after CSI
	inString                    // after OSC, DCS, SOS, PM or APC
)

const escape = '\x1b'

func newSanitizer(colour bool, hidden secrets, emit func(line string)) *sanitizer {
	return &sanitizer{colour: colour, emit: emit, line: newLine(hidden)}
}

// clean returns a text of the service as one line that is safe for a terminal, with single spaces.
func clean(text string, hidden secrets) string {
	line := strings.Join(plainLines(strings.ReplaceAll(text, "\r", "\n"), hidden), " ")
	line = strings.Join(strings.Fields(line), " ")
	return strings.Join(plainLines(line, hidden), "") // again, for secrets that spanned two lines
}

// plainLines sanitizes a whole text, without colours.
func plainLines(text string, hidden secrets) []string {
	var lines []string
	s := newSanitizer(false, hidden, func(line string) { lines = append(lines, line) })
	s.write([]byte(text))
	s.flush()
	return lines
}

// write takes the next part of the log.
func (s *sanitizer) write(p []byte) {
	if len(s.begun) > 0 {
		p = slices.Concat(s.begun, p)
	}
	for utf8.FullRune(p) {
		r, size := utf8.DecodeRune(p) // invalid UTF-8 becomes U+FFFD
		s.next(r)
		p = p[size:]
	}
	s.begun = append(s.begun[:0], p...)
}

// flush ends the log and an unfinished line.
func (s *sanitizer) flush() {
	for range s.begun {
		s.next(utf8.RuneError)
	}
	if len(s.line.text) > 0 {
		s.emit(s.line.take())
	}
	s.state, s.begun, s.line = inText, nil, newLine(s.line.hidden)
}

// next takes one character. Some end any escape sequence; so does the end of a line, so that an unfinished sequence doesn't swallow the
// following lines.
func (s *sanitizer) next(r rune) {
	switch {
	case r == '\n':
		s.state = inText
		s.emit(s.line.take())
	case r == escape:
		s.begin(inEscape)
	case r == '\x18' || r == '\x1a' || r == '\u009c': // CAN, SUB, ST
		s.state = inText
	case r >= '\u0080' && r <= '\u009f':
		s.introduce(r - '\u0080' + '@') // equivalent to ESC and that character
	case s.state == inText:
		s.text(r)
	case s.sequence == maxSequence:
		s.resume(r)
	default:
		s.sequence++
		s.inSequence(r)
	}
}

func (s *sanitizer) begin(state sanitizerState) {
	s.state, s.sequence, s.params = state, 0, s.params[:0]
}

// resume returns to text at a character that can't be part of the escape sequence.
func (s *sanitizer) resume(r rune) {
	s.state = inText
	s.text(r)
}

func (s *sanitizer) inSequence(r rune) {
	if s.state == inString {
		if r == '\a' {
			s.state = inText
		}
		return
	}
	switch {
	case r < ' ' || r == '\x7f': // a terminal executes it and continues the sequence
	case r > '~':
		s.resume(r)
	case s.state == inControl:
		s.inControl(byte(r))
	case r < '0':
		s.state = inDesignator
	case s.state == inEscape:
		s.introduce(r)
	default:
		s.state = inText
	}
}

// introduce takes the character that determines the kind of escape sequence.
func (s *sanitizer) introduce(r rune) {
	switch r {
	case '[':
		s.begin(inControl)
	case ']', 'P', 'X', '^', '_':
		s.begin(inString)
	default:
		s.state = inText
	}
}

func (s *sanitizer) inControl(c byte) {
	switch {
	case c >= '@':
		s.state = inText
		if c == 'm' {
			s.takeColour()
		}
	case len(s.params) <= maxParams:
		s.params = append(s.params, c)
	}
}

// takeColour takes an SGR sequence. Other kinds that end in the same letter have other characters before it.
func (s *sanitizer) takeColour() {
	if !s.colour {
		return
	}
	if params, ok := visibleSGR(string(s.params)); ok {
		s.line.addColour(params)
	}
}

func (s *sanitizer) text(r rune) {
	switch {
	case r == '\r':
		s.line.anew = true
	case r == '\t' || !unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control):
		s.add(r)
	}
}

func (s *sanitizer) add(r rune) {
	if !s.line.addText(r) {
		return
	}
	if part, ok := s.line.takePart(); ok {
		s.emit(part)
	}
}
