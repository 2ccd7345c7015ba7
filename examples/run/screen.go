package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Colours, as parameters of SGR sequences.
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	blue    = "34"
	magenta = "35"
	cyan    = "36"

	resetColour = "\x1b[0m"
)

// eraseLine moves to the beginning of the terminal's line and clears it.
const eraseLine = "\r\x1b[K"

// screen prints lines. On a terminal it keeps a progress line below them.
//
// Errors of writing are ignored: the run continues whether or not anybody can read about it, and the exit status reports its result.
type screen struct {
	out    io.Writer
	width  func() int // columns of the terminal; nil: no terminal
	colour bool
	start  time.Time

	mu       sync.Mutex
	progress []string // texts for the progress line, longest first
	shown    bool     // the progress line is visible
}

func newScreen(env environment) *screen {
	return &screen{out: env.stdout, width: env.width, colour: env.colour, start: time.Now()}
}

// keepProgress redraws the progress line every second, until the returned function removes it.
func (s *screen) keepProgress() (end func()) {
	if s.width == nil {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.print()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
		s.setProgress()
		s.print()
	}
}

// setProgress sets the progress line: the first of these texts that fits, or the beginning of the last one. Without texts it is removed.
func (s *screen) setProgress(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress = texts
}

// print prints whole lines above the progress line, in one write to avoid flicker.
func (s *screen) print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	if s.shown {
		b.WriteString(eraseLine)
	}
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	s.shown = s.width != nil && len(s.progress) > 0
	if s.shown {
		b.WriteString(s.paint(bold, s.progressLine()))
	}
	if b.Len() > 0 {
		_, _ = io.WriteString(s.out, b.String())
	}
}

func (s *screen) progressLine() string {
	columns := s.width() - 1 // a full line scrolls some terminals
	line := ""
	for _, text := range s.progress {
		line = fmt.Sprintf("%5s  %s", s.elapsed(), text)
		if columnsOf(line) <= columns {
			break
		}
	}
	return fit(line, columns)
}

func (s *screen) printf(format string, args ...any) { s.print(fmt.Sprintf(format, args...)) }

// elapsed is the time since the program started, as h:mm:ss without leading zeros.
func (s *screen) elapsed() string { return clock(time.Since(s.start)) }

func clock(d time.Duration) string {
	seconds := int(d / time.Second)
	if seconds < 3600 {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// paint colours a text if colours are wanted.
func (s *screen) paint(colour, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + resetColour
}

// pad pads a text with spaces to a number of columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-columnsOf(text)))
}

// fit cuts a text to a number of columns.
func fit(text string, columns int) string {
	if columnsOf(text) <= columns {
		return text
	}
	for len(text) > 0 && columnsOf(text) >= columns {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text + "…"
}

// columnsOf is the maximum width of a text. East Asian characters and emoji take two columns; counting too many characters as such does no
// harm.
func columnsOf(text string) int {
	columns := 0
	for _, r := range text {
		columns++
		if r >= 0x1100 && (r < 0x2000 || r >= 0x2e80) {
			columns++
		}
	}
	return columns
}
