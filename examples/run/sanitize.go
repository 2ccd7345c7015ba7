package main

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// Limits for what a log can make a sanitizer keep or drop.
const (
	maxLine     = 64 << 10 // bytes; a longer line is split
	maxSequence = 4 << 10  // characters; a longer escape sequence is text
	maxParams   = 64       // bytes of parameters of a control sequence
	maxStyle    = 256      // bytes; more than enough for a colour
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

	masker *masker // between parser and line

	line  []byte
	empty bool   // the line has no text
	anew  bool   // the line ended with a carriage return
	style []byte // current colour sequences
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
	s := &sanitizer{colour: colour, emit: emit, empty: true}
	s.masker = &masker{secrets: hidden, text: s.addText, colour: s.addColour}
	return s
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
	s.masker.flush()
	if !s.empty {
		s.endLine()
	}
	s.state, s.begun, s.style = inText, nil, nil
	s.newLine()
}

// next takes one character. Some end any escape sequence; so does the end of a line, so that an unfinished sequence doesn't swallow the
// following lines.
func (s *sanitizer) next(r rune) {
	switch {
	case r == '\n':
		s.state = inText
		s.masker.flush()
		s.endLine()
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
		s.masker.addColour(params)
	}
}

func (s *sanitizer) text(r rune) {
	switch {
	case r == '\r':
		s.masker.flush()
		s.anew = true
	case r == '\t' || !unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control):
		s.masker.addText(r)
	}
}

// addColour adds an SGR sequence to the line.
func (s *sanitizer) addColour(params string) {
	sequence := "\x1b[" + params + "m"
	reset := strings.Trim(params, "0") == ""
	switch {
	case reset && s.empty:
		s.style, s.line = s.style[:0], s.line[:0]
		return
	case reset:
		s.style = s.style[:0]
	case len(s.style)+len(sequence) > maxStyle:
		s.style = append(s.style[:0], sequence...)
	default:
		s.style = append(s.style, sequence...)
	}
	s.put(sequence)
}

// addText adds a character to the line.
func (s *sanitizer) addText(r rune) {
	if s.anew {
		s.newLine()
	}
	s.empty = false
	s.put(string(r))
}

func (s *sanitizer) put(text string) {
	s.line = append(s.line, text...)
	if len(s.line) >= maxLine {
		s.endLine()
	}
}

func (s *sanitizer) endLine() {
	if len(s.style) > 0 {
		s.line = append(s.line, cli.ResetColour...)
	}
	s.emit(string(s.line))
	s.newLine()
}

func (s *sanitizer) newLine() {
	s.line = append(s.line[:0], s.style...)
	s.empty, s.anew = true, false
}
