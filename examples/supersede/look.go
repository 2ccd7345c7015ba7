package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// repository is one of those that the program works on, and what it remembers of it.
type repository struct {
	client       *pipelines.Client
	repo         pipelines.Repo
	rules        *rules
	environments map[string]bool      // the UUIDs of those whose deployments may be stopped; nil: not known yet
	deploying    map[string]string    // runs with a deployment to another one, by UUID, and why they are left
	unsorted     bool                 // the service doesn't sort deployments
	asked        map[string]time.Time // when runs were asked to stop, by UUID
	failures     map[string]int       // how often that failed and was tried again, by UUID
	looked       time.Time            // when the last look began that succeeded
	behind       bool                 // runs that it found are still to be stopped
}

// look is what a repository looked like.
type look struct {
	ended      time.Time // when all was read
	unfinished int       // runs that haven't ended
	choices    []*choice
}

var (
	unfinished = []pipelines.PipelineStatus{
		pipelines.StatusParsing, pipelines.StatusPending, pipelines.StatusBuilding, pipelines.StatusHalted, pipelines.StatusPaused,
	}
	over = []pipelines.PipelineStatus{pipelines.StatusPassed, pipelines.StatusFailed}
)

const (
	parsingTime = time.Hour   // in which a run is parsed
	slack       = time.Minute // by which the service's times of one moment may differ
)

// look finds the runs that are superseded, and which of them may be stopped. If that takes long, because there are many deployments or
// the service holds requests back, it makes sure that they are still superseded.
func (r *repository) look(ctx context.Context) (*look, error) {
	if r.environments == nil {
		if _, _, err := r.findEnvironments(ctx); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	l, err := r.compare(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.decide(ctx, l.choices); err != nil {
		return nil, err
	}
	if stoppable(l.choices) > 0 && time.Since(began) > fresh {
		again, err := r.compare(ctx)
		if err != nil {
			return nil, err
		}
		l.choices = both(l.choices, again.choices)
	}
	l.ended, r.looked, r.behind = time.Now(), began, stoppable(l.choices) > 0
	return l, nil
}

// both returns the choices for runs that are superseded in an older and a newer comparison. What either leaves is left.
func both(older, newer []*choice) (all []*choice) {
	left := map[string]string{}
	for _, c := range older {
		left[c.run.UUID] = c.left
	}
	for _, c := range newer {
		if why, ok := left[c.run.UUID]; ok {
			c.left = cmp.Or(c.left, why)
			all = append(all, c)
		}
	}
	return all
}

// compare finds the runs that are superseded. It reads the list of runs that haven't ended; then, because an ended run supersedes too, the
// newest of those that have. A run that ends between the two lists is in both. The service serves a hundred runs a page, so 200 that haven't
// ended are two pages, and one more tells whether newer ones have ended.
func (r *repository) compare(ctx context.Context) (*look, error) {
	going, more := unfinished, over
	if !r.whole() { // Runs stay paused for weeks. All of them are read once.
		last := len(unfinished) - 1
		going, more = unfinished[:last], append(slices.Clone(over), unfinished[last])
	}
	runs, err := r.list(ctx, going, time.Time{})
	if err != nil {
		return nil, err
	}
	l := &look{unfinished: len(runs)}
	if open := r.undecided(runs); len(open) > 0 {
		ended, err := r.list(ctx, more, r.back(open))
		if err != nil {
			return nil, err
		}
		maps.Copy(runs, ended) // they were read later
	}
	l.choices = slices.DeleteFunc(superseded(runs), func(c *choice) bool { return !r.rules.concerns(c.run) })
	return l, nil
}

// whole reports whether a look must see all runs, and not only those that are new since the last one.
func (r *repository) whole() bool { return r.looked.IsZero() || r.behind }

// list lists the runs with one of the statuses, the newest first, by UUID. It reads no page after one that ends before the time back.
func (r *repository) list(ctx context.Context, statuses []pipelines.PipelineStatus, back time.Time) (map[string]*pipelines.Pipeline, error) {
	runs := map[string]*pipelines.Pipeline{}
	q := &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst, Status: statuses}
	for page, err := range r.client.Pipelines.List(ctx, r.repo, q).Pages() {
		if err != nil {
			return nil, err
		}
		for _, p := range page.Values {
			runs[p.UUID] = p
		}
		if n := len(page.Values); n > 0 && page.Values[n-1].CreatedOn.Before(back) {
			break
		}
	}
	return runs, nil
}

// undecided returns the runs that could be stopped, and that none of the others supersedes. One that has ended may have.
func (r *repository) undecided(runs map[string]*pipelines.Pipeline) (open []*pipelines.Pipeline) {
	older := map[string]bool{}
	for _, c := range superseded(runs) {
		older[c.run.UUID] = true
	}
	for _, p := range runs {
		j, ok := jobOf(p)
		if ok && !older[p.UUID] && goesOn(p.State) && r.rules.concerns(p) && r.rules.refuses(j) == "" {
			open = append(open, p)
		}
	}
	return open
}

// back is the time since which a newer run of those may have been created. An earlier look has seen those that were there then.
func (r *repository) back(open []*pipelines.Pipeline) time.Time {
	back := oldest(open)
	if since := r.looked.Add(-parsingTime); !r.whole() && back.Before(since) {
		back = since
	}
	return back.Add(-slack)
}

// oldest is when the oldest of some runs was created.
func oldest(runs []*pipelines.Pipeline) time.Time {
	return slices.MinFunc(runs, func(a, b *pipelines.Pipeline) int { return a.CreatedOn.Compare(b.CreatedOn) }).CreatedOn
}

// decide finds the reasons why superseded runs are left alone. What needs no request comes first.
func (r *repository) decide(ctx context.Context, choices []*choice) error {
	var open []*pipelines.Pipeline
	for _, c := range choices {
		c.left = cmp.Or(c.left, r.rules.refuses(c.job), r.deploying[c.run.UUID])
		if _, asked := r.asked[c.run.UUID]; asked && c.left == "" {
			c.left = "it was asked to stop"
		}
		if c.left == "" {
			open = append(open, c.run)
		}
	}
	if len(open) == 0 {
		return nil
	}
	found, err := r.deployments(ctx, oldest(open))
	if err != nil {
		return err
	}
	for _, c := range choices {
		if why := found.of(c.run); c.left == "" && why != "" {
			c.left, r.deploying[c.run.UUID] = why, why
		}
	}
	return nil
}
