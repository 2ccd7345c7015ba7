package pipelinestest

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// Script is what a run does. A duration of zero takes no time: the next request sees the run in its next state. The response that starts a
// run always says PARSING.
type Script struct {
	// Parsing and Pending are how long the run is in these states before its steps begin.
	Parsing, Pending time.Duration
	// Steps run one after the other.
	Steps []Step
	// Error ends the run after Parsing with the result ERROR and no steps, as invalid YAML does.
	Error *pipelines.ErrorDetail
	// Halted keeps the run from ending. Once its steps have run it is in the stage HALTED, and the steps
	// after a failed one are PENDING and HALTED. [Repository.Resume] ends the run; so does a request to stop
	// it.
	Halted bool
}

// Step is a step of a [Script].
type Step struct {
	Name     string
	Duration time.Duration
	// Log is written evenly over Duration, line by line. A step without text has no log.
	Log string
	// Result is the result of the step; empty: SUCCESSFUL, or ERROR if Error is set. FAILED, ERROR, STOPPED
	// and EXPIRED become the result of the run too, and later steps are NOT_RUN. NOT_RUN itself isn't allowed
	// here.
	Result pipelines.ResultName
	// Error is why the step ends with FAILED or ERROR. The result of the run has it too.
	Error *pipelines.ErrorDetail
	// Parallel makes the step run in parallel with the one before it.
	Parallel bool
	// Manual pauses the run before the step, and before those parallel to it, until [Repository.Resume].
	Manual bool
	// Deployment is the name of the environment that the step deploys to. If the environment doesn't exist,
	// the start of the run creates it.
	Deployment string
	// TestReport is the test report of the step; nil: none.
	TestReport *TestReport
	// Services are the logs of service containers, by the containers' UUIDs in braces. The map isn't copied.
	Services map[string]string
	Image    string
	Commands []string
}

// defaultScript is what a run does if no script matches.
var defaultScript = Script{Steps: []Step{{
	Name: "Build", Duration: time.Second, Log: "+ echo building\nbuilding\nBuild finished.\n", Commands: []string{"echo building"},
}}}

// Script sets what runs do that start from now on. The selector names a section of the YAML and a name or pattern in it: "custom:NAME",
// "branches:PATTERN", "tags:PATTERN", or "pull-requests:PATTERN" for the source branches of pull requests. Without a section it matches in
// all of them: "deploy" is a custom pipeline, a branch and a tag. "default", or "", is for runs that nothing else matches. Like a pattern,
// it is no custom pipeline.
//
// Patterns are those of [path.Match], in which * doesn't match a slash; ** does. An exact name takes precedence over a pattern, a selector
// with a section over one without, and a longer pattern over a shorter one. A script for exactly one name, with the section of the
// reference or without one, also makes the branch or tag exist.
//
// Script panics if the selector is malformed or the script contradicts itself: a step has a Result that no step can end with, or an Error
// and a Result other than FAILED or ERROR, or the script has an Error and is Halted.
func (r *Repository) Script(selector string, s Script) {
	parsed, checked := parseSelector(selector), s.checked()
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.scripts[parsed] = checked
}

// checked returns a copy of the script. It panics if the script contradicts itself.
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

// clonePointer returns a pointer to a deep copy, or nil.
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

// stepResults are the results that a step may end with.
var stepResults = []pipelines.ResultName{
	"", pipelines.ResultSuccessful, pipelines.ResultFailed, pipelines.ResultError, pipelines.ResultStopped, pipelines.ResultExpired,
}
