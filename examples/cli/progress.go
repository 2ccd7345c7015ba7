package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Progress tells how far long work has come: on a terminal by a bar on one line, elsewhere by a line now and then.
type Progress struct {
	env   Env
	what  string
	total int

	mu    sync.Mutex
	done  int
	early int // of those, what was done before
	start time.Time
	last  time.Time
}

// linesEach is how often a line is printed where there is no terminal.
const linesEach = 10 * time.Second

// NewProgress begins to tell of work on total things, such as "repositories"; 0: nobody knows how many.
func (e Env) NewProgress(what string, total int) *Progress {
	now := time.Now()
	return &Progress{env: e, what: what, total: total, start: now, last: now}
}

// Resume counts n as done before the work went on; how fast they were says nothing about the rest.
func (p *Progress) Resume(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.early += n
}

// Add counts n more as done.
func (p *Progress) Add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	now := time.Now()
	each := linesEach
	if p.env.Terminal {
		each = 100 * time.Millisecond
	}
	if now.Sub(p.last) < each {
		return
	}
	p.last = now
	if p.env.Terminal {
		fmt.Fprintf(p.env.Stderr, "\r\x1b[K%s", p.line(now))
		return
	}
	fmt.Fprintln(p.env.Stderr, p.line(now))
}

// End wipes the bar away.
func (p *Progress) End() {
	if p.env.Terminal {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
	}
}

func (p *Progress) line(now time.Time) string {
	if p.total <= 0 {
		return fmt.Sprintf("%d %s", p.done, p.what)
	}
	const width = 30
	filled := min(width, width*p.done/p.total)
	line := fmt.Sprintf("[%s%s] %d of %d %s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), p.done, p.total, p.what)
	if fresh := p.done - p.early; fresh > 0 && p.done < p.total {
		left := now.Sub(p.start) * time.Duration(p.total-p.done) / time.Duration(fresh)
		line += ", about " + left.Round(time.Second).String() + " left"
	}
	return line
}
