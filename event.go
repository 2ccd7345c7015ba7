package pipelines

// EventKind says what an [Event] is about.
type EventKind string

// The kinds of event. Later versions may add some.
const (
	EventPipeline EventKind = "pipeline" // the pipeline's state has changed: Pipeline is set
	EventStep     EventKind = "step"     // a step's state has changed: Step is set
	EventLog      EventKind = "log"      // a step's log has grown: Step and Log are set
)

// Event is a change of a watched pipeline. Kind says which of the other fields are set.
type Event struct {
	Kind     EventKind
	Pipeline *Pipeline // its state has changed
	Step     *Step     // its state has changed, or its log has grown by Log
	Log      []byte    // a piece of the log, which may end within a line; the caller may keep it
}
