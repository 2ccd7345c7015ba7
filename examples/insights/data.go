package main

import (
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// Run is what the analysis needs to know of a run.
type Run struct {
	Number    int
	URL       string
	Pipeline  string // of the YAML, such as "custom: nightly"
	Branch    string
	Commit    string               // its first digits
	Result    pipelines.ResultName // empty: it hasn't ended
	Created   time.Time
	Duration  time.Duration
	Build     time.Duration // what is charged
	StepsRead bool
	Steps     []Step
}

// Step is what the analysis needs to know of a step.
type Step struct {
	Name     string
	Result   pipelines.ResultName // empty: it hasn't ended
	Manual   bool
	Started  time.Time // zero: never
	Duration time.Duration
	Build    time.Duration
	Failed   []string // tests
}

// failed reports whether a result speaks of what ran. That somebody stopped it doesn't.
func failed(result pipelines.ResultName) bool {
	switch result {
	case pipelines.ResultFailed, pipelines.ResultError, pipelines.ResultExpired:
		return true
	default:
		return false
	}
}

// judged reports whether a run or step has come to an end of its own.
func judged(result pipelines.ResultName) bool {
	return result == pipelines.ResultSuccessful || failed(result)
}

// waited is how long a run waited for its first step to start; ok is false where none did, or where a person started it.
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
