package pipelinestest

import (
	"fmt"
	"strconv"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// stopDelay is how long a run continues after a request to stop it.
const stopDelay = time.Second

// run is a run of a repository's pipeline. Its state at a time is computed from its script and from when it was stopped and resumed.
type run struct {
	repo    *Repository
	model   pipelines.Pipeline // the fields that never change; all fields of a seeded run
	seeded  bool
	script  Script
	steps   []*step
	stopped time.Time // when it was stopped; zero: never
	resumed time.Time // when its halt was ended; zero: not yet
}

// step is a step of a run.
type step struct {
	uuid       string
	script     *Step
	resumed    time.Time            // when the manual step was started; zero: not yet
	cases      []pipelines.TestCase // of its test report
	deployment *stepDeployment      // nil: none
}

// resume starts the paused steps or ends the halt of the run. It reports whether there was something to resume.
func (r *run) resume(now time.Time) bool {
	p := r.plan()
	if p.halted(now) {
		r.resumed = now
		return true
	}
	for i, s := range p.spans {
		if s.paused(now) {
			r.steps[i].resumed = now
		}
	}
	return p.paused(now)
}

// stop stops the run. It has no effect on a run that is paused before a manual step.
func (r *run) stop(now time.Time) {
	stage := r.snapshot(now).State.Stage
	if paused := stage != nil && stage.Name == pipelines.StagePaused; r.stopped.IsZero() && !paused {
		r.stopped = now
	}
}

// AddRun adds a run of a script that was started at a time and returns its current state. The run has one target, such as
// [pipelines.BranchTarget], by default main. Unlike a run of [Repository.AddPipeline] it has steps, logs, test reports and deployments, and
// it continues if it hasn't ended. AddRun panics if [Repository.Script] would, if the time is in the future, or if there are several
// targets.
func (r *Repository) AddRun(script Script, at time.Time, target ...pipelines.Target) *pipelines.Pipeline {
	if len(target) > 1 {
		panic(fmt.Sprintf("pipelinestest: a run has one target, not %d", len(target)))
	}
	script = script.checked()
	runTarget := mainTarget()
	if len(target) > 0 {
		runTarget = clone(target[0])
	}
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	now := r.server.now()
	if at.After(now) {
		panic(fmt.Sprintf("pipelinestest: a run cannot have started at %s, which is in the future", at.UTC()))
	}
	setTargetDefaults(&runTarget)
	_, matched := r.chooseScript(runTarget)
	added := r.startScript(pipelines.Pipeline{Target: withSelector(runTarget, matched)}, script, at.UTC())
	return copyPipeline(added.snapshot(now))
}

// Resume starts the manual step before which a run is paused, or ends a halted run, as a person would in the browser. The run is named by
// its UUID or build number. Resume returns an error if the run doesn't exist or is neither paused nor halted.
func (r *Repository) Resume(id string) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	run := r.find(id)
	if run == nil {
		return fmt.Errorf("pipelinestest: no pipeline %s in %s", id, r.repo())
	}
	if !run.resume(r.server.now()) {
		return fmt.Errorf("pipelinestest: pipeline %s is neither paused before a manual step nor halted", id)
	}
	return nil
}

// find finds a run by its UUID or build number.
func (r *Repository) find(id string) *run {
	for _, run := range r.runs {
		if run.model.UUID == id || strconv.Itoa(run.model.BuildNumber) == id {
			return run
		}
	}
	return nil
}

// start starts a run. The model may have a target, variables and a trigger.
func (r *Repository) start(model pipelines.Pipeline, now time.Time) *run {
	script, matched := r.chooseScript(model.Target)
	model.Target = withSelector(model.Target, matched)
	return r.startScript(model, script, now)
}

// startScript starts a run of a script at a time.
func (r *Repository) startScript(model pipelines.Pipeline, script Script, at time.Time) *run {
	model.CreatedOn, model.State.Name = at, pipelines.StateParsing
	r.setPipelineDefaults(&model)
	if script.Error != nil {
		script.Steps = nil
	}
	started := &run{repo: r, model: model, script: script}
	for i := range script.Steps {
		started.steps = append(started.steps, r.newStep(&script.Steps[i]))
	}
	r.runs = append(r.runs, started)
	return started
}

func (r *Repository) newStep(script *Step) *step {
	s := &step{uuid: r.server.newUUID(), script: script, cases: script.TestReport.numberedCases(r.server)}
	if script.Deployment != "" {
		environment := r.addEnvironment(script.Deployment, environmentTypeOf(script.Deployment))
		s.deployment = &stepDeployment{r.server.newUUID(), r.server.newUUID(), environment.UUID()}
	}
	return s
}
