package pipelinestest

import (
	"cmp"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// snapshot returns the run at a time.
func (r *run) snapshot(now time.Time) pipelines.Pipeline {
	if r.seeded {
		return r.seededSnapshot(now)
	}
	p, plan := r.model, r.plan()
	p.State = r.state(plan, now)
	if !plan.isParsed(now) || r.script.Error != nil {
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

// seededSnapshot returns a run of [Repository.AddPipeline] at a time. Only stopping changes it.
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

// seconds is never negative, although the clock of a bubble may be years behind that with which a run was seeded.
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
	case p.paused(now):
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

// typedError is an error with a type, unless the test has set one.
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

// discriminator is the type of the value name within a value of type kind.
func discriminator[N ~string](kind string, name N) string {
	return kind + "_" + strings.ToLower(string(name))
}

// step returns a step at a time.
func (r *run) step(i int, now time.Time) pipelines.Step {
	s, planned := r.steps[i], r.plan().spans[i]
	model := pipelines.Step{
		Type: "pipeline_step", UUID: s.uuid, Name: s.script.Name, RunNumber: 1, MaxTime: 120,
		State:    stepState(planned, now),
		Trigger:  &pipelines.StepTrigger{Type: s.trigger()},
		Image:    &pipelines.Image{Name: cmp.Or(s.script.Image, "atlassian/default-image:latest")},
		Pipeline: &pipelines.PipelineRef{Type: "pipeline", UUID: r.model.UUID},
	}
	model.SetupCommands, model.TeardownCommands = userCommands(r.setupCommands()), teardownCommands()
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
	case s.paused(now):
		return pending(s.stage)
	}
	return pending(pipelines.StagePending)
}
