package pipelines

import (
	"cmp"
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
	late                              bool // the service lists a new variable late
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

// Each kind of owner accepts only one spelling of pipelines_config.
var (
	opsRepositoryVariables  = newVariableOps(repositoryPath + "/pipelines_config/variables")
	opsWorkspaceVariables   = newVariableOps("/workspaces/{workspace}/pipelines-config/variables")
	opsTeamVariables        = newVariableOps("/teams/{username}/pipelines_config/variables")
	opsUserVariables        = newVariableOps("/users/{selected_user}/pipelines_config/variables")
	opsEnvironmentVariables = newEnvironmentVariableOps()
)

// newEnvironmentVariableOps has no operation that gets one variable: the service has none for environments.
func newEnvironmentVariableOps() *variableOps {
	ops := newVariableOps(repositoryPath + "/deployments_config/environments/{environment_uuid}/variables")
	ops.get = nil
	ops.late = true
	return ops
}

// Variable is a variable of a repository, workspace, deployment environment or run, as the service returns it. To create or
// change one, use a [VariableRequest].
//
// Printing a Variable masks a secured value, except in an unexported field of another struct, where fmt calls no methods. JSON
// omits it, as the service does.
type Variable struct {
	Type    string `json:"type,omitzero"` // may be missing for an environment's
	UUID    string `json:"uuid,omitzero"`
	Key     string `json:"key,omitzero"`
	Value   string `json:"value,omitzero"` // empty if secured: it can be written but never read
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

// MarshalJSON implements [encoding/json.Marshaler]: a secured value is omitted, because programs log JSON.
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

// InEnvironment returns the variables of a deployment environment. It sends no request. The service lists a new variable some
// seconds late, and has no operation that gets a single one.
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

// Get returns one variable by its UUID. If there is none, the error is an [ErrNotFound]. The service has no such operation for
// an environment's variables: there Get lists them.
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
		return nil, fmt.Errorf("pipelines: Variables.Get: %w", invalidArgument("variable ID %w", err))
	}
	return v.find(ctx, "Variables.Get", variableMember{"UUID", func(one *Variable) string { return one.UUID }}, braced(id), opts)
}

// GetByKey returns the variable with a key. It lists the variables, since the service has no filter. If there is none, the error
// is an [ErrNotFound]. GetByKey finds a variable that this client created even if the service doesn't list it yet. With a partial
// response that lacks the keys, the error is not an ErrNotFound.
//
// API: as [VariableSet.List].
//
// Scope: pipeline.
func (v *VariableSet) GetByKey(ctx context.Context, key string, opts ...CallOption) (*Variable, error) {
	if key == "" {
		return nil, fmt.Errorf("pipelines: Variables.GetByKey: %w", invalidArgument("key is empty"))
	}
	return v.find(ctx, "Variables.GetByKey", variableMember{"key", func(one *Variable) string { return one.Key }}, key, opts)
}

// errNotListed says that the whole list was read and lacks the variable. A 404 of the list itself is another error.
var errNotListed = fmt.Errorf("%w", ErrNotFound)

// variableMember is a member by which a variable is found in a list.
type variableMember struct {
	name string
	of   func(*Variable) string
}

// find returns the variable whose member has a value. If a listed one lacks the member, it may be the one, and is not taken for
// another.
func (v *VariableSet) find(
	ctx context.Context, method string, member variableMember, value string, opts []CallOption,
) (*Variable, error) {
	pager := v.List(ctx, nil, opts...)
	if err := pager.requires("values"); err != nil {
		return nil, err
	}
	match := func(one *Variable) bool { return member.of(one) == value }
	var unknown *Variable
	for one, err := range pager.All() {
		switch {
		case err != nil || match(one):
			return one, err
		case member.of(one) == "":
			unknown = one
		}
	}
	if one := v.created().find(match); one != nil {
		return one, nil
	}
	if unknown != nil {
		return nil, fmt.Errorf("pipelines: %s: %w", method, listedWithout(member.name, unknown))
	}
	return nil, fmt.Errorf("pipelines: %s: variable %q: %w", method, value, errNotListed)
}

// listedWithout says that a list doesn't tell which variable one is.
func listedWithout(member string, one *Variable) error {
	return fmt.Errorf("variable %q is listed without a %s that can be read", cmp.Or(one.UUID, one.Key), member)
}

// findToOverwrite returns the variable that a request overwrites.
func (v *VariableSet) findToOverwrite(
	ctx context.Context, variable VariableRequest, opts []CallOption,
) (*Variable, error) {
	required := []string{"values.uuid", "values.key"}
	if variable.Secured == nil { // it stays as it is
		required = append(required, "values.secured")
	}
	if err := v.List(ctx, nil, opts...).requires(required...); err != nil {
		return nil, err
	}
	return v.GetByKey(ctx, variable.Key, opts...)
}

// Create creates a variable. It is secured only if variable.Secured points to true. If the key exists, the error is an
// [ErrConflict]. An empty value for a secured variable is an [ErrInvalidArgument]. A request that may have reached the service
// is not sent again: the error is then an [ErrOutcomeUnknown].
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
	one, err := send[Variable](ctx, v.client, v.at(v.ops.create).withError(variable.validate(nil)), variable, opts)
	if err == nil {
		v.created().add(variable, one)
	}
	return one, err
}

