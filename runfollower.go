package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/poll"
)

// followOptions say how a run is followed.
type followOptions struct {
	method       string       // as errors name it
	selection    LogSelection // of the logs
	withoutSteps bool
	partial      bool          // pipelines may have few fields until following ends
	interval     poll.Interval // of the pipeline, where nothing else shows its changes
	after        Cursor
	tolerate     func(err error, failingFor time.Duration) bool
	until        func(*Pipeline) bool // following ends, once everything before is told
	opts         []CallOption         // of every request
	turn         chan struct{}        // holds one value, which belongs to who sends requests; nil: runs may send at the same time
}

// runFollower follows one run: it polls pipeline, steps and logs at separate intervals, and emits what has changed.
type runFollower struct {
	ctx    context.Context //nolint:containedctx // of one range
	client *Client
	repo   Repo
	id     string
	followOptions
	emit func(*Event) error // an error ends following

	line        *poll.Line
	board       *board
	member      *member
	patience    patience
	problem     bool      // an event says that following fails
	notBefore   time.Time // no poll comes earlier: a failure delays all
	urgentUntil time.Time // the caller wants looks: what has been done may show a moment later

	inconclusive bool // the last poll found no log, which says nothing about whether following fails

	pipelineTarget pollTarget
	stepsTarget    pollTarget
	logs           map[string]*stepLog // by the step's UUID
	told           *toldRun
	watchedRun
}

// pollTarget is the pipeline, the steps, or one log.
type pollTarget struct {
	poll     func() (changed bool, err error)
	class    poll.Class
	interval poll.Interval
	last     time.Time    // when it was polled
	due      time.Time    // zero: at once
	absence  poll.Absence // it is missing, and expected within logGrace
}

// errRangeLeft says that the caller left the range over the events.
var errRangeLeft = errors.New("the range was left")

// urgentAfterWake is how long a run is polled urgently after Wake. A run that was stopped ends some seconds later.
const urgentAfterWake = 10 * time.Second

// maxStepPolls is how often the steps are polled at most until they agree with the pipeline.
const maxStepPolls = 5

var (
	pipelineInterval    = poll.Interval{Idle: time.Minute, Max: 2 * time.Minute}                      // the steps show its changes first
	sharedInterval      = poll.Interval{Idle: 4 * time.Second, Relax: 10, Max: 13 * time.Second}      // shared by the runs of a repository
	stepsInterval       = poll.Interval{Idle: 4 * time.Second, Relax: 10, Max: 13 * time.Second}      // also of the run
	pausedInterval      = poll.Interval{Idle: 30 * time.Second, Relax: 10, Max: 5 * time.Minute}      // a person decides when it goes on
	pausedStepsInterval = poll.Interval{Idle: 30 * time.Second, Relax: 10, Max: 10 * time.Minute}     // they only show what went on between two looks at the run
	logInterval         = poll.Interval{Idle: 30 * time.Second, Max: time.Minute, Priority: poll.Low} // gives way to states
)

// newRunFollower prepares the following of a run. The pace bounds its requests. It joins the board; nil: that of its repository.
// [runFollower.close] leaves it.
func (c *Client) newRunFollower(
	ctx context.Context, repo Repo, id string, o followOptions, pace *poll.Pace, own *board, emit func(*Event) error,
) *runFollower {
	w := &runFollower{
		ctx: ctx, client: c, repo: repo, id: id, followOptions: o, emit: emit,
		line: pace.NewLine(), board: own, member: newMember(id, o.withoutSteps), patience: c.newPatience(o.tolerate),
		logs: make(map[string]*stepLog), told: o.after.told.clone(),
	}
	w.member.wants = w.mayBeNew()
	if own == nil {
		w.board = c.following.boards.join(repo, w.member)
	} else {
		own.join(w.member)
	}
	w.told.Repo, w.pausedSteps = repo, w.told.Paused
	if w.told.UUID == "" && strings.HasPrefix(braced(id), "{") {
		w.told.UUID = braced(id)
	}
	w.opts = append(slices.Clip(o.opts), w.patience.charge(w.line))
	w.pipelineTarget = pollTarget{poll: w.pollPipeline, class: poll.State, interval: o.interval}
	w.stepsTarget = pollTarget{poll: w.pollSteps, class: poll.State, interval: stepsInterval}
	return w
}

// follow polls until the run has ended. It emits a deferred state of the pipeline after all events that come before it.
func (w *runFollower) follow() error {
	defer w.close()
	for w.deferred || w.pipeline == nil || !w.until(w.pipeline) {
		if err := w.pollNext(); err != nil {
			return err
		}
		if !w.deferred || !w.stepsEmitted() {
			continue
		}
		w.deferred, w.pausedSteps = false, w.summarize().paused
		if err := w.emitPipeline(); err != nil {
			return err
		}
	}
	return nil
}

