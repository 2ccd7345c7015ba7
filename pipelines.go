package pipelines

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// PipelinesService lists, starts, stops and watches pipelines.
type PipelinesService struct{ client *Client }

const (
	repositoryPath = "/repositories/{workspace}/{repo_slug}"
	pipelinesPath  = repositoryPath + "/pipelines"
	pipelinePath   = pipelinesPath + "/{pipeline_uuid}"
)

var (
	opPipelinesList        = op("Pipelines.List", http.MethodGet, pipelinesPath, idempotent)
	opPipelinesGet         = op("Pipelines.Get", http.MethodGet, pipelinePath, idempotent)
	opPipelinesRun         = op("Pipelines.Run", http.MethodPost, pipelinesPath, once)
	opPipelinesRunOnDemand = op("Pipelines.RunOnDemand", http.MethodPost, pipelinesPath, once)
	// Stopping a pipeline twice stops it once.
	opPipelinesStop = op("Pipelines.Stop", http.MethodPost, pipelinePath+"/stopPipeline", idempotent)
)

// Pipeline is one run of a repository's pipeline. Methods that take its ID accept UUID or BuildNumber. CompletedOn may be before
// CreatedOn.
type Pipeline struct {
	Type                 string                `json:"type,omitzero"`
	UUID                 string                `json:"uuid,omitzero"`
	BuildNumber          int                   `json:"build_number,omitzero"` // identifies the run too
	RunNumber            int                   `json:"run_number,omitzero"`   // counts from 1
	State                PipelineState         `json:"state,omitzero"`
	Target               Target                `json:"target,omitzero"`
	Trigger              *Trigger              `json:"trigger,omitzero"`
	Creator              *Account              `json:"creator,omitzero"`
	Repository           *Repository           `json:"repository,omitzero"`
	CreatedOn            time.Time             `json:"created_on,omitzero"`
	RunCreationDate      time.Time             `json:"run_creation_date,omitzero"`
	CompletedOn          time.Time             `json:"completed_on,omitzero"` // zero until the run ends
	DurationInSeconds    int                   `json:"duration_in_seconds,omitzero"`
	BuildSecondsUsed     int                   `json:"build_seconds_used,omitzero"` // sum over the steps
	FirstSuccessful      bool                  `json:"first_successful,omitzero"`
	Expired              bool                  `json:"expired,omitzero"`       // the run is old and has no logs
	HasVariables         bool                  `json:"has_variables,omitzero"` // not reliable
	Variables            []Variable            `json:"variables,omitzero"`     // the service never sends any
	ConfigurationSources []ConfigurationSource `json:"configuration_sources,omitzero"`
	Labels               map[string]any        `json:"labels,omitzero"`
	Links                *Links                `json:"links,omitzero"`
}

// plainPipeline is a Pipeline without its methods.
type plainPipeline Pipeline

// Format implements [fmt.Formatter]: every verb masks secured values. Without it, a verb such as %s would print a pointer's fields
// without calling the variables' methods.
func (p Pipeline) Format(f fmt.State, verb rune) { formatMasked(f, verb, plainPipeline(p)) }

// WebURL returns the URL of the run's page for a browser. It is built from repo and the build number, since the service sends no
// such link.
func (p *Pipeline) WebURL(repo Repo) string {
	return "https://bitbucket.org/" + url.PathEscape(braced(repo.Workspace)) + "/" + url.PathEscape(braced(repo.Slug)) +
		"/pipelines/results/" + strconv.Itoa(p.BuildNumber)
}

// ConfigurationSource says where the YAML of a run comes from.
type ConfigurationSource struct {
	Source string `json:"source,omitzero"` // such as "STATIC_LOCAL"
	URI    string `json:"uri,omitzero"`    // relative to the API's root, without a host
}

// TriggerName says what started a run.
type TriggerName string

// The known triggers. The last is only known as a filter of [PipelinesService.List].
const (
	TriggerPush       TriggerName = "PUSH"
	TriggerManual     TriggerName = "MANUAL"
	TriggerSchedule   TriggerName = "SCHEDULE"
	TriggerParentStep TriggerName = "PARENT_STEP"
)

// Trigger is what started a run.
type Trigger struct {
	Type string      `json:"type,omitzero"`
	Name TriggerName `json:"name,omitzero"`
}

// List lists the pipelines of a repository. The default order is the oldest first. A run that has just been started may be missing
// for a moment.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines
//
// Scope: pipeline.
func (s *PipelinesService) List(
	ctx context.Context, repo Repo, q *ListPipelinesOptions, opts ...CallOption,
) *Pager[Pipeline] {
	return list[Pipeline](ctx, s.client, opPipelinesList.at(repo.Workspace, repo.Slug), q.params(), opts)
}

// Get returns one pipeline by its UUID or build number. If there is none, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
//
// Scope: pipeline.
func (s *PipelinesService) Get(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*Pipeline, error) {
	return send[Pipeline](ctx, s.client, opPipelinesGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// Run starts a pipeline and returns it in its first state. If the branch or tag doesn't exist, the error is an [ErrNotFound]; if
// the custom pipeline doesn't exist, an [ErrInvalidRequest].
//
// Two equal requests start two runs, so a request that may have reached the service is not sent again. The error is then an
// [ErrOutcomeUnknown]: [PipelinesService.FindStarted] finds the runs that it may have started.
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines
//
// Scope: pipeline; API tokens need read:pipeline:bitbucket and write:pipeline:bitbucket.
func (s *PipelinesService) Run(
	ctx context.Context, repo Repo, run RunRequest, opts ...CallOption,
) (*Pipeline, error) {
	return send[Pipeline](ctx, s.client, opPipelinesRun.at(repo.Workspace, repo.Slug).withError(run.validate()), run, opts)
}

// RunOnDemand starts a pipeline with the YAML of the request. It needs write access to the branch. The errors are those of
// [PipelinesService.Run].
//
// The service reads the variables from the URL, secured ones too. This package never shows the URL in errors and logs, but a proxy
// may log it.
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines
//
// Scope: pipeline; API tokens need read:pipeline:bitbucket and write:pipeline:bitbucket.
func (s *PipelinesService) RunOnDemand(
	ctx context.Context, repo Repo, run OnDemandRequest, opts ...CallOption,
) (*Pipeline, error) {
	at := opPipelinesRunOnDemand.at(repo.Workspace, repo.Slug).with(run.query()).withError(run.validate())
	return send[Pipeline](ctx, s.client, at, rawBody{"application/yaml", run.YAML, run.secrets()}, opts)
}

// Stop stops a running pipeline. It returns at once, and the run becomes STOPPED a little later. [PipelinesService.Wait] waits for
// that. A run that is paused at a manual step stays paused. If the run has ended, the error is an [ErrInvalidRequest].
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/stopPipeline
//
// Scope: pipeline:write.
func (s *PipelinesService) Stop(ctx context.Context, repo Repo, id string, opts ...CallOption) error {
	err := exec(ctx, s.client, opPipelinesStop.at(repo.Workspace, repo.Slug, id), nil, opts)
	var refused *APIError
	if !errors.As(err, &refused) || !errors.Is(err, ErrInvalidRequest) || refused.Attempts == 1 {
		return err
	}
	// An earlier attempt, whose response was lost, may have stopped the run.
	p, getErr := s.Get(ctx, repo, id)
	if getErr == nil && p.State.Result != nil && p.State.Result.Name == ResultStopped {
		return nil
	}
	return err
}
