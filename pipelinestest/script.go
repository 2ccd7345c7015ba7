package pipelinestest

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// Script says what a run does. Durations that are zero take no time: the next look at the run finds it a state further on. A run that
// was started just now is PARSING in the answer all the same.
type Script struct {
	// Parsing and Pending are how long the run stays in these states before its steps begin.
	Parsing, Pending time.Duration
	// Steps run one after the other.
	Steps []Step
	// Error ends the run after Parsing with the result ERROR and without steps, as YAML does that can't be parsed.
	Error *pipelines.ErrorDetail
	// Halted keeps the run from ending: once its steps have run it is in the stage HALTED, and the steps behind one that failed are PENDING
	// and HALTED. [Repository.Resume] lets it end as it would have, and a request to stop it stops it.
	Halted bool
}

// Step is a step of a [Script].
type Step struct {
	Name     string
	Duration time.Duration
	// Log is written evenly over Duration, line by line. A step without text has no log.
	Log string
	// Result is how the step ends; empty: SUCCESSFUL, or ERROR where there is an Error. FAILED, ERROR, STOPPED and EXPIRED become the run's
	// result too, and later steps are NOT_RUN then, which can't be asked for here.
	Result pipelines.ResultName
	// Error says why the step ends with FAILED or ERROR. The result of the run carries it too.
	Error *pipelines.ErrorDetail
	// Parallel makes the step run side by side with the one before it.
	Parallel bool
	// Manual makes the run pause before the step, and before those that are parallel to it, until [Repository.Resume].
	Manual bool
	// Deployment is the name of the environment that the step deploys to. One that doesn't exist is made when the run starts.
	Deployment string
	// TestReport is what the step's tests have come to; nil: it has no report.
	TestReport *TestReport
	// Services are the logs of service containers, by the containers' UUIDs in braces. The map isn't copied.
	Services map[string]string
	Image    string
	Commands []string
}

// defaultScript is what a run does that no script fits.
var defaultScript = Script{Steps: []Step{{
	Name: "Build", Duration: time.Second, Log: "+ echo building\nbuilding\nBuild finished.\n", Commands: []string{"echo building"},
}}}

// Script sets what the runs do that are started from now on. The selector names a section of the YAML and what is there:
// "custom:NAME", "branches:PATTERN", "tags:PATTERN", or "pull-requests:PATTERN" for the source branches of pull requests. Bare, it
// serves all sections at once: "deploy" is a custom pipeline, a branch and a tag. "default", or "", is for what nothing else fits, and
// like a pattern it is no custom pipeline.
//
// Patterns are those of [path.Match]: * doesn't cross a slash; beyond them, ** does. An exact name goes before a pattern, a selector with
// a section before a bare one, and a longer pattern before a shorter. A branch or tag with a script of exactly its name, bare or in its
// section, exists without being added.
//
// Script panics where the selector is malformed, and where the script contradicts itself: where a step has a Result that no step ends with,
// or an Error and another Result than FAILED or ERROR, and where a script with an Error is to be Halted.
func (r *Repository) Script(selector string, s Script) {
	parsed, checked := parseSelector(selector), s.checked()
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.scripts[parsed] = checked
}

// checked returns a copy of the script. It panics where the script can't be carried out.
func (s Script) checked() Script {
	if s.Error != nil && s.Halted {
		panic("pipelinestest: a script with an Error ends at once and cannot be Halted")
	}
	s.Error = clonePointer(s.Error)
	s.Steps = slices.Clone(s.Steps)
	for i, step := range s.Steps {
		switch {
		case !slices.Contains(stepResults, step.Result):
			panic(fmt.Sprintf("pipelinestest: step %q cannot end with the result %s", step.Name, step.Result))
		case step.Error != nil && step.result() != pipelines.ResultFailed && step.result() != pipelines.ResultError:
			panic(fmt.Sprintf("pipelinestest: step %q has an Error and cannot end with the result %s", step.Name, step.Result))
		}
		s.Steps[i].Error = clonePointer(step.Error)
	}
	return s
}

// clonePointer returns a pointer to a copy, or nil.
func clonePointer[T any](v *T) *T {
	if v == nil {
		return nil
	}
	return new(clone(*v))
}

// result is how the step ends.
func (s *Step) result() pipelines.ResultName {
	switch {
	case s.Result != "":
		return s.Result
	case s.Error != nil:
		return pipelines.ResultError
	}
	return pipelines.ResultSuccessful
}

// stepResults are the results that a step which runs can end with.
var stepResults = []pipelines.ResultName{
	"", pipelines.ResultSuccessful, pipelines.ResultFailed, pipelines.ResultError, pipelines.ResultStopped, pipelines.ResultExpired,
}
