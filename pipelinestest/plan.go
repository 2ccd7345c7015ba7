package pipelinestest

import (
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// never is later than any other time.
var never = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)

// plan is when the parts of a run happen. It changes when the run is stopped or resumed.
type plan struct {
	parsed, ready, end time.Time
	haltedAt           time.Time // when it becomes halted
	result             pipelines.ResultName
	reason             *pipelines.ErrorDetail // of the result; nil: none
	spans              []span                 // of the steps
}

// span is when a step runs.
type span struct {
	pausedAt   time.Time           // when it becomes paused
	stage      pipelines.StageName // while it is paused
	start, end time.Time
	result     pipelines.ResultName
}

func (s span) paused(now time.Time) bool {
	return !now.Before(s.pausedAt) && now.Before(s.start) && now.Before(s.end)
}

func (s span) done(now time.Time) bool { return !now.Before(s.end) }

func (s span) started(now time.Time) bool { return !now.Before(s.start) }

// elapsed returns how long the step has run.
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
	p := plan{parsed: r.model.CreatedOn.Add(r.script.Parsing), haltedAt: never, result: pipelines.ResultSuccessful}
	p.ready = p.parsed.Add(r.script.Pending)
	p.end = p.ready
	if r.script.Error != nil {
		p.end, p.result, p.reason = p.parsed, pipelines.ResultError, r.script.Error
	}
	for rest := r.steps; len(rest) > 0; {
		group := parallelGroup(rest)
		p.addGroup(group)
		rest = rest[len(group):]
	}
	if r.script.Halted {
		p.halt(r.resumed)
	}
	if !r.stopped.IsZero() {
		p.stopAt(r.stopped.Add(stopDelay))
	}
	return p
}

// halt keeps the run from ending until it is resumed. Steps that won't run are pending meanwhile.
func (p *plan) halt(resumed time.Time) {
	p.haltedAt, p.end = p.end, never
	if !resumed.IsZero() {
		p.end = resumed
	}
	for i := range p.spans {
		if s := &p.spans[i]; s.result == pipelines.ResultNotRun {
			s.pausedAt, s.stage, s.end = p.haltedAt, pipelines.StageHalted, p.end
		}
	}
}

func (p *plan) halted(now time.Time) bool { return !now.Before(p.haltedAt) && now.Before(p.end) }

// parallelGroup returns the first step and those that run in parallel with it.
func parallelGroup(steps []*step) []*step {
	for i, s := range steps[1:] {
		if !s.script.Parallel {
			return steps[:i+1]
		}
	}
	return steps
}

// addGroup plans a group of parallel steps after the steps planned so far.
func (p *plan) addGroup(group []*step) {
	if p.result != pipelines.ResultSuccessful {
		for range group {
			p.spans = append(p.spans, notRun(p.end))
		}
		return
	}
	pausedAt, start := groupStart(group, p.end)
	for _, s := range group {
		planned := span{
			pausedAt: pausedAt, stage: pipelines.StagePaused, start: start, end: start.Add(s.script.Duration), result: s.script.result(),
		}
		p.spans = append(p.spans, planned)
		p.end = later(p.end, planned.end)
		if p.result == pipelines.ResultSuccessful {
			p.result, p.reason = planned.result, s.script.Error
		}
	}
}

// groupStart returns when a group starts if the run gets to it at reached, and since when it is paused before.
func groupStart(group []*step, reached time.Time) (pausedAt, start time.Time) {
	if !slices.ContainsFunc(group, func(s *step) bool { return s.script.Manual }) {
		return never, reached
	}
	if group[0].resumed.IsZero() {
		return reached, never
	}
	return reached, later(reached, group[0].resumed)
}

func notRun(end time.Time) span {
	return span{pausedAt: never, start: never, end: end, result: pipelines.ResultNotRun}
}

// stopAt ends the run early.
func (p *plan) stopAt(end time.Time) {
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

func (p *plan) paused(now time.Time) bool {
	return slices.ContainsFunc(p.spans, func(s span) bool { return s.paused(now) })
}

// isParsed reports whether the YAML is parsed, so that the selector and the steps are known.
func (p *plan) isParsed(now time.Time) bool { return !now.Before(p.parsed) && !p.end.Before(p.parsed) }
