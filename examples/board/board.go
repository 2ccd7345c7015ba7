package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// board finds the runs of its repositories by reading lists, follows those that haven't ended, and shows all. What it tells it remembers.
type board struct {
	client   *pipelines.Client
	follower *pipelines.Follower
	screen   *screen
	stdin    io.Reader
	options  *options

	mu       sync.Mutex
	repos    []*repository
	byRepo   map[pipelines.Repo]*repository
	memories *memories
	greeted  bool // all lists were read once
}

// repository is one on the board.
type repository struct {
	repo     pipelines.Repo
	memory   *memory                        // nil: its list was never read
	runs     map[string]*pipelines.Pipeline // to show, by UUID
	branches map[string]*pipelines.Pipeline // the newest run of each
	newest   time.Time                      // when the newest run was created
	looked   time.Time                      // when its list was last requested
	problem  *problem
}

// problem is why a repository can't be read or a run can't be followed.
type problem struct {
	text  string
	since time.Time
	told  bool
}

// problemGrace is how long a problem lasts before a line tells it.
const problemGrace = time.Minute

func newBoard(client *pipelines.Client, repos []pipelines.Repo, memories *memories, o *options, env cli.Env) (*board, error) {
	follower, err := client.NewFollower(&pipelines.FollowerOptions{WithoutSteps: o.tail == 0, Logs: pipelines.LogsTail(o.tail)})
	if err != nil {
		return nil, err
	}
	b := &board{
		client: client, follower: follower, options: o, memories: memories, byRepo: map[pipelines.Repo]*repository{},
		screen: &screen{out: env.Stdout, size: env.Size, colours: env.Colours}, stdin: env.Stdin,
	}
	for _, repo := range repos {
		r := &repository{
			repo: repo, memory: memories.all[repo], runs: map[string]*pipelines.Pipeline{}, branches: map[string]*pipelines.Pipeline{},
		}
		b.repos = append(b.repos, r)
		b.byRepo[repo] = r
	}
	return b, nil
}

