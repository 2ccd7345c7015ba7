package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// WatchOptions are the options of [PipelinesService.Watch]. Zero fields have their defaults.
type WatchOptions struct {
	RequestsPerHour int // at most, and 60 more in the first hour; default 240
}

// Watch polls a pipeline to its end and yields an [Event] for each change of its state or a step's, and for each piece of log.
// The logs of parallel steps come side by side. o may be nil. An error is yielded once, with a nil event, and ends the range;
// the end of ctx is one.
//
// The first events are what is there already. The end of a step comes after the last piece of its log, and the end of the
// pipeline last. A pause comes after everything that happened before it. Watch goes on while a pipeline waits for a person:
// leave the range to stop.
//
// By default Watch sends at most 300 requests in the first hour and 240 in each further one, however many steps there are and
// however fast their logs grow. Each byte of a log is transferred once, unless the service's storage compresses it. Five failed
// polls in a row end it, each of which includes retries; it waits for a used-up quota. A run that isn't found is an [ErrNotFound]
// after ten seconds, because a new run may not be found at first. If a step has run and ended, Watch waits for its log for up
// to a minute, and yields everything else meanwhile.
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
		b, err := newBudget(ctx, perHour, watchRequestsPerHour)
		if err != nil {
			yield(nil, fmt.Errorf("pipelines: Pipelines.Watch: %w", err))
			return
		}
		w := &watcher{ctx: ctx, client: s.client, repo: repo, id: id, budget: b, opts: append(opts[:len(opts):len(opts)], b.charge()), yield: yield, logs: map[string]*stepLog{}}
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
	opts   []CallOption // of every request
	yield  func(*Event, error) bool

	pipeline      *Pipeline // as last seen
	untold        bool      // its state is told once everything before it has been
	looks         int       // at the steps, since then
	waiting       []string  // steps that waited for a person when a pause was told
	pipelineCheck check
	stepsCheck    check
	steps         []*Step // as last seen
	logs          map[string]*stepLog
	failures      failureCount
	notBefore     time.Time // nothing is looked at until then: a failure delays all
}

// check is one thing to look at again and again.
type check struct {
	rhythm  rhythm
	due     time.Time
	missing absence // it isn't there, though it has to be
}

func (c *check) schedule(b *budget) {
	wait := c.rhythm.interval(b)
	if !c.missing.since.IsZero() {
		wait = c.missing.delay(logPatience)
	}
	c.due = time.Now().Add(wait)
}

// stepLog is the log of one step, and what was told of the step.
type stepLog struct {
	check
	step    *Step               // as last seen
	told    string              // its state as last told
	reader  *rangereader.Reader // nil before the log exists, and after its end
	found   bool                // by the last look
	current bool                // it was read since the pipeline's untold state was seen
	drained bool                // nothing more will come of this run of the step
}

func (w *watcher) run() error {
	w.pipelineCheck.rhythm = rhythm{quiet: time.Minute, slowest: time.Minute, stretch: stretchState}
	w.stepsCheck.rhythm = rhythm{quiet: 4 * time.Second, relax: 10, slowest: 30 * time.Second, stretch: stretchState}
	for w.untold || w.pipeline == nil || !w.pipeline.State.Done() {
		if err := w.step(); err != nil {
			return err
		}
		if !w.untold || !w.caughtUp() {
			continue
		}
		w.untold = false
		w.waiting = w.waitingSteps()
		if err := w.emit(&Event{Kind: EventPipeline, Pipeline: w.pipeline}); err != nil {
			return err
		}
	}
	return nil
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
	switch {
	case next == &w.pipelineCheck && w.stepsTell():
		next.rhythm.current = next.rhythm.quiet
	case next == &w.stepsCheck && w.untold && !w.stepsAgree():
		next.rhythm.current = fastest
	}
	next.schedule(w.budget)
	w.notBefore = time.Now().Add(w.failures.delay)
	switch {
	case next == &w.pipelineCheck && changed: // they change together
		w.stepsCheck.due = time.Time{}
	case next == &w.stepsCheck && w.pipelineTurns():
		w.pipelineCheck.due = time.Time{}
	}
	return nil
}

