package main

import (
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// Run holds what the analysis needs of a run.
type Run struct {
	Number    int
	URL       string
	Pipeline  string // in the YAML, such as "custom: nightly"
	Branch    string
	Commit    string               // abbreviated
	Result    pipelines.ResultName // empty: not ended
	Created   time.Time
	Duration  time.Duration
	Build     time.Duration // build time that is charged
	StepsRead bool
	Steps     []Step
}

// Step holds what the analysis needs of a step.
type Step struct {
	Name     string
	Result   pipelines.ResultName // empty: not ended
	Manual   bool
	Started  time.Time // zero: never
	Duration time.Duration
	Build    time.Duration
	Failed   []string // failed tests
}

// failed reports whether a result is a failure of what ran. A stopped run isn't one.
func failed(result pipelines.ResultName) bool {
	switch result {
	case pipelines.ResultFailed, pipelines.ResultError, pipelines.ResultExpired:
		return true
	default:
		return false
	}
}

// judged reports whether a run or step ended without being stopped.
func judged(result pipelines.ResultName) bool {
	return result == pipelines.ResultSuccessful || failed(result)
}

// waited is how long a run waited for its first step to start; ok is false if none started or a person started it.
func (r Run) waited() (wait time.Duration, ok bool) {
	var first *Step
	for i, s := range r.Steps {
		if !s.Started.IsZero() && (first == nil || s.Started.Before(first.Started)) {
			first = &r.Steps[i]
		}
	}
	if first == nil || first.Manual {
		return 0, false
	}
	return max(0, first.Started.Sub(r.Created)), true
}
