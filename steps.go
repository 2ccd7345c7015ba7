package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// StepsService reads the steps of a pipeline, their logs and their test reports.
type StepsService struct{ client *Client }

const (
	stepsPath = pipelinePath + "/steps"
	stepPath  = stepsPath + "/{step_uuid}"
)

var (
	opStepsList = op("Steps.List", http.MethodGet, stepsPath, idempotent)
	opStepsGet  = op("Steps.Get", http.MethodGet, stepPath, idempotent)
)

// Step is one step of a pipeline.
type Step struct {
	Type              string       `json:"type,omitzero"`
	UUID              string       `json:"uuid,omitzero"`
	Name              string       `json:"name,omitzero"` // empty if the YAML names none
	RunNumber         int          `json:"run_number,omitzero"`
	State             StepState    `json:"state,omitzero"`
	Trigger           *StepTrigger `json:"trigger,omitzero"`
	Image             *Image       `json:"image,omitzero"`
	SetupCommands     []Command    `json:"setup_commands,omitzero"`
	ScriptCommands    []Command    `json:"script_commands,omitzero"`
	TeardownCommands  []Command    `json:"teardown_commands,omitzero"`
	StartedOn         time.Time    `json:"started_on,omitzero"`   // zero until the step starts
	CompletedOn       time.Time    `json:"completed_on,omitzero"` // zero until the step ends
	DurationInSeconds int          `json:"duration_in_seconds,omitzero"`
	BuildSecondsUsed  int          `json:"build_seconds_used,omitzero"` // seconds that are billed
	MaxTime           int          `json:"maxTime,omitzero"`            // minutes
	Pipeline          *PipelineRef `json:"pipeline,omitzero"`
}

// PipelineRef is a reference to a pipeline.
type PipelineRef struct {
	Type string `json:"type,omitzero"`
	UUID string `json:"uuid,omitzero"`
}

// StepTriggerType says what started a step.
type StepTriggerType string

// The known triggers of a step.
const (
	StepTriggerAutomatic StepTriggerType = "pipeline_step_trigger_automatic"
	StepTriggerManual    StepTriggerType = "pipeline_step_trigger_manual"
	StepTriggerRedeploy  StepTriggerType = "pipeline_step_trigger_redeploy"
)

// StepTrigger is what started a step.
type StepTrigger struct {
	Type StepTriggerType `json:"type,omitzero"`
}

// Command is one command of a step.
type Command struct {
	Name        string      `json:"name,omitzero"`
	Command     string      `json:"command,omitzero"`
	CommandType CommandType `json:"commandType,omitzero"`
	Action      string      `json:"action,omitzero"` // of a system command, such as "PROCESS_TEST_REPORTS"
}

// CommandType says where a command comes from.
type CommandType string

// The known command types: those of the YAML, and those that the service adds.
const (
	CommandUser   CommandType = "user"
	CommandSystem CommandType = "system"
)

// Image is the image that a step runs in. Printing it masks the password, and JSON omits it.
type Image struct {
	Name     string `json:"name,omitzero"`
	Username string `json:"username,omitzero"`
	Password string `json:"password,omitzero"`
	Email    string `json:"email,omitzero"`
}

// plainImage is an Image without its methods.
type plainImage Image

func (i Image) masked() any {
	if i.Password != "" {
		i.Password = masked
	}
	return plainImage(i)
}

// Format implements [fmt.Formatter]: every verb masks the password.
func (i Image) Format(f fmt.State, verb rune) { formatMasked(f, verb, i.masked()) }

// LogValue implements [slog.LogValuer]: the password is masked.
func (i Image) LogValue() slog.Value { return slog.AnyValue(i.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: the password is omitted, because programs log JSON.
func (i Image) MarshalJSON() ([]byte, error) {
	i.Password = ""
	return json.Marshal(plainImage(i))
}

// List lists the steps of a pipeline. Their order is not documented; so far it is the order of definition. The service puts all of
// them on one page. pipelineID is a UUID or a build number.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps
//
// Scope: pipeline.
func (s *StepsService) List(
	ctx context.Context, repo Repo, pipelineID string, q *ListOptions, opts ...CallOption,
) *Pager[Step] {
	return list[Step](ctx, s.client, opStepsList.at(repo.Workspace, repo.Slug, pipelineID), q.params(), opts)
}

// Get returns one step. If there is none, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}
//
// Scope: pipeline.
func (s *StepsService) Get(
	ctx context.Context, repo Repo, pipelineID, stepID string, opts ...CallOption,
) (*Step, error) {
	return send[Step](ctx, s.client, opStepsGet.at(repo.Workspace, repo.Slug, pipelineID, stepID), nil, opts)
}
