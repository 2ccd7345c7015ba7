package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// eraseLine moves to the beginning of the terminal's line and clears it.
const eraseLine = "\r\x1b[K"

// screen prints lines. On a terminal it keeps a progress line below them.
//
// Errors of writing are ignored: the run continues whether or not anybody can read about it, and the exit status reports its result.
type screen struct {
	out    io.Writer
	size   func() (columns, rows int) // of the terminal; nil: no terminal
	colour cli.Colours
	start  time.Time

	mu       sync.Mutex
	progress []string // texts for the progress line, longest first
	shown    bool     // the progress line is visible
}

func newScreen(env cli.Env) *screen {
	return &screen{out: env.Stdout, size: env.Size, colour: env.Colours, start: time.Now()}
}

// keepProgress redraws the progress line every second, until the returned function removes it.
func (s *screen) keepProgress() (end func()) {
	if s.size == nil {
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
	s.shown = s.size != nil && len(s.progress) > 0
	if s.shown {
		b.WriteString(s.colour.Paint(cli.Bold, s.progressLine()))
	}
	if b.Len() > 0 {
		_, _ = io.WriteString(s.out, b.String())
	}
}

func (s *screen) progressLine() string {
	columns, _ := s.size()
	columns-- // a full line scrolls some terminals
	line := ""
	for _, text := range s.progress {
		line = fmt.Sprintf("%5s  %s", s.elapsed(), text)
		if cli.Columns(line) <= columns {
			break
		}
	}
	return cli.Fit(line, columns)
}

func (s *screen) printf(format string, args ...any) { s.print(fmt.Sprintf(format, args...)) }

// elapsed is the time since the program started, as h:mm:ss without leading zeros.
func (s *screen) elapsed() string { return cli.Clock(time.Since(s.start)) }
