package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

const watchRequestsPerHour = 240

// WatchOptions are the options of [PipelinesService.Watch]. Zero fields have their defaults.
type WatchOptions struct {
	RequestsPerHour int // on average; up to 60 more in one hour; default 240
}

// Watch polls a pipeline to its end and yields an [Event] for each change of its state or a step's, and for each piece of log.
// Logs of parallel steps are interleaved. o may be nil. An error is yielded once, with a nil event, and ends the range. The end
// of ctx is an error.
//
// The first events report states and logs as they are at the first poll. The end of a step comes after the last piece of its log,
// and the end of the pipeline last. A pause comes after everything that happened before it. Watch goes on while a pipeline waits
// for a person: break out of the loop to stop.
//
// By default Watch sends at most 300 requests in any hour, 240 an hour on average, however many steps there are and however fast
// their logs grow. Each byte of a log is transferred once, unless the service's storage compresses it. Failed polls and a used-up
// quota end it only as they end [PipelinesService.Wait]. A run that isn't found is an [ErrNotFound] after ten seconds, because a
// new run may not be found at first. If a step has run and ended, Watch waits for its log for up to a minute, and yields everything
// else meanwhile.
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps
//   - GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log
//
// Scope: pipeline.
func (s *PipelinesService) Watch(
	ctx context.Context, repo Repo, id string, o *WatchOptions, opts ...CallOption,
) iter.Seq2[*Event, error] {
	if o == nil {
		o = &WatchOptions{}
	}
	perHour := o.RequestsPerHour
	return func(yield func(*Event, error) bool) {
		budget, err := newBudget(ctx, perHour, watchRequestsPerHour)
		if err != nil {
			yield(nil, fmt.Errorf("pipelines: Pipelines.Watch: %w", err))
			return
		}
		w := &watcher{
			ctx: ctx, client: s.client, repo: repo, id: id, opts: append(slices.Clip(opts), charge(budget)), yield: yield,
			budget: budget, logs: make(map[string]*stepLog),
		}
		defer w.close()
		if err := w.run(); err != nil && !errors.Is(err, errRangeLeft) {
			yield(nil, err)
		}
	}
}

// errRangeLeft says that the caller left the range over the events.
var errRangeLeft = errors.New("the range was left")

// maxStepPolls is how often the steps are polled at most until they agree with the pipeline.
const maxStepPolls = 5

// watcher polls pipeline, steps and logs at separate intervals, earliest due first.
type watcher struct {
	ctx    context.Context //nolint:containedctx // of one range
	client *Client
	repo   Repo
	id     string
	opts   []CallOption // of every request
	yield  func(*Event, error) bool

	budget    *poll.Budget
	failures  poll.Failures
	notBefore time.Time // no poll comes earlier: a failure delays all

	pipelineTarget pollTarget
	stepsTarget    pollTarget
	logs           map[string]*stepLog // by the step's UUID
	watchedRun
}

// pollTarget is the pipeline, the steps, or one log.
type pollTarget struct {
	poll     func() (changed bool, err error)
	interval poll.Interval
	due      time.Time
	absence  poll.Absence // it is missing, and expected within logGrace
}

// run polls until the pipeline has ended. It emits a deferred state of the pipeline after all events that come before it.
func (w *watcher) run() error {
	w.pipelineTarget = pollTarget{poll: w.pollPipeline, interval: poll.Interval{Idle: time.Minute, Max: time.Minute}}
	w.stepsTarget = pollTarget{poll: w.pollSteps, interval: poll.Interval{Idle: 4 * time.Second, Relax: 10, Max: 30 * time.Second}}
	for w.deferred || w.pipeline == nil || !w.pipeline.State.Done() {
		if err := w.pollNext(); err != nil {
			return err
		}
		if !w.deferred || !w.stepsEmitted() {
			continue
		}
		w.deferred, w.pausedSteps = false, w.summarize().paused
		if err := w.emit(&Event{Kind: EventPipeline, Pipeline: w.pipeline}); err != nil {
			return err
		}
	}
	return nil
}

// stepsEmitted reports whether all events of steps and logs are emitted that come before the pipeline's deferred state. A step in
// an unknown state may never end, so it is enough that its log is up to date.
func (w *watcher) stepsEmitted() bool {
	return w.stepsCurrent() && !slices.ContainsFunc(w.steps, func(step *Step) bool {
		l := w.logs[step.UUID]
		return (step.State.Done() && !l.complete) || (isActive(step.State) && !l.upToDate)
	})
}

