package pipelines

import (
	"context"
	"fmt"
	"net/http"
)

const (
	environmentsPath = repositoryPath + "/environments"
	environmentPath  = environmentsPath + "/{environment_uuid}"
)

var (
	opEnvironmentsList   = op("Deployments.ListEnvironments", http.MethodGet, environmentsPath, idempotent)
	opEnvironmentsGet    = op("Deployments.GetEnvironment", http.MethodGet, environmentPath, idempotent)
	opEnvironmentsCreate = op("Deployments.CreateEnvironment", http.MethodPost, environmentsPath, once)
	opEnvironmentsUpdate = op("Deployments.UpdateEnvironment", http.MethodPost, environmentPath+"/changes", once)
	opEnvironmentsDelete = op("Deployments.DeleteEnvironment", http.MethodDelete, environmentPath, idempotent)
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

// EnvironmentLock says whether a deployment has locked an environment. The only documented type is
// "deployment_environment_lock_open".
type EnvironmentLock struct {
	Type       string      `json:"type,omitzero"`
	Name       string      `json:"name,omitzero"` // such as "OPEN"
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

// ChangeRequestConfig says whether change requests are configured.
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

func (r EnvironmentRequest) validate() error {
	switch {
	case r.Name == "":
		return invalidArgument("environment has no name")
	case r.EnvironmentType == "":
		return invalidArgument("environment %q has no type: Test, Staging or Production", r.Name)
	}
	return nil
}

// restrictionsBody is the JSON form of AdminOnly.
type restrictionsBody struct {
	AdminOnly bool `json:"admin_only"`
}

func newRestrictionsBody(adminOnly *bool) *restrictionsBody {
	if adminOnly == nil {
		return nil
	}
	return &restrictionsBody{*adminOnly}
}

// body encodes the environment type as an object, as the service requires.
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

// EnvironmentUpdate is a change of an environment. Nil fields stay unchanged. The service can't change anything else.
type EnvironmentUpdate struct {
	Name      *string `json:"name,omitzero"`
	AdminOnly *bool   `json:"admin_only,omitzero"` // only administrators may deploy
}

func (u EnvironmentUpdate) validate() error {
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

// GetEnvironment returns one environment. If there is none, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/environments/{environment_uuid}
//
// Scope: pipeline.
func (s *DeploymentsService) GetEnvironment(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*Environment, error) {
	return send[Environment](ctx, s.client, opEnvironmentsGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// GetEnvironmentByName returns the environment with a name. It lists the environments, since the service has no filter. If there is
// none, the error is an [ErrNotFound].
//
// API: as [DeploymentsService.ListEnvironments].
//
// Scope: pipeline.
func (s *DeploymentsService) GetEnvironmentByName(
	ctx context.Context, repo Repo, name string, opts ...CallOption,
) (*Environment, error) {
	if name == "" {
		return nil, fmt.Errorf("pipelines: Deployments.GetEnvironmentByName: %w", invalidArgument("name is empty"))
	}
	one, err := s.ListEnvironments(ctx, repo, nil, opts...).find(func(e *Environment) bool { return e.Name == name })
	if err == nil && one == nil {
		err = fmt.Errorf("pipelines: Deployments.GetEnvironmentByName: there is no environment %q: %w", name, ErrNotFound)
	}
	return one, err
}

// CreateEnvironment creates an environment. If the name exists, the error is an [ErrConflict]. A request that may have reached the
// service is not sent again: the error is then an [ErrOutcomeUnknown].
//
// API: POST /repositories/{workspace}/{repo_slug}/environments
//
// Scope: pipeline; API tokens need admin:pipeline:bitbucket.
func (s *DeploymentsService) CreateEnvironment(
	ctx context.Context, repo Repo, environment EnvironmentRequest, opts ...CallOption,
) (*Environment, error) {
	at := opEnvironmentsCreate.at(repo.Workspace, repo.Slug).withError(environment.validate())
	return send[Environment](ctx, s.client, at, environment.body(), opts)
}

// UpdateEnvironment renames or restricts an environment. The service does so asynchronously: a request right after it may return
// the old state. An update that changes nothing is an [ErrInvalidArgument]. If there is no such environment, the error is an
// [ErrNotFound].
//
// API: POST /repositories/{workspace}/{repo_slug}/environments/{environment_uuid}/changes
//
// Scope: pipeline; API tokens need admin:pipeline:bitbucket.
func (s *DeploymentsService) UpdateEnvironment(
	ctx context.Context, repo Repo, id string, update EnvironmentUpdate, opts ...CallOption,
) error {
	return exec(ctx, s.client, opEnvironmentsUpdate.at(repo.Workspace, repo.Slug, id).withError(update.validate()), update.body(), opts)
}

// DeleteEnvironment deletes an environment. If there is none, the error is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/environments/{environment_uuid}
//
// Scope: pipeline; API tokens need admin:pipeline:bitbucket.
func (s *DeploymentsService) DeleteEnvironment(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) error {
	return exec(ctx, s.client, opEnvironmentsDelete.at(repo.Workspace, repo.Slug, id), nil, opts)
}
