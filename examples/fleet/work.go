package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// pace is how often Redis is asked about progress, waiting tasks and those to be tried again. Tests hurry.
var pace = struct{ progress, tasks, retries time.Duration }{250 * time.Millisecond, 500 * time.Millisecond, time.Second}

func (p *program) work(ctx context.Context) (int, error) {
	if !cli.HasCredentials() {
		return 0, cli.ErrNoCredentials // a fake service has no real campaign
	}
	seen, err := p.store.existing(ctx)
	if err != nil {
		return 0, err
	}
	client, _, end, err := p.limited(seen.spec.Quota).Connect("fleet", false, nil)
	if err != nil {
		return 0, err
	}
	defer end()
	return cli.Success, p.workWith(ctx, client, seen)
}

// workWith works on the campaign until it is done.
func (p *program) workWith(ctx context.Context, client *pipelines.Client, seen snapshot) error {
	resolved, err := p.resolve(seen.spec.Action)
	if err != nil {
		return err
	}
	if err := p.checkClock(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	host, _ := os.Hostname()
	w := &worker{store: p.store, client: client, agreed: seen.spec.Action, action: resolved, name: fmt.Sprintf("%s:%d", host, os.Getpid()), stop: stop}
	w.rules.Store(seen.spec)
	w.tell = func(what string) { fmt.Fprintf(p.env.Stderr, "%s %s\n", p.redisName, what) }
	tasks, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	server := asynq.NewServerFromRedisClient(p.store.rdb, asynq.Config{
		Concurrency: p.concurrency, Queues: map[string]int{p.store.queue(): 1},
		TaskCheckInterval: pace.tasks, DelayedTaskCheckInterval: pace.retries,
		RetryDelayFunc: p.delay, IsFailure: isFailure, BaseContext: func() context.Context { return tasks },
		Logger: engineLog{p.log}, LogLevel: asynq.WarnLevel,
	})
	if err := server.Start(w); err != nil {
		return err
	}
	err = p.follow(ctx, seen, func(s spec) {
		w.rules.Store(&s)
		p.limiter.change(s.Quota)
	})
	if err != nil && ctx.Err() == nil { // there is nothing to finish: the campaign or Redis is gone
		giveUp()
	}
	server.Shutdown()
	fmt.Fprintf(p.env.Stderr, "This worker has done %s.\n", cli.Count(int(w.done.Load()), "repository", "repositories"))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// clockTolerance is half of the time that the engine adds for clocks that differ.
const clockTolerance = 15 * time.Second

// checkClock compares this host's clock with that of Redis. The engine finds dead workers by the clocks of the living: one whose clock is
// wrong takes tasks of others away from them, or leaves its own behind for hours.
func (p *program) checkClock(ctx context.Context) error {
	before := time.Now()
	other, err := p.store.rdb.Time(ctx).Result()
	if err != nil {
		return err
	}
	after := time.Now()
	switch {
	case before.Sub(other) > clockTolerance:
		return fmt.Errorf("this host's clock is %s ahead of that of %s: workers need the right time", cli.Short(before.Sub(other).Round(time.Second)), p.redisName)
	case other.Sub(after) > clockTolerance:
		return fmt.Errorf("this host's clock is %s behind that of %s: workers need the right time", cli.Short(other.Sub(after).Round(time.Second)), p.redisName)
	}
	return nil
}

// delay is how long a repository waits for its next attempt.
func (p *program) delay(retried int, err error, _ *asynq.Task) time.Duration {
	switch {
	case errors.Is(err, asynq.ErrLeaseExpired): // the worker died
		return 0
	case errors.Is(err, errNameTaken), errors.Is(err, context.Canceled), errors.Is(err, pipelines.ErrUnauthorized): // this worker is about to end, and the task is for others
		return time.Second
	case errors.Is(err, errQuotaUnknown), errors.Is(err, errStore): // Redis doesn't respond, or refuses
		return p.retryDelay
	case !isFailure(err):
		return time.Minute
	}
	return min(p.retryDelay<<min(retried, 10), 10*time.Minute)
}

// isFailure reports whether an error counts as an attempt. The death or shutdown of a worker doesn't, nor does a quota used up by others
// or not known, refused credentials or the loss of the campaign.
func isFailure(err error) bool {
	for _, other := range []error{
		asynq.ErrLeaseExpired, context.Canceled, pipelines.ErrRateLimited, pipelines.ErrUnauthorized, errQuotaUnknown, errStore,
		errNoCampaign, errNameTaken,
	} {
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
	agreed action // of the campaign
	action action // the same with the value that only workers know
	name   string
	stop   context.CancelCauseFunc // stops the worker
	done   atomic.Int64
	rules  atomic.Pointer[spec] // as they are now

	refused sync.Once
	tell    func(string) // what Redis does
}

// ProcessTask implements [asynq.Handler]. The engine tries again what fails, so that only the log would have the reason.
func (w *worker) ProcessTask(ctx context.Context, task *asynq.Task) error {
	err := w.process(ctx, task)
	if reason := refusal(err); reason != "" {
		w.refused.Do(func() { w.tell("refuses a command: " + reason + ". The work goes on once it doesn't.") })
	}
	return err
}

func (w *worker) process(ctx context.Context, task *asynq.Task) error {
	name := string(task.Payload())
	id, _ := asynq.GetTaskID(ctx)
	agreed, valid, err := w.store.claim(ctx, name, id)
	switch {
	case err != nil:
		return err
	case agreed != w.agreed: // the campaign was forgotten and started anew
		return errNameTaken
	case !valid: // replaced, or done by a worker that died before it finished the task
		return nil
	}
	r, err := w.attempt(ctx, name)
	if err != nil {
		return err
	}
	recorded, err := w.store.record(ctx, name, id, r)
	if recorded {
		w.done.Add(1)
	}
	return err
}

// attempt applies the action to a repository. Its error means that there is no result yet.
func (w *worker) attempt(ctx context.Context, name string) (result, error) {
	repo, err := pipelines.ParseRepo(name)
	r := result{State: stateUnchanged, Worker: w.name}
	changed := false
	if err == nil {
		changed, r.Row, err = w.action.do(ctx, w.client, repo)
	}
	switch {
	case err == nil && r.Row != nil:
		r.State = stateRead
	case err == nil && changed:
		r.State = stateChanged
	case err == nil:
	case errors.Is(err, pipelines.ErrUnauthorized):
		w.stop(err)
		return r, err
	case ctx.Err() != nil || mayPass(ctx, err, w.rules.Load().Attempts):
		return r, err
	default:
		r.State, r.Reason = stateFailed, cli.Message(err)
	}
	r.At = time.Now().UTC()
	return r, nil
}

// mayPass reports whether the repository should be tried again.
func mayPass(ctx context.Context, err error, attempts int) bool {
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
	return retried+1 < attempts
}
