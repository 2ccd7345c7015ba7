package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func (p *program) work(ctx context.Context) (int, error) {
	if !cli.HasCredentials() {
		return 0, errNoCredentials
	}
	agreed, err := p.store.spec(ctx)
	if err != nil {
		return 0, err
	}
	client, _, end, err := p.limited(agreed.Quota).Connect("fleet", false, nil)
	if err != nil {
		return 0, err
	}
	defer end()
	return cli.Success, p.workWith(ctx, client, agreed)
}

// workWith works on the campaign until it is done.
func (p *program) workWith(ctx context.Context, client *pipelines.Client, agreed spec) error {
	var err error
	if agreed.Action, err = agreed.Action.resolve(); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	host, _ := os.Hostname()
	w := &worker{store: p.store, client: client, spec: agreed, name: fmt.Sprintf("%s:%d", host, os.Getpid()), stop: stop}
	server := asynq.NewServerFromRedisClient(p.store.rdb, asynq.Config{
		Concurrency: p.concurrency, Queues: map[string]int{p.store.queue(): 1},
		TaskCheckInterval: 500 * time.Millisecond, DelayedTaskCheckInterval: time.Second,
		RetryDelayFunc: p.delay, IsFailure: isFailure,
		Logger: engineLog{p.env}, LogLevel: asynq.ErrorLevel,
	})
	if err := server.Start(w); err != nil {
		return err
	}
	err = p.follow(ctx)
	server.Shutdown()
	fmt.Fprintf(p.env.Stderr, "This worker has done %s.\n", cli.Count(int(w.done.Load()), "repository", "repositories"))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// delay is how long a repository waits for its next attempt.
func (p *program) delay(retried int, err error, _ *asynq.Task) time.Duration {
	switch {
	case errors.Is(err, asynq.ErrLeaseExpired): // the worker died
		return 0
	case !isFailure(err):
		return time.Minute
	}
	return min(p.retryDelay<<min(retried, 10), 10*time.Minute)
}

// isFailure reports whether an error counts as an attempt. The death or shutdown of a worker doesn't, nor does a quota used up by others or
// refused credentials.
func isFailure(err error) bool {
	for _, other := range []error{asynq.ErrLeaseExpired, context.Canceled, pipelines.ErrRateLimited, pipelines.ErrUnauthorized} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// worker processes the tasks of a campaign.
type worker struct {
	store  store
	client *pipelines.Client
	spec   spec
	name   string
	stop   context.CancelCauseFunc // stops the worker
	done   atomic.Int64
}

// ProcessTask implements [asynq.Handler].
func (w *worker) ProcessTask(ctx context.Context, task *asynq.Task) error {
	repo, err := pipelines.ParseRepo(string(task.Payload()))
	if err != nil {
		return err
	}
	name := string(task.Payload())
	if done, err := w.store.isDone(ctx, name); done || err != nil { // done by a worker that died before it finished the task
		return err
	}
	r := result{State: stateUnchanged, Worker: w.name}
	changed, row, err := w.spec.Action.do(ctx, w.client, repo)
	switch {
	case err == nil && row != nil:
		r.State, r.Row = stateRead, row
	case err == nil && changed:
		r.State = stateChanged
	case err == nil:
	case errors.Is(err, pipelines.ErrUnauthorized):
		w.stop(err)
		return err
	case ctx.Err() != nil || w.mayPass(ctx, err):
		return err
	default:
		r.State, r.Reason = stateFailed, cli.Message(err)
	}
	r.At = time.Now().UTC()
	if err := w.store.record(ctx, name, r); err != nil {
		return err
	}
	w.done.Add(1)
	return nil
}

// mayPass reports whether the repository should be tried again.
func (w *worker) mayPass(ctx context.Context, err error) bool {
	if !isFailure(err) {
		return true
	}
	for _, final := range []error{
		pipelines.ErrNotFound, pipelines.ErrForbidden, pipelines.ErrInvalidRequest, pipelines.ErrInvalidArgument, pipelines.ErrGone, pipelines.ErrConflict,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	retried, _ := asynq.GetRetryCount(ctx)
	return retried+1 < w.spec.Attempts
}

// engineLog prints the messages of the engine.
type engineLog struct{ env cli.Env }

func (l engineLog) Debug(...any) {}
func (l engineLog) Info(...any)  {}
func (l engineLog) Warn(...any)  {}
func (l engineLog) Error(args ...any) {
	fmt.Fprintln(l.env.Stderr, "fleet:", cli.Clean(fmt.Sprint(args...)))
}
func (l engineLog) Fatal(args ...any) { l.Error(args...) }
