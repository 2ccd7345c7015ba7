package main

import (
	"context"
	"errors"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// fresh is how old a look may be when a run is stopped because of it. Meanwhile a deployment may have begun, or somebody may have stopped
// the newer run.
const fresh = 15 * time.Second

// result is what became of a run that was to be stopped.
type result struct {
	*choice

	ended bool  // before it could be stopped
	err   error // why it couldn't be stopped
}

func (r result) String() string {
	switch {
	case r.err != nil:
		return "can't be stopped: " + cli.Message(r.err)
	case r.ended:
		return "had ended"
	}
	return "stopping"
}

// stopAll stops the superseded runs of a look, the oldest first, and looks again when that is no longer fresh. It returns the last look.
// done gets each result. An error ends it only if it concerns all runs.
func (r *repository) stopAll(ctx context.Context, l *look, done func(result)) (*look, error) {
	tried := map[string]bool{}
	for c := r.next(l, tried); c != nil; c = r.next(l, tried) {
		if time.Since(l.ended) > fresh {
			again, err := r.look(ctx)
			if err != nil {
				return l, err
			}
			l = again
			continue
		}
		tried[c.run.UUID] = true
		ended, err := r.stop(ctx, c.run)
		if err != nil && (ctx.Err() != nil || concernsAll(err)) {
			return l, err
		}
		done(result{c, ended, err})
	}
	return l, nil
}

// next returns the next run to stop; nil: there is none. No run is asked twice.
func (r *repository) next(l *look, tried map[string]bool) *choice {
	for _, c := range l.choices {
		if _, asked := r.asked[c.run.UUID]; c.left == "" && !asked && !tried[c.run.UUID] {
			return c
		}
	}
	return nil
}

// stop asks the service to stop a run, and reports whether it had already ended.
func (r *repository) stop(ctx context.Context, p *pipelines.Pipeline) (ended bool, err error) {
	err = r.client.Pipelines.Stop(ctx, r.repo, p.UUID)
	if err == nil {
		r.asked[p.UUID] = time.Now()
		return false, nil
	}
	if !errors.Is(err, pipelines.ErrInvalidRequest) {
		return false, err
	}
	// The service refuses to stop a run that has ended, in words that may change.
	now, getErr := r.client.Pipelines.Get(ctx, r.repo, p.UUID)
	if getErr == nil && now.State.Done() {
		return true, nil
	}
	return false, err
}

// concernsAll reports whether the next run would meet the same error.
func concernsAll(err error) bool {
	return refused(err) || errors.Is(err, pipelines.ErrRateLimited) || errors.Is(err, pipelines.ErrRepositoryNotFound)
}

// refused reports whether the credentials don't allow it.
func refused(err error) bool {
	return errors.Is(err, pipelines.ErrUnauthorized) || errors.Is(err, pipelines.ErrForbidden)
}
