package pipelines

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

const waitRequestsPerHour = 120

var waitInterval = poll.Interval{Idle: 30 * time.Second, Max: 30 * time.Second}

// WaitOptions are the options of [PipelinesService.Wait] and [PipelinesService.WaitAll]. Zero fields have their defaults.
type WaitOptions struct {
	ThroughPause    bool // go on waiting while a run waits for a person
	RequestsPerHour int  // on average; up to 60 more in one hour; default 120
}

// reached reports whether the run is in a state that is waited for.
func (o *WaitOptions) reached(p *Pipeline) bool {
	return p != nil && (p.State.Done() || (p.State.Paused() && !o.ThroughPause))
}

// Wait polls a pipeline until it has ended, or is paused and waits for a person, and returns it. o may be nil. A run that
// failed is not an error: see [PipelineState.Succeeded]. If there is an error, Wait also returns the pipeline as last polled,
// or nil. The end of ctx is an error.
//
// Wait polls soon after a change and less often later, by default with at most 180 requests in any hour, 120 an hour on average.
// Five failed polls in a row end it, each of which includes retries, and so does a Retry-After of more than two hours. It waits for
// a used-up quota. A run that isn't found is an [ErrNotFound] after ten seconds, because a new run may not be found at first.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
//
// Scope: pipeline.
func (s *PipelinesService) Wait(
	ctx context.Context, repo Repo, id string, o *WaitOptions, opts ...CallOption,
) (*Pipeline, error) {
	if o == nil {
		o = &WaitOptions{}
	}
	budget, err := newBudget(ctx, o.RequestsPerHour, waitRequestsPerHour)
	if err != nil {
		return nil, fmt.Errorf("pipelines: Pipelines.Wait: %w", err)
	}
	opts = append(slices.Clip(opts), charge(budget))
	var last *Pipeline
	var failures poll.Failures
	interval := waitInterval
	for {
		p, err := s.Get(ctx, repo, id, opts...)
		if ended := tolerate(ctx, &failures, err); ended != nil {
			return last, ended
		}
		if err == nil {
			if o.reached(p) {
				return p, nil
			}
			interval.Update(last == nil || p.State.String() != last.State.String())
			last = p
		}
		if err := budget.Wait(ctx, max(interval.Next(budget), failures.Delay())); err != nil {
			return last, fmt.Errorf("pipelines: Pipelines.Wait: %w", err)
		}
	}
}

// WaitAll waits for several runs of one repository as [PipelinesService.Wait] does for one, and returns them in the order of
// ids. o may be nil. A run that failed is not an error. If there is an error, WaitAll also returns the runs as last polled:
// nil for one that was never found, and mostly with only UUID, BuildNumber and State.
//
// The runs share their requests: a page of the repository's newest runs has the states of all that are on it, so that twenty runs
// take few more requests than one. WaitAll asks for a run by itself if it is not on that page, or is the last one left. The
// limits are those of Wait, for all the runs together.
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
//
// Scope: pipeline.
func (s *PipelinesService) WaitAll(
	ctx context.Context, repo Repo, ids []string, o *WaitOptions, opts ...CallOption,
) ([]*Pipeline, error) {
	if o == nil {
		o = &WaitOptions{}
	}
	budget, err := newBudget(ctx, o.RequestsPerHour, waitRequestsPerHour)
	if err == nil && slices.Contains(ids, "") {
		err = invalidArgument("pipeline ID is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: Pipelines.WaitAll: %w", err)
	}
	w := &waiter{
		service: s, repo: repo, ids: ids, options: o, opts: append(slices.Clip(opts), charge(budget)),
		budget: budget, runs: make([]waitedRun, len(ids)), maxPages: len(ids),
	}
	err = w.wait(ctx)
	return w.pipelines(), err
}

// waiter is one WaitAll.
type waiter struct {
	service *PipelinesService
	repo    Repo
	ids     []string
	options *WaitOptions
	opts    []CallOption // of every request

	budget   *poll.Budget
	runs     []waitedRun // of ids
	maxPages int         // of the newest runs, that a poll reads
}