// stepsEmitted reports whether all events of steps and logs are emitted that come before the pipeline's deferred state. A step in
// an unknown state may never end, so it is enough that its log is up to date.
func (w *runFollower) stepsEmitted() bool {
	if w.withoutSteps {
		return true
	}
	return w.stepsCurrent() && !slices.ContainsFunc(w.steps, func(step *Step) bool {
		l := w.logs[step.UUID]
		return (step.State.Done() && !l.complete) || (isActive(step.State) && w.wantsLog(step) && !l.upToDate)
	})
}

// pollNext polls one target, when the scheduler grants it.
func (w *runFollower) pollNext() error {
	targets := w.targets()
	claims := make([]poll.Claim, len(targets))
	for i, target := range targets {
		claims[i] = w.claim(target)
	}
	i, err := w.line.Next(w.ctx, w.member.wake, claims...)
	if err != nil {
		return fmt.Errorf("pipelines: %s: %w", w.method, err)
	}
	if i == poll.Woken {
		w.takeNews()
		return w.emitHold()
	}
	return w.pollOne(targets[i])
}

func (w *runFollower) pollOne(target *pollTarget) error {
	w.inconclusive = false
	defer w.line.Free() // also if what the caller has set panics
	changed, err := w.inTurn(target.poll)
	w.line.Done(w.patience.isOutage(err))
	target.last = time.Now()
	if err == nil && w.inconclusive {
		target.interval.Update(false)
		w.setDue(target)
		return nil
	}
	if ended := w.patience.observe(w.ctx, err, w.pipeline != nil || !w.after.IsZero()); ended != nil {
		return ended
	}
	if err == nil {
		w.problem = false
		target.interval.Update(changed)
	}
	w.notBefore = time.Now().Add(w.patience.failures.Delay())
	w.schedule(target, changed)
	return w.emitProblem(err)
}

// inTurn polls while no other run of the same call does, if the caller's options may write to a variable.
func (w *runFollower) inTurn(poll func() (bool, error)) (bool, error) {
	if w.turn != nil {
		select {
		case <-w.turn:
		default: // who has it may need what was granted
			w.line.Free()
			<-w.turn
		}
		defer func() { w.turn <- struct{}{} }()
	}
	return poll()
}

// claim is what a target asks of the scheduler.
func (w *runFollower) claim(target *pollTarget) poll.Claim {
	c := poll.Claim{
		Class: target.class, Due: target.due, Last: target.last, Interval: target.interval.Next(1),
	}
	if w.notBefore.After(c.Due) {
		c.Due = w.notBefore
	}
	if target.due.IsZero() || (c.Class == poll.State && w.isUrgent()) {
		c.Class = poll.Urgent
	}
	switch {
	case target != &w.pipelineTarget:
	case w.board.shares(w.member):
		c.Group = w.board
	case !w.withoutSteps && w.stepsChangeFirst(): // so where the budget is short, nearly all of it is for the steps
		c.Interval = 10 * w.stepsTarget.interval.Next(1)
	}
	return c
}

// targets returns what may be polled next. The pipeline isn't polled while its state is deferred, and the steps aren't once all of
// them have ended with it.
func (w *runFollower) targets() []*pollTarget {
	var targets []*pollTarget
	if !w.deferred {
		targets = append(targets, &w.pipelineTarget)
	}
	if w.withoutSteps {
		return targets
	}
	if w.pipeline != nil && !w.stepsFinal() {
		targets = append(targets, &w.stepsTarget)
	}
	for _, step := range w.steps {
		l := w.logs[step.UUID]
		if !l.complete && (step.State.Done() || (isActive(step.State) && w.wantsLog(step))) {
			targets = append(targets, &l.pollTarget)
		}
	}
	return targets
}

