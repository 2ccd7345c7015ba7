package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/dustin/go-humanize"
)

// Progress reports the progress of long work: as a bar on a terminal, elsewhere as a line now and then. It writes only within its methods.
type Progress struct {
	env  Env
	what string
	each time.Duration // between two reports

	mu    sync.Mutex
	bar   *pb.ProgressBar
	last  time.Time
	ended bool
}

const (
	progressText = `{{string . "counts"}}{{if lt .Value .Total}}{{rtime . ", about %s left" "" ""}}{{end}}`
	progressBar  = progressText + `  {{bar . "[" "#" "#" "." "]"}}`
	leastBar     = 10 // columns
)

// NewProgress starts reporting work on total things, such as "repositories"; 0: the total is unknown.
func (e Env) NewProgress(what string, total int) *Progress {
	p := &Progress{env: e, what: what, each: 10 * time.Second, bar: pb.New(total), last: time.Now()}
	if e.Terminal {
		p.each = 100 * time.Millisecond
	}
	p.bar.Set(pb.Static, true) // no goroutine
	p.restart()
	return p
}

// restart begins the estimate of the remaining time.
func (p *Progress) restart() {
	p.bar.Start()
	p.line(progressText, 0)
}

// Resume counts n as done earlier, so that they don't affect the estimate.
func (p *Progress) Resume(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bar.Add(n)
	p.restart()
}

// Add counts n more as done.
func (p *Progress) Add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bar.Add(n)
	now := time.Now()
	if p.ended || now.Sub(p.last) < p.each {
		return
	}
	p.last = now
	if !p.env.Terminal {
		fmt.Fprintln(p.env.Stderr, p.line(progressText, 0))
		return
	}
	columns := p.env.columns() - 1 - len("^C") // some terminals wrap after a character in the last one, and an interrupt may be shown
	line := p.line(progressText, 0)
	if p.bar.Total() > 0 && Columns(line)+2+leastBar <= columns {
		line = p.line(progressBar, columns)
	}
	fmt.Fprint(p.env.Stderr, "\r\x1b[K"+Fit(line, columns))
}

// line renders a template, on a number of columns if it has a bar.
func (p *Progress) line(template string, columns int) string {
	counts := humanize.Comma(p.bar.Current())
	if total := p.bar.Total(); total > 0 {
		counts += " of " + humanize.Comma(total)
	}
	p.bar.Set("counts", counts+" "+p.what).SetTemplateString(template).SetWidth(max(1, columns))
	return strings.Replace(p.bar.String(), ", about 0s left", "", 1)
}

// Hide removes the bar before other output, which may be on the same terminal. The next [Progress.Add] may show it again.
func (p *Progress) Hide() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.env.Terminal && !p.ended {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
	}
}

// End removes the bar for good.
func (p *Progress) End() {
	p.Hide()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

// columns is the width of the terminal on Stderr.
func (e Env) columns() int {
	if e.Columns == nil {
		return 80
	}
	return e.Columns()
}
