package pipelines

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-querystring/query"
)

// DeploymentsService manages deployment environments and their variables, and reads deployments.
type DeploymentsService struct{ client *Client }

const (
	environmentsPath = repositoryPath + "/environments"
	environmentPath  = environmentsPath + "/{environment_uuid}"
	deploymentsPath  = repositoryPath + "/deployments"
)

var (
	opEnvironmentsList   = op("Deployments.ListEnvironments", http.MethodGet, environmentsPath, idempotent)
	opEnvironmentsGet    = op("Deployments.GetEnvironment", http.MethodGet, environmentPath, idempotent)
	opEnvironmentsCreate = op("Deployments.CreateEnvironment", http.MethodPost, environmentsPath, once)
	opEnvironmentsUpdate = op("Deployments.UpdateEnvironment", http.MethodPost, environmentPath+"/changes", once)
	opEnvironmentsDelete = op("Deployments.DeleteEnvironment", http.MethodDelete, environmentPath, idempotent)
	opDeploymentsList    = op("Deployments.List", http.MethodGet, deploymentsPath, idempotent)
	opDeploymentsGet     = op("Deployments.Get", http.MethodGet, deploymentsPath+"/{deployment_uuid}", idempotent)
)

// Environment is a deployment environment.
type Environment struct {
	Type                   string                  `json:"type,omitzero"`
	UUID                   string                  `json:"uuid,omitzero"`
	Name                   string                  `json:"name,omitzero"`
	Slug                   string                  `json:"slug,omitzero"`
	Rank                   int                     `json:"rank,omitzero"` // Test 0, Staging 1, Production 2
	Hidden                 bool                    `json:"hidden,omitzero"`
	Category               *EnvironmentCategory    `json:"category,omitzero"`
	EnvironmentType        *EnvironmentType        `json:"environment_type,omitzero"`
	Restrictions           *DeploymentRestrictions `json:"restrictions,omitzero"`
	Lock                   *EnvironmentLock        `json:"lock,omitzero"`
	EnvironmentLockEnabled bool                    `json:"environment_lock_enabled,omitzero"`
	DeploymentGateEnabled  bool                    `json:"deployment_gate_enabled,omitzero"`
	ChangeRequestConfig    *ChangeRequestConfig    `json:"change_request_config,omitzero"`
}

// EnvironmentCategory is the category of an [Environment].
type EnvironmentCategory struct {
	Name EnvironmentTypeName `json:"name,omitzero"`
}

// EnvironmentTypeName is a type of environment.
type EnvironmentTypeName string

// The types of environment.
const (
	EnvironmentTest       EnvironmentTypeName = "Test"
	EnvironmentStaging    EnvironmentTypeName = "Staging"
	EnvironmentProduction EnvironmentTypeName = "Production"
)

// EnvironmentType is the type of an [Environment].
type EnvironmentType struct {
	Type string              `json:"type,omitzero"`
	Name EnvironmentTypeName `json:"name,omitzero"`
	Rank int                 `json:"rank,omitzero"` // Test 0, Staging 1, Production 2
}

// DeploymentRestrictions say who may deploy.
type DeploymentRestrictions struct {
	Type      string `json:"type,omitzero"`
	AdminOnly bool   `json:"admin_only,omitzero"`
}

// EnvironmentLock says whether an environment is locked by a deployment. Other types than "deployment_environment_lock_open"
// are not documented.
type EnvironmentLock struct {
	Type       string      `json:"type,omitzero"`
	Name       string      `json:"name,omitzero"` // "OPEN" was seen
	LockOpener *LockOpener `json:"lock_opener,omitzero"`
	Triggerer  *Account    `json:"triggerer,omitzero"`
}

// LockOpener is the step that holds an [EnvironmentLock].
type LockOpener struct {
	Type                string `json:"type,omitzero"`
	PipelineUUID        string `json:"pipeline_uuid,omitzero"`
	DeploymentGroupUUID string `json:"deployment_group_uuid,omitzero"`
	StepUUID            string `json:"step_uuid,omitzero"`
}

