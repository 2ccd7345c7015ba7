package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// FollowOptions vary [StepsService.FollowLog]. Zero fields have their defaults.
type FollowOptions struct {
	Offset          int64 // bytes to leave out at the beginning
	RequestsPerHour int   // in the long run: the first hour has 60 more; default 240
}

// FollowLog reads the log of a step as it grows, until the step is done and its log read to the end. It may begin before the
// step does. A step that does not exist, or that has ended without a log, is an [ErrNotFound].
//
// Each byte is transferred once, and each poll is one request: for the log while it grows, for the step's state where it
// doesn't. The reader is bound to ctx and has to be closed; Close may be called while another goroutine reads. A step that
// waits for a person is waited for as long as ctx lasts.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}
//
// Scope: pipeline.
func (s *StepsService) FollowLog(ctx context.Context, repo Repo, pipelineID, stepID string, o *FollowOptions) (io.ReadCloser, error) {
	if o == nil {
		o = &FollowOptions{}
	}
	b, err := newBudget(ctx, o.RequestsPerHour, watchRequestsPerHour)
	if err == nil {
		err = LogOptions{Offset: o.Offset}.check()
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: Steps.FollowLog: %w", err)
	}
	quiet := rhythm{quiet: 30 * time.Second, slowest: 30 * time.Second, stretch: stretchState}
	f := &follower{budget: b, rhythm: quiet, look: func(ctx context.Context) (*Step, error) {
		return s.Get(ctx, repo, pipelineID, stepID, b.charge(), WithQuery("fields", "uuid,state"))
	}}
	at := opStepsLog.at(repo.Workspace, repo.Slug, pipelineID, stepID)
	err = f.log.open(ctx, s.client, at.op.Name, LogOptions{Offset: o.Offset}, s.client.logFetcher(at, []CallOption{b.charge()}))
	if err == nil {
		f.open = true
		return f, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	step, err := f.look(ctx)
	if err != nil {
		return nil, err
	}
	f.log.ctx, f.log.cancel = context.WithCancel(ctx)
	f.log.atEnd() // of what there is so far: nothing
	if !step.State.Done() {
		return f, nil
	}
	f.done = true // it has ended since the log was asked for, or has none
	err = f.readOn()
	if err == nil && f.done && !f.open {
		err = f.none
	}
	if err != nil {
		f.log.cancel()
		return nil, err
	}
	return f, nil
}

// follower is the reader that FollowLog returns.
type follower struct {
	log    rangeReader
	look   func(context.Context) (*Step, error)
	budget *budget
	rhythm rhythm

	failures  failureCount
	open      bool  // the log exists
	grown     bool  // since the last poll
	stepAsked bool  // by the last poll
	polled    bool  // at least once
	done      bool  // the step has ended, so what the log has now is all
	none      error // the service's word that there is no log
}

// Read implements [io.Reader].
func (f *follower) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := f.log.Read(p)
		if n > 0 {
			f.grown = true
			return n, nil
		}
		if f.done && isEnd(err) {
			if !f.open {
				return 0, f.none
			}
			return 0, io.EOF
		}
		if !isEnd(err) {
			err = f.failures.tolerate(f.log.ctx, err)
		} else {
			err = nil
		}
		if err == nil {
			err = f.poll()
		}
		switch {
		case err == nil:
		case f.log.isClosed():
			return 0, fs.ErrClosed
		default:
			return 0, err
		}
	}
}

// poll waits, then sends the one request that may bring news: for the log, or, where that has just brought nothing, for the
// step. The first asks for the step at once: the log may have ended long ago.
func (f *follower) poll() error {
	f.rhythm.beat(f.grown)
	askStep, wait := !f.open || (!f.grown && !f.stepAsked), f.rhythm.interval(f.budget)
	if f.open && !f.polled {
		askStep, wait = true, 0
	}
	f.grown, f.stepAsked, f.polled = false, askStep, true
	if err := f.budget.pause(f.log.ctx, max(wait, f.failures.delay)); err != nil {
		return f.log.wrap(err)
	}
	if askStep {
		step, err := f.look(f.log.ctx)
		if err != nil {
			return f.failures.tolerate(f.log.ctx, err)
		}
		f.done = step.State.Done()
		if !f.done && (f.open || !running(step.State)) {
			return nil
		}
	}
	return f.readOn()
}

// readOn opens the log at the place where it ended before.
func (f *follower) readOn() error {
	err := f.log.next()
	if err != nil {
		f.log.atEnd() // of what there is so far
	}
	switch {
	case err == nil:
		f.open = true
	case !f.open && errors.Is(err, ErrNotFound):
		f.none, err = err, nil // no log yet, or none at all
	default:
		f.done = false // to be confirmed once the log can be read
	}
	return f.failures.tolerate(f.log.ctx, vanished(err))
}

// Close implements [io.Closer].
func (f *follower) Close() error { return f.log.Close() }