// pollNext polls the target that is due first, when it is due.
func (w *watcher) pollNext() error {
	target := w.nextTarget()
	if err := w.budget.Wait(w.ctx, max(time.Until(target.due), time.Until(w.notBefore))); err != nil {
		return fmt.Errorf("pipelines: Pipelines.Watch: %w", err)
	}
	changed, err := target.poll()
	if ended := tolerate(w.ctx, &w.failures, err); ended != nil {
		return ended
	}
	if err == nil {
		target.interval.Update(changed)
	}
	w.notBefore = time.Now().Add(w.failures.Delay())
	w.schedule(target, changed)
	return nil
}

// nextTarget returns the target that is due first. The pipeline isn't polled while its state is deferred, and the steps aren't
// once all of them have ended with it.
func (w *watcher) nextTarget() *pollTarget {
	var targets []*pollTarget
	if !w.deferred {
		targets = append(targets, &w.pipelineTarget)
	}
	if w.pipeline != nil && !w.stepsFinal() {
		targets = append(targets, &w.stepsTarget)
	}
	for _, step := range w.steps {
		if l := w.logs[step.UUID]; !l.complete && (isActive(step.State) || step.State.Done()) {
			targets = append(targets, &l.pollTarget)
		}
	}
	return slices.MinFunc(targets, func(a, b *pollTarget) int { return a.due.Compare(b.due) })
}

// schedule sets when a target is polled again after a poll. Pipeline and steps change together: what one of them shows, the other
// must show soon.
func (w *watcher) schedule(target *pollTarget, changed bool) {
	switch target {
	case &w.pipelineTarget:
		if w.stepsChangeFirst() {
			target.interval.SetIdle()
		}
		if changed {
			w.stepsTarget.due = time.Time{}
		}
	case &w.stepsTarget:
		if w.deferred && !w.stepsAgree() {
			target.interval.Reset()
		}
		if w.pipelineOutdated() {
			w.pipelineTarget.due = time.Time{}
		}
	}
	target.setDue(w.budget)
}

// setDue sets when the target is due after a poll.
func (t *pollTarget) setDue(b *poll.Budget) {
	wait := t.interval.Next(b)
	if t.absence.Lasts() {
		wait = t.absence.Delay(logGrace)
	}
	t.due = time.Now().Add(wait)
}

// pollPipeline emits the pipeline's state if it has changed. It defers an end or a pause until the changes of steps and logs
// before it are emitted.
func (w *watcher) pollPipeline() (changed bool, err error) {
	p, err := w.client.Pipelines.Get(w.ctx, w.repo, w.id, w.opts...)
	if err != nil {
		return false, err
	}
	changed = w.pipeline == nil || p.State.String() != w.pipeline.State.String() || w.newPause(w.summarize().paused)
	w.pipeline = p
	switch {
	case !changed:
		return false, nil
	case p.State.Done() || p.State.Paused():
		w.deferred, w.stepPolls = true, 0
		return true, nil
	}
	return true, w.emit(&Event{Kind: EventPipeline, Pipeline: p})
}

// pollSteps emits the steps that have changed. If the log of one step can't be read, it goes on with the others.
func (w *watcher) pollSteps() (changed bool, err error) {
	steps, err := w.client.Steps.List(w.ctx, w.repo, w.id, nil, w.opts...).Collect()
	if isNotFound(err) && len(w.steps)+len(steps) == 0 && w.mayLackSteps() {
		err = nil
	}
	if err != nil {
		return false, err
	}
	w.stepPolls++
	w.steps = steps
	if len(w.pausedSteps) == 0 && !w.deferred { // the steps show a pause later than the pipeline
		w.pausedSteps = w.summarize().paused
	}
	var failed error
	for _, step := range steps {
		stepChanged, err := w.emitStep(w.logOf(step))
		if errors.Is(err, errRangeLeft) {
			return changed, err
		}
		changed = changed || stepChanged
		if failed == nil {
			failed = err
		}
	}
	if w.deferred && (w.stepPolls == 1 || w.stepPolls == maxStepPolls) {
		w.pollActiveLogsNow()
	}
	return changed, failed
}

