package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// RunnersService manages the self-hosted runners of a repository or a workspace.
type RunnersService struct{ client *Client }

// runnerOps are the operations on the runners of one kind of owner.
type runnerOps struct{ list, get, create, update, delete *operation }

func newRunnerOps(path string) *runnerOps {
	one := path + "/{runner_uuid}"
	return &runnerOps{
		list:   op("Runners.List", http.MethodGet, path, idempotent),
		get:    op("Runners.Get", http.MethodGet, one, idempotent),
		create: op("Runners.Create", http.MethodPost, path, once),
		update: op("Runners.Update", http.MethodPut, one, idempotent),
		delete: op("Runners.Delete", http.MethodDelete, one, idempotent),
	}
}

var (
	opsRepositoryRunners = newRunnerOps(repositoryPath + "/pipelines-config/runners")
	opsWorkspaceRunners  = newRunnerOps("/workspaces/{workspace}/pipelines-config/runners")
)

// Runner is a self-hosted runner.
type Runner struct {
	Type        string             `json:"type,omitzero"`
	UUID        string             `json:"uuid,omitzero"`
	Name        string             `json:"name,omitzero"`
	Labels      []string           `json:"labels,omitzero"`
	State       RunnerState        `json:"state,omitzero"`
	CreatedOn   time.Time          `json:"created_on,omitzero"`
	UpdatedOn   time.Time          `json:"updated_on,omitzero"`
	OAuthClient *RunnerOAuthClient `json:"oauth_client,omitzero"`
}

// HasLabels reports whether the runner has all these labels, in any order and case. It has those of an empty list. Others don't
// count, because the service may add some, such as "self.hosted": a program that compares the labels with those that it wants would
// update the runner again and again. So HasLabels doesn't tell that the runner has a label too many.
func (r *Runner) HasLabels(labels []string) bool {
	if r == nil {
		return false
	}
	for _, wanted := range labels {
		if !slices.ContainsFunc(r.Labels, func(label string) bool { return strings.EqualFold(label, wanted) }) {
			return false
		}
	}
	return true
}

// RunnerStatus is the status of a runner.
type RunnerStatus string

// The known statuses of a runner.
const (
	RunnerUnregistered RunnerStatus = "UNREGISTERED"
	RunnerOnline       RunnerStatus = "ONLINE"
	RunnerOffline      RunnerStatus = "OFFLINE"
	RunnerDisabled     RunnerStatus = "DISABLED"
	RunnerEnabled      RunnerStatus = "ENABLED"
	RunnerUnhealthy    RunnerStatus = "UNHEALTHY"
)

// RunnerState is the state of a [Runner].
type RunnerState struct {
	Type      string         `json:"type,omitzero"`
	Status    RunnerStatus   `json:"status,omitzero"`
	Version   *RunnerVersion `json:"version,omitzero"`
	UpdatedOn time.Time      `json:"updated_on,omitzero"`
	Cordoned  bool           `json:"cordoned,omitzero"` // takes no new steps
}

// Online reports whether the runner is connected.
func (s RunnerState) Online() bool { return s.Status == RunnerOnline }

// TakesSteps reports whether the runner is connected and not cordoned.
func (s RunnerState) TakesSteps() bool { return s.Online() && !s.Cordoned }

// String returns the status.
func (s RunnerState) String() string { return string(s.Status) }

// RunnerVersion is the version of a runner's program.
type RunnerVersion struct {
	Type    string `json:"type,omitzero"`
	Version string `json:"version,omitzero"` // installed
	Current string `json:"current,omitzero"` // recommended
}

// RunnerOAuthClient has the credentials of a runner. The service sends the secret only once, when the runner is created. Printing
// the value masks the secret, and JSON omits it.
type RunnerOAuthClient struct {
	Type          string `json:"type,omitzero"`
	ID            string `json:"id,omitzero"`
	Secret        string `json:"secret,omitzero"`
	TokenEndpoint string `json:"token_endpoint,omitzero"`
	Audience      string `json:"audience,omitzero"`
}

// plainRunnerOAuthClient is a RunnerOAuthClient without its methods.
type plainRunnerOAuthClient RunnerOAuthClient

