package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const (
	minLabel = 18 // columns; enough for most names, which aren't known in advance
	maxLabel = 24

	demoLines = 8 // a second
)

// follower prints the events of a run.
type follower struct {
	*job
	pipeline *pipelines.Pipeline // latest state
	steps    []*step             // in order of the run
	columns  int                 // width of the widest label
	lines    []string            // to print
}

// step is the state of a step of the run.
type step struct {
	*pipelines.Step
	label  string // short and unique
	colour string
	log    *sanitizer
	tail   []string // last lines of the log
}

func newFollower(s *job, p *pipelines.Pipeline) *follower {
	return &follower{job: s, pipeline: p, columns: minLabel}
}

// follow returns when the run has ended, or with the error that prevented following it.
func (f *follower) follow(ctx context.Context) error {
	defer f.screen.keepProgress()()
	f.screen.setProgress(f.progress()...)
	f.print()
	for e, err := range f.client.Pipelines.Watch(ctx, f.repo, f.pipeline.UUID, f.watchOptions()) {
		if err != nil {
			f.flush()
			return err
		}
		f.take(e)
		f.screen.setProgress(f.progress()...)
		f.print()
	}
	return nil
}

// watchOptions has failures that may pass tolerated until the timeout.
func (f *follower) watchOptions() *pipelines.WatchOptions {
	o := &pipelines.WatchOptions{Tolerate: func(error, time.Duration) bool { return true }}
	if f.options.quiet {
		o.Logs = pipelines.LogsTail(keptLines)
	}
	return o
}

func (f *follower) take(e *pipelines.Event) {
	switch e.Kind {
	case pipelines.EventPipeline:
		f.pipelineChanged(e.Pipeline)
	case pipelines.EventStep:
		f.stepChanged(e.Step)
	case pipelines.EventLog:
		f.step(e.Step).log.write(e.Log)
	case pipelines.EventProblem:
		f.troubled(e)
	}
}

// troubled prints that following fails. It goes on, and the next event shows that it works again.
func (f *follower) troubled(e *pipelines.Event) {
	f.addState(f.screen.colour.Paint(cli.Bold, cli.Pad("pipeline", f.columns)), "can't be followed",
		" since "+cli.Clock(e.FailingSince.Sub(f.screen.start))+", trying again: "+f.text(cli.Message(e.Err)))
}

func (f *follower) pipelineChanged(p *pipelines.Pipeline) {
	f.pipeline = p
	f.addState(f.screen.colour.Paint(cli.Bold, cli.Pad("pipeline", f.columns)), p.State.String(), "")
	if p.State.Paused() {
		f.lines = append(f.lines, "The run waits for a person, who can let it go on at "+p.WebURL(f.repo))
	}
}

// stepChanged prints the new state of a step, unless the step is waiting for its turn.
func (f *follower) stepChanged(model *pipelines.Step) {
	s := f.step(model)
	s.Step = model
	if model.State.Done() {
		s.log.flush()
	}
	if model.State.Name == pipelines.StatePending && !model.State.Paused() {
		return
	}
	f.addState(f.screen.colour.Paint(s.colour, cli.Pad(s.label, f.columns)), model.State.String(), f.detail(s))
}

// detail describes a step beside its state.
func (f *follower) detail(s *step) string {
	if !s.State.Done() || !s.ran() {
		return ""
	}
	return " in " + s.duration() + f.reason(s.State.Result)
}

// reason is the service's reason for a result, if any.
func (f *follower) reason(result *pipelines.Result) string {
	switch {
	case result == nil:
	case result.Error != nil && result.Error.String() != "":
		return ": " + f.text(result.Error.String())
	case result.Terminator != nil && result.Terminator.DisplayName != "":
		return " by " + f.text(result.Terminator.DisplayName)
	}
	return ""
}

func (s *step) ran() bool {
	return s.State.Result == nil || s.State.Result.Name != pipelines.ResultNotRun
}

func (s *step) duration() string {
	return (time.Duration(s.DurationInSeconds) * time.Second).String()
}