// run shows the board until ctx ends, or something fails for good.
func (b *board) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel(nil)
	others.Go(func() { cancel(b.sweep(ctx)) })
	others.Go(func() { cancel(b.tick(ctx)) })
	if b.screen.size != nil {
		go b.wakeOnEnter()
	}
	for e, err := range b.follower.Events(ctx) {
		if err == nil {
			err = b.handle(e)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tick looks now and then at what following has seen. On a terminal, where it keeps durations up to date, that is every second.
func (b *board) tick(ctx context.Context) error {
	each := 5 * time.Second
	if b.screen.size != nil {
		each = time.Second
	}
	for {
		if err := cli.Pause(ctx, each); err != nil {
			return err
		}
		if err := b.takeLatest(); err != nil {
			return err
		}
	}
}

// takeLatest takes newer runs of the branches on the board, which following often sees before a list is read for them.
func (b *board) takeLatest() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.repos {
		for branch := range r.branches {
			p, _ := b.follower.Latest(r.repo, branch)
			if p == nil || r.memory == nil || !r.memory.isNews(p) {
				continue
			}
			if err := b.find(r, p); err != nil {
				return err
			}
		}
	}
	return b.done()
}

// take takes a list of a repository's newest runs.
func (b *board) take(r *repository, runs []*pipelines.Pipeline) error {
	if r.memory == nil {
		r.memory = newMemory(runs)
		b.memories.all[r.repo] = r.memory
	}
	b.solved(r)
	for _, p := range slices.Backward(runs) { // in the order of their starts
		if err := b.find(r, p); err != nil {
			return err
		}
	}
	r.memory.settle(time.Now())
	return b.done()
}

// find takes a run as a list shows it: it may be new, or have ended.
func (b *board) find(r *repository, p *pipelines.Pipeline) error {
	r.show(p)
	if r.memory.isNews(p) {
		r.memory.add(p)
	}
	t := r.memory.Runs[p.UUID]
	switch {
	case t == nil || t.Ended:
		return nil
	case p.State.Done() && (b.options.tail == 0 || p.State.Succeeded()):
		b.follower.Remove(r.repo, p.UUID)
		b.tellEnd(r, p, t)
		return nil
	}
	return b.follower.Add(r.repo, p.UUID, t.Cursor) // which does nothing for a run that is followed
}

// handle takes an event of a run that is followed.
func (b *board) handle(e *pipelines.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.byRepo[e.Repo]
	if e.Kind == pipelines.EventProblem {
		return b.fails(r, e.FailingSince, e.Err)
	}
	t := r.memory.Runs[e.PipelineUUID]
	if t == nil || t.Ended { // a list was faster
		return nil
	}
	b.solved(r)
	t.Cursor = e.Cursor
	if e.Kind == pipelines.EventPipeline {
		r.show(e.Pipeline)
		b.tellState(r, e.Pipeline, t)
	}
	if e.Kind == pipelines.EventLog {
		b.tellTail(r, e, t)
	}
	return b.done()
}

// tellState tells the state of a run that is followed.
func (b *board) tellState(r *repository, p *pipelines.Pipeline, t *told) {
	switch {
	case p.State.Done():
		b.tellEnd(r, p, t)
	case p.State.Paused():
		b.screen.say(describe(r.repo, p)+" waits for a person: "+p.WebURL(r.repo), cli.Yellow)
	case b.screen.size == nil:
		b.screen.say(describe(r.repo, p)+" is "+cmp.Or(p.State.String(), "in an unknown state"), "")
	}
}

func (b *board) tellEnd(r *repository, p *pipelines.Pipeline, t *told) {
	t.Ended, t.Cursor = true, pipelines.Cursor{}
	word := p.State.String()
	b.screen.say(fmt.Sprintf("%s: %s after %s: %s", describe(r.repo, p), word, cli.Clock(duration(p, time.Now())), p.WebURL(r.repo)), cli.StateColour(word))
}

// tellTail tells the end of a failed step's log.
func (b *board) tellTail(r *repository, e *pipelines.Event, t *told) {
	b.screen.say(fmt.Sprintf("build %d of %s: step %s has failed; its last lines:", t.BuildNumber, r.repo, e.Step.Name), "")
	b.screen.sayLog(e.Log)
}

// fails notes a problem of a repository. It is on the board at once, and told by a line if it lasts.
func (b *board) fails(r *repository, since time.Time, err error) error {
	if r.problem == nil {
		if since.IsZero() {
			since = time.Now()
		}
		r.problem = &problem{since: since}
	}
	p := r.problem
	p.text = reason(err)
	if !p.told && time.Since(p.since) >= problemGrace {
		p.told = true
		b.screen.say(fmt.Sprintf("%s can't be read since %s: %s", r.repo, p.since.Local().Format(time.TimeOnly), p.text), cli.Yellow)
	}
	return b.done()
}

// solved forgets the problem of a repository.
func (b *board) solved(r *repository) {
	if p := r.problem; p != nil && p.told {
		b.screen.say(fmt.Sprintf("%s can be read again", r.repo), "")
	}
	r.problem = nil
}

// request is what an error of the SDK begins with.
var request = regexp.MustCompile(`^[A-Z]+ /\S*: `)

// reason is what an error says, in few words. They are the same for all repositories, which have other paths and connections.
func reason(err error) string {
	var apiErr *pipelines.APIError
	var opErr *net.OpError
	switch {
	case errors.Is(err, pipelines.ErrNotFound):
		return "not found"
	case errors.As(err, &apiErr):
		return fmt.Sprintf("%d %s", apiErr.StatusCode, http.StatusText(apiErr.StatusCode))
	case errors.As(err, &opErr):
		return "no connection: " + opErr.Err.Error()
	}
	return request.ReplaceAllString(cli.Message(err), "")
}

// done prints what was told, stores that it was, and redraws the table. If the program is killed between the two, a line comes twice,
// but none is lost.
func (b *board) done() error {
	if !b.greeted && !slices.ContainsFunc(b.repos, func(r *repository) bool { return r.looked.IsZero() }) {
		b.greeted = true
		if b.screen.size == nil {
			b.screen.say(b.summary(), "")
		}
	}
	if err := b.redraw(); err != nil {
		return err
	}
	return b.memories.store()
}

func (b *board) redraw() error { return b.screen.flush(b.table) }

// wakeOnEnter has all runs looked at when Enter is pressed.
func (b *board) wakeOnEnter() {
	for keys := bufio.NewScanner(b.stdin); keys.Scan(); {
		b.screen.moved()
		b.wake()
	}
}

func (b *board) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.repos {
		if r.memory == nil {
			continue
		}
		for uuid, t := range r.memory.Runs {
			if !t.Ended {
				b.follower.Wake(r.repo, uuid)
			}
		}
	}
}