func (c RunnerOAuthClient) masked() any {
	if c.Secret != "" {
		c.Secret = masked
	}
	return plainRunnerOAuthClient(c)
}

// Format implements [fmt.Formatter]: every verb masks the secret.
func (c RunnerOAuthClient) Format(f fmt.State, verb rune) { formatMasked(f, verb, c.masked()) }

// LogValue implements [slog.LogValuer]: the secret is masked.
func (c RunnerOAuthClient) LogValue() slog.Value { return slog.AnyValue(c.masked()) }

// MarshalJSON implements [encoding/json.Marshaler]: the secret is omitted, because programs log JSON.
func (c RunnerOAuthClient) MarshalJSON() ([]byte, error) {
	c.Secret = ""
	return json.Marshal(plainRunnerOAuthClient(c))
}

// RunnerRequest is a runner to create. Name is required. The service is reported to accept at most ten labels of lower-case letters,
// digits and dots. Whether it adds "self.hosted" is unknown: see [Runner.HasLabels].
type RunnerRequest struct {
	Name   string   `json:"name"`
	Labels []string `json:"labels,omitzero"` // nil: the service decides
}

func (r RunnerRequest) validate() error {
	if r.Name == "" {
		return invalidArgument("runner has no name")
	}
	return nil
}

// RunnerUpdate is a change of a runner. Whether the service can change both fields is unknown.
type RunnerUpdate struct {
	Name   *string  `json:"name,omitzero"`   // nil: unchanged
	Labels []string `json:"labels,omitzero"` // nil: unchanged; empty: none
}

func (u RunnerUpdate) validate() error {
	switch {
	case u.Name == nil && u.Labels == nil:
		return invalidArgument("update changes nothing")
	case u.Name != nil && *u.Name == "":
		return invalidArgument("name is empty")
	}
	return nil
}

// RunnerSet manages the runners of one repository or workspace. Creating a RunnerSet sends no request.
type RunnerSet struct {
	client *Client
	ops    *runnerOps
	owner  []string // the path's parameters before the runner's
}

// InRepository returns the runners of a repository. It sends no request.
func (s *RunnersService) InRepository(repo Repo) *RunnerSet {
	return &RunnerSet{s.client, opsRepositoryRunners, []string{repo.Workspace, repo.Slug}}
}

// InWorkspace returns the runners of a workspace, named by its slug or UUID. It sends no request.
func (s *RunnersService) InWorkspace(workspace string) *RunnerSet {
	return &RunnerSet{s.client, opsWorkspaceRunners, []string{workspace}}
}

func (r *RunnerSet) at(o *operation, id ...string) endpoint {
	return o.at(append(r.owner[:len(r.owner):len(r.owner)], id...)...)
}

// List lists the runners.
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines-config/runners
//   - GET /workspaces/{workspace}/pipelines-config/runners
//
// Scope: runner.
func (r *RunnerSet) List(ctx context.Context, q *ListOptions, opts ...CallOption) *Pager[Runner] {
	return list[Runner](ctx, r.client, r.at(r.ops.list), q.params(), opts)
}

// Get returns one runner. If there is none, the error is an [ErrNotFound].
//
// API:
//   - GET /repositories/{workspace}/{repo_slug}/pipelines-config/runners/{runner_uuid}
//   - GET /workspaces/{workspace}/pipelines-config/runners/{runner_uuid}
//
// Scope: runner.
func (r *RunnerSet) Get(ctx context.Context, id string, opts ...CallOption) (*Runner, error) {
	return send[Runner](ctx, r.client, r.at(r.ops.get, id), nil, opts)
}

