package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// listed are the fields of a run that are needed: a sixth of the whole.
const listed = "size,next,page,pagelen,values.uuid,values.build_number,values.run_number,values.state,values.created_on,values.completed_on," +
	"values.build_seconds_used,values.target.type,values.target.ref_type,values.target.ref_name,values.target.source,values.target.target_branch"

// settling is how much later than newer runs a run may appear on the list.
const settling = time.Hour

// unended are the statuses of runs that may still change.
var unended = []pipelines.PipelineStatus{
	pipelines.StatusParsing, pipelines.StatusPending, pipelines.StatusBuilding, pipelines.StatusPaused, pipelines.StatusHalted,
}

// listDue reports whether the runs of a repository have to be listed.
func (c *collector) listDue(r *repository) bool {
	return r.Listing.Audit != c.state.Audit || r.Listing.Problem == "" && !r.knows(c.since)
}

// knows reports whether all runs since a time, but for the newest, are known.
func (r *repository) knows(since time.Time) bool {
	return !r.KnownSince.IsZero() && !since.Before(r.KnownSince)
}

// listRuns reads the list of a repository's runs: newest first, up to those that are known. Runs that haven't ended and are older than
// what was read are looked at too.
func (c *collector) listRuns(ctx context.Context, r *repository) error {
	after, err := c.ask(ctx, r, partRuns, r.Listing, func() error {
		floor := c.since
		if r.knows(c.since) && r.KnownUntil.After(floor) {
			floor = r.KnownUntil
		}
		began, seen := time.Now(), map[string]bool{}
		newest, err := c.walk(ctx, r, floor, seen, nil)
		if err == nil {
			err = c.lookAtUnended(ctx, r, seen)
		}
		if err != nil {
			return err
		}
		r.change(func() {
			if !r.knows(c.since) || c.since.After(r.KnownUntil) { // after, because between the two runs may be unknown
				r.KnownSince = c.since
			}
			if newest.After(began) { // perhaps a wrong time: many runs are yet to come before it
				newest = began
			}
			if known := newest.Add(-settling); !newest.IsZero() && known.After(r.KnownUntil) {
				r.KnownUntil = known
			}
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("the runs of %s: %w", r.Name, err)
	}
	r.change(func() { r.Listing = after })
	return nil
}

// walk takes the runs of a list, newest first, down to the page that reaches a time. A run without a time counts as created when the newer
// one before it was, or now.
func (c *collector) walk(
	ctx context.Context, r *repository, floor time.Time, seen map[string]bool, status []pipelines.PipelineStatus,
) (newest time.Time, err error) {
	options := &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst, Status: status}
	var at time.Time
	for page, err := range c.client.Pipelines.List(ctx, r.repo(), options, pipelines.WithQuery("fields", listed)).Pages() {
		if err != nil {
			return newest, err
		}
		for _, p := range page.Values {
			at = cmp.Or(p.CreatedOn, at, p.CompletedOn)
			newest = cmp.Or(newest, at)
			seen[p.UUID] = true
			c.take(r, p, cmp.Or(at, time.Now()))
		}
		if !at.IsZero() && at.Before(floor) {
			return newest, nil
		}
	}
	return newest, nil
}

// take takes a run as the service shows it. What is known of its steps stays, until they are read again because its mark differs.
func (c *collector) take(r *repository, p *pipelines.Pipeline, at time.Time) {
	r.change(func() {
		r.Newest = max(r.Newest, p.BuildNumber)
		known := r.Runs[p.UUID]
		if known == nil {
			if at.Before(c.since) {
				return
			}
			known = &run{Number: p.BuildNumber, Created: at.UTC(), Branch: cli.Clean(cli.RefName(p.Target))}
			r.Runs[p.UUID] = known
		}
		known.State, known.Ended, known.Paused = cli.Clean(p.State.String()), p.State.Done(), p.State.Paused()
		known.Seconds = max(0, p.BuildSecondsUsed)
		known.Mark = fmt.Sprintf("%s %d %d %s", known.State, p.RunNumber, known.Seconds, p.CompletedOn.UTC().Format(time.RFC3339Nano))
	})
}

// lookAtUnended looks at the runs that hadn't ended when they were last seen, and that the list up to known runs didn't show: those of a
// list of unended runs are looked at together, the others have ended meanwhile.
func (c *collector) lookAtUnended(ctx context.Context, r *repository, seen map[string]bool) error {
	unseen, oldest := r.unended(c.since, seen)
	if len(unseen) == 0 {
		return nil
	}
	if _, err := c.walk(ctx, r, oldest, seen, unended); err != nil {
		return err
	}
	unseen, _ = r.unended(c.since, seen)
	for _, uuid := range unseen {
		p, err := c.client.Pipelines.Get(ctx, r.repo(), uuid)
		switch {
		case errors.Is(err, pipelines.ErrNotFound) && !errors.Is(err, pipelines.ErrRepositoryNotFound):
			continue // the service deletes no runs: the next audit looks again
		case err != nil:
			return err
		default:
			c.take(r, p, cmp.Or(p.CreatedOn, time.Now()))
		}
	}
	return nil
}

// unended returns the runs that may have changed since they were last seen, and when the oldest of them was created.
func (r *repository) unended(since time.Time, seen map[string]bool) (uuids []string, oldest time.Time) {
	for uuid, run := range r.Runs {
		if run.Ended || seen[uuid] || run.Created.Before(since) {
			continue
		}
		uuids = append(uuids, uuid)
		if oldest.IsZero() || run.Created.Before(oldest) {
			oldest = run.Created
		}
	}
	slices.Sort(uuids)
	return uuids, oldest
}

// stepsDue returns the jobs that read the steps of runs: of those that are new or have changed, and of those that run.
func (c *collector) stepsDue() []job {
	var jobs []job
	for _, r := range c.state.all() {
		if r.Gone != nil {
			continue
		}
		for _, uuid := range r.newestFirst() {
			run := r.Runs[uuid]
			again := run.Read.Mark != run.Mark || !run.Ended && !run.Paused
			if again && run.Read.Audit != c.state.Audit && !run.Created.Before(c.since) {
				jobs = append(jobs, func(ctx context.Context) error { return c.readSteps(ctx, r, uuid) })
			}
		}
	}
	return jobs
}

func (r *repository) newestFirst() []string {
	uuids := make([]string, 0, len(r.Runs))
	for uuid := range r.Runs {
		uuids = append(uuids, uuid)
	}
	slices.SortFunc(uuids, func(a, b string) int {
		return cmp.Or(r.Runs[b].Created.Compare(r.Runs[a].Created), cmp.Compare(r.Runs[b].Number, r.Runs[a].Number), cmp.Compare(a, b))
	})
	return uuids
}

// readSteps reads the steps of a run.
func (c *collector) readSteps(ctx context.Context, r *repository, uuid string) error {
	run := r.Runs[uuid]
	var steps []step
	after, err := c.ask(ctx, r, partSteps, run.Read, func() error {
		found, err := c.client.Steps.List(ctx, r.repo(), uuid, nil, pipelines.WithQuery("fields", stepFields)).Collect()
		steps = newSteps(found)
		return err
	})
	if err != nil {
		return fmt.Errorf("the steps of build %d of %s: %w", run.Number, r.Name, err)
	}
	r.change(func() {
		run.Read = after
		if after.Problem == "" {
			run.Steps, run.Read.Mark = steps, run.Mark
		}
	})
	return nil
}

const stepFields = "size,next,page,pagelen,values.uuid,values.name,values.build_seconds_used"

func newSteps(found []*pipelines.Step) []step {
	steps := make([]step, 0, len(found))
	for i, s := range found {
		name := cmp.Or(cli.Clean(s.Name), fmt.Sprintf("step %d", i+1))
		steps = append(steps, step{name, max(0, s.BuildSecondsUsed)})
	}
	return steps
}

// total is the build time of the run: the service's sum, or that of its steps where they tell more, such as in a run that hasn't ended.
func (r *run) total() int { return max(r.Seconds, r.inSteps()) }

func (r *run) inSteps() int {
	sum := 0
	for _, s := range r.Steps {
		sum += s.Seconds
	}
	return sum
}