// stepLog is one run of a step and its log.
type stepLog struct {
	pollTarget
	step     *Step               // as last polled
	emitted  string              // state of the step in its last event
	reader   *rangereader.Reader // nil before the log exists, and once it is complete
	upToDate bool                // read since the pipeline's state was deferred
	complete bool                // read to its end, after the step's end
}

// logOf returns the log of a step as just polled. A step that runs again has another log.
func (w *watcher) logOf(step *Step) *stepLog {
	l := w.logs[step.UUID]
	if l == nil || l.step.RunNumber != step.RunNumber {
		l.close()
		l = &stepLog{}
		l.pollTarget = pollTarget{
			poll:     func() (bool, error) { return w.pollLog(l) },
			interval: poll.Interval{Idle: 30 * time.Second, Max: time.Minute, Priority: poll.Low},
		}
		w.logs[step.UUID] = l
	}
	l.step = step
	return l
}

// pollActiveLogsNow makes the logs due that may have grown before the pipeline's deferred state.
func (w *watcher) pollActiveLogsNow() {
	for _, step := range w.steps {
		if l := w.logs[step.UUID]; isActive(step.State) {
			l.upToDate, l.due = false, time.Time{}
		}
	}
}

func (w *watcher) pollLog(l *stepLog) (changed bool, err error) {
	if l.step.State.Done() {
		return w.emitStep(l)
	}
	changed, _, err = w.readLog(l)
	return changed, err
}

// emitStep emits the step's state if it has changed. The end of a step comes after the end of its log: if the log can't be read
// to its end yet, a later poll tries again.
func (w *watcher) emitStep(l *stepLog) (changed bool, err error) {
	state := l.step.State.String()
	if l.emitted == state {
		return false, nil
	}
	if l.step.State.Done() && !l.complete {
		if err := w.completeLog(l); err != nil || !l.complete {
			return false, err
		}
	}
	l.emitted = state
	return true, w.emit(&Event{Kind: EventStep, Step: l.step})
}

// completeLog reads the rest of the log of a step that has ended. If it finds no log, but the step has run, the log may be on its
// way to storage: later polls try again.
func (w *watcher) completeLog(l *stepLog) error {
	if l.absence.Lasts() && time.Now().Before(l.due) {
		return nil
	}
	_, found, err := w.readLog(l)
	if err != nil {
		return err
	}
	if !found && (hasRun(l.step) || l.reader != nil) && !l.absence.Observe(logGrace) {
		l.setDue(w.budget)
		return nil
	}
	l.complete = true
	l.close()
	return nil
}

// readLog emits what was written to a log since it was last read.
func (w *watcher) readLog(l *stepLog) (grown, found bool, err error) {
	if notRun(l.step) || l.step.UUID == "" { // there is no log to ask for
		l.upToDate = true
		return false, true, nil
	}
	switch err := w.openLog(l); {
	case isNotFound(err): // not yet, or never
		l.upToDate = true
		return false, false, nil
	case err != nil:
		return false, false, err
	}
	grown, err = w.copyLog(l)
	l.upToDate = err == nil
	return grown, true, err
}

// openLog opens the log at the place where it ended before.
func (w *watcher) openLog(l *stepLog) error {
	if l.reader != nil {
		return l.reader.Poll(l.step.State.Done())
	}
	at := opStepsLog.at(w.repo.Workspace, w.repo.Slug, w.id, l.step.UUID)
	source, err := w.client.logSource(w.ctx, at, w.opts)
	if err != nil {
		return err
	}
	reader, err := rangereader.Open(w.ctx, source, rangereader.Range{})
	if err == nil {
		l.reader = reader
	}
	return err
}

func (w *watcher) copyLog(l *stepLog) (grown bool, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := l.reader.Read(buf)
		if n > 0 {
			grown = true
			if err := w.emit(&Event{Kind: EventLog, Step: l.step, Log: bytes.Clone(buf[:n])}); err != nil {
				return grown, err
			}
		}
		if rangereader.IsEOF(err) {
			return grown, nil
		}
		if err != nil {
			return grown, err
		}
	}
}

func (w *watcher) emit(e *Event) error {
	if !w.yield(e, nil) {
		return errRangeLeft
	}
	return nil
}

func (w *watcher) close() {
	for _, l := range w.logs {
		l.close()
	}
}

func (l *stepLog) close() {
	if l != nil && l.reader != nil {
		_ = l.reader.Close()
		l.reader = nil
	}
}