// waitedRun is a run as last polled.
type waitedRun struct {
	*Pipeline
	complete bool // with all fields, not only polledFields
}

// polledFields are the fields of a run that a poll of the newest runs asks for.
const polledFields = "values.uuid,values.build_number,values.state"

func (w *waiter) wait(ctx context.Context) error {
	var failures poll.Failures
	interval := waitInterval
	for {
		indexes, final := w.toPoll()
		if len(indexes) == 0 {
			return nil
		}
		changed, err := w.poll(ctx, indexes, final)
		if ended := tolerate(ctx, &failures, err); ended != nil {
			return ended
		}
		if err == nil {
			interval.Update(changed)
		}
		delay := failures.Delay()
		if _, final := w.toPoll(); !final {
			delay = max(delay, interval.Next(w.budget))
		}
		if err := w.budget.Wait(ctx, delay); err != nil {
			return fmt.Errorf("pipelines: Pipelines.WaitAll: %w", err)
		}
	}
}

// toPoll returns the indexes of the runs that are waited for. Once there are none, it returns those of the runs to get with all
// fields in a final poll.
func (w *waiter) toPoll() (indexes []int, final bool) {
	var incomplete []int
	for i, run := range w.runs {
		if !w.options.reached(run.Pipeline) {
			indexes = append(indexes, i)
		}
		if !run.complete {
			incomplete = append(incomplete, i)
		}
	}
	if len(indexes) > 0 {
		return indexes, false
	}
	return incomplete, true
}

// poll updates some runs: from the list of the newest runs, and one by one if they aren't on it. If a run isn't found, the others
// are updated all the same.
func (w *waiter) poll(ctx context.Context, indexes []int, final bool) (changed bool, err error) {
	if len(indexes) > 1 {
		if indexes, changed, err = w.pollNewest(ctx, indexes, final); err != nil {
			return changed, err
		}
	}
	var notFound error
	for _, i := range indexes {
		p, err := w.service.Get(ctx, w.repo, w.ids[i], w.opts...)
		switch {
		case isNotFound(err):
			notFound = err
		case err != nil:
			return changed, err
		default:
			changed = w.update(i, waitedRun{p, true}) || changed
		}
	}
	return changed, notFound
}

// pollNewest reads pages of the newest runs while that is cheaper than asking for each run, and returns the indexes that are left.
func (w *waiter) pollNewest(ctx context.Context, indexes []int, final bool) (left []int, changed bool, err error) {
	opts := slices.Clip(w.opts)
	if !final {
		opts = append(opts, WithQuery("fields", polledFields))
	}
	pages, lastUseful := 0, 0
	for page, err := range w.service.List(ctx, w.repo, &ListPipelinesOptions{Sort: SortNewestFirst}, opts...).Pages() {
		if err != nil {
			return indexes, changed, err
		}
		pages++
		for _, p := range page.Values {
			indexes = slices.DeleteFunc(indexes, func(i int) bool {
				if !hasID(p, w.ids[i]) {
					return false
				}
				lastUseful = pages
				changed = w.update(i, waitedRun{p, final}) || changed
				return true
			})
		}
		if len(indexes) <= pages || pages >= w.maxPages {
			break
		}
	}
	w.maxPages = lastUseful + 1 // newer runs push the others to later pages
	return indexes, changed, nil
}

// update stores a run as just polled.
func (w *waiter) update(i int, run waitedRun) (changed bool) {
	before := w.runs[i].Pipeline
	w.runs[i] = run
	return before == nil || before.State.String() != run.State.String()
}

// hasID reports whether id is the pipeline's UUID or build number.
func hasID(p *Pipeline, id string) bool {
	return strings.EqualFold(p.UUID, braced(id)) || strconv.Itoa(p.BuildNumber) == id
}

func (w *waiter) pipelines() []*Pipeline {
	all := make([]*Pipeline, len(w.runs))
	for i, run := range w.runs {
		all[i] = run.Pipeline
	}
	return all
}
