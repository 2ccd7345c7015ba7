package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// WatchOptions vary [PipelinesService.Watch]. Zero fields have their defaults.
type WatchOptions struct {
	RequestsPerHour int // in the long run: the first hour has 60 more; default 240
}

// Event is something that happened to a watched pipeline. What it is about is set: Pipeline alone for a change of the
// pipeline's state, Step alone for a change of a step's, Step and Log for a piece of a step's log, which may end within a
// line.
type Event struct {
	Pipeline *Pipeline
	Step     *Step
	Log      []byte
}

// Watch follows a pipeline to its end: it yields an [Event] for each change of the pipeline's or a step's state and for each
// piece of log, with the logs of parallel steps side by side. What is there when it starts comes first. A step's end comes
// after the last of its log, and the pipeline's end comes last. A pipeline that waits for a person is watched on; leave the
// range to stop. An error is yielded once, with a nil event, and ends the range; the end of ctx is one.
//
// By default it sends at most 300 requests in the first hour and 240 in each further one, however many steps there are and
// however much their logs grow; each byte of log is transferred once. Polls that fail, each after retries of its own, end it
// when there are five in a row; a used-up quota is waited out.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log
//
// Scope: pipeline.
func (s *PipelinesService) Watch(ctx context.Context, repo Repo, id string, o *WatchOptions) iter.Seq2[*Event, error] {
	if o == nil {
		o = &WatchOptions{}
	}
	perHour := o.RequestsPerHour
	return func(yield func(*Event, error) bool) {
		b, err := newBudget(ctx, perHour, watchRequestsPerHour)
		if err != nil {
			yield(nil, fmt.Errorf("pipelines: Pipelines.Watch: %w", err))
			return
		}
		w := &watcher{ctx: ctx, client: s.client, repo: repo, id: id, budget: b, yield: yield, logs: map[string]*stepLog{}}
		defer w.close()
		if err := w.run(); err != nil && !errors.Is(err, errLeft) {
			yield(nil, err)
		}
	}
}

// errLeft says that the range over the events was left.
var errLeft = errors.New("the range was left")

// watcher is one Watch. Each of the things it looks at has a rhythm of its own, and the one that is due first is looked at
// next.
type watcher struct {
	ctx    context.Context //nolint:containedctx // of one range
	client *Client
	repo   Repo
	id     string
	budget *budget
	yield  func(*Event, error) bool

	pipeline      *Pipeline
	pipelineCheck check
	stepsCheck    check
	steps         []*Step // as last seen
	logs          map[string]*stepLog
	failures      failureCount
	notBefore     time.Time // nothing is looked at until then: a failure delays all
}

// check is one thing to look at again and again.
type check struct {
	rhythm rhythm
	due    time.Time
}

// stepLog is the log of one step, and what was told of the step.
type stepLog struct {
	check
	step    *Step        // as last seen
	told    string       // its state as last told
	reader  *rangeReader // nil before the log exists, and after its end
	missing int          // how often the log of a step that has run was not there
	drained bool         // nothing more will come of this run of the step
}

func (w *watcher) run() error {
	w.pipelineCheck.rhythm = rhythm{quiet: time.Minute, slowest: time.Minute, stretch: stretchState}
	w.stepsCheck.rhythm = rhythm{quiet: 4 * time.Second, relax: 10, slowest: 30 * time.Second, stretch: stretchState}
	for w.pipeline == nil || !w.pipeline.State.Done() {
		if err := w.step(); err != nil {
			return err
		}
	}
	return w.finish()
}

// step looks at whatever is due first, waiting until it is.
func (w *watcher) step() error {
	next, look := w.due()
	if err := w.budget.pause(w.ctx, max(time.Until(next.due), time.Until(w.notBefore))); err != nil {
		return fmt.Errorf("pipelines: Pipelines.Watch: %w", err)
	}
	changed, err := look()
	if ended := w.failures.tolerate(w.ctx, err); ended != nil {
		return ended
	}
	if err == nil {
		next.rhythm.beat(changed)
	}
	if next == &w.pipelineCheck && w.stepsTell() {
		next.rhythm.current = next.rhythm.quiet
	}
	next.due = time.Now().Add(next.rhythm.interval(w.budget))
	w.notBefore = time.Now().Add(w.failures.delay)
	switch {
	case next == &w.pipelineCheck && changed: // they change together
		w.stepsCheck.due = time.Time{}
	case next == &w.stepsCheck && w.pipelineTurns():
		w.pipelineCheck.due = time.Time{}
	}
	return nil
}

// due tells what to look at next, and how.
func (w *watcher) due() (*check, func() (changed bool, err error)) {
	next, look := &w.pipelineCheck, w.lookAtPipeline
	if w.pipeline == nil {
		return next, look
	}
	if w.stepsCheck.due.Before(next.due) {
		next, look = &w.stepsCheck, w.lookAtSteps
	}
	for _, step := range w.steps { // in the pipeline's order, so that nothing depends on the map's
		l := w.logs[step.UUID]
		if l != nil && !l.drained && running(step.State) && l.due.Before(next.due) {
			next, look = &l.check, func() (bool, error) { return w.readLog(l) }
		}
	}
	return next, look
}

// running holds for steps that may be writing their log, unknown states included.
func running(s StepState) bool {
	return !s.Done() && !s.Paused() && s.Name != StatePending && s.Name != StateReady
}

// stepsTell reports whether the pipeline's next change will show in its steps first.
func (w *watcher) stepsTell() bool {
	return w.pipeline != nil && w.pipeline.State.Name == StateInProgress &&
		slices.ContainsFunc(w.steps, func(step *Step) bool { return running(step.State) })
}

