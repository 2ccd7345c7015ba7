package pipelines

import "time"

// EventKind says what an [Event] is about.
type EventKind string

// The kinds of event. Later versions may add some.
const (
	EventPipeline EventKind = "pipeline" // the pipeline's state has changed: Pipeline is set
	EventStep     EventKind = "step"     // a step's state has changed: Step is set
	EventLog      EventKind = "log"      // a step's log has grown: Step and Log are set
	EventProblem  EventKind = "problem"  // following fails: Err is set
)

// Event is a change of a pipeline that is followed. Kind says which of the other fields are set; Repo and Cursor always are.
type Event struct {
	Kind         EventKind
	Repo         Repo
	PipelineUUID string // empty: not known yet, as nothing of it was found

	Pipeline *Pipeline // its state has changed
	Step     *Step     // its state has changed, or its log has grown by Log
	Log      []byte    // a piece of the log, which may end within a line; the caller may keep it

	Err          error     // of an EventProblem: the last failure
	FailingSince time.Time // of an EventProblem: when following began to fail; zero: it didn't fail before
	Last         bool      // no other event comes for this pipeline: it has ended, or can't be followed any longer

	Cursor Cursor // what the events up to this one have told
}

// LogSelection says what of the logs is followed: [LogsAll], [LogsNone], or the end of the logs of failed steps by [LogsTail].
type LogSelection int

const (
	LogsAll  LogSelection = 0  // every byte of every log
	LogsNone LogSelection = -1 // no logs
)

// LogsTail selects the last lines of the logs of steps that have failed, one event each. An n below 1 selects no logs.
func LogsTail(n int) LogSelection {
	if n < 1 {
		return LogsNone
	}
	return LogSelection(n)
}
