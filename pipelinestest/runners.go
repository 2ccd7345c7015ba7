package pipelinestest

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	defaultRunnerLimit = 100 // invented; the service's limit is unknown
	maxLabels          = 10
)

type runner struct{ pipelines.Runner }

func (r *runner) id() string { return r.UUID }

// copied returns a deep copy of the runner, with its secret.
func (r *runner) copied() pipelines.Runner {
	c := clone(r.Runner)
	c.OAuthClient.Secret = r.OAuthClient.Secret
	return c
}

// runnerSet holds the runners of one owner.
type runnerSet struct {
	server  *Server
	runners collection[*runner]
}

// AddRunner adds a self-hosted runner and returns it as stored. Missing fields get the defaults of a new runner. The limit of
// [WithRunnerLimit] doesn't apply.
func (s *runnerSet) AddRunner(r pipelines.Runner) *pipelines.Runner {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	stored := s.add(r)
	c := stored.copied()
	return &c
}

// Runners returns the runners in their current state. Unlike the API it includes their secrets; printed, they are masked.
func (s *runnerSet) Runners() []pipelines.Runner {
	return copies(s.server, &s.runners, (*runner).copied)
}

// SetRunnerState changes the state of a runner, as the runner's own program does. It returns an error if the runner doesn't exist.
func (s *runnerSet) SetRunnerState(id string, state pipelines.RunnerState) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	r, ok := s.runners.find(id)
	if !ok {
		return fmt.Errorf("pipelinestest: no runner %s", id)
	}
	state.UpdatedOn = cmp.Or(state.UpdatedOn, s.server.now())
	r.setState(clone(state))
	return nil
}

func (r *runner) setState(state pipelines.RunnerState) {
	setTypes(&state)
	r.State = state
}

func (s *runnerSet) add(r pipelines.Runner) *runner {
	now := s.server.now()
	stored := &runner{clone(r)}
	stored.UUID = cmp.Or(r.UUID, s.server.newUUID())
	stored.CreatedOn = cmp.Or(r.CreatedOn, now)
	stored.UpdatedOn = cmp.Or(r.UpdatedOn, stored.CreatedOn)
	if stored.State == (pipelines.RunnerState{}) {
		stored.State = pipelines.RunnerState{Status: pipelines.RunnerUnregistered, UpdatedOn: now}
	}
	stored.setState(stored.State)
	stored.OAuthClient = s.newClient(r.OAuthClient)
	setTypes(&stored.Runner)
	s.runners = append(s.runners, stored)
	return stored
}

// newClient returns the OAuth client of a runner. Missing fields get defaults.
func (s *runnerSet) newClient(given *pipelines.RunnerOAuthClient) *pipelines.RunnerOAuthClient {
	var c pipelines.RunnerOAuthClient
	if given != nil {
		c = *given
	}
	s.server.ids++
	c.ID = cmp.Or(c.ID, identifier("runner client", s.server.ids))
	c.Secret = cmp.Or(c.Secret, identifier("runner secret", s.server.ids))
	c.TokenEndpoint = cmp.Or(c.TokenEndpoint, "https://auth.atlassian.com/oauth/token")
	c.Audience = cmp.Or(c.Audience, "api.atlassian.com")
	return &c
}

// runnerOwner finds the owner of the runners in a path.
type runnerOwner func(*call) (*runnerSet, *response)

func repositoryRunners(c *call) (*runnerSet, *response) { return &c.repo.runnerSet, nil }

func workspaceRunners(c *call) (*runnerSet, *response) {
	w, errResp := c.workspace()
	if errResp != nil {
		return nil, errResp
	}
	return &w.runnerSet, nil
}

func runnerRoutes(path string, in runnerOwner) []route {
	one := path + "/{runner_uuid}"
	return []route{
		{http.MethodGet, path, readRunner, in.list},
		{http.MethodPost, path, writeRunner, in.create},
		{http.MethodGet, one, readRunner, in.kind().get},
		{http.MethodPut, one, writeRunner, in.update},
		{http.MethodDelete, one, writeRunner, in.kind().delete},
	}
}

