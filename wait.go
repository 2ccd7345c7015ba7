package pipelines

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const waitRequestsPerHour = 120

var waitRhythm = rhythm{quiet: 30 * time.Second, slowest: 30 * time.Second, stretch: stretchState}

// WaitOptions are the options of [PipelinesService.Wait] and [PipelinesService.WaitAll]. Zero fields have their defaults.
type WaitOptions struct {
	ThroughPause    bool // go on waiting while a run waits for a person
	RequestsPerHour int  // at most, and 60 more in the first hour; default 120
}

// settled holds for a run that isn't waited for any more.
func (o *WaitOptions) settled(p *Pipeline) bool {
	return p != nil && (p.State.Done() || (p.State.Paused() && !o.ThroughPause))
}

// Wait polls a pipeline until it has ended, or is paused and waits for a person, and returns it. o may be nil. A run that
// failed is not an error: see [PipelineState.Succeeded]. If there is an error, Wait also returns the pipeline as last seen, or
// nil. The end of ctx is an error.
//
// Wait polls soon after a change and less often later, by default at most 180 times in the first hour and 120 times in each
// further one. Five failed polls in a row end it, each of which includes retries; it waits for a used-up quota. A run that isn't
// found is an [ErrNotFound] after ten seconds, because a new run may not be found at first.
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
	b, err := newBudget(ctx, o.RequestsPerHour, waitRequestsPerHour)
	if err != nil {
		return nil, fmt.Errorf("pipelines: Pipelines.Wait: %w", err)
	}
	opts = append(opts[:len(opts):len(opts)], b.charge())
	var last *Pipeline
	var failures failureCount
	rhythm := waitRhythm
	for {
		p, err := s.Get(ctx, repo, id, opts...)
		if ended := failures.tolerate(ctx, err); ended != nil {
			return last, ended
		}
		if err == nil {
			if o.settled(p) {
				return p, nil
			}
			rhythm.beat(last == nil || p.State.String() != last.State.String())
			last = p
		}
		if err := b.pause(ctx, max(rhythm.interval(b), failures.delay)); err != nil {
			return last, fmt.Errorf("pipelines: Pipelines.Wait: %w", err)
		}
	}
}

// WaitAll waits for several runs of one repository as [PipelinesService.Wait] does for one, and returns them in the order of
// ids. o may be nil. A run that failed is not an error. If there is an error, WaitAll also returns the runs as last seen: nil
// for one that never was, and mostly with only UUID, BuildNumber and State.
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
	b, err := newBudget(ctx, o.RequestsPerHour, waitRequestsPerHour)
	if err == nil && slices.Contains(ids, "") {
		err = invalidArgument("a pipeline's ID is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: Pipelines.WaitAll: %w", err)
	}
	w := &waiter{service: s, repo: repo, ids: ids, options: o, budget: b, opts: append(opts[:len(opts):len(opts)], b.charge()), runs: make([]awaited, len(ids)), reach: len(ids)}
	err = w.wait(ctx)
	return w.pipelines(), err
}

// waiter is one WaitAll.
type waiter struct {
	service *PipelinesService
	repo    Repo
	ids     []string
	options *WaitOptions
	budget  *budget
	opts    []CallOption // of every request
	runs    []awaited    // of ids
	reach   int          // how many pages of the newest runs are worth reading
}

// awaited is a run as last seen.
type awaited struct {
	*Pipeline
	whole bool // and not only what a poll asks for
}

// polledFields are what a poll needs to know of a run.
const polledFields = "values.uuid,values.build_number,values.state"

func (w *waiter) wait(ctx context.Context) error {
	var failures failureCount
	rhythm := waitRhythm
	for {
		places, whole := w.wanted()
		if len(places) == 0 {
			return nil
		}
		changed, err := w.look(ctx, places, whole)
		if ended := failures.tolerate(ctx, err); ended != nil {
			return ended
		}
		if err == nil {
			rhythm.beat(changed)
		}
		delay := failures.delay
		if _, settled := w.wanted(); !settled {
			delay = max(delay, rhythm.interval(w.budget))
		}
		if err := w.budget.pause(ctx, delay); err != nil {
			return fmt.Errorf("pipelines: Pipelines.WaitAll: %w", err)
		}
	}
}

// wanted returns the places of the runs to look at: those that are waited for, then those of which only the state is known.
func (w *waiter) wanted() (places []int, whole bool) {
	var partial []int
	for i, run := range w.runs {
		if !w.options.settled(run.Pipeline) {
			places = append(places, i)
		}
		if !run.whole {
			partial = append(partial, i)
		}
	}
	if len(places) > 0 {
		return places, false
	}
	return partial, true
}

// look brings the runs at some places up to date: from the repository's newest, and one by one where they are not among those. A
// run that isn't found keeps the others from nothing.
func (w *waiter) look(ctx context.Context, places []int, whole bool) (changed bool, err error) {
	if len(places) > 1 {
		if places, changed, err = w.lookAtNewest(ctx, places, whole); err != nil {
			return changed, err
		}
	}
	var notFound error
	for _, i := range places {
		p, err := w.service.Get(ctx, w.repo, w.ids[i], w.opts...)
		switch {
		case missing(err):
			notFound = err
		case err != nil:
			return changed, err
		default:
			changed = w.see(i, awaited{p, true}) || changed
		}
	}
	return changed, notFound
}

// lookAtNewest reads pages of the newest runs while that is cheaper than asking for each, and returns the places that are left.
func (w *waiter) lookAtNewest(ctx context.Context, places []int, whole bool) (left []int, changed bool, err error) {
	opts := w.opts[:len(w.opts):len(w.opts)]
	if !whole {
		opts = append(opts, WithQuery("fields", polledFields))
	}
	read, useful := 0, 0 // pages
	for page, err := range w.service.List(ctx, w.repo, &ListPipelinesOptions{Sort: SortNewestFirst}, opts...).Pages() {
		if err != nil {
			return places, changed, err
		}
		read++
		for _, p := range page.Values {
			places = slices.DeleteFunc(places, func(i int) bool {
				if !named(p, w.ids[i]) {
					return false
				}
				useful = read
				changed = w.see(i, awaited{p, whole}) || changed
				return true
			})
		}
		if len(places) <= read || read >= w.reach {
			break
		}
	}
	w.reach = useful + 1 // newer runs push the others on
	return places, changed, nil
}

// see notes a run as it is now.
func (w *waiter) see(i int, run awaited) (changed bool) {
	before := w.runs[i].Pipeline
	w.runs[i] = run
	return before == nil || before.State.String() != run.State.String()
}

// named reports whether id is the pipeline's: its UUID, or its build number.
func named(p *Pipeline, id string) bool {
	return strings.EqualFold(p.UUID, braced(id)) || strconv.Itoa(p.BuildNumber) == id
}

func (w *waiter) pipelines() []*Pipeline {
	all := make([]*Pipeline, len(w.runs))
	for i, run := range w.runs {
		all[i] = run.Pipeline
	}
	return all
}