// due tells what to look at next, and how. While the pipeline's state is untold it isn't looked at, and neither are the steps
// once all of them have ended with it.
func (w *watcher) due() (next *check, look func() (changed bool, err error)) {
	offer := func(c *check, how func() (bool, error)) {
		if next == nil || c.due.Before(next.due) {
			next, look = c, how
		}
	}
	if !w.untold {
		offer(&w.pipelineCheck, w.lookAtPipeline)
	}
	if w.pipeline != nil && !w.stepsSettled() {
		offer(&w.stepsCheck, w.lookAtSteps)
	}
	for _, step := range w.steps { // in the pipeline's order, so that nothing depends on the map's
		if l := w.logs[step.UUID]; !l.drained && (running(step.State) || step.State.Done()) {
			offer(&l.check, func() (bool, error) { return w.lookAtLog(l) })
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

// stepsShow sums up the steps' states.
func (w *watcher) stepsShow() (ended, paused, active bool) {
	ended = true
	for _, step := range w.steps {
		ended = ended && step.State.Done()
		paused = paused || step.State.Paused()
		active = active || running(step.State)
	}
	return ended, paused, active
}

// pipelineTurns reports whether the pipeline's own state must be another by now, going by its steps'.
func (w *watcher) pipelineTurns() bool {
	ended, paused, active := w.stepsShow()
	state := w.pipeline.State
	return (ended && len(w.steps) > 0) || w.pausedAnew() || (state.Paused() && !paused) || (!state.Paused() && paused && !active) || (active && state.Name != StateInProgress)
}

// waitingSteps returns the UUIDs of the steps that wait for a person.
func (w *watcher) waitingSteps() (uuids []string) {
	for _, step := range w.steps {
		if step.State.Paused() {
			uuids = append(uuids, step.UUID)
		}
	}
	return uuids
}

// pausedAnew reports whether the pipeline waits for a person at another step than when its pause was told. It may have gone on and
// paused again since it was last looked at.
func (w *watcher) pausedAnew() bool {
	return w.pipeline.State.Paused() && !w.untold && len(w.waiting) > 0 &&
		slices.ContainsFunc(w.waitingSteps(), func(uuid string) bool { return !slices.Contains(w.waiting, uuid) })
}

// stepsAgree reports whether the steps show the end or the pause that the pipeline is in. They may do so a little later than it.
func (w *watcher) stepsAgree() bool {
	ended, paused, active := w.stepsShow()
	if w.pipeline.State.Done() {
		return ended
	}
	return paused || !active
}

// stepsSettled reports whether all steps have ended with the pipeline.
func (w *watcher) stepsSettled() bool {
	return w.untold && w.pipeline.State.Done() && w.looks > 0 && w.stepsAgree()
}

// caughtUp reports whether everything was told that happened before the pipeline's untold state. A step whose state nobody knows
// may never end: after some looks its log is read all the same, and that is all.
func (w *watcher) caughtUp() bool {
	if w.looks == 0 || (w.looks < maxPollFailures && !w.stepsAgree()) {
		return false
	}
	return !slices.ContainsFunc(w.steps, func(step *Step) bool {
		l := w.logs[step.UUID]
		return (step.State.Done() && !l.drained) || (running(step.State) && !l.current)
	})
}

func (w *watcher) lookAtPipeline() (changed bool, err error) {
	p, err := w.client.Pipelines.Get(w.ctx, w.repo, w.id, w.opts...)
	if err != nil {
		return false, err
	}
	changed = w.pipeline == nil || p.State.String() != w.pipeline.State.String() || w.pausedAnew()
	w.pipeline = p
	switch {
	case !changed:
		return false, nil
	case p.State.Done() || p.State.Paused():
		w.untold, w.looks = true, 0
		return true, nil
	}
	return true, w.emit(&Event{Kind: EventPipeline, Pipeline: p})
}

// lookAtSteps tells of the steps that have changed. One whose log can't be read keeps nothing of the others back.
func (w *watcher) lookAtSteps() (changed bool, err error) {
	steps, err := w.client.Steps.List(w.ctx, w.repo, w.id, nil, w.opts...).Collect()
	if missing(err) && len(w.steps)+len(steps) == 0 && w.mayLackSteps() {
		err = nil
	}
	if err != nil {
		return false, err
	}
	w.looks++
	w.steps = steps
	if len(w.waiting) == 0 && !w.untold { // the steps show a pause later than the pipeline
		w.waiting = w.waitingSteps()
	}
	var failed error
	for _, step := range steps {
		stepChanged, err := w.update(step)
		if errors.Is(err, errLeft) {
			return changed, err
		}
		changed = changed || stepChanged
		if failed == nil {
			failed = err
		}
	}
	if w.untold && (w.looks == 1 || w.looks == maxPollFailures) {
		w.hurry()
	}
	return changed, failed
}

// mayLackSteps reports whether the pipeline may have been parsed not yet or never. The steps of one that has run are there: a
// 404 then may mean that these credentials no longer see them.
func (w *watcher) mayLackSteps() bool {
	result := w.pipeline.State.Result
	return !w.pipeline.State.Done() || result == nil || (result.Name != ResultSuccessful && result.Name != ResultFailed)
}

// hurry makes the logs that may be growing due at once.
func (w *watcher) hurry() {
	for _, step := range w.steps {
		if l := w.logs[step.UUID]; running(step.State) {
			l.current, l.due = false, time.Time{}
		}
	}
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
			return false, err // a later look tries again
		}
	}
	l.told = step.State.String()
	return true, w.emit(&Event{Kind: EventStep, Step: step})
}

// drain reads the rest of the log of a step that has ended. One that is not there though the step has run may be on its way
// to storage.
func (w *watcher) drain(l *stepLog) error {
	awaited := !l.missing.since.IsZero()
	if l.drained || (awaited && time.Now().Before(l.due)) {
		return nil
	}
	if _, err := w.readLog(l); err != nil {
		return err
	}
	if !l.found && (hasRun(l.step) || l.reader != nil) && !l.missing.outlasts(logPatience) {
		l.schedule(w.budget)
		return nil
	}
	l.drained = true
	l.close()
	return nil
}

// hasRun reports whether a step that has ended did anything before.
func hasRun(step *Step) bool { return !step.StartedOn.IsZero() && !notRun(step) }

func notRun(step *Step) bool {
	return step.State.Result != nil && step.State.Result.Name == ResultNotRun
}

func (w *watcher) lookAtLog(l *stepLog) (changed bool, err error) {
	if l.step.State.Done() {
		return w.update(l.step)
	}
	return w.readLog(l)
}

// readLog tells what has been written to a step's log since the last time.
func (w *watcher) readLog(l *stepLog) (grown bool, err error) {
	if notRun(l.step) || l.step.UUID == "" {
		l.found, l.current = true, true // as far as there is one
		return false, nil
	}
	err = w.openLog(l)
	l.found = err == nil
	if err != nil && !missing(err) {
		return false, err
	}
	if l.found {
		grown, err = w.copyLog(l)
	} else {
		err = nil // none yet, or none at all
	}
	l.current = err == nil
	return grown, err
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