// schedule sets when a target is polled again after a poll. Pipeline and steps change together: what one of them shows, the other
// must show soon.
func (w *runFollower) schedule(target *pollTarget, changed bool) {
	switch target {
	case &w.pipelineTarget:
		w.setIntervals()
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
	w.setDue(target)
}

// setIntervals chooses the pipeline's interval: its steps, a list that it shares, or a person may show or make its next change.
func (w *runFollower) setIntervals() {
	switch {
	case w.pipeline == nil:
	case w.pipeline.State.Paused() && !w.summarize().active:
		w.pipelineTarget.interval.Become(pausedInterval)
		w.stepsTarget.interval.Become(pausedStepsInterval)
		return
	case w.withoutSteps:
		w.pipelineTarget.interval.Become(w.interval)
	case w.board.shares(w.member):
		w.pipelineTarget.interval.Become(sharedInterval)
	default:
		w.pipelineTarget.interval.Become(pipelineInterval)
		if w.stepsChangeFirst() {
			w.pipelineTarget.interval.SetIdle()
		}
	}
	w.stepsTarget.interval.Become(stepsInterval)
}

// setDue sets when the target is due after a poll.
func (w *runFollower) setDue(t *pollTarget) {
	fill := w.line.Fill()
	if w.isUrgent() {
		fill = 1
	}
	wait := t.interval.Next(fill)
	if t.absence.Lasts() {
		wait = t.absence.Delay(logGrace)
	}
	t.due = time.Now().Add(wait)
}

// lookSoon makes a run due that the caller wants a look at. While steps run, they show a change first.
func (w *runFollower) lookSoon() {
	w.notBefore, w.urgentUntil = time.Time{}, time.Now().Add(urgentAfterWake)
	targets := []*pollTarget{&w.pipelineTarget, &w.stepsTarget}
	if !w.withoutSteps && w.stepsChangeFirst() {
		targets = targets[1:]
	}
	for _, target := range targets {
		target.due = time.Time{}
		target.interval.Reset()
	}
}

func (w *runFollower) isUrgent() bool { return time.Now().Before(w.urgentUntil) }

// takeNews looks at what woke the run: another run's list has shown its state, or the caller wants a look now.
func (w *runFollower) takeNews() {
	if w.member.woken.Swap(false) {
		w.lookSoon()
	}
	p, full, at := w.board.seen(w.member)
	if w.deferred || !at.After(w.pipelineTarget.last) {
		return
	}
	if w.pipeline == nil || full || !w.satisfied(p, full) {
		if !w.satisfied(p, full) {
			w.board.want(w.member, true)
		}
		w.pipelineTarget.due = time.Time{}
		return
	}
	w.pipelineTarget.last = at
	w.pipelineTarget.interval.Update(false)
	w.setIntervals()
	if !w.pipelineTarget.due.IsZero() {
		w.setDue(&w.pipelineTarget)
	}
}

// satisfied reports whether the run as a list shows it is all that a look needs: it has all fields, or its state was told.
func (w *runFollower) satisfied(p *Pipeline, full bool) bool {
	return full || w.told.is(p.State.String()) || (w.partial && !w.until(p))
}

// mayBeNew reports whether a first look will have something to tell.
func (w *runFollower) mayBeNew() bool { return w.pipeline == nil && w.told.State == nil && !w.partial }

// pollPipeline emits the pipeline's state if it has changed. It defers an end or a pause until the changes of steps and logs
// before it are emitted.
func (w *runFollower) pollPipeline() (changed bool, err error) {
	p, err := w.board.look(w)
	if err != nil {
		return false, err
	}
	w.pipeline = p
	changed = !w.told.is(p.State.String()) || w.newPause(w.summarize().paused)
	w.told.UUID, w.told.BuildNumber = p.UUID, p.BuildNumber
	switch {
	case !changed:
		return false, nil
	case p.State.Done() || p.State.Paused():
		w.deferred, w.stepPolls = true, 0
		if w.pipelineTarget.due.IsZero() && p.State.Done() && w.stepsEnded() { // that is why the pipeline was polled
			w.stepPolls = 1
		}
		return true, nil
	}
	return true, w.emitPipeline()
}

// pollSteps emits the steps that have changed. If the log of one step can't be read, it goes on with the others.
func (w *runFollower) pollSteps() (changed bool, err error) {
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

func (w *runFollower) emitPipeline() error {
	state := w.pipeline.State.String()
	w.told.State, w.told.Paused = &state, w.pausedSteps
	return w.send(&Event{Kind: EventPipeline, Pipeline: w.pipeline, Last: w.until(w.pipeline)})
}

// emitProblem emits once that following fails.
func (w *runFollower) emitProblem(err error) error {
	if w.problem || err == nil {
		return nil
	}
	e := w.patience.problem(err)
	if e == nil {
		return nil
	}
	w.problem = true
	return w.send(e)
}

// emitHold emits once that the service has refused another poll for want of quota, if that lasts.
func (w *runFollower) emitHold() error {
	held := w.line.Held()
	if w.problem || held < problemGrace {
		return nil
	}
	w.problem = true
	since := time.Now()
	if w.patience.failures.Last() {
		since = w.patience.failures.Since()
	}
	err := fmt.Errorf("pipelines: %s: nothing is polled for %v after a 429: %w", w.method, held.Round(time.Second), ErrRateLimited)
	return w.send(&Event{Kind: EventProblem, Err: err, FailingSince: since})
}

// send emits an event, with what all events have. Other polls don't wait for who takes it.
func (w *runFollower) send(e *Event) error {
	w.line.Free()
	e.Repo, e.ID, e.PipelineUUID, e.Cursor = w.repo, w.id, w.told.UUID, w.cursor()
	return w.emit(e)
}

func (w *runFollower) cursor() Cursor {
	if w.told.State == nil && len(w.told.Steps) == 0 { // nothing was told
		return w.after
	}
	return Cursor{w.told.clone()}
}
