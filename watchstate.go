package pipelines

import "slices"

// watchedRun is a pipeline and its steps as last polled. Its methods decide what the steps' states mean for the pipeline's.
type watchedRun struct {
	pipeline *Pipeline // nil before the first poll
	steps    []*Step

	deferred    bool     // the pipeline's state is emitted after all events that come before it
	stepPolls   int      // of the steps, since the pipeline's state was deferred
	pausedSteps []string // UUIDs of the steps that were paused when the pipeline's pause was emitted
}

// stepSummary sums up the states of a pipeline's steps.
type stepSummary struct {
	ended  bool     // all steps have
	active bool     // at least one step is
	paused []string // UUIDs
}

func (r *watchedRun) summarize() stepSummary {
	sum := stepSummary{ended: true}
	for _, step := range r.steps {
		sum.ended = sum.ended && step.State.Done()
		sum.active = sum.active || isActive(step.State)
		if step.State.Paused() {
			sum.paused = append(sum.paused, step.UUID)
		}
	}
	return sum
}

// stepsEnded reports whether the steps are known, and all of them have ended.
func (r *watchedRun) stepsEnded() bool { return len(r.steps) > 0 && r.summarize().ended }

// isActive reports whether a step may be writing its log. An unknown state is active.
func isActive(s StepState) bool {
	return !s.Done() && !s.Paused() && s.Name != StatePending && s.Name != StateReady
}

// hasRun reports whether a step that has ended did anything.
func hasRun(step *Step) bool { return !step.StartedOn.IsZero() && !notRun(step) }

func notRun(step *Step) bool {
	return step.State.Result != nil && step.State.Result.Name == ResultNotRun
}

// mayLackSteps reports whether the service may not have created the pipeline's steps: it hasn't parsed the pipeline, or couldn't.
// A 404 for the steps of a pipeline that has run may mean that the credentials no longer give access.
func (r *watchedRun) mayLackSteps() bool {
	result := r.pipeline.State.Result
	return !r.pipeline.State.Done() || result == nil || (result.Name != ResultSuccessful && result.Name != ResultFailed)
}

// stepsChangeFirst reports whether the pipeline's next change will show in its steps first.
func (r *watchedRun) stepsChangeFirst() bool {
	return r.pipeline != nil && r.pipeline.State.Name == StateInProgress && r.summarize().active
}

// pipelineOutdated reports whether the steps show that the pipeline must have another state by now.
func (r *watchedRun) pipelineOutdated() bool {
	sum, state := r.summarize(), r.pipeline.State
	switch {
	case r.stepsEnded():
		return true
	case sum.active && state.Name != StateInProgress:
		return true
	case state.Paused():
		return len(sum.paused) == 0 || r.newPause(sum.paused)
	}
	return len(sum.paused) > 0 && !sum.active
}

// newPause reports whether a paused pipeline is paused at another step than when its pause was emitted. Between two polls it may
// have gone on and paused again.
func (r *watchedRun) newPause(pausedSteps []string) bool {
	return r.pipeline != nil && r.pipeline.State.Paused() && !r.deferred && len(r.pausedSteps) > 0 &&
		slices.ContainsFunc(pausedSteps, func(uuid string) bool { return !slices.Contains(r.pausedSteps, uuid) })
}

// stepsAgree reports whether the steps show the pipeline's end or pause. They may show it a little later than the pipeline.
func (r *watchedRun) stepsAgree() bool {
	sum := r.summarize()
	if r.pipeline.State.Done() {
		return sum.ended
	}
	return len(sum.paused) > 0 || !sum.active
}

// stepsFinal reports whether all steps have ended with the pipeline.
func (r *watchedRun) stepsFinal() bool {
	return r.deferred && r.pipeline.State.Done() && r.stepPolls > 0 && r.stepsAgree()
}

// stepsCurrent reports whether the steps were polled since the pipeline's state was deferred, and agree with it. A step in an
// unknown state may never agree, so maxStepPolls polls are enough.
func (r *watchedRun) stepsCurrent() bool {
	return r.stepPolls >= maxStepPolls || (r.stepPolls > 0 && r.stepsAgree())
}
