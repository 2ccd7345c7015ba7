package main

import (
	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// report prints the result of the run, and returns the exit status.
func (f *follower) report() int {
	state := f.pipeline.State
	f.table()
	for _, s := range f.badSteps() {
		f.lastLines(s)
	}
	f.lines = append(f.lines, "",
		f.state(state.String())+f.reason(state.Result)+" after "+f.screen.elapsed()+": "+f.pipeline.WebURL(f.repo))
	f.print()
	if state.Succeeded() {
		return cli.Success
	}
	return cli.Failure
}

// table prints the steps with their results.
func (f *follower) table() {
	if len(f.steps) == 0 {
		return
	}
	label, result := len("STEP"), len("RESULT")
	for _, s := range f.steps {
		label, result = max(label, cli.Columns(s.label)), max(result, cli.Columns(f.word(s)))
	}
	f.lines = append(f.lines, "", f.screen.colour.Paint(cli.Bold, cli.Pad("STEP", label)+"  "+cli.Pad("RESULT", result)+"  DURATION"))
	for _, s := range f.steps {
		duration := "-"
		if s.ran() {
			duration = s.duration()
		}
		word := f.word(s)
		f.lines = append(f.lines, cli.Pad(s.label, label)+"  "+f.state(word)+cli.Pad("", result-cli.Columns(word))+"  "+duration)
	}
}

func (f *follower) word(s *step) string { return f.text(s.State.String()) }

// badSteps returns the failed steps, or else those that ended in another bad way.
func (f *follower) badSteps() []*step {
	var failed, others []*step
	if f.pipeline.State.Succeeded() {
		return nil
	}
	for _, s := range f.steps {
		switch {
		case s.State.Result == nil || s.State.Succeeded() || !s.ran():
		case s.State.Result.Name == pipelines.ResultFailed || s.State.Result.Name == pipelines.ResultError:
			failed = append(failed, s)
		default:
			others = append(others, s)
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return others
}

// lastLines repeats the end of a step's log, which may have scrolled away.
func (f *follower) lastLines(s *step) {
	heading := s.label + " " + f.word(s) + f.reason(s.State.Result)
	tail, teardown := f.tailOf(s)
	switch {
	case len(tail) > 0 && teardown:
		heading += "; its last lines before the teardown:"
	case len(tail) > 0:
		heading += "; its last lines:"
	}
	f.lines = append(f.lines, "", f.screen.colour.Paint(cli.Bold, heading))
	for _, line := range tail {
		f.lines = append(f.lines, f.screen.colour.Paint(s.colour, "│")+" "+line)
	}
}
