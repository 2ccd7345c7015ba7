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

// retries is how often a run is asked again to stop, after another look, if the service was out of order.
const retries = 2

// result is what became of a run that was to be stopped.
type result struct {
	*choice

	ended bool  // before it could be stopped
	err   error // why it couldn't be stopped
}

func (r result) String() string {
	switch {
	case errors.Is(r.err, context.Canceled):
		return "interrupted: perhaps it stops"
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
	tried, failed := map[string]bool{}, false
	var unclear []*choice // whether they were stopped
	for c := r.next(l, tried); c != nil; c = r.next(l, tried) {
		if time.Since(l.ended) > fresh {
			again, err := r.look(ctx)
			if err != nil {
				return l, err
			}
			l = again
			continue
		}
		ended, err := r.stop(ctx, c.run)
		if wait, ok := mayPass(err); ok && r.failures[c.run.UUID] < retries {
			r.failures[c.run.UUID]++
			unclear = append(unclear, c)
			l.ended = time.Time{} // so that it looks again
			if pause(ctx, wait) {
				continue
			}
		}
		if ctx.Err() != nil && err != nil {
			done(result{c, ended, err})
			return l, err
		}
		if concernsAll(err) {
			return l, err
		}
		tried[c.run.UUID] = true
		failed = failed || err != nil
		done(result{c, ended, err})
	}
	for _, c := range unclear {
		if !tried[c.run.UUID] && r.hasEnded(ctx, c.run) {
			tried[c.run.UUID] = true
			done(result{c, true, nil})
		}
	}
	r.behind = failed
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

// stop asks the service to stop a run, and reports whether it had already ended. It asks once, because it mustn't ask after a wait: what the
// look saw may have changed by then.
func (r *repository) stop(ctx context.Context, p *pipelines.Pipeline) (ended bool, err error) {
	err = r.client.Pipelines.Stop(ctx, r.repo, p.UUID, pipelines.WithMaxAttempts(1))
	if err == nil {
		r.asked[p.UUID] = time.Now()
		return false, nil
	}
	// The service refuses to stop a run that has ended, in words that may change.
	if errors.Is(err, pipelines.ErrInvalidRequest) && r.hasEnded(ctx, p) {
		return true, nil
	}
	return false, err
}

func (r *repository) hasEnded(ctx context.Context, p *pipelines.Pipeline) bool {
	now, err := r.client.Pipelines.Get(ctx, r.repo, p.UUID)
	return err == nil && now.State.Done()
}

// mayPass reports whether an error may be one of the moment, and how long to wait before the next request.
func mayPass(err error) (wait time.Duration, ok bool) {
	var response *pipelines.APIError
	if !errors.As(err, &response) {
		return time.Second, err != nil
	}
	ok = errors.Is(err, pipelines.ErrRateLimited) || errors.Is(err, pipelines.ErrServer)
	return max(time.Second, response.RetryAfter), ok && response.RetryAfter <= time.Minute
}

// pause waits, and reports whether the context hasn't ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// concernsAll reports whether the next run would meet the same error.
func concernsAll(err error) bool {
	return refused(err) || errors.Is(err, pipelines.ErrRateLimited) || errors.Is(err, pipelines.ErrRepositoryNotFound)
}

// refused reports whether the credentials don't allow it.
func refused(err error) bool {
	return errors.Is(err, pipelines.ErrUnauthorized) || errors.Is(err, pipelines.ErrForbidden)
}