// Create creates a runner. Store the secret in its OAuthClient: the service sends it only once. An [ErrInvalidRequest] may mean that
// there are too many runners. A request that may have reached the service is not sent again: the error is then an
// [ErrOutcomeUnknown]. A runner that it has created is of no use, because its secret is lost: find it with [RunnerSet.FindCreated],
// delete it, and create another.
//
// API:
//   - POST /repositories/{workspace}/{repo_slug}/pipelines-config/runners
//   - POST /workspaces/{workspace}/pipelines-config/runners
//
// Scope: runner:write; API tokens need read:runner:bitbucket and write:runner:bitbucket.
func (r *RunnerSet) Create(ctx context.Context, runner RunnerRequest, opts ...CallOption) (*Runner, error) {
	created, err := send[Runner](ctx, r.client, r.at(r.ops.create).withError(runner.validate()), runner, opts)
	if errors.Is(err, ErrOutcomeUnknown) {
		return nil, fmt.Errorf("%w; if it did, the runner's secret is lost: find the runner with FindCreated and delete it", err)
	}
	return created, err
}

// FindCreated returns the runners that a [RunnerSet.Create] with this request may have created whose response was lost, the newest
// first. Their secrets are lost too, so they are to be deleted. since is the time before that Create, by the caller's clock.
//
// They are unregistered and have the requested name and labels. They were created after since, as far as clocks can be compared: the
// time of the service is known from the Date of its responses, and a minute is allowed for; without a Date, five. Whether one is of
// another program that creates runners of the same name is unknown. FindCreated lists the runners until it has found one, for up to
// 15 seconds. One that was probably created before since doesn't end that. If there is none by then, it returns none and no error: the
// runner was probably not created. A request without a name and a zero since are an [ErrInvalidArgument].
//
// Partial responses must have values.uuid, values.name, values.labels, values.state and values.created_on. Otherwise the error is an
// [ErrInvalidArgument].
//
// API: as [RunnerSet.List].
//
// Scope: runner.
func (r *RunnerSet) FindCreated(
	ctx context.Context, runner RunnerRequest, since time.Time, opts ...CallOption,
) ([]*Runner, error) {
	clock, err := newServiceClock(since)
	if err == nil {
		err = runner.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: Runners.FindCreated: %w", err)
	}
	pager := r.List(ctx, nil, append(slices.Clip(opts), clock)...)
	var found []*Runner
	err = lookAgain(ctx, func() (bool, error) {
		listed, err := pager.collectWith("values", "values.uuid", "values.name", "values.labels", "values.state.status", "values.created_on")
		clock.publish()
		found = slices.DeleteFunc(listed, func(one *Runner) bool {
			return !runner.mayHaveCreated(one) || clock.isBefore(one.CreatedOn)
		})
		return slices.ContainsFunc(found, func(one *Runner) bool { return !clock.isProbablyBefore(one.CreatedOn) }), err
	})
	slices.SortStableFunc(found, func(a, b *Runner) int { return b.CreatedOn.Compare(a.CreatedOn) })
	return found, err
}

// mayHaveCreated reports whether the request may have created a runner whose secret nobody has used.
func (r RunnerRequest) mayHaveCreated(one *Runner) bool {
	return one.Name == r.Name && one.HasLabels(r.Labels) && (one.State.Status == RunnerUnregistered || one.State.Status == "")
}

// Update changes the name or labels of a runner. Whether the service can change both is unknown. If there is no such runner, the
// error is an [ErrNotFound].
//
// API:
//   - PUT /repositories/{workspace}/{repo_slug}/pipelines-config/runners/{runner_uuid}
//   - PUT /workspaces/{workspace}/pipelines-config/runners/{runner_uuid}
//
// Scope: runner:write; API tokens need read:runner:bitbucket and write:runner:bitbucket.
func (r *RunnerSet) Update(
	ctx context.Context, id string, update RunnerUpdate, opts ...CallOption,
) (*Runner, error) {
	return send[Runner](ctx, r.client, r.at(r.ops.update, id).withError(update.validate()), update, opts)
}

// Delete deletes a runner. If there is none, the error is an [ErrNotFound].
//
// API:
//   - DELETE /repositories/{workspace}/{repo_slug}/pipelines-config/runners/{runner_uuid}
//   - DELETE /workspaces/{workspace}/pipelines-config/runners/{runner_uuid}
//
// Scope: runner:write.
func (r *RunnerSet) Delete(ctx context.Context, id string, opts ...CallOption) error {
	return exec(ctx, r.client, r.at(r.ops.delete, id), nil, opts)
}
