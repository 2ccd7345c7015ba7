package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"time"
)

const (
	watchRequestsPerHour = 240
	budgetBurst          = 60
	budgetReserve        = 4 // kept for what can't wait, such as the logs of steps that end together
	maxPollFailures      = 5 // in a row, each of them after the retries of its own
)

// WatchOptions vary [PipelinesService.Watch]. Zero fields have their defaults.
type WatchOptions struct {
	RequestsPerHour int // in the long run: the first hour has 60 more; default 240
}

// FollowOptions vary [StepsService.FollowLog]. Zero fields have their defaults.
type FollowOptions struct {
	Offset          int64 // bytes to leave out at the beginning
	RequestsPerHour int   // in the long run: the first hour has 60 more; default 240
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

// rhythm is how often to look: soon after a change, then ever less often, and less still as the budget runs low.
type rhythm struct {
	quiet   time.Duration              // between two looks where nothing changes
	slowest time.Duration              // the same with an empty budget
	stretch func(fill float64) float64 // for a budget that is filled so far, from 1 to 0
	relax   time.Duration              // nothing has changed for this many times as long as the time between two looks; 0: at any time

	current time.Duration
	changed time.Time // when it last did
}

// fastest is the time to the next look right after a change.
const fastest = 2 * time.Second

func (r *rhythm) beat(changed bool) {
	if changed || r.current == 0 {
		r.current, r.changed = fastest, time.Now()
		return
	}
	quiet := r.quiet
	if r.relax > 0 {
		quiet = max(quiet, time.Since(r.changed)/r.relax)
	}
	r.current = min(r.current*3/2, quiet)
}

// interval is the time to the next look.
func (r *rhythm) interval(b *budget) time.Duration {
	fill := max(b.left()/b.burst, 0.01)
	return min(time.Duration(float64(max(r.current, fastest))*r.stretch(fill)), r.slowest)
}

// States are worth three quarters of a budget before they are looked at less often.
func stretchState(fill float64) float64 { return max(1, 1/(4*fill)) }

// Logs are many and grow all the time: they make room for the states early.
func stretchLog(fill float64) float64 { return 1 / (fill * fill * fill * fill) }

// failureCount decides how many failed polls are a moment's.
type failureCount struct {
	inARow int
	delay  time.Duration // before the next poll
}

const (
	quotaDelay   = 5 * time.Minute // the quota is one of a rolling hour, so some of it comes back in this time
	longestDelay = 2 * time.Hour   // a service that asks for more isn't waited for
)

// tolerate returns an error that ends the polling, and nil for none or one that may pass. A quota that is used up passes for
// sure: it delays the polling and doesn't count.
func (f *failureCount) tolerate(ctx context.Context, err error) error {
	if err == nil {
		*f = failureCount{}
		return nil
	}
	if ctx.Err() != nil || !passing(err) {
		return err
	}
	var answer *APIError
	if errors.As(err, &answer) && answer.RetryAfter > longestDelay {
		return err
	}
	if errors.Is(err, ErrRateLimited) {
		f.delay = quotaDelay
		if answer != nil && answer.RetryAfter > 0 {
			f.delay = answer.RetryAfter
		}
		return nil
	}
	f.inARow++
	if f.inARow >= maxPollFailures {
		return err
	}
	f.delay = fastest << f.inARow
	if answer != nil {
		f.delay = max(f.delay, answer.RetryAfter)
	}
	return nil
}

// passing holds for errors that the next poll may not meet.
func passing(err error) bool {
	var gone *vanishedError
	var link *expiredLinkError
	var answer *APIError
	switch {
	case errors.As(err, &gone), errors.As(err, &link), errors.Is(err, errHeldBack):
		return true
	case errors.As(err, &answer):
		return errors.Is(err, ErrServer) || errors.Is(err, ErrRateLimited)
	case errors.Is(err, ErrInvalidArgument), errors.Is(err, errChanged), errors.Is(err, errLeft), errors.Is(err, fs.ErrClosed):
		return false
	}
	return !permanent(err)
}

// vanishedError is the absence of a log that was there before: one that is on its way to storage, perhaps.
type vanishedError struct{ error }

func (e *vanishedError) Unwrap() error { return e.error }

func vanished(err error) error {
	if errors.Is(err, ErrNotFound) {
		return &vanishedError{err}
	}
	return err
}

// budget is a token bucket of requests. It is used by one goroutine.
type budget struct {
	burst, perSecond float64
	tokens           float64
	at               time.Time // when tokens was right
}

func newBudget(ctx context.Context, perHour, byDefault int) (*budget, error) {
	if ctx == nil {
		return nil, invalidArgument("context is nil")
	}
	if perHour < 0 {
		return nil, invalidArgument("RequestsPerHour %d is negative", perHour)
	}
	orDefault(&perHour, byDefault)
	return &budget{burst: budgetBurst, tokens: budgetBurst, perSecond: float64(perHour) / 3600, at: time.Now()}, nil
}

// charge makes a call's requests, retries included, be paid from the budget.
func (b *budget) charge() CallOption {
	return func(k *call) error {
		k.budget = b
		return nil
	}
}

// take pays for one request, waiting until the budget can: what can't wait for a poll is bound by it all the same.
func (b *budget) take(ctx context.Context) error {
	if missing := 1 - b.left(); missing > 0 {
		if err := pause(ctx, b.earn(missing)); err != nil {
			return err
		}
	}
	b.left()
	b.tokens--
	return nil
}

// earn is the time in which the budget grows by n.
func (b *budget) earn(n float64) time.Duration {
	return time.Duration(n/b.perSecond*float64(time.Second)) + 1
}

func (b *budget) left() float64 {
	now := time.Now()
	b.tokens = min(b.burst, b.tokens+now.Sub(b.at).Seconds()*b.perSecond)
	b.at = now
	return b.tokens
}

// pause waits for d and then until the budget has a request to spare.
func (b *budget) pause(ctx context.Context, d time.Duration) error {
	if missing := 1 + budgetReserve - b.left(); missing > 0 {
		d = max(d, b.earn(missing))
	}
	if d <= 0 {
		return ctx.Err()
	}
	return pause(ctx, d)
}
