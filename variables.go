package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/seed-85ed9bfd/pipelines/internal/ctxtime"
)

// VariablesService manages the variables of a repository, a workspace or a deployment environment.
type VariablesService struct{ client *Client }

// variableOps are the operations on the variables of one kind of owner.
type variableOps struct {
	list, get, create, update, delete *operation
	late                              bool // a variable that was just created may be missing from the list
}

func newVariableOps(path string) *variableOps {
	one := path + "/{variable_uuid}"
	return &variableOps{
		list:   op("Variables.List", http.MethodGet, path, idempotent),
		get:    op("Variables.Get", http.MethodGet, one, idempotent),
		create: op("Variables.Create", http.MethodPost, path, once),
		update: op("Variables.Update", http.MethodPut, one, idempotent),
		delete: op("Variables.Delete", http.MethodDelete, one, idempotent),
	}
}

// The segment between is spelt in two ways, and each owner knows only one of them.
var (
	opsRepositoryVariables  = newVariableOps(repositoryPath + "/pipelines_config/variables")
	opsWorkspaceVariables   = newVariableOps("/workspaces/{workspace}/pipelines-config/variables")
	opsTeamVariables        = newVariableOps("/teams/{username}/pipelines_config/variables")
	opsUserVariables        = newVariableOps("/users/{selected_user}/pipelines_config/variables")
	opsEnvironmentVariables = newEnvironmentVariableOps()
)

// newEnvironmentVariableOps lacks the operation that gets one: the service has none for environments.
func newEnvironmentVariableOps() *variableOps {
	ops := newVariableOps(repositoryPath + "/deployments_config/environments/{environment_uuid}/variables")
	ops.get = nil
	ops.late = true
	return ops
}

// Variable is a variable of a repository, workspace, deployment environment or run, as the service returns it. To create or
// change one, use a [VariableRequest].
//
// A secured value is masked when a Variable is printed, except in an unexported field of another struct, where fmt calls no
// methods. JSON leaves it out, as the service does.
type Variable struct {
	Type    string `json:"type,omitzero"` // may be missing for an environment's
	UUID    string `json:"uuid,omitzero"`
	Key     string `json:"key,omitzero"`
	Value   string `json:"value,omitzero"` // empty for a secured one: it can be written but never read
	Secured bool   `json:"secured,omitzero"`
}

// plainVariable is a Variable without its methods.
type plainVariable Variable

func (v Variable) masked() any {
	if v.Secured && v.Value != "" {
		v.Value = masked
	}
	return plainVariable(v)
}

// Format implements [fmt.Formatter]: a secured value is masked under every verb.
func (v Variable) Format(f fmt.State, verb rune) { formatMasked(f, verb, v.masked()) }

