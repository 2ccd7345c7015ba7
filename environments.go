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

// EnvironmentRequest is an environment to create, or to find by its name. Name and EnvironmentType are required. AdminOnly lets only
// administrators deploy.
type EnvironmentRequest struct {
	Name            string              `json:"name"`
	EnvironmentType EnvironmentTypeName `json:"environment_type"`    // Test, Staging or Production
	AdminOnly       *bool               `json:"admin_only,omitzero"` // nil: as it is; a new one: the service decides
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

// SetEnvironment creates the environment, or changes AdminOnly of the one with exactly this name. It changes nothing if the environment
// is as requested. If it is of another type, which the service can't change, or if several have the name, the error is an
// [ErrConflict].
//
// SetEnvironment is safe to repeat. The service shows what it has accepted late, so SetEnvironment lists the environments until they
// show the creation or the change, for up to 15 seconds. If they don't show a change by then, or a creation of unknown outcome, the
// error is an [ErrOutcomeUnknown]. If SetEnvironment returns an environment with an error, it has created that one.
//
// Partial responses must have the members that SetEnvironment goes by: values.uuid, values.name, values.environment_type and
// values.restrictions. Otherwise the error is an [ErrInvalidArgument].
//
// API: as [DeploymentsService.ListEnvironments], [DeploymentsService.CreateEnvironment] and [DeploymentsService.UpdateEnvironment].
//
// Scope: pipeline; API tokens need read:pipeline:bitbucket and admin:pipeline:bitbucket.
func (s *DeploymentsService) SetEnvironment(
	ctx context.Context, repo Repo, environment EnvironmentRequest, opts ...CallOption,
) (*Environment, error) {
	if err := environment.validate(); err != nil {
		return nil, fmt.Errorf("pipelines: Deployments.SetEnvironment: %w", err)
	}
	ensured := ensurer[Environment]{
		ctx: ctx, method: "Deployments.SetEnvironment", what: fmt.Sprintf("the environment %q", environment.Name),
		list:     s.ListEnvironments(ctx, repo, nil, opts...),
		needs:    []string{"values.name", "values.environment_type.name", "values.restrictions.admin_only"},
		uuid:     func(one *Environment) string { return one.UUID },
		is:       func(one *Environment) bool { return one.Name == environment.Name },
		unclear:  func(one *Environment) bool { return one.Name == "" },
		isWanted: func(one *Environment) bool { return environment.hasType(one) && environment.isSet(one) },
		create:   func() (*Environment, error) { return s.CreateEnvironment(ctx, repo, environment, opts...) },
	}
	ensured.change = func(one *Environment) (*Environment, error) {
		if !environment.hasType(one) {
			return nil, fmt.Errorf("pipelines: Deployments.SetEnvironment: the environment %q is of type %q, not %q, and the service can't change that: %w",
				environment.Name, oneLine(string(one.typeName())), environment.EnvironmentType, ErrConflict)
		}
		return ensured.settled(s.UpdateEnvironment(ctx, repo, one.UUID, EnvironmentUpdate{AdminOnly: environment.AdminOnly}, opts...))
	}
	return ensured.set()
}

// typeName returns the name of the environment's type, or "" if the service didn't send it.
func (e *Environment) typeName() EnvironmentTypeName {
	if e.EnvironmentType != nil {
		return e.EnvironmentType.Name
	}
	if e.Category != nil {
		return e.Category.Name
	}
	return ""
}

// hasType reports whether an environment is of the requested type, as far as the service tells.
func (r EnvironmentRequest) hasType(e *Environment) bool {
	typ := e.typeName()
	return typ == "" || typ == r.EnvironmentType
}

// isSet reports whether an environment has the requested restrictions.
func (r EnvironmentRequest) isSet(e *Environment) bool {
	return r.AdminOnly == nil || *r.AdminOnly == (e.Restrictions != nil && e.Restrictions.AdminOnly)
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
// the old state; [DeploymentsService.SetEnvironment] waits for the new one. An update that changes nothing is an
// [ErrInvalidArgument]. If there is no such environment, the error is an [ErrNotFound]. A request that may have reached the service
// is not sent again: the error is then an [ErrOutcomeUnknown].
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
