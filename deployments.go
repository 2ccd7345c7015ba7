package pipelines

import (
	"context"
	"net/http"
	"time"

	"github.com/google/go-querystring/query"
)

// DeploymentsService manages deployment environments and their variables, and reads deployments.
type DeploymentsService struct{ client *Client }

const deploymentsPath = repositoryPath + "/deployments"

var (
	opDeploymentsList = op("Deployments.List", http.MethodGet, deploymentsPath, idempotent)
	opDeploymentsGet  = op("Deployments.Get", http.MethodGet, deploymentsPath+"/{deployment_uuid}", idempotent)
)

// Deployment is a deployment of a release to an environment. To get more of the environment than its UUID, use [WithQuery] with
// "fields".
type Deployment struct {
	Type           string             `json:"type,omitzero"`
	UUID           string             `json:"uuid,omitzero"`
	Key            string             `json:"key,omitzero"` // "steps-{uuid}"
	Version        int                `json:"version,omitzero"`
	State          DeploymentState    `json:"state,omitzero"`
	Environment    *Environment       `json:"environment,omitzero"` // only its UUID
	Release        *DeploymentRelease `json:"release,omitzero"`
	Deployable     *DeploymentRelease `json:"deployable,omitzero"` // the same as Release
	Step           *StepRef           `json:"step,omitzero"`
	Commit         *Commit            `json:"commit,omitzero"`
	LastUpdateTime time.Time          `json:"last_update_time,omitzero"`
}

// StepRef is a reference to a step.
type StepRef struct {
	UUID string `json:"uuid,omitzero"`
}

// DeploymentRelease is the run of a pipeline that is deployed.
type DeploymentRelease struct {
	Type      string       `json:"type,omitzero"`
	UUID      string       `json:"uuid,omitzero"`
	Key       string       `json:"key,omitzero"` // "pipelines-{uuid}"
	Name      string       `json:"name,omitzero"`
	URL       string       `json:"url,omitzero"`
	Commit    *Commit      `json:"commit,omitzero"`
	Pipeline  *PipelineRef `json:"pipeline,omitzero"`
	CreatedOn time.Time    `json:"created_on,omitzero"`
}

// DeploymentState is the state of a [Deployment]. StartDate and CompletionDate are the documented names of StartedOn and
// CompletedOn, but the service doesn't send them.
type DeploymentState struct {
	Type           string            `json:"type,omitzero"`
	Name           StateName         `json:"name,omitzero"` // such as StateCompleted
	Status         *DeploymentStatus `json:"status,omitzero"`
	URL            string            `json:"url,omitzero"`
	TriggerURL     string            `json:"trigger_url,omitzero"` // only while UNDEPLOYED
	Deployer       *Account          `json:"deployer,omitzero"`
	StartedOn      time.Time         `json:"started_on,omitzero"`
	CompletedOn    time.Time         `json:"completed_on,omitzero"`
	StartDate      time.Time         `json:"start_date,omitzero"`      // see StartedOn
	CompletionDate time.Time         `json:"completion_date,omitzero"` // see CompletedOn
}

// DeploymentStatus is how a deployment ended: ResultSuccessful, ResultFailed or ResultStopped.
type DeploymentStatus struct {
	Type string     `json:"type,omitzero"`
	Name ResultName `json:"name,omitzero"`
}

// StateUndeployed is the state of a [Deployment] that hasn't started.
const StateUndeployed StateName = "UNDEPLOYED"

// Done reports whether the deployment has ended, successfully or not. An unknown state is not done.
func (s DeploymentState) Done() bool { return stateDone(s.Name) }

// Succeeded reports whether the deployment has ended successfully.
func (s DeploymentState) Succeeded() bool {
	return s.Done() && s.Status != nil && s.Status.Name == ResultSuccessful
}

// String returns the status of an ended deployment, and else the name of the state.
func (s DeploymentState) String() string {
	if s.Status != nil && s.Status.Name != "" {
		return string(s.Status.Name)
	}
	return string(s.Name)
}

// DeploymentSort is an order of [DeploymentsService.List]. A leading "-" reverses it.
type DeploymentSort string

// SortLastStarted sorts by start time, the latest first.
const SortLastStarted DeploymentSort = "-state.started_on"

// ListDeploymentsOptions filter and sort [DeploymentsService.List]. The service documents none of them, but other clients use them.
type ListDeploymentsOptions struct {
	PageLen     int            `url:"-"`                     // items per page, 1 to 100; 0: 100
	Sort        DeploymentSort `url:"sort,omitempty"`        // empty: the service decides
	Environment string         `url:"environment,omitempty"` // UUID, with or without braces; empty: all
	State       StateName      `url:"state.name,omitempty"`  // such as StateCompleted; empty: all
}

func (q *ListDeploymentsOptions) params() listParams {
	if q == nil {
		return listParams{}
	}
	filter := *q
	filter.Environment = braced(q.Environment)
	values, err := query.Values(filter)
	return listParams{pageLen: q.PageLen, query: values, err: err}
}

// List lists the deployments of a repository. q may be nil.
//
// API: GET /repositories/{workspace}/{repo_slug}/deployments
//
// Scope: pipeline.
func (s *DeploymentsService) List(
	ctx context.Context, repo Repo, q *ListDeploymentsOptions, opts ...CallOption,
) *Pager[Deployment] {
	return list[Deployment](ctx, s.client, opDeploymentsList.at(repo.Workspace, repo.Slug), q.params(), opts)
}

// Get returns one deployment. If there is none, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/deployments/{deployment_uuid}
//
// Scope: pipeline.
func (s *DeploymentsService) Get(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*Deployment, error) {
	return send[Deployment](ctx, s.client, opDeploymentsGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}