// LogValue implements [slog.LogValuer]: a secured value is masked.
func (v Variable) LogValue() slog.Value { return slog.AnyValue(v.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: a secured value is left out, because programs log what they marshal.
func (v Variable) MarshalJSON() ([]byte, error) {
	if v.Secured {
		v.Value = ""
	}
	return json.Marshal(plainVariable(v))
}

// VariableSet manages the variables of one repository, workspace or deployment environment. Creating a VariableSet sends no
// request.
type VariableSet struct {
	client *Client
	ops    *variableOps
	owner  []string // the path's parameters before the variable's
}

// InRepository returns the variables of a repository. It sends no request.
func (s *VariablesService) InRepository(repo Repo) *VariableSet {
	return &VariableSet{s.client, opsRepositoryVariables, []string{repo.Workspace, repo.Slug}}
}

// InWorkspace returns the variables of a workspace, named by its slug or UUID. It sends no request.
func (s *VariablesService) InWorkspace(workspace string) *VariableSet {
	return &VariableSet{s.client, opsWorkspaceVariables, []string{workspace}}
}

// InEnvironment returns the variables of a deployment environment. It sends no request. The service lists a new one some
// seconds late, and has no request for a single one.
func (s *VariablesService) InEnvironment(repo Repo, environmentID string) *VariableSet {
	return &VariableSet{s.client, opsEnvironmentVariables, []string{repo.Workspace, repo.Slug, environmentID}}
}

// InTeam returns the variables of a team. The service refuses API tokens there.
//
// Deprecated: Bitbucket has replaced teams by workspaces; use [VariablesService.InWorkspace].
func (s *VariablesService) InTeam(username string) *VariableSet {
	return &VariableSet{s.client, opsTeamVariables, []string{username}}
}

// InUser returns the variables of a user. The service refuses API tokens there.
//
// Deprecated: Bitbucket has replaced users' variables by workspaces'; use [VariablesService.InWorkspace].
func (s *VariablesService) InUser(user string) *VariableSet {
	return &VariableSet{s.client, opsUserVariables, []string{user}}
}

func (v *VariableSet) at(o *operation, id ...string) endpoint {
	return o.at(append(v.owner[:len(v.owner):len(v.owner)], id...)...)
}

// List lists the variables. An environment's may be missing for some seconds after their creation.
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines_config/variables
//   - GET /workspaces/{workspace}/pipelines-config/variables
//   - GET /repositories/{workspace}/{repo_slug}/deployments_config/environments/{environment_uuid}/variables
//   - GET /teams/{username}/pipelines_config/variables
//   - GET /users/{selected_user}/pipelines_config/variables
//
// Scope: pipeline.
func (v *VariableSet) List(ctx context.Context, q *ListOptions, opts ...CallOption) *Pager[Variable] {
	return list[Variable](ctx, v.client, v.at(v.ops.list), q.params(), opts)
}

// Get returns one variable by its UUID. One that does not exist is an [ErrNotFound]. The service has no such operation for an
// environment's variables: there Get lists them.
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines_config/variables/{variable_uuid}
//   - GET /workspaces/{workspace}/pipelines-config/variables/{variable_uuid}
//   - GET /teams/{username}/pipelines_config/variables/{variable_uuid}
//   - GET /users/{selected_user}/pipelines_config/variables/{variable_uuid}
//
// Scope: pipeline.
func (v *VariableSet) Get(ctx context.Context, id string, opts ...CallOption) (*Variable, error) {
	if v.ops.get != nil {
		return send[Variable](ctx, v.client, v.at(v.ops.get, id), nil, opts)
	}
	if err := checkElement(id); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Get: %w", invalidArgument("variable_uuid %w", err))
	}
	return v.find(ctx, "Variables.Get", func(one *Variable) bool { return one.UUID == braced(id) }, opts)
}

// GetByKey returns the variable with a key, found by listing them: the service has no filter. If there is
// none, the error is an [ErrNotFound]. A variable that this client created is found even if the service doesn't list it yet.
//
// API: as [VariableSet.List].
//
// Scope: pipeline.
func (v *VariableSet) GetByKey(ctx context.Context, key string, opts ...CallOption) (*Variable, error) {
	if key == "" {
		return nil, fmt.Errorf("pipelines: Variables.GetByKey: %w", invalidArgument("key is empty"))
	}
	return v.find(ctx, "Variables.GetByKey", func(one *Variable) bool { return one.Key == key }, opts)
}

// errNotListed says that a list which was read to its end lacks the variable. A 404 for the list itself is another thing.
var errNotListed = fmt.Errorf("there is no such variable: %w", ErrNotFound)

func (v *VariableSet) find(ctx context.Context, name string, match func(*Variable) bool, opts []CallOption) (*Variable, error) {
	one, err := search(v.List(ctx, nil, opts...), match)
	if err != nil || one != nil {
		return one, err
	}
	if one := v.client.created.find(v.at(v.ops.list).path, match); one != nil {
		return one, nil
	}
	return nil, fmt.Errorf("pipelines: %s: %w", name, errNotListed)
}

// Create creates a variable, which is not secured unless the request says so. A key that exists is an [ErrConflict]. An empty
// value for a secured variable is an [ErrInvalidArgument]. A request that may have reached the service is not sent again: the
// error is then an [ErrOutcomeUnknown].
//
// API:
//   - POST /repositories/{workspace}/{repo_slug}/pipelines_config/variables
//   - POST /workspaces/{workspace}/pipelines-config/variables
//   - POST /repositories/{workspace}/{repo_slug}/deployments_config/environments/{environment_uuid}/variables
//   - POST /teams/{username}/pipelines_config/variables
//   - POST /users/{selected_user}/pipelines_config/variables
//
// Scope: pipeline:variable.
func (v *VariableSet) Create(
	ctx context.Context, variable VariableRequest, opts ...CallOption,
) (*Variable, error) {
	one, err := send[Variable](ctx, v.client, v.at(v.ops.create).withError(variable.check(nil)), variable, opts)
	if err == nil && v.ops.late && one.UUID != "" { // else nothing tells it from the one that is listed
		v.client.created.add(v.at(v.ops.list).path, one)
	}
	return one, err
}

// Update changes the variable with a UUID. One that does not exist is an [ErrNotFound].
//
// API:
//   - PUT /repositories/{workspace}/{repo_slug}/pipelines_config/variables/{variable_uuid}
//   - PUT /workspaces/{workspace}/pipelines-config/variables/{variable_uuid}
//   - PUT /repositories/{workspace}/{repo_slug}/deployments_config/environments/{environment_uuid}/variables/{variable_uuid}
//   - PUT /teams/{username}/pipelines_config/variables/{variable_uuid}
//   - PUT /users/{selected_user}/pipelines_config/variables/{variable_uuid}
//
// Scope: pipeline:variable.
func (v *VariableSet) Update(
	ctx context.Context, id string, update VariableUpdate, opts ...CallOption,
) (*Variable, error) {
	one, err := send[Variable](ctx, v.client, v.at(v.ops.update, id).withError(update.check()), update, opts)
	if err == nil {
		v.client.created.update(v.at(v.ops.list).path, braced(id), one)
	}
	return one, err
}

// Delete deletes the variable with a UUID. One that does not exist is an [ErrNotFound].
//
// API:
//   - DELETE /repositories/{workspace}/{repo_slug}/pipelines_config/variables/{variable_uuid}
//   - DELETE /workspaces/{workspace}/pipelines-config/variables/{variable_uuid}
//   - DELETE /repositories/{workspace}/{repo_slug}/deployments_config/environments/{environment_uuid}/variables/{variable_uuid}
//   - DELETE /teams/{username}/pipelines_config/variables/{variable_uuid}
//   - DELETE /users/{selected_user}/pipelines_config/variables/{variable_uuid}
//
// Scope: pipeline:variable.
func (v *VariableSet) Delete(ctx context.Context, id string, opts ...CallOption) error {
	err := exec(ctx, v.client, v.at(v.ops.delete, id), nil, opts)
	if err == nil {
		v.client.created.remove(v.at(v.ops.list).path, braced(id))
	}
	return err
}

// Set makes the variable with this key have this value and this protection: it creates it, or updates the one that is there.
// A secured variable stays secured unless variable.Secured points to false. An empty value for a secured variable is an
// [ErrInvalidArgument].
//
// It may be repeated: where a creation's outcome is unknown it lists the variables again, and an [ErrOutcomeUnknown] comes back
// only if this one isn't there. With several variables, [VariableSet.Plan] needs fewer requests.
//
// API: as [VariableSet.List], [VariableSet.Create] and [VariableSet.Update].
//
// Scope: pipeline:variable.
func (v *VariableSet) Set(
	ctx context.Context, variable VariableRequest, opts ...CallOption,
) (*Variable, error) {
	if err := variable.check(nil); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Set: %w", err)
	}
	there, err := v.GetByKey(ctx, variable.Key, opts...)
	if err == nil {
		updated, err := v.overwrite(ctx, there, variable, opts)
		if !errors.Is(err, ErrNotFound) {
			return updated, err
		}
		v.client.created.remove(v.at(v.ops.list).path, there.UUID) // somebody has deleted it since
		if variable.secured(there) {
			variable.Secured = new(true) // the new one too, or the secret would be in the clear
		}
	} else if !errors.Is(err, errNotListed) {
		return nil, err
	}
	return v.createOrOverwrite(ctx, variable, opts)
}

