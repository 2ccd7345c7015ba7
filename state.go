package pipelines

// StateName is the name of a pipeline's or a step's state. An unknown name counts as running.
type StateName string

// The known states. Only steps are READY, and only pipelines are PARSING. COMPLETED is the only final state.
const (
	StateParsing    StateName = "PARSING"
	StatePending    StateName = "PENDING"
	StateReady      StateName = "READY"
	StateInProgress StateName = "IN_PROGRESS"
	StateCompleted  StateName = "COMPLETED"
)

// StageName is the name of the stage within a state that is not COMPLETED.
type StageName string

// The known stages. PAUSED and HALTED wait for a person.
const (
	StageParsing StageName = "PARSING"
	StagePending StageName = "PENDING"
	StageRunning StageName = "RUNNING"
	StagePaused  StageName = "PAUSED"
	StageHalted  StageName = "HALTED"
)

// ResultName says how something that is COMPLETED ended.
type ResultName string

// The known results. Only steps have NOT_RUN.
const (
	ResultSuccessful ResultName = "SUCCESSFUL"
	ResultFailed     ResultName = "FAILED"
	ResultError      ResultName = "ERROR"
	ResultStopped    ResultName = "STOPPED"
	ResultExpired    ResultName = "EXPIRED"
	ResultNotRun     ResultName = "NOT_RUN"
)

// PipelineState is the state of a run. Stage is nil once the run is COMPLETED, and Result is nil until then.
type PipelineState struct {
	Type   string    `json:"type,omitzero"`
	Name   StateName `json:"name,omitzero"`
	Stage  *Stage    `json:"stage,omitzero"`
	Result *Result   `json:"result,omitzero"`
}

// Stage is the stage within a state.
type Stage struct {
	Type string    `json:"type,omitzero"`
	Name StageName `json:"name,omitzero"`
}

// Result is how a run or a step ended.
type Result struct {
	Type       string       `json:"type,omitzero"`
	Name       ResultName   `json:"name,omitzero"`
	Error      *ErrorDetail `json:"error,omitzero"`      // the reason; for ERROR and some FAILED results
	Terminator *Account     `json:"terminator,omitzero"` // the account that stopped it; for STOPPED
}

// Done reports whether the run has ended, successfully or not. An unknown state is not done.
func (s PipelineState) Done() bool { return stateDone(s.Name) }

// Succeeded reports whether the run has ended successfully.
func (s PipelineState) Succeeded() bool { return stateSucceeded(s.Name, s.Result) }

// Paused reports whether the run waits for a person: its stage is PAUSED (a manual step) or HALTED. The API has no operation that
// resumes it; a person has to do so in the browser.
func (s PipelineState) Paused() bool { return statePaused(s.Name, s.Stage) }

// String returns the result of an ended run ("SUCCESSFUL"), else the stage ("RUNNING"), else the name of the state.
func (s PipelineState) String() string { return stateWord(s.Name, s.Stage, s.Result) }

// StepState is the state of a step. Stage is nil once the step is COMPLETED, and Result is nil until then.
type StepState struct {
	Type   string    `json:"type,omitzero"`
	Name   StateName `json:"name,omitzero"`
	Stage  *Stage    `json:"stage,omitzero"`
	Result *Result   `json:"result,omitzero"`
}

// Done reports whether the step has ended, successfully or not, or was never run. An unknown state is not done.
func (s StepState) Done() bool { return stateDone(s.Name) }

// Succeeded reports whether the step has ended successfully.
func (s StepState) Succeeded() bool { return stateSucceeded(s.Name, s.Result) }

// Paused reports whether the step waits for a person: its stage is PAUSED (a manual step) or HALTED.
func (s StepState) Paused() bool { return statePaused(s.Name, s.Stage) }

// String returns the result of an ended step, else the stage, else the name of the state.
func (s StepState) String() string { return stateWord(s.Name, s.Stage, s.Result) }

func stateDone(name StateName) bool { return name == StateCompleted }

func stateSucceeded(name StateName, result *Result) bool {
	return stateDone(name) && result != nil && result.Name == ResultSuccessful
}

func statePaused(name StateName, stage *Stage) bool {
	return !stateDone(name) && stage != nil && (stage.Name == StagePaused || stage.Name == StageHalted)
}

func stateWord(name StateName, stage *Stage, result *Result) string {
	switch {
	case result != nil && result.Name != "":
		return string(result.Name)
	case !stateDone(name) && stage != nil && stage.Name != "":
		return string(stage.Name)
	}
	return string(name)
}