const runnerService = "runner-service"

func (in runnerOwner) kind() kind[*runner] {
	return kind[*runner]{"runner", runnerService, func(c *call) (*collection[*runner], *response) {
		s, errResp := in(c)
		if errResp != nil {
			return nil, errResp
		}
		return &s.runners, nil
	}, func(_ *call, r *runner) any { return encodeRunner(r) }}
}

// runnerJSON is the JSON of a runner. It lacks the client's secret, which the model never encodes, and unlike the model it has members that
// are false.
type runnerJSON struct {
	pipelines.Runner
	State runnerStateJSON `json:"state"`
}

type runnerStateJSON struct {
	pipelines.RunnerState
	Cordoned bool `json:"cordoned"`
}

func encodeRunner(r *runner) runnerJSON {
	return runnerJSON{r.Runner, runnerStateJSON{r.State, r.State.Cordoned}}
}

// createdRunnerJSON is the response to the creation of a runner, the only one with the secret.
type createdRunnerJSON struct {
	runnerJSON
	OAuthClient oauthClientJSON `json:"oauth_client"`
}

// oauthClientJSON is the model without its methods, which leave the secret out.
type oauthClientJSON pipelines.RunnerOAuthClient

// encodeListedRunner encodes a runner in a list, where it has no types.
func encodeListedRunner(r *runner) any {
	w := encodeRunner(r)
	client := *r.OAuthClient
	w.Type, w.State.Type, client.Type = "", "", ""
	w.OAuthClient = &client
	if w.State.Version != nil {
		version := *w.State.Version
		version.Type = ""
		w.State.Version = &version
	}
	return w
}

func (in runnerOwner) list(c *call) *response {
	s, errResp := in(c)
	if errResp != nil {
		return errResp
	}
	return page(c, s.runners, encodeListedRunner)
}

// runnerRequest is the body of a request to create or change a runner.
type runnerRequest struct {
	Name   *string  `json:"name"`
	Labels []string `json:"labels"`
}

var runnerLabel = regexp.MustCompile(`^[a-z0-9.]+$`)

// problem returns what is wrong with a request, or "".
func (req *runnerRequest) problem() string {
	switch {
	case req.Name != nil && *req.Name == "":
		return "A runner needs a name."
	case len(req.Labels) > maxLabels:
		return "A runner has ten labels at most."
	case slices.ContainsFunc(req.Labels, func(label string) bool { return !runnerLabel.MatchString(label) }):
		return "A label consists of lower-case letters, digits and dots."
	}
	return ""
}

func (in runnerOwner) create(c *call) *response {
	s, errResp := in(c)
	if errResp != nil {
		return errResp
	}
	var req runnerRequest
	if !c.decode(&req) || req.Name == nil {
		return invalidRequest(runnerService, "A runner needs a name.")
	}
	if problem := req.problem(); problem != "" {
		return invalidRequest(runnerService, problem)
	}
	if limit := c.server.runnerLimit; limit > 0 && len(s.runners) >= limit {
		return serviceError(http.StatusBadRequest, runnerService+".runner.limit-reached",
			fmt.Sprintf("There are %d runners already.", len(s.runners)), map[string]string{})
	}
	r := s.add(pipelines.Runner{Name: *req.Name, Labels: req.Labels})
	return c.json(http.StatusOK, createdRunnerJSON{encodeRunner(r), oauthClientJSON(*r.OAuthClient)})
}

func (in runnerOwner) update(c *call) *response {
	r, errResp := in.kind().find(c)
	if errResp != nil {
		return errResp
	}
	var req runnerRequest
	if !c.decode(&req) {
		return invalidRequest(runnerService, "The request body contains invalid properties")
	}
	if problem := req.problem(); problem != "" {
		return invalidRequest(runnerService, problem)
	}
	r.Name = valueOr(req.Name, r.Name)
	if req.Labels != nil {
		r.Labels = req.Labels
	}
	r.UpdatedOn = c.now
	return c.json(http.StatusOK, encodeRunner(r))
}
