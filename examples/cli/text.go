package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/dustin/go-humanize"

	"github.com/seed-85ed9bfd/pipelines"
)

// Colours, as parameters of SGR sequences.
const (
	Bold    = "1"
	Dim     = "2"
	Red     = "31"
	Green   = "32"
	Yellow  = "33"
	Blue    = "34"
	Magenta = "35"
	Cyan    = "36"

	ResetColour = "\x1b[0m"
)

// Colours says whether colours are wanted.
type Colours bool

// Paint colours a text if colours are wanted.
func (c Colours) Paint(colour, text string) string {
	if !c || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + ResetColour
}

// StateColour returns the colour of a state or a result.
func StateColour(word string) string {
	switch pipelines.ResultName(word) {
	case pipelines.ResultSuccessful:
		return Green
	case pipelines.ResultFailed, pipelines.ResultError:
		return Red
	case pipelines.ResultStopped, pipelines.ResultExpired:
		return Yellow
	case pipelines.ResultNotRun:
		return Dim
	}
	return Cyan
}

// Clock shows a duration as h:mm:ss, or m:ss below an hour.
func Clock(d time.Duration) string {
	seconds := int(d / time.Second)
	if seconds < 3600 {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// Short shows a duration as people write it: 1h30m, not 1h30m0s.
func Short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Count is a number of things, such as "1 run" and "1,200 runs".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}

// Columns is the width of a text on a terminal, which shows several characters as one: combining ones, and sequences of emoji.
func Columns(text string) int { return ansi.StringWidth(text) }

// Pad pads a text with spaces to a number of columns.
func Pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-Columns(text)))
}

// Fit cuts a text to a number of columns. It keeps escape sequences.
func Fit(text string, columns int) string { return ansi.Truncate(text, max(0, columns), "…") }
