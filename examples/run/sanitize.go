package main

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a log can make a sanitizer keep or leave out.
const (
	maxLine     = 64 << 10 // bytes; a longer line comes in pieces
	maxSequence = 4 << 10  // characters; an escape sequence that is longer is taken for text
	maxParams   = 64       // bytes of parameters of a control sequence
	maxStyle    = 256      // bytes; more than anybody needs to set a colour
)

// sanitizer turns a log, which is untrusted input, into lines that are safe to print. Of what a terminal would obey only tabs are
// left and, where colour is wanted, the sequences that set colours (SGR). Everything else goes: other escape sequences with all
// that is in them, control characters, and the characters that reverse the direction of text. Secrets are masked.
//
// The log comes in pieces that may end anywhere, even within a character. A carriage return begins the line anew, as it does on
// a terminal: of a progress bar the last state is what remains. A colour lasts until the log resets it, over lines too, and
// each line is complete in itself: it sets the colour that it begins with and resets the one that it ends with.
type sanitizer struct {
	colour bool
	emit   func(line string)

	state    sanitizerState
	begun    []byte // the beginning of a character, 3 bytes at most
	sequence int    // characters of the current escape sequence so far
	params   []byte // of the current control sequence

	masker *masker // between what is above and what is below

	line  []byte
	empty bool   // the line has no text yet, at most a colour
	anew  bool   // a carriage return was the last thing on the line
	style []byte // the colour sequences that are in force
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

// clean returns a text of the service as one line without anything that a terminal would obey, with single spaces.
func clean(text string, hidden secrets) string {
	line := strings.Join(plainLines(strings.ReplaceAll(text, "\r", "\n"), hidden), " ")
	line = strings.Join(strings.Fields(line), " ")
	return strings.Join(plainLines(line, hidden), "") // once more, for secrets that were broken over two lines
}

// plainLines sanitizes a whole text, without colours.
func plainLines(text string, hidden secrets) []string {
	var lines []string
	s := newSanitizer(false, hidden, func(line string) { lines = append(lines, line) })
	s.write([]byte(text))
	s.flush()
	return lines
}

// write takes the next piece of the log.
func (s *sanitizer) write(p []byte) {
	if len(s.begun) > 0 {
		p = slices.Concat(s.begun, p)
	}
	for utf8.FullRune(p) {
		r, size := utf8.DecodeRune(p) // what is no UTF-8 becomes U+FFFD
		s.next(r)
		p = p[size:]
	}
	s.begun = append(s.begun[:0], p...)
}

// flush ends the log, and with it a line that has no end of its own.
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

// next takes one character. Some of them end whatever escape sequence they are in; the end of a line does so lest an
// unfinished one swallow the lines that follow.
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
		s.introduce(r - '\u0080' + '@') // ESC and that character mean the same
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

// resume goes back to text at a character that can't be part of the escape sequence.
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
	case r < ' ' || r == '\x7f': // a terminal obeys it and goes on with the sequence
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

// introduce takes the character that says what kind of sequence an escape begins.
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

// takeColour takes an SGR sequence. Sequences of other kinds that end in the same letter have other characters before it.
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

// addColour puts an SGR sequence on the line.
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

// addText puts a character on the line.
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
		s.line = append(s.line, resetColour...)
	}
	s.emit(string(s.line))
	s.newLine()
}

func (s *sanitizer) newLine() {
	s.line = append(s.line[:0], s.style...)
	s.empty, s.anew = true, false
}
