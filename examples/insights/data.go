package main

import (
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// Run holds what the analysis needs of a run.
type Run struct {
	ID        string // with which the service is asked; empty: it has none
	Number    int    // 0: it has none
	URL       string
	Pipeline  string // in the YAML, such as "custom: nightly"
	Branch    string
	Commit    string               // abbreviated
	Result    pipelines.ResultName // empty: not ended
	Created   time.Time
	Duration  time.Duration // negative: unknown
	Build     time.Duration // build time that is charged; negative: unknown
	StepsRead bool
	Steps     []Step
}

// Step holds what the analysis needs of a step.
type Step struct {
	Name     string
	Result   pipelines.ResultName // empty: not ended
	Manual   bool
	Started  time.Time     // zero: never
	Duration time.Duration // negative: unknown
	Build    time.Duration // negative: unknown
	Failed   []string      // failed tests
}

// unknownResult is the result of what has no state, or has ended without a result. So is any other result that isn't known.
const unknownResult pipelines.ResultName = "UNKNOWN"

// charged is the build time in minutes.
func charged(build time.Duration) float64 { return max(0, build).Minutes() }

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

// negative counts the times of a run and its steps that are negative.
func (r Run) negative() int {
	n := 0
	for _, d := range []time.Duration{r.Duration, r.Build} {
		if d < 0 {
			n++
		}
	}
	for _, s := range r.Steps {
		n += Run{Duration: s.Duration, Build: s.Build}.negative()
	}
	return n
}
