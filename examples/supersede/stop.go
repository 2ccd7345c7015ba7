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
	s := &stopper{repository: r, seen: l, done: done, tried: map[string]bool{}}
	for c := s.next(); c != nil; c = s.next() {
		if time.Since(s.seen.ended) > fresh {
			again, err := r.look(ctx)
			if err != nil {
				return s.seen, err
			}
			s.seen = again
			continue
		}
		if err := s.try(ctx, c); err != nil {
			return s.seen, err
		}
	}
	s.settle(ctx)
	r.behind = s.failed
	return s.seen, nil
}

// stopper is stopAll at work.
type stopper struct {
	*repository

	seen    *look
	done    func(result)
	tried   map[string]bool // by UUID
	unclear []*choice       // whether they were stopped
	failed  bool            // one couldn't be stopped
}

// next returns the next run to stop; nil: there is none.
func (s *stopper) next() *choice {
	for _, c := range s.seen.choices {
		if c.left == "" && !s.tried[c.run.UUID] {
			return c
		}
	}
	return nil
}

// try stops a run. If the service is out of order, it waits, and the run has another turn after another look. An error concerns all runs.
func (s *stopper) try(ctx context.Context, c *choice) error {
	ended, err := s.stop(ctx, c.run)
	if errors.Is(err, errNotSent) {
		return err
	}
	if wait, ok := mayPass(err); ok && s.failures[c.run.UUID] < retries {
		s.failures[c.run.UUID]++
		s.unclear = append(s.unclear, c)
		s.seen.ended = time.Time{} // so that it looks again
		if cli.Pause(ctx, wait) == nil {
			return nil
		}
	}
	if ctx.Err() == nil && concernsAll(err) {
		return err
	}
	s.finish(result{c, ended, err})
	if ctx.Err() == nil {
		return nil
	}
	return err
}

// settle finds out which of the unclear runs have ended. A look doesn't show those any more.
func (s *stopper) settle(ctx context.Context) {
	for _, c := range s.unclear {
		if !s.tried[c.run.UUID] && s.hasEnded(ctx, c.run) {
			s.finish(result{c, true, nil})
		}
	}
}

// finish tells what became of a run, which isn't tried again.
func (s *stopper) finish(is result) {
	s.tried[is.run.UUID] = true
	s.failed = s.failed || is.err != nil
	s.done(is)
}

// stop asks the service to stop a run, and reports whether it had already ended. It asks once, because it mustn't ask after a wait: what the
// look saw may have changed by then.
func (r *repository) stop(ctx context.Context, p *pipelines.Pipeline) (ended bool, err error) {
	err = r.client.Pipelines.Stop(ctx, r.repo, p.UUID, pipelines.WithMaxAttempts(1))
	if err == nil {
		r.asked[p.UUID] = time.Now()
		return false, nil
	}
	// The service refuses to stop a run that has ended, with a status and in words that may change.
	if _, ok := mayPass(err); !ok && !concernsAll(err) && r.hasEnded(ctx, p) {
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

// concernsAll reports whether the next run would meet the same error.
func concernsAll(err error) bool {
	return refused(err) || errors.Is(err, pipelines.ErrRateLimited) || errors.Is(err, pipelines.ErrRepositoryNotFound)
}

// refused reports whether the credentials don't allow it.
func refused(err error) bool {
	return errors.Is(err, pipelines.ErrUnauthorized) || errors.Is(err, pipelines.ErrForbidden)
}
