package pipelines

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

const waitRequestsPerHour = 120

var waitInterval = poll.Interval{Idle: 30 * time.Second, Max: 30 * time.Second}

// WaitOptions are the options of [PipelinesService.Wait] and [PipelinesService.WaitAll]. Zero fields have their defaults.
type WaitOptions struct {
	ThroughPause    bool // go on waiting while a run waits for a person
	RequestsPerHour int  // on average; up to 60 more in one hour; default 120

	// Tolerate decides whether waiting goes on after a failure that may pass, as in [WatchOptions].
	Tolerate func(err error, failingFor time.Duration) bool
}

// reached reports whether the run is in a state that is waited for.
func (o *WaitOptions) reached(p *Pipeline) bool {
	return p.State.Done() || (p.State.Paused() && !o.ThroughPause)
}

// Wait polls a pipeline until it has ended, or is paused and waits for a person, and returns it. o may be nil. A run that
// failed is not an error: see [PipelineState.Succeeded]. If there is an error, Wait also returns the pipeline as last polled,
// or nil. The end of ctx is an error.
//
// Wait polls soon after a change and less often later, by default with at most 180 requests in any hour, 120 an hour on average. All
// following of a client shares the budget of [WithFollowBudget]. Failures that may pass end it only as o.Tolerate says. A run that
// isn't found is an [ErrNotFound] after ten seconds, because a new run may not be found at first. If a repository that was found
// before isn't found for a minute, the error is an [ErrRepositoryNotFound].
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
//
// Scope: pipeline.
func (s *PipelinesService) Wait(
	ctx context.Context, repo Repo, id string, o *WaitOptions, opts ...CallOption,
) (*Pipeline, error) {
	const method = "Pipelines.Wait"
	if o == nil {
		o = &WaitOptions{}
	}
	if err := checkFollowing(ctx, o.RequestsPerHour); err != nil {
		return nil, fmt.Errorf("pipelines: %s: %w", method, err)
	}
	pace := s.client.following.pace(o.RequestsPerHour, waitRequestsPerHour, Cursor{})
	w := s.client.newRunFollower(ctx, repo, id, o.followOptions(method, opts), pace, ownBoard(opts), func(*Event) error { return nil })
	err := w.follow()
	return w.pipeline, err
}

func (o *WaitOptions) followOptions(method string, opts []CallOption) followOptions {
	return followOptions{
		method: method, withoutSteps: true, interval: waitInterval, tolerate: o.Tolerate, until: o.reached, opts: opts,
	}
}

// WaitError is the error of one of several runs that [PipelinesService.WaitAll] waits for.
type WaitError struct {
	ID  string // as it was given
	Err error
}

func (e *WaitError) Error() string { return "pipeline " + e.ID + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *WaitError) Unwrap() error { return e.Err }

// WaitAll waits for several runs of one repository as [PipelinesService.Wait] does for one, and returns them in the order of
// ids. o may be nil. A run that failed is not an error. If there is an error, WaitAll also returns the runs as last polled:
// nil for one that was never found, and mostly with only some fields, such as UUID, BuildNumber and State.
//
// An error of one run doesn't end the waiting for the others. The error has a [*WaitError] for each run that couldn't be waited for:
// [errors.As] finds the first, and its Unwrap() []error returns all. If credentials are refused, or ctx ends, WaitAll returns at once.
//
// The runs share their requests: a page of the repository's newest runs has the states of all that are on it, so that twenty runs
// take few more requests than one. WaitAll asks for a run by itself if it is not on that page, or few are left. The limits are those of
// Wait, for all the runs together.
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
//
// Scope: pipeline.
func (s *PipelinesService) WaitAll(
	ctx context.Context, repo Repo, ids []string, o *WaitOptions, opts ...CallOption,
) ([]*Pipeline, error) {
	const method = "Pipelines.WaitAll"
	if o == nil {
		o = &WaitOptions{}
	}
	err := checkFollowing(ctx, o.RequestsPerHour)
	for _, id := range ids {
		if err == nil {
			err = opPipelinesGet.at(repo.Workspace, repo.Slug, id).err
		}
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: %s: %w", method, err)
	}
	options := o.followOptions(method, opts)
	options.partial = true
	w := waiter{group: newFollowGroup(ctx)}
	w.prepare(s.client, repo, ids, options, s.client.following.pace(o.RequestsPerHour, waitRequestsPerHour, Cursor{}))
	err = w.wait(ctx, method)
	return w.pipelines(), err
}

// waiter is one WaitAll.
type waiter struct {
	group  *followGroup
	runs   []*runFollower
	failed []error
}

// prepare makes the followers of all runs before the first of them polls, so that they share their first list.
func (w *waiter) prepare(c *Client, repo Repo, ids []string, o followOptions, pace *poll.Pace) {
	own := ownBoard(o.opts)
	if own != nil {
		o.turn = make(chan struct{}, 1)
		o.turn <- struct{}{}
	}
	for _, id := range ids {
		w.runs = append(w.runs, c.newRunFollower(w.group.ctx, repo, id, o, pace, own, func(*Event) error { return nil }))
	}
}

// wait waits for all runs. It returns early where no run can be waited for.
func (w *waiter) wait(ctx context.Context, method string) error {
	defer w.group.close()
	for _, run := range w.runs {
		w.group.start(run)
	}
	for range w.runs {
		select {
		case d := <-w.group.deliveries:
			d.rethrow()
			if d.err != nil && ctx.Err() == nil {
				w.failed = append(w.failed, &WaitError{ID: d.run.id, Err: d.err})
			}
			if isRefusal(d.err) {
				return errors.Join(w.failed...)
			}
		case <-ctx.Done():
		}
		if err := ctxtime.Err(ctx); err != nil {
			return errors.Join(append([]error{fmt.Errorf("pipelines: %s: %w", method, err)}, w.failed...)...)
		}
	}
	return errors.Join(w.failed...)
}

// pipelines returns the runs as last polled.
func (w *waiter) pipelines() []*Pipeline {
	all := make([]*Pipeline, len(w.runs))
	for i, run := range w.runs {
		all[i] = run.pipeline
	}
	return all
}