// Update changes the variable with a UUID. If there is none, the error is an [ErrNotFound].
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
	one, err := send[Variable](ctx, v.client, v.at(v.ops.update, id).withError(update.validate()), update, opts)
	if err == nil {
		v.created().update(braced(id), update, one)
	}
	return one, err
}

// Delete deletes the variable with a UUID. If there is none, the error is an [ErrNotFound].
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
		v.created().remove(braced(id))
	}
	return err
}

// Set creates the variable, or updates the one with exactly the same key. A secured variable stays secured unless variable.Secured
// points to false. An empty value for a secured variable is an [ErrInvalidArgument].
//
// Set is safe to repeat. If the outcome of a creation is unknown, it lists the variables again, an environment's for up to 16 seconds,
// and returns an [ErrOutcomeUnknown] only if the variable is missing. For several variables, [VariableSet.Plan] needs fewer requests.
//
// Partial responses must have the members that Set goes by: values.uuid, values.key and, if variable.Secured is nil,
// values.secured; for an environment's variable also uuid. Otherwise the error is an [ErrInvalidArgument].
//
// API: as [VariableSet.List], [VariableSet.Create] and [VariableSet.Update].
//
// Scope: pipeline:variable; API tokens need read:pipeline:bitbucket and admin:pipeline:bitbucket.
func (v *VariableSet) Set(
	ctx context.Context, variable VariableRequest, opts ...CallOption,
) (*Variable, error) {
	if err := variable.validate(nil); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Set: %w", err)
	}
	existing, err := v.findToOverwrite(ctx, variable, opts)
	if err == nil {
		updated, err := v.overwrite(ctx, existing, variable, opts)
		if !errors.Is(err, ErrNotFound) {
			return updated, err
		}
		v.created().remove(existing.UUID) // it was deleted since it was listed
		if variable.secured(existing) {
			variable.Secured = new(true) // keep the protection, or the secret would become readable
		}
	} else if !errors.Is(err, errNotListed) {
		return nil, err
	}
	return v.createOrOverwrite(ctx, variable, opts)
}

// createOrOverwrite creates a variable, or overwrites one that was created meanwhile.
func (v *VariableSet) createOrOverwrite(ctx context.Context, variable VariableRequest, opts []CallOption) (*Variable, error) {
	one, err := v.createOrFind(ctx, variable, opts)
	if err == nil || one == nil {
		return one, err
	}
	return v.overwrite(ctx, one, variable, opts)
}

// createOrFind creates a variable. If the creation fails and the variable exists, it returns both the variable and the error of the
// creation.
func (v *VariableSet) createOrFind(ctx context.Context, variable VariableRequest, opts []CallOption) (*Variable, error) {
	if err := v.checkRemembered(ctx, opts); err != nil {
		return nil, err
	}
	created, err := v.Create(ctx, variable, opts...)
	if err != nil {
		return v.findAfterCreate(ctx, variable, err, opts)
	}
	return created, nil
}

// checkRemembered returns an error if a variable that is listed late would be created without reading its UUID. It could not be
// remembered then, and would be created again.
func (v *VariableSet) checkRemembered(ctx context.Context, opts []CallOption) error {
	if !v.ops.late {
		return nil
	}
	k, err := v.client.newCall(ctx, v.at(v.ops.create), nil, opts)
	if err != nil {
		return err
	}
	return k.requires("uuid")
}

// overwrite updates an existing variable. It always sends Secured, since the service's default in an update is unknown.
func (v *VariableSet) overwrite(ctx context.Context, existing *Variable, variable VariableRequest, opts []CallOption) (*Variable, error) {
	if err := variable.validate(existing); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Set: %w", err)
	}
	secured := variable.secured(existing)
	return v.Update(ctx, existing.UUID, VariableUpdate{Key: variable.Key, Value: &variable.Value, Secured: &secured}, opts...)
}

// findAfterCreate finds a variable after a creation failed with cause, which may mean that it exists, and returns it with cause. It
// waits for one that the service lists late.
func (v *VariableSet) findAfterCreate(
	ctx context.Context, variable VariableRequest, cause error, opts []CallOption,
) (*Variable, error) {
	if !errors.Is(cause, ErrConflict) && !errors.Is(cause, ErrOutcomeUnknown) {
		return nil, cause
	}
	for waited := time.Duration(0); ; waited += listInterval {
		existing, err := v.findToOverwrite(ctx, variable, opts)
		if err == nil {
			return existing, cause
		}
		if !errors.Is(err, errNotListed) {
			return nil, fmt.Errorf("pipelines: Variables.Set: %w; listing the variables failed: %w", cause, err)
		}
		if !v.ops.late || waited >= maxListDelay {
			return nil, cause
		}
		if err := ctxtime.Sleep(ctx, listInterval); err != nil {
			return nil, fmt.Errorf("pipelines: Variables.Set: %w while waiting for the variable to be listed after: %w", err, cause)
		}
	}
}