// step returns the step of an event, and adds it if it is new. A step that runs again has another log.
func (f *follower) step(model *pipelines.Step) *step {
	i := slices.IndexFunc(f.steps, func(s *step) bool { return s.UUID == model.UUID })
	if i >= 0 {
		f.steps[i].runsAs(model)
		return f.steps[i]
	}
	colours := []string{cli.Cyan, cli.Magenta, cli.Blue, cli.Yellow}
	s := &step{Step: model, label: f.label(model.Name), colour: colours[len(f.steps)%len(colours)]}
	s.log = newSanitizer(bool(f.screen.colour), f.hidden, func(line string) { f.addLine(s, line) })
	f.steps = append(f.steps, s)
	f.columns = max(f.columns, cli.Columns(s.label))
	return s
}

// runsAs forgets the log of the run before, if the step runs again.
func (s *step) runsAs(model *pipelines.Step) {
	if s.RunNumber != model.RunNumber {
		s.log.flush()
		s.Step, s.tail = model, nil
	}
}

// label returns a short unique name for a new step. Names of steps may be long, equal, or empty.
func (f *follower) label(name string) string {
	number := len(f.steps) + 1
	name = cli.Fit(f.text(name), maxLabel)
	if name == "" {
		return fmt.Sprintf("step %d", number)
	}
	if slices.ContainsFunc(f.steps, func(s *step) bool { return s.label == name }) {
		return fmt.Sprintf("%s (%d)", name, number)
	}
	return name
}

func (f *follower) addLine(s *step, line string) {
	if len(s.tail) == keptLines {
		s.tail = slices.Delete(s.tail, 0, 1)
	}
	s.tail = append(s.tail, line)
	if f.options.quiet { // the report has it
		return
	}
	f.add(f.screen.colour.Paint(s.colour, cli.Pad(s.label, f.columns)+" │"), line)
}

func (f *follower) addState(label, state, detail string) {
	f.add(label+" "+f.screen.colour.Paint(cli.Bold, "●"), f.state(state)+detail)
}

func (f *follower) add(label, text string) {
	f.lines = append(f.lines, f.screen.colour.Paint(cli.Dim, fmt.Sprintf("%5s", f.screen.elapsed()))+"  "+label+" "+text)
}

// state is a state or a result in its colour.
func (f *follower) state(word string) string {
	return f.screen.colour.Paint(cli.StateColour(word), f.text(word))
}

// flush prints unfinished lines.
func (f *follower) flush() {
	for _, s := range f.steps {
		s.log.flush()
	}
	f.print()
}

// print prints the lines: those of the demo one by one, as many a second as a person can follow.
func (f *follower) print() {
	if !f.demo {
		f.screen.print(f.lines...)
		f.lines = f.lines[:0]
		return
	}
	for _, line := range f.lines {
		f.screen.print(line)
		time.Sleep(time.Second / demoLines)
	}
	f.lines = f.lines[:0]
}

// progress is the text of the progress line, followed by shorter ones for narrow terminals.
func (f *follower) progress() []string {
	var running []string
	done := 0
	for _, s := range f.steps {
		switch {
		case s.State.Done():
			done++
		case s.State.Name != pipelines.StatePending:
			running = append(running, s.label)
		}
	}
	steps := cli.Count(len(f.steps), "step", "steps")
	long, short := fmt.Sprintf("%d of %s done", done, steps), fmt.Sprintf("%d/%d", done, len(f.steps))
	switch {
	case f.pipeline.State.Paused():
		return []string{long + ", waiting for a person", short + ", waiting for a person"}
	case len(f.steps) == 0:
		return []string{f.text(f.pipeline.State.String())}
	case len(running) > 1:
		names, more := strings.Join(running, ", "), fmt.Sprintf(" and %d more", len(running)-1)
		return []string{long + ", running: " + names, short + ": " + names, short + ": " + running[0] + more}
	case len(running) > 0:
		return []string{long + ", running: " + running[0], short + ": " + running[0]}
	}
	return []string{long, short}
}
