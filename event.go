package pipelines

import (
	"log/slog"
	"time"
)

// EventKind says what an [Event] is about.
type EventKind string

// The kinds of event. Later versions may add some.
const (
	EventPipeline EventKind = "pipeline" // the pipeline's state has changed: Pipeline is set
	EventStep     EventKind = "step"     // a step's state has changed: Step is set
	EventLog      EventKind = "log"      // a step's log has grown: Step and Log are set
	EventProblem  EventKind = "problem"  // following fails: Err is set
)

// Event is a change of a pipeline that is followed. Kind says which of the other fields are set; Repo, ID and Cursor always
// are, but for an [EventProblem] before the first change, whose Cursor is the one that following began with.
type Event struct {
	Kind         EventKind
	Repo         Repo
	ID           string // the run's UUID or build number, as it was given to [Follower.Add] or [PipelinesService.Watch]
	PipelineUUID string // empty: not known yet, because the run was named by its number and hasn't been found

	Pipeline *Pipeline // its state has changed
	Step     *Step     // its state has changed, or its log has grown by Log
	Log      []byte    // a piece of the log, which may end within a line; the caller may keep it

	Err          error     // of an EventProblem: the last failure
	FailingSince time.Time // of an EventProblem: when following began to fail; zero: no failure was tolerated before Err
	Last         bool      // no other event comes for this pipeline: it has ended, or can't be followed any longer

	Cursor Cursor // what the events up to this one have told
}

// LogValue implements [slog.LogValuer]. It shows what the event is about, and no part of a log.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("kind", string(e.Kind)), slog.String("repo", e.Repo.String()), slog.String("pipeline", e.PipelineUUID),
	}
	if e.Pipeline != nil {
		attrs = append(attrs, slog.Int("build_number", e.Pipeline.BuildNumber), slog.String("state", e.Pipeline.State.String()))
	}
	if e.Step != nil {
		attrs = append(attrs, slog.String("step", e.Step.Name), slog.String("step_state", e.Step.State.String()))
	}
	if e.Log != nil {
		attrs = append(attrs, slog.Int("log_bytes", len(e.Log)))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err), slog.Time("failing_since", e.FailingSince))
	}
	return slog.GroupValue(append(attrs, slog.Bool("last", e.Last))...)
}

// LogSelection says what of the logs is followed: [LogsAll], [LogsNone], or the end of the logs of failed steps by [LogsTail].
type LogSelection int

// The selections that need no number.
const (
	LogsAll  LogSelection = 0  // every byte of every log
	LogsNone LogSelection = -1 // no logs
)

// LogsTail selects the last lines of the logs of steps that have failed, one event each of at most a mebibyte. An n below 1 selects no
// logs.
func LogsTail(n int) LogSelection {
	if n < 1 {
		return LogsNone
	}
	return LogSelection(n)
}

// check refuses what no selection is.
func (s LogSelection) check(options string) error {
	if s < LogsNone {
		return invalidArgument("%s.Logs %d is negative", options, s)
	}
	return nil
}
