package main

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// Limits for what a line keeps.
const (
	maxLine  = 64 << 10 // bytes of text; a longer line is split
	maxStyle = 256      // bytes; more than enough for a colour
)

// line is the current line of a log: its text since the last carriage return, and where colours are set in it. Secrets are masked when it
// is taken, whether or not there are colours within them.
type line struct {
	hidden secrets

	text    []byte
	limit   int // bytes at which it is split
	colours []colour
	size    int    // bytes of colours
	style   []byte // sequences that set the colour at the beginning
	anew    bool   // there was a carriage return: more text replaces the line
}

// colour is an SGR sequence before a byte of the text.
type colour struct {
	at       int
	sequence string
}

func newLine(hidden secrets) *line { return &line{hidden: hidden, limit: maxLine} }

// addText adds a character. It reports whether the line is so long that a part of it is to be taken.
func (l *line) addText(r rune) (full bool) {
	if l.anew {
		l.forget(len(l.text))
	}
	l.text = utf8.AppendRune(l.text, r)
	return len(l.text) >= l.limit
}

// addColour adds the parameters of an SGR sequence, unless there are too many in the line.
func (l *line) addColour(params string) {
	sequence := "\x1b[" + params + "m"
	switch {
	case len(l.text) == 0:
		l.setStyle(sequence)
	case l.size < maxLine:
		l.colours = append(l.colours, colour{len(l.text), sequence})
		l.size += len(sequence)
	}
}

func isReset(sequence string) bool { return strings.Trim(sequence, "\x1b[0m") == "" }

func (l *line) setStyle(sequence string) {
	if isReset(sequence) || len(l.style)+len(sequence) > maxStyle {
		l.style = l.style[:0]
	}
	if !isReset(sequence) {
		l.style = append(l.style, sequence...)
	}
}

// take returns the whole line and begins the next one.
func (l *line) take() string { return l.takeUntil(len(l.text), l.hidden.find(string(l.text))) }

// takePart returns the line without an end that may be the beginning of a secret. If all of it may be, it returns false and lets the line
// grow.
func (l *line) takePart() (string, bool) {
	text := string(l.text)
	found := l.hidden.find(text)
	end := l.hidden.cut(text, found)
	if end == 0 {
		l.limit += maxLine
		return "", false
	}
	return l.takeUntil(end, found), true
}

// takeUntil returns the text before a byte, with the secrets at spans masked. It sets the colour with which it begins and resets the one with which it ends.
func (l *line) takeUntil(end int, spans []redact.Span) string {
	var b []byte
	pos := 0
	write := func(to int) {
		for ; len(spans) > 0 && spans[0].From < to; spans = spans[1:] {
			b = append(append(b, l.text[pos:spans[0].From]...), mask...)
			pos = spans[0].To
		}
		if pos < to {
			b = append(b, l.text[pos:to]...)
			pos = to
		}
	}
	if end > 0 {
		b = append(b, l.style...)
	}
	for _, c := range l.colours {
		if c.at > end {
			break
		}
		write(c.at)
		b = append(b, c.sequence...)
	}
	write(end)
	l.forget(max(pos, end))
	if len(b) > 0 && len(l.style) > 0 {
		b = append(b, cli.ResetColour...)
	}
	return string(b)
}

// forget removes the text before a byte. The colours in it last.
func (l *line) forget(end int) {
	n := 0
	for ; n < len(l.colours) && l.colours[n].at <= end; n++ {
		l.setStyle(l.colours[n].sequence)
		l.size -= len(l.colours[n].sequence)
	}
	l.colours = slices.Delete(l.colours, 0, n)
	for i := range l.colours {
		l.colours[i].at -= end
	}
	l.text = slices.Delete(l.text, 0, end)
	l.limit, l.anew = len(l.text)+maxLine, false
}
