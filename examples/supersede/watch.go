package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const (
	defaultQuota = 1000            // requests an hour
	leastQuota   = 100             // with less there is nothing to watch with
	shortest     = 5 * time.Second // between two looks at one repository
	slowest      = 4               // times later than usual a repository is looked at after visits that failed
	stopTime     = time.Minute     // in which a run that was asked to stop does
)

// limited returns an environment in which a watch stays within its quota.
func (o *options) limited(env cli.Env) cli.Env {
	if !o.watch {
		return env
	}
	return env.With(pipelines.WithLimiter(newLimiter(o.quota, func(line string) { say(env, line) })))
}

// limiter keeps within a quota in every hour: half of it may be used at once, and comes back within an hour. It says when that is used up.
type limiter struct {
	*rate.Limiter

	say    func(line string)
	mu     sync.Mutex
	usedUp bool
}

func newLimiter(quota int, say func(line string)) *limiter {
	burst := quota / 2
	return &limiter{Limiter: rate.NewLimiter(rate.Limit(float64(quota-burst)/time.Hour.Seconds()), burst), say: say}
}

// errNotSent is the error of a request that was interrupted before it was sent.
var errNotSent = errors.New("it wasn't sent")

// Wait implements [pipelines.Limiter].
func (l *limiter) Wait(ctx context.Context) error {
	l.tell()
	if err := l.Limiter.Wait(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	return nil
}

// tell says once that the quota is used up, until a good part of it is back.
func (l *limiter) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.Tokens()
	if left < 1 && !l.usedUp {
		pause := time.Duration(float64(time.Second) / float64(l.Limit())).Round(time.Second)
		l.say(fmt.Sprintf("the quota is used up: until it recovers, a request is sent every %s, and runs are stopped late", cli.Short(pause)))
	}
	l.usedUp = left < 1 || l.usedUp && left < float64(l.Burst())/4
}

// say prints a line with the time.
func say(env cli.Env, line string) {
	fmt.Fprintf(env.Stdout, "%s %s\n", time.Now().Local().Format(time.DateTime), cli.Clean(line))
}

// watch looks at repositories again and again, and stops what is superseded.
type watch struct {
	repos []*watched
	every time.Duration         // from one look at a repository to the next
	wake  <-chan pipelines.Repo // the repositories where something has happened, such as an event tells it; nil or closed: it only polls
	say   func(line string)
}

// watched is a repository and what was said of it.
type watched struct {
	*repository

	visited time.Time       // when it was last looked at, in vain or not
	due     time.Time       // when it is looked at next
	failed  int             // how many of the last visits have failed, or couldn't stop a run
	failing bool            // the last look failed
	told    map[string]bool // what was said of runs
}

// newWatch makes a watch that uses a quarter of its quota for looking. A look where nothing is superseded is two requests.
func newWatch(repos []*repository, quota int, wake <-chan pipelines.Repo, say func(line string)) *watch {
	w := &watch{every: max(time.Hour/time.Duration(quota)*time.Duration(8*len(repos)), shortest), wake: wake, say: say}
	for _, r := range repos {
		w.repos = append(w.repos, &watched{repository: r, told: map[string]bool{}})
	}
	return w
}

// run watches until the context ends, or the credentials are refused.
func (w *watch) run(ctx context.Context) error {
	for {
		r := slices.MinFunc(w.repos, func(a, b *watched) int { return a.due.Compare(b.due) })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case repo, more := <-w.wake:
			if !more {
				w.wake = nil
				continue
			}
			w.woken(repo)
		case <-time.After(time.Until(r.due)):
			if err := w.visit(ctx, r); err != nil {
				return err
			}
		}
	}
}

// woken makes a repository due, but not too soon after the last look.
func (w *watch) woken(repo pipelines.Repo) {
	for _, r := range w.repos {
		if r.repo == repo {
			r.due = r.visited.Add(shortest)
		}
	}
}

// visit looks at a repository, stops what is superseded, and says what has not been said before. A failure may be one of the moment, or of
// this repository: it ends the watch only if the repository couldn't be read to begin with, or the credentials are refused.
func (w *watch) visit(ctx context.Context, r *watched) error {
	l, err := r.look(ctx)
	ends := errors.Is(err, pipelines.ErrUnauthorized) || r.looked.IsZero() && (refused(err) || errors.Is(err, pipelines.ErrNotFound))
	if err == nil {
		l, err = r.stopAll(ctx, l, func(done result) { w.tellResult(r, done) })
		ends = refused(err)
	}
	w.schedule(r, err == nil && !r.behind)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case ends:
		return fmt.Errorf("%s: %w", r.repo, err)
	case err != nil && !r.failing:
		w.say(fmt.Sprintf("%s can't be watched: %s; the watch goes on", r.repo, cli.Message(err)))
	case err == nil && r.failing:
		w.say(fmt.Sprintf("%s can be watched again", r.repo))
	}
	r.failing = err != nil
	if l != nil {
		w.tellLeft(r, l)
	}
	return nil
}

// schedule says when a repository that was just looked at is looked at next: later after visits that failed, which take more requests.
func (w *watch) schedule(r *watched, ok bool) {
	r.failed = min(r.failed+1, slowest)
	if ok {
		r.failed = 0
	}
	r.visited = time.Now()
	r.due = r.visited.Add(time.Duration(max(r.failed, 1)) * w.every)
}

// tellResult says what became of a run. That it can't be stopped is said once, even if the service has other words each time.
func (w *watch) tellResult(r *watched, done result) {
	subject := done.String()
	if done.err != nil {
		subject = "failure"
	}
	w.tell(r, done.choice, subject, done.String())
}

// tellLeft says which superseded runs are left, and why.
func (w *watch) tellLeft(r *watched, l *look) {
	for _, c := range l.choices {
		asked, wasAsked := r.asked[c.run.UUID]
		switch {
		case c.left != "" && !wasAsked:
			w.tell(r, c, c.left, c.verdict(""))
		case wasAsked && time.Since(asked) > stopTime:
			w.tell(r, c, "asked", "it was asked to stop, but is still "+c.run.State.String())
		}
	}
}

// tell says something of a run, unless the same subject was told before.
func (w *watch) tell(r *watched, c *choice, subject, what string) {
	if id := c.run.UUID + subject; !r.told[id] {
		r.told[id] = true
		w.say(fmt.Sprintf("%s: build %d of %s (%s), superseded by build %d: %s", r.repo, c.run.BuildNumber, c.of(), c.pipeline(), c.newer.BuildNumber, what))
	}
}

// watchRepositories watches until the context ends, or something fails for good.
func (w *work) watchRepositories(ctx context.Context) int {
	say := func(line string) { say(w.env, line) }
	watch := newWatch(w.repos, w.options.quota, nil, say)
	say(fmt.Sprintf("watching %s, each about every %s, with at most %s an hour",
		cli.Count(len(w.repos), "repository", "repositories"), watch.every.Round(time.Second), cli.Count(w.options.quota, "request", "requests")))
	err := watch.run(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) { // only the demo has one
		fmt.Fprintln(w.env.Stderr, "The demo is over.")
		return cli.Success
	}
	if ctx.Err() != nil {
		fmt.Fprintln(w.env.Stderr, program+": interrupted")
		return cli.Interrupted
	}
	return w.env.Fail(ctx, program, err)
}