// ChangeRequestConfig says whether change requests are set up.
type ChangeRequestConfig struct {
	Configured bool `json:"configured,omitzero"`
}

// EnvironmentRequest is an environment to create. Name and EnvironmentType are required. AdminOnly lets only administrators
// deploy.
type EnvironmentRequest struct {
	Name            string              `json:"name"`
	EnvironmentType EnvironmentTypeName `json:"environment_type"`    // Test, Staging or Production
	AdminOnly       *bool               `json:"admin_only,omitzero"` // nil: the service decides
}

func (r EnvironmentRequest) check() error {
	switch {
	case r.Name == "":
		return invalidArgument("environment has no name")
	case r.EnvironmentType == "":
		return invalidArgument("environment %q has no type: Test, Staging or Production", r.Name)
	}
	return nil
}

// restrictionsBody says who may deploy.
type restrictionsBody struct {
	AdminOnly bool `json:"admin_only"`
}

func newRestrictionsBody(adminOnly *bool) *restrictionsBody {
	if adminOnly == nil {
		return nil
	}
	return &restrictionsBody{*adminOnly}
}

// body makes the environment type an object: the service says of a text that it is missing.
func (r EnvironmentRequest) body() any {
	return struct {
		Type            string            `json:"type"`
		Name            string            `json:"name"`
		EnvironmentType EnvironmentType   `json:"environment_type"`
		Restrictions    *restrictionsBody `json:"restrictions,omitzero"`
	}{
		"deployment_environment", r.Name, EnvironmentType{Type: "deployment_environment_type", Name: r.EnvironmentType},
		newRestrictionsBody(r.AdminOnly),
	}
}

// EnvironmentUpdate is what to change of an environment; what is nil stays. The service changes nothing else.
type EnvironmentUpdate struct {
	Name      *string `json:"name,omitzero"`
	AdminOnly *bool   `json:"admin_only,omitzero"` // only administrators may deploy
}

func (u EnvironmentUpdate) check() error {
	switch {
	case u == EnvironmentUpdate{}:
		return invalidArgument("update changes nothing")
	case u.Name != nil && *u.Name == "":
		return invalidArgument("name is empty")
	}
	return nil
}

func (u EnvironmentUpdate) body() any {
	var body struct {
		Change struct {
			Name         *string           `json:"name,omitzero"`
			Restrictions *restrictionsBody `json:"restrictions,omitzero"`
		} `json:"change"`
	}
	body.Change.Name, body.Change.Restrictions = u.Name, newRestrictionsBody(u.AdminOnly)
	return body
}

// Deployment is a deployment of a release to an environment. [WithQuery] with "fields" asks for more of the environment.
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

// StepRef names a step inside another resource.
type StepRef struct {
	UUID string `json:"uuid,omitzero"`
}

