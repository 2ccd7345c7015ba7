package pipelinestest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// stopDelay is how long a run goes on after it was told to stop.
const stopDelay = time.Second

// never is later than anything that happens.
var never = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)

// run is a run of a repository's pipeline. What it looks like at a moment is computed from its script; what is kept beside that is only
// what people did to it.
type run struct {
	repo    *Repository
	model   pipelines.Pipeline // what never changes, and all of a seeded run
	seeded  bool
	script  Script
	steps   []*step
	stopped time.Time // when it was told to stop; zero: never
	resumed time.Time // when somebody ended its halt; zero: not yet
}

// step is a step of a run.
type step struct {
	uuid       string
	script     *Step
	resumed    time.Time            // when somebody started the manual step; zero: not yet
	cases      []pipelines.TestCase // of its test report
	deployment *stepDeployment      // nil: it deploys nothing
}

// plan is when the parts of a run happen, as far as that can be foretold.
type plan struct {
	parsed, ready, end time.Time
	halts              time.Time // when it begins to be halted
	result             pipelines.ResultName
	reason             *pipelines.ErrorDetail // of the result; nil: none
	spans              []span                 // of the steps
}

// span is when a step runs.
type span struct {
	waits      time.Time           // when it begins to wait for a person
	stage      pipelines.StageName // in which it waits
	start, end time.Time
	result     pipelines.ResultName
}

func (s span) waiting(now time.Time) bool {
	return !now.Before(s.waits) && now.Before(s.start) && now.Before(s.end)
}
func (s span) done(now time.Time) bool    { return !now.Before(s.end) }
func (s span) started(now time.Time) bool { return !now.Before(s.start) }

