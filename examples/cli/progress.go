package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Progress reports the progress of long work: as a bar on a terminal, elsewhere as a line now and then.
type Progress struct {
	env   Env
	what  string
	total int

	mu    sync.Mutex
	done  int
	early int // of done, before the start
	start time.Time
	last  time.Time
}

// linesEach is the interval of lines without a terminal.
const linesEach = 10 * time.Second

// NewProgress starts reporting work on total things, such as "repositories"; 0: the total is unknown.
func (e Env) NewProgress(what string, total int) *Progress {
	now := time.Now()
	return &Progress{env: e, what: what, total: total, start: now, last: now}
}

// Resume counts n as done earlier, so that they don't affect the estimate.
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

// End removes the bar.
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