// pipelineTurns reports whether the pipeline's own state must be another by now, going by its steps'.
func (w *watcher) pipelineTurns() bool {
	done, paused, active := len(w.steps) > 0, false, false
	for _, step := range w.steps {
		done = done && step.State.Done()
		paused = paused || step.State.Paused()
		active = active || running(step.State)
	}
	state := w.pipeline.State
	return done || (state.Paused() && !paused) || (!state.Paused() && paused && !active) || (active && state.Name != StateInProgress)
}

func (w *watcher) lookAtPipeline() (changed bool, err error) {
	p, err := w.client.Pipelines.Get(w.ctx, w.repo, w.id, w.budget.charge())
	if err != nil {
		return false, err
	}
	changed = w.pipeline == nil || p.State.String() != w.pipeline.State.String()
	w.pipeline = p
	if !changed || p.State.Done() { // the end is told last
		return changed, nil
	}
	return true, w.emit(&Event{Pipeline: p})
}

func (w *watcher) lookAtSteps() (changed bool, err error) {
	steps, err := w.client.Steps.List(w.ctx, w.repo, w.id, nil, w.budget.charge()).Collect()
	if errors.Is(err, ErrNotFound) && len(w.steps) == 0 {
		return false, nil // not parsed yet
	}
	if err != nil {
		return false, err
	}
	w.steps = steps
	for _, step := range steps {
		stepChanged, err := w.update(step)
		if err != nil {
			return changed, err
		}
		changed = changed || stepChanged
	}
	return changed, nil
}

// update tells of a step that has changed. The log of one that has ended is read to its end first.
func (w *watcher) update(step *Step) (changed bool, err error) {
	l := w.logs[step.UUID]
	if l == nil || l.step.RunNumber != step.RunNumber { // a step that runs again has another log
		w.logs[step.UUID].close()
		l = &stepLog{check: check{rhythm: rhythm{quiet: 30 * time.Second, slowest: time.Minute, stretch: stretchLog}}}
		w.logs[step.UUID] = l
	}
	l.step = step
	if l.told == step.State.String() {
		return false, nil
	}
	if step.State.Done() {
		if err := w.drain(l); err != nil || !l.drained {
			return false, err // the next look tries again
		}
	}
	l.told = step.State.String()
	return true, w.emit(&Event{Step: step})
}

// drain reads the rest of the log of a step that has ended. One that is not there though the step has run may be on its way
// to storage: it gets two more chances.
func (w *watcher) drain(l *stepLog) error {
	if l.drained {
		return nil
	}
	if _, err := w.readLog(l); err != nil {
		return err
	}
	if l.reader == nil && !l.step.StartedOn.IsZero() && !notRun(l.step) && l.missing < 2 {
		l.missing++
		return nil
	}
	l.drained = true
	l.close()
	return nil
}

func notRun(step *Step) bool {
	return step.State.Result != nil && step.State.Result.Name == ResultNotRun
}

// readLog tells what has been written to a step's log since the last time.
func (w *watcher) readLog(l *stepLog) (grown bool, err error) {
	if notRun(l.step) || l.step.UUID == "" {
		return false, nil
	}
	if l.reader != nil {
		if err := l.reader.next(); err != nil {
			return false, vanished(err)
		}
		return w.copyLog(l)
	}
	reader := new(rangeReader)
	at := opStepsLog.at(w.repo.Workspace, w.repo.Slug, w.id, l.step.UUID)
	err = reader.open(w.ctx, w.client, at.op.Name, LogOptions{}, w.client.logFetcher(at, []CallOption{w.budget.charge()}))
	if errors.Is(err, ErrNotFound) {
		return false, nil // none yet, or none at all
	}
	if err != nil {
		return false, err
	}
	l.reader = reader
	return w.copyLog(l)
}

func (w *watcher) copyLog(l *stepLog) (grown bool, err error) {
	buf := make([]byte, copyBuffer/2)
	for {
		n, err := l.reader.Read(buf)
		if n > 0 {
			grown = true
			if err := w.emit(&Event{Step: l.step, Log: bytes.Clone(buf[:n])}); err != nil {
				return grown, err
			}
		}
		if isEnd(err) {
			return grown, nil
		}
		if err != nil {
			return grown, err
		}
	}
}

// finish tells what is left once the pipeline has ended, and then that it has. Steps may end a little later than their
// pipeline, and a step whose state nobody knows may never: its log is read all the same.
func (w *watcher) finish() error {
	for try := 1; ; try++ {
		_, err := w.lookAtSteps()
		if err == nil && try >= maxPollFailures {
			err = w.drainAll()
		}
		if ended := w.failures.tolerate(w.ctx, err); ended != nil {
			return ended
		}
		if err == nil && (w.allTold() || try >= maxPollFailures) {
			return w.emit(&Event{Pipeline: w.pipeline})
		}
		if err := w.budget.pause(w.ctx, max(fastest, w.failures.delay)); err != nil {
			return fmt.Errorf("pipelines: Pipelines.Watch: %w", err)
		}
	}
}

// allTold reports whether every step has ended and its end been told.
func (w *watcher) allTold() bool {
	return !slices.ContainsFunc(w.steps, func(step *Step) bool {
		return !step.State.Done() || w.logs[step.UUID].told != step.State.String()
	})
}

func (w *watcher) drainAll() error {
	for _, step := range w.steps {
		l := w.logs[step.UUID]
		if l.drained {
			continue
		}
		if _, err := w.readLog(l); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) emit(e *Event) error {
	if !w.yield(e, nil) {
		return errLeft
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
