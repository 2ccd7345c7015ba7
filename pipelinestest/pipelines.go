package pipelinestest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	pipelinesPath = repositoryPath + "/pipelines"
	pipelinePath  = pipelinesPath + "/{pipeline_uuid}"
)

var pipelineRoutes = []route{
	{http.MethodGet, pipelinesPath, readPipeline, (*call).listPipelines},
	{http.MethodPost, pipelinesPath, readPipeline, (*call).runPipeline},
	{http.MethodGet, pipelinePath, readPipeline, (*call).getPipeline},
	{http.MethodPost, pipelinePath + "/stopPipeline", writePipeline, (*call).stopPipeline},
}

// pipelineJSON is the JSON of a pipeline. Unlike the model it has members that are zero, false, empty or null.
type pipelineJSON struct {
	pipelines.Pipeline
	Target            targetJSON     `json:"target"`
	DurationInSeconds int            `json:"duration_in_seconds"`
	BuildSecondsUsed  int            `json:"build_seconds_used"`
	FirstSuccessful   bool           `json:"first_successful"`
	Expired           bool           `json:"expired"`
	HasVariables      bool           `json:"has_variables"`
	Labels            map[string]any `json:"labels"`
}

type targetJSON struct {
	pipelines.Target
	Selector    *pipelines.Selector `json:"selector"`
	PullRequest *pullRequestJSON    `json:"pullrequest,omitzero"`
}

// pullRequestJSON is the JSON of a pull request. Unlike the model it has members that are false.
type pullRequestJSON struct {
	pipelines.PullRequest
	Draft  bool `json:"draft"`
	Queued bool `json:"queued"`
}

// encodePipeline encodes a pipeline. The API never shows its variables.
func (c *call) encodePipeline(p pipelines.Pipeline) any {
	p.Variables = nil
	p.Links = &pipelines.Links{
		Self:  &pipelines.Link{Href: c.pipelineURL(p.UUID)},
		Steps: &pipelines.Link{Href: c.pipelineURL(p.UUID) + "/steps"},
	}
	p.Repository = c.linkedRepository(c.repo)
	p.Creator = c.linkedAccount(p.Creator)
	p.Target.Commit = c.linkedCommit(p.Target.Commit)
	if result := p.State.Result; result != nil {
		linked := *result
		linked.Terminator = c.linkedAccount(result.Terminator)
		p.State.Result = &linked
	}
	return pipelineJSON{
		Pipeline: p, Target: targetJSON{p.Target, p.Target.Selector, c.linkedPullRequest(p.Target.PullRequest)},
		DurationInSeconds: p.DurationInSeconds, BuildSecondsUsed: p.BuildSecondsUsed,
		FirstSuccessful: p.FirstSuccessful, Expired: p.Expired, HasVariables: p.HasVariables, Labels: p.Labels,
	}
}

// run finds the pipeline in the path by its UUID or build number.
func (c *call) run() (*run, *response) {
	id := c.params["pipeline_uuid"]
	if r := c.repo.find(id); r != nil {
		return r, nil
	}
	return nil, serviceError(http.StatusNotFound, "result-service.pipeline-id.not-found",
		"There is no pipeline "+id+".", map[string]string{"pipelineId": id})
}

func (c *call) getPipeline() *response {
	r, errResp := c.run()
	if errResp != nil {
		return errResp
	}
	return c.json(http.StatusOK, c.encodePipeline(r.snapshot(c.now)))
}

func (c *call) stopPipeline() *response {
	r, errResp := c.run()
	if errResp != nil {
		return errResp
	}
	if state := r.snapshot(c.now).State; state.Done() {
		return c.badRequest("Cannot stop pipeline result that is already complete with status " + state.String())
	}
	r.stop(c.now)
	return emptyResponse(http.StatusNoContent)
}

// badRequest is the service's response to an invalid request on pipelines.
func (c *call) badRequest(detail string) *response {
	return serviceError(http.StatusBadRequest, "result-service.request.invalid", detail, map[string]string{})
}

// AddPipeline adds a run with a fixed state and returns it as stored. Only stopping it changes its state. Missing fields get defaults: a
// successful run of main, created now, with the next build number; missing type discriminators are added. AddPipeline panics if the build
// number is taken.
func (r *Repository) AddPipeline(p pipelines.Pipeline) *pipelines.Pipeline {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if p.BuildNumber != 0 && r.find(strconv.Itoa(p.BuildNumber)) != nil {
		panic(fmt.Sprintf("pipelinestest: build number %d is taken in %s", p.BuildNumber, r.repo()))
	}
	seeded := copyPipeline(p)
	for i := range seeded.Variables {
		seeded.Variables[i].Type = cmp.Or(seeded.Variables[i].Type, variableType)
	}
	r.setPipelineDefaults(seeded)
	r.runs = append(r.runs, &run{repo: r, model: *seeded, seeded: true})
	return copyPipeline(*seeded)
}

// AddPipelines adds n successful runs of main that ended before now, one a minute.
func (r *Repository) AddPipelines(n int) {
	now := r.server.now()
	for i := range n {
		r.AddPipeline(pipelines.Pipeline{CreatedOn: now.Add(time.Duration(i-n) * time.Minute), DurationInSeconds: 30})
	}
}

// Pipelines returns all runs in their current state, in the order in which they were added. Unlike the API it includes their variables.
func (r *Repository) Pipelines() []pipelines.Pipeline {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	all := make([]pipelines.Pipeline, 0, len(r.runs))
	for _, run := range r.runs {
		all = append(all, *copyPipeline(run.snapshot(r.server.now())))
	}
	return all
}

// copyPipeline returns a deep copy of p.
func copyPipeline(p pipelines.Pipeline) *pipelines.Pipeline {
	variables := slices.Clone(p.Variables)
	p.Variables = nil // their JSON lacks secured values
	c := clone(p)
	c.Variables = variables
	return &c
}

// setPipelineDefaults sets the missing fields of a run.
func (r *Repository) setPipelineDefaults(p *pipelines.Pipeline) {
	creator := r.server.creator
	p.UUID = cmp.Or(p.UUID, r.server.newUUID())
	p.BuildNumber = cmp.Or(p.BuildNumber, max(r.latest+1, r.next))
	r.latest = max(r.latest, p.BuildNumber)
	p.RunNumber = cmp.Or(p.RunNumber, 1)
	p.Creator = cmp.Or(p.Creator, &creator)
	p.Trigger = cmp.Or(p.Trigger, &pipelines.Trigger{Name: pipelines.TriggerManual})
	p.Repository = r.model()
	if p.CreatedOn.IsZero() {
		p.CreatedOn = r.server.now()
	}
	setTargetDefaults(&p.Target)
	if p.Target.Commit == nil {
		name := cmp.Or(p.Target.RefName, p.Target.Source)
		p.Target.Commit = &pipelines.Commit{Hash: cmp.Or(r.branches[name], commitHash(name))}
	}
	setStateDefaults(&p.State)
	setTypes(p)
	if p.State.Done() && p.CompletedOn.IsZero() {
		p.CompletedOn = p.CreatedOn.Add(time.Duration(p.DurationInSeconds) * time.Second)
	}
	if p.ConfigurationSources == nil {
		p.ConfigurationSources = r.configurationSources(p.Target.Commit.Hash)
	}
}

func (r *Repository) configurationSources(hash string) []pipelines.ConfigurationSource {
	uri := "/" + escaped(r.workspace.uuid) + "/" + escaped(r.uuid) + "/src/" + hash + "/bitbucket-pipelines.yml"
	return []pipelines.ConfigurationSource{{Source: "STATIC_LOCAL", URI: uri}}
}