// elapsed is how long the step has been running.
func (s span) elapsed(now time.Time) time.Duration {
	if !s.started(now) {
		return 0
	}
	return earlier(now, s.end).Sub(s.start)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (r *run) plan() plan {
	p := plan{parsed: r.model.CreatedOn.Add(r.script.Parsing), halts: never, result: pipelines.ResultSuccessful}
	p.ready = p.parsed.Add(r.script.Pending)
	p.end = p.ready
	if r.script.Error != nil {
		p.end, p.result, p.reason = p.parsed, pipelines.ResultError, r.script.Error
	}
	for rest := r.steps; len(rest) > 0; {
		group := sideBySide(rest)
		p.add(group)
		rest = rest[len(group):]
	}
	if r.script.Halted {
		p.halt(r.resumed)
	}
	if !r.stopped.IsZero() {
		p.cutOff(r.stopped.Add(stopDelay))
	}
	return p
}

// halt keeps the run from ending until somebody resumes it. Steps that it won't run wait meanwhile.
func (p *plan) halt(resumed time.Time) {
	p.halts, p.end = p.end, never
	if !resumed.IsZero() {
		p.end = resumed
	}
	for i := range p.spans {
		if s := &p.spans[i]; s.result == pipelines.ResultNotRun {
			s.waits, s.stage, s.end = p.halts, pipelines.StageHalted, p.end
		}
	}
}

func (p *plan) halted(now time.Time) bool { return !now.Before(p.halts) && now.Before(p.end) }

// sideBySide returns the steps that run together with the first one.
func sideBySide(steps []*step) []*step {
	for i, s := range steps[1:] {
		if !s.script.Parallel {
			return steps[:i+1]
		}
	}
	return steps
}

// add plans a group of steps after those that are planned already.
func (p *plan) add(group []*step) {
	if p.result != pipelines.ResultSuccessful {
		for range group {
			p.spans = append(p.spans, notRun(p.end))
		}
		return
	}
	waits, start := begin(group, p.end)
	for _, s := range group {
		planned := span{
			waits: waits, stage: pipelines.StagePaused, start: start, end: start.Add(s.script.Duration), result: s.script.result(),
		}
		p.spans = append(p.spans, planned)
		p.end = later(p.end, planned.end)
		if p.result == pipelines.ResultSuccessful {
			p.result, p.reason = planned.result, s.script.Error
		}
	}
}

// begin returns when a group starts that the run reaches at a moment, and when it begins to wait for that.
func begin(group []*step, reached time.Time) (waits, start time.Time) {
	if !slices.ContainsFunc(group, func(s *step) bool { return s.script.Manual }) {
		return never, reached
	}
	if group[0].resumed.IsZero() {
		return reached, never
	}
	return reached, later(reached, group[0].resumed)
}

func notRun(end time.Time) span {
	return span{waits: never, start: never, end: end, result: pipelines.ResultNotRun}
}

// cutOff ends the run early.
func (p *plan) cutOff(end time.Time) {
	if !end.Before(p.end) {
		return
	}
	for i, s := range p.spans {
		switch {
		case !s.end.After(end):
		case s.start.Before(end):
			p.spans[i].end, p.spans[i].result = end, pipelines.ResultStopped
		default:
			p.spans[i] = notRun(end)
		}
	}
	p.end, p.result, p.reason = end, pipelines.ResultStopped, nil
}

func (p *plan) waiting(now time.Time) bool {
	return slices.ContainsFunc(p.spans, func(s span) bool { return s.waiting(now) })
}

// known reports whether the YAML has been parsed by now, and with it selector and steps are known.
func (p *plan) known(now time.Time) bool { return !now.Before(p.parsed) && !p.end.Before(p.parsed) }

// resume starts the steps that wait for a person, or ends the halt of the run. It reports whether there was something to resume.
func (r *run) resume(now time.Time) bool {
	p := r.plan()
	if p.halted(now) {
		r.resumed = now
		return true
	}
	for i, s := range p.spans {
		if s.waiting(now) {
			r.steps[i].resumed = now
		}
	}
	return p.waiting(now)
}

// stop tells the run to stop. One that is paused before a manual step doesn't listen.
func (r *run) stop(now time.Time) {
	stage := r.snapshot(now).State.Stage
	if paused := stage != nil && stage.Name == pipelines.StagePaused; r.stopped.IsZero() && !paused {
		r.stopped = now
	}
}

// snapshot is what the run looks like at a moment.
func (r *run) snapshot(now time.Time) pipelines.Pipeline {
	if r.seeded {
		return r.seededSnapshot(now)
	}
	p, plan := r.model, r.plan()
	p.State = r.state(plan, now)
	if !plan.known(now) || r.script.Error != nil {
		p.Target.Selector = nil
	}
	if p.State.Done() {
		p.CompletedOn = plan.end
	}
	p.DurationInSeconds = seconds(earlier(now, plan.end).Sub(p.CreatedOn))
	for _, s := range plan.spans {
		p.BuildSecondsUsed += seconds(s.elapsed(now))
	}
	return p
}

// seededSnapshot is what the test seeded, unless it was stopped since.
func (r *run) seededSnapshot(now time.Time) pipelines.Pipeline {
	p := r.model
	end := r.stopped.Add(stopDelay)
	if r.stopped.IsZero() || now.Before(end) {
		return p
	}
	p.State, p.CompletedOn = r.completed(pipelines.ResultStopped, nil), end
	p.DurationInSeconds = seconds(end.Sub(p.CreatedOn))
	return p
}

// seconds are never negative, though the clock of a bubble may be years behind that of the seeding.
func seconds(d time.Duration) int { return max(0, int(d/time.Second)) }

func (r *run) state(p plan, now time.Time) pipelines.PipelineState {
	switch {
	case !now.Before(p.end):
		return r.completed(p.result, p.reason)
	case now.Before(p.parsed):
		return runState(pipelines.StateParsing, pipelines.StageParsing)
	case now.Before(p.ready):
		return runState(pipelines.StatePending, pipelines.StagePending)
	case p.halted(now):
		return runState(pipelines.StateInProgress, pipelines.StageHalted)
	case p.waiting(now):
		return runState(pipelines.StateInProgress, pipelines.StagePaused)
	}
	return runState(pipelines.StateInProgress, pipelines.StageRunning)
}

// completed is the state of the run once it has ended.
func (r *run) completed(result pipelines.ResultName, reason *pipelines.ErrorDetail) pipelines.PipelineState {
	state := completedState(result)
	state.Result.Error = typedError(reason, "pipeline_error")
	if result == pipelines.ResultStopped && !r.stopped.IsZero() {
		terminator := r.repo.server.creator
		state.Result.Terminator = &terminator
	}
	return state
}

// typedError is an error with a type, unless the test has given one.
func typedError(detail *pipelines.ErrorDetail, typ string) *pipelines.ErrorDetail {
	if detail == nil {
		return nil
	}
	typed := *detail
	typed.Type = cmp.Or(typed.Type, typ)
	return &typed
}

func completedState(result pipelines.ResultName) pipelines.PipelineState {
	return pipelines.PipelineState{
		Type: "pipeline_state_completed", Name: pipelines.StateCompleted, Result: &pipelines.Result{Type: discriminator("pipeline_state_completed", result), Name: result},
	}
}

func runState(name pipelines.StateName, stage pipelines.StageName) pipelines.PipelineState {
	kind := discriminator("pipeline_state", name)
	return pipelines.PipelineState{Type: kind, Name: name, Stage: &pipelines.Stage{Type: discriminator(kind, stage), Name: stage}}
}

// discriminator is the type of what is called name within something of type kind.
func discriminator[N ~string](kind string, name N) string {
	return kind + "_" + strings.ToLower(string(name))
}

// step returns what a step looks like at a moment.
func (r *run) step(i int, now time.Time) pipelines.Step {
	s, planned := r.steps[i], r.plan().spans[i]
	model := pipelines.Step{
		Type: "pipeline_step", UUID: s.uuid, Name: s.script.Name, RunNumber: 1, MaxTime: 120,
		State:    stepState(planned, now),
		Trigger:  &pipelines.StepTrigger{Type: s.trigger()},
		Image:    &pipelines.Image{Name: cmp.Or(s.script.Image, "atlassian/default-image:latest")},
		Pipeline: &pipelines.PipelineRef{Type: "pipeline", UUID: r.model.UUID},
	}
	model.SetupCommands, model.TeardownCommands = userCommands(r.setup()), teardown()
	model.ScriptCommands = userCommands(s.script.Commands)
	if model.State.Result != nil && planned.result == s.script.result() {
		model.State.Result.Error = typedError(s.script.Error, "pipeline_step_error")
	}
	if planned.started(now) {
		model.StartedOn = planned.start
	}
	if planned.done(now) {
		model.CompletedOn = planned.end
	}
	model.DurationInSeconds = seconds(planned.elapsed(now))
	model.BuildSecondsUsed = model.DurationInSeconds
	return model
}

func (s *step) trigger() pipelines.StepTriggerType {
	if s.script.Manual {
		return pipelines.StepTriggerManual
	}
	return pipelines.StepTriggerAutomatic
}

func stepState(s span, now time.Time) pipelines.StepState {
	state := func(name pipelines.StateName) pipelines.StepState {
		return pipelines.StepState{Type: discriminator("pipeline_step_state", name), Name: name}
	}
	pending := func(stage pipelines.StageName) pipelines.StepState {
		st := state(pipelines.StatePending)
		st.Stage = &pipelines.Stage{Type: discriminator(st.Type, stage), Name: stage}
		return st
	}
	switch {
	case s.done(now):
		st := state(pipelines.StateCompleted)
		st.Result = &pipelines.Result{Type: discriminator(st.Type, s.result), Name: s.result}
		return st
	case s.started(now):
		return state(pipelines.StateInProgress)
	case s.waiting(now):
		return pending(s.stage)
	}
	return pending(pipelines.StagePending)
}

// written returns how much of a step's log there is at a moment, in whole lines.
func (r *run) written(i int, text string, now time.Time) (log string, done bool) {
	planned, total := r.plan().spans[i], r.steps[i].script.Duration
	elapsed := planned.elapsed(now)
	switch {
	case !planned.started(now):
		return "", planned.done(now)
	case elapsed >= total:
		return text, planned.done(now)
	}
	lines := strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1
	return firstLines(text, int(float64(lines)*float64(elapsed)/float64(total))), planned.done(now)
}

func firstLines(text string, n int) string {
	end := 0
	for range n {
		end += strings.IndexByte(text[end:], '\n') + 1
	}
	return text[:end]
}