// createOrOverwrite creates a variable, or overwrites the one that was created meanwhile.
func (v *VariableSet) createOrOverwrite(ctx context.Context, variable VariableRequest, opts []CallOption) (*Variable, error) {
	created, err := v.Create(ctx, variable, opts...)
	if err == nil {
		return created, nil
	}
	there, err := v.afterCreate(ctx, variable.Key, err, opts)
	if err != nil {
		return nil, err
	}
	return v.overwrite(ctx, there, variable, opts)
}

// overwrite updates the variable that is there. Its protection is sent in any case, because what the service does without is
// unknown.
func (v *VariableSet) overwrite(ctx context.Context, there *Variable, variable VariableRequest, opts []CallOption) (*Variable, error) {
	if err := variable.check(there); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Set: %w", err)
	}
	secured := variable.secured(there)
	return v.Update(ctx, there.UUID, VariableUpdate{Key: variable.Key, Value: &variable.Value, Secured: &secured}, opts...)
}

// afterCreate finds the variable that a failed creation says or may have left. One that the service knows and does not list
// yet is waited for.
func (v *VariableSet) afterCreate(ctx context.Context, key string, cause error, opts []CallOption) (*Variable, error) {
	if !errors.Is(cause, ErrConflict) && !errors.Is(cause, ErrOutcomeUnknown) {
		return nil, cause
	}
	for waited := time.Duration(0); ; waited += fastest {
		there, err := v.GetByKey(ctx, key, opts...)
		if err == nil {
			return there, nil
		}
		if !errors.Is(err, errNotListed) {
			return nil, fmt.Errorf("pipelines: Variables.Set: %w; looking for it failed: %w", cause, err)
		}
		if !v.ops.late || waited >= lateness {
			return nil, cause
		}
		if err := ctxtime.Sleep(ctx, fastest); err != nil {
			return nil, fmt.Errorf("pipelines: Variables.Set: %w while waiting for the variable to appear after: %w", err, cause)
		}
	}
}
