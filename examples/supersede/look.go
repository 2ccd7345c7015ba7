package main

import (
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
	environments map[string]bool      // the UUIDs of those whose deployments may be stopped
	deploying    map[string]string    // runs with a deployment to another one, by UUID, and why they are left
	unsorted     bool                 // the service doesn't sort deployments
	asked        map[string]time.Time // when runs were asked to stop, by UUID
	looked       time.Time            // when the last look began that succeeded
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
	// parsingTime is how long a run may be parsed, and slack by how much the service's times of one moment may differ.
	parsingTime, slack = time.Hour, time.Minute
)

// look finds the runs that are superseded. It reads the list of runs that haven't ended; then, because an ended run supersedes too, the
// newest of those that have; then deployments. A run that ends while this goes on is in the second list.
func (r *repository) look(ctx context.Context) (*look, error) {
	l, began := &look{}, time.Now()
	going, also := unfinished, over
	if !r.looked.IsZero() { // Runs stay paused for weeks. All of them are read once.
		last := len(unfinished) - 1
		going, also = unfinished[:last], append(slices.Clone(over), unfinished[last])
	}
	runs, err := r.list(ctx, going, time.Time{})
	if err != nil {
		return nil, err
	}
	l.unfinished = len(runs)
	if back, any := r.undecided(runs); any {
		more, err := r.list(ctx, also, back)
		if err != nil {
			return nil, err
		}
		maps.Copy(runs, more) // they were read later
	}
	l.choices = slices.DeleteFunc(superseded(slices.Collect(maps.Values(runs))), func(c *choice) bool { return !r.rules.concerns(c.run) })
	if err := r.decide(ctx, l.choices); err != nil {
		return nil, err
	}
	l.ended, r.looked = time.Now(), began
	return l, nil
}

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

// undecided reports whether there are runs that an ended one may have superseded, and since when that may have been created: the runs that
// could be stopped and that none of the others supersedes. What an earlier look has seen needn't be read again.
func (r *repository) undecided(runs map[string]*pipelines.Pipeline) (back time.Time, any bool) {
	older := map[string]bool{}
	for _, c := range superseded(slices.Collect(maps.Values(runs))) {
		older[c.run.UUID] = true
	}
	for _, p := range runs {
		j, ok := jobOf(p)
		if !ok || older[p.UUID] || !r.rules.concerns(p) || !goesOn(p.State) || r.rules.refuses(j) != "" {
			continue
		}
		if !any || p.CreatedOn.Before(back) {
			back, any = p.CreatedOn, true
		}
	}
	if since := r.looked.Add(-parsingTime); !r.looked.IsZero() && back.Before(since) {
		back = since
	}
	return back.Add(-slack), any
}

// decide finds the reasons why superseded runs are left alone. What needs no request comes first.
func (r *repository) decide(ctx context.Context, choices []*choice) error {
	var open []*choice
	for _, c := range choices {
		if c.left == "" {
			c.left = r.rules.refuses(c.job)
		}
		if c.left == "" {
			c.left = r.deploying[c.run.UUID]
		}
		if c.left == "" {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return nil
	}
	found, err := r.deployments(ctx, open)
	for _, c := range open {
		if c.left = found.of(c.run); c.left != "" {
			r.deploying[c.run.UUID] = c.left
		}
	}
	return err
}
