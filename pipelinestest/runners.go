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
	defaultRunnerLimit = 100 // an invention: the service's limit is unknown
	maxLabels          = 10
)

type runner struct{ pipelines.Runner }

func (r *runner) id() string { return r.UUID }

// copied returns a copy that shares nothing with the runner and has its secret.
func (r *runner) copied() pipelines.Runner {
	c := clone(r.Runner)
	c.OAuthClient.Secret = r.OAuthClient.Secret
	return c
}

// runnerSet is the runners of one owner.
type runnerSet struct {
	server  *Server
	runners collection[*runner]
}

// AddRunner adds a self-hosted runner, and returns it as it is kept. What r leaves out is filled in as for a new one. The limit
// doesn't count here.
func (s *runnerSet) AddRunner(r pipelines.Runner) *pipelines.Runner {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	kept := s.add(r)
	c := kept.copied()
	return &c
}

// Runners returns the runners as they are now. Unlike the API it tells their secrets; printed, they are masked all the same.
func (s *runnerSet) Runners() []pipelines.Runner {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	all := make([]pipelines.Runner, 0, len(s.runners))
	for _, r := range s.runners {
		all = append(all, r.copied())
	}
	return all
}

// SetRunnerState changes the state of a runner, as the runner's own program does. It is an error where the runner doesn't exist.
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
	completeTypes(&state)
	r.State = state
}

func (s *runnerSet) add(r pipelines.Runner) *runner {
	now := s.server.now()
	kept := &runner{clone(r)}
	kept.UUID = cmp.Or(r.UUID, s.server.newUUID())
	kept.CreatedOn = cmp.Or(r.CreatedOn, now)
	kept.UpdatedOn = cmp.Or(r.UpdatedOn, kept.CreatedOn)
	if kept.State == (pipelines.RunnerState{}) {
		kept.State = pipelines.RunnerState{Status: pipelines.RunnerUnregistered, UpdatedOn: now}
	}
	kept.setState(kept.State)
	kept.OAuthClient = s.newClient(r.OAuthClient)
	completeTypes(&kept.Runner)
	s.runners = append(s.runners, kept)
	return kept
}

// newClient makes what a runner signs in with, as far as it isn't given.
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

// runnerOwner finds whose runners a path is about.
type runnerOwner func(*call) (*runnerSet, *reply)

func repositoryRunners(c *call) (*runnerSet, *reply) { return &c.repo.runnerSet, nil }

func workspaceRunners(c *call) (*runnerSet, *reply) {
	w, refusal := c.workspace()
	if refusal != nil {
		return nil, refusal
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
	return kind[*runner]{"runner", runnerService, func(c *call) (*collection[*runner], *reply) {
		s, refusal := in(c)
		if refusal != nil {
			return nil, refusal
		}
		return &s.runners, nil
	}, func(_ *call, r *runner) any { return runnerOnWire(r) }}
}

// wireRunner is a runner as the service writes it: without the client's secret, which the model never encodes, and with what is
// false, which the model omits.
type wireRunner struct {
	pipelines.Runner
	State wireRunnerState `json:"state"`
}

type wireRunnerState struct {
	pipelines.RunnerState
	Cordoned bool `json:"cordoned"`
}

func runnerOnWire(r *runner) wireRunner {
	return wireRunner{r.Runner, wireRunnerState{r.State, r.State.Cordoned}}
}

// newRunner is a runner as its creation is answered: the only time that the secret is told.
type newRunner struct {
	wireRunner
	OAuthClient oauthClient `json:"oauth_client"`
}

// oauthClient is the model without its methods, which would keep the secret.
type oauthClient pipelines.RunnerOAuthClient

// listed is a runner as pages show it: nothing in it has a type.
func listed(r *runner) any {
	w := runnerOnWire(r)
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

func (in runnerOwner) list(c *call) *reply {
	s, refusal := in(c)
	if refusal != nil {
		return refusal
	}
	return page(c, s.runners, listed)
}

// runnerRequest is a runner to create, or what to change of one.
type runnerRequest struct {
	Name   *string  `json:"name"`
	Labels []string `json:"labels"`
}

var runnerLabel = regexp.MustCompile(`^[a-z0-9.]+$`)

// complaint is what is wrong with a request.
func (req *runnerRequest) complaint() string {
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

func (in runnerOwner) create(c *call) *reply {
	s, refusal := in(c)
	if refusal != nil {
		return refusal
	}
	var req runnerRequest
	if !c.decode(&req) || req.Name == nil {
		return invalid(runnerService, "A runner needs a name.")
	}
	if complaint := req.complaint(); complaint != "" {
		return invalid(runnerService, complaint)
	}
	if limit := c.server.runnerLimit; limit > 0 && len(s.runners) >= limit {
		return serviceFailure(http.StatusBadRequest, runnerService+".runner.limit-reached",
			fmt.Sprintf("There are %d runners already.", len(s.runners)), map[string]string{})
	}
	r := s.add(pipelines.Runner{Name: *req.Name, Labels: req.Labels})
	return c.json(http.StatusOK, newRunner{runnerOnWire(r), oauthClient(*r.OAuthClient)})
}

func (in runnerOwner) update(c *call) *reply {
	r, refusal := in.kind().find(c)
	if refusal != nil {
		return refusal
	}
	var req runnerRequest
	if !c.decode(&req) {
		return invalid(runnerService, "The request body contains invalid properties")
	}
	if complaint := req.complaint(); complaint != "" {
		return invalid(runnerService, complaint)
	}
	r.Name = or(req.Name, r.Name)
	if req.Labels != nil {
		r.Labels = req.Labels
	}
	r.UpdatedOn = c.now
	return c.json(http.StatusOK, runnerOnWire(r))
}