// DeploymentRelease is what is deployed: a run of a pipeline.
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
// CompletedOn; the service doesn't send them.
type DeploymentState struct {
	Type           string            `json:"type,omitzero"`
	Name           StateName         `json:"name,omitzero"` // such as StateCompleted
	Status         *DeploymentStatus `json:"status,omitzero"`
	URL            string            `json:"url,omitzero"`
	TriggerURL     string            `json:"trigger_url,omitzero"` // of one that is undeployed
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

// StateUndeployed is the state of a [Deployment] that hasn't begun.
const StateUndeployed StateName = "UNDEPLOYED"

// Done reports whether the deployment has ended, well or not. An unknown state is not done.
func (s DeploymentState) Done() bool { return stateDone(s.Name) }

// Succeeded reports whether the deployment has ended successfully.
func (s DeploymentState) Succeeded() bool {
	return s.Done() && s.Status != nil && s.Status.Name == ResultSuccessful
}

// String returns the most telling word: how the deployment ended, else the state's name.
func (s DeploymentState) String() string {
	if s.Status != nil && s.Status.Name != "" {
		return string(s.Status.Name)
	}
	return string(s.Name)
}

// DeploymentSort is an order of [DeploymentsService.List]. A leading "-" reverses it.
type DeploymentSort string

// SortLastStarted sorts by start, the last first.
const SortLastStarted DeploymentSort = "-state.started_on"

// ListDeploymentsOptions filter and sort [DeploymentsService.List]. The service documents none of them; other clients use them.
type ListDeploymentsOptions struct {
	PageLen     int            `url:"-"`                     // items a page, 1 to 100; 0: 100
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

// ListEnvironments lists the environments of a repository.
//
// API: GET /repositories/{workspace}/{repo_slug}/environments
//
// Scope: pipeline.
func (s *DeploymentsService) ListEnvironments(
	ctx context.Context, repo Repo, q *ListOptions, opts ...CallOption,
) *Pager[Environment] {
	return list[Environment](ctx, s.client, opEnvironmentsList.at(repo.Workspace, repo.Slug), q.params(), opts)
}

// GetEnvironment returns one environment. One that does not exist is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/environments/{environment_uuid}
//
// Scope: pipeline.
func (s *DeploymentsService) GetEnvironment(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*Environment, error) {
	return send[Environment](ctx, s.client, opEnvironmentsGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// GetEnvironmentByName returns the environment with a name, found by listing them: the service has no filter. If there is
// none, the error is an [ErrNotFound].
//
// API: as [DeploymentsService.ListEnvironments].
//
// Scope: pipeline.
func (s *DeploymentsService) GetEnvironmentByName(
	ctx context.Context, repo Repo, name string, opts ...CallOption,
) (*Environment, error) {
	const method = "pipelines: Deployments.GetEnvironmentByName: %w"
	if name == "" {
		return nil, fmt.Errorf(method, invalidArgument("name is empty"))
	}
	one, err := search(s.ListEnvironments(ctx, repo, nil, opts...), func(e *Environment) bool { return e.Name == name })
	if err == nil && one == nil {
		err = fmt.Errorf(method, fmt.Errorf("there is no environment %q: %w", name, ErrNotFound))
	}
	return one, err
}

// CreateEnvironment creates an environment. A name that exists is an [ErrConflict]. A request that may have reached the
// service is not sent again: the error is then an [ErrOutcomeUnknown].
//
// API: POST /repositories/{workspace}/{repo_slug}/environments
//
// Scope: pipeline; API tokens need admin:pipeline:bitbucket.
func (s *DeploymentsService) CreateEnvironment(
	ctx context.Context, repo Repo, environment EnvironmentRequest, opts ...CallOption,
) (*Environment, error) {
	at := opEnvironmentsCreate.at(repo.Workspace, repo.Slug).withError(environment.check())
	return send[Environment](ctx, s.client, at, environment.body(), opts)
}

// UpdateEnvironment renames or restricts an environment. The service does so later: a request right after may return
// the old state. An update that changes nothing is an [ErrInvalidArgument]. An environment that does not exist is an
// [ErrNotFound].
//
// API: POST /repositories/{workspace}/{repo_slug}/environments/{environment_uuid}/changes
//
// Scope: pipeline; API tokens need admin:pipeline:bitbucket.
func (s *DeploymentsService) UpdateEnvironment(
	ctx context.Context, repo Repo, id string, update EnvironmentUpdate, opts ...CallOption,
) error {
	return exec(ctx, s.client, opEnvironmentsUpdate.at(repo.Workspace, repo.Slug, id).withError(update.check()), update.body(), opts)
}

// DeleteEnvironment deletes an environment. One that does not exist is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/environments/{environment_uuid}
//
// Scope: pipeline; API tokens need admin:pipeline:bitbucket.
func (s *DeploymentsService) DeleteEnvironment(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) error {
	return exec(ctx, s.client, opEnvironmentsDelete.at(repo.Workspace, repo.Slug, id), nil, opts)
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

// Get returns one deployment. One that does not exist is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/deployments/{deployment_uuid}
//
// Scope: pipeline.
func (s *DeploymentsService) Get(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*Deployment, error) {
	return send[Deployment](ctx, s.client, opDeploymentsGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}
