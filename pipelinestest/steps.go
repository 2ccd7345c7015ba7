package pipelinestest

import (
	"net/http"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	stepsPath = pipelinePath + "/steps"
	stepPath  = stepsPath + "/{step_uuid}"
)

var stepRoutes = []route{
	{http.MethodGet, stepsPath, readPipeline, (*call).listSteps},
	{http.MethodGet, stepPath, readPipeline, (*call).getStep},
}

// wireStep is a step as the service writes it: with members that are zero, which the model omits.
type wireStep struct {
	pipelines.Step
	DurationInSeconds int `json:"duration_in_seconds"`
	BuildSecondsUsed  int `json:"build_seconds_used"`
}

func writeStep(s pipelines.Step) any { return wireStep{s, s.DurationInSeconds, s.BuildSecondsUsed} }

// steps returns the steps that there are: none before the YAML is parsed.
func (c *call) steps(r *run) []pipelines.Step {
	if p := r.plan(); !p.known(c.now) {
		return nil
	}
	var steps []pipelines.Step
	for i := range r.steps {
		steps = append(steps, r.step(i, c.now))
	}
	return steps
}

func (c *call) listSteps() *reply {
	r, refusal := c.run()
	if refusal != nil {
		return refusal
	}
	return wholePage(c, c.steps(r), writeStep)
}

func (c *call) getStep() *reply {
	r, i, refusal := c.step()
	if refusal != nil {
		return refusal
	}
	return c.json(http.StatusOK, writeStep(r.step(i, c.now)))
}

// step finds the step that the path names: the run and the step's place in it.
func (c *call) step() (*run, int, *reply) {
	r, refusal := c.run()
	if refusal != nil {
		return nil, 0, refusal
	}
	id := c.params["step_uuid"]
	for i, s := range c.steps(r) {
		if s.UUID == id {
			return r, i, nil
		}
	}
	return nil, 0, serviceFailure(http.StatusNotFound, "result-service.step-id.not-found", "There is no step "+id+".", map[string]string{"stepId": id})
}
