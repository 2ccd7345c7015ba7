package pipelines

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

const watchRequestsPerHour = 240

// WatchOptions are the options of [PipelinesService.Watch]. Zero fields have their defaults.
type WatchOptions struct {
	RequestsPerHour int          // on average; up to 60 more in one hour; default 240
	Logs            LogSelection // default all
	After           Cursor       // of the last event that was handled: Watch goes on after it

	// Tolerate decides whether Watch goes on after a failure that may pass: a 5xx, a lost connection, a 429, a
	// 401 to a token of a source, or a 404 of a run that was found before. failingFor is how long all polls have failed.
	// By default Watch goes on for half an hour and at least five failures in a row, and waits for a used-up quota for two hours.
	Tolerate func(err error, failingFor time.Duration) bool
}

// Watch polls a pipeline to its end and yields an [Event] for each change of its state or a step's, and for each piece of log.
// Logs of parallel steps are interleaved. o may be nil. An error is yielded once, with a nil event, and ends the range. The end
// of ctx is an error.
//
// The first events report states and logs as they are at the first poll, or what follows o.After. The end of a step comes after the
// last piece of its log, and the end of the pipeline last. A pause comes after everything that happened before it. Watch goes on while
// a pipeline waits for a person, and polls more seldom: break out of the loop to stop.
//
// By default Watch sends at most 300 requests in any hour, 240 an hour on average, however many steps there are and however fast
// their logs grow. All following of a client shares the budget of [WithFollowBudget]. Each byte of a log is transferred once, unless
// the service's storage compresses it.
//
// Failures that may pass end it only as o.Tolerate says. If they last, an [EventProblem] says so. A run that isn't found is an
// [ErrNotFound] after ten seconds, because a new run may not be found at first. If a repository that was found before isn't found for
// a minute, the error is an [ErrRepositoryNotFound]. If a step has run and ended, Watch waits for its log for up to a minute, and
// yields everything else meanwhile.
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log
//
// Scope: pipeline.
func (s *PipelinesService) Watch(
	ctx context.Context, repo Repo, id string, o *WatchOptions, opts ...CallOption,
) iter.Seq2[*Event, error] {
	var options WatchOptions
	if o != nil {
		options = *o
	}
	return func(yield func(*Event, error) bool) {
		w, err := s.watch(ctx, repo, id, options, opts, yield)
		if err == nil {
			err = w.follow()
		}
		if err != nil && !errors.Is(err, errRangeLeft) {
			yield(nil, err)
		}
	}
}

func (s *PipelinesService) watch(
	ctx context.Context, repo Repo, id string, o WatchOptions, opts []CallOption, yield func(*Event, error) bool,
) (*runFollower, error) {
	const method = "Pipelines.Watch"
	err := checkFollowing(ctx, o.RequestsPerHour)
	if err == nil {
		err = o.Logs.check("WatchOptions")
	}
	if err == nil {
		err = o.After.checkFor(repo, id)
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: %s: %w", method, err)
	}
	pace := s.client.following.pace(o.RequestsPerHour, watchRequestsPerHour, o.After)
	return s.client.newRunFollower(ctx, repo, id, followOptions{
		method: method, selection: o.Logs, interval: pipelineInterval, after: o.After, tolerate: o.Tolerate,
		until: func(p *Pipeline) bool { return p.State.Done() }, opts: opts,
	}, pace, ownBoard(opts), func(e *Event) error {
		if !yield(e, nil) {
			return errRangeLeft
		}
		return nil
	}), nil
}
