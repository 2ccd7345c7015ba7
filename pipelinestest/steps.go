package pipelinestest

import (
	"cmp"
	"net/http"
	"strconv"

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

// setup are the commands that prepare a step, as the service lists them.
func (r *run) setup() []string {
	target := r.model.Target
	clone := "retry 6 git clone"
	if ref := cmp.Or(target.RefName, target.Source); ref != "" {
		clone += " --branch=" + strconv.Quote(ref)
	}
	return []string{
		"umask 000", "export GIT_LFS_SKIP_SMUDGE=1",
		clone + " --depth 50 $BITBUCKET_GIT_HTTP_ORIGIN $BUILD_DIR",
		"git reset --hard " + target.Commit.Hash,
		"git config user.name bitbucket-pipelines", "git config user.email commits-noreply@bitbucket.org", "chmod 777 $BUILD_DIR",
	}
}

// userCommands are commands as the service lists an author's and those of the setup.
func userCommands(lines []string) []pipelines.Command {
	var commands []pipelines.Command
	for _, line := range lines {
		commands = append(commands, pipelines.Command{Name: line, Command: line, CommandType: pipelines.CommandUser})
	}
	return commands
}

// teardown are the commands that the service adds to each step.
func teardown() []pipelines.Command {
	return []pipelines.Command{
		{Name: "Upload Metrics", Command: `echo "Uploading metrics"`, CommandType: pipelines.CommandSystem, Action: "UPLOAD_METRICS"},
		{Name: "Process Test Reports", Command: `echo "Processing test reports"`, CommandType: pipelines.CommandSystem, Action: "PROCESS_TEST_REPORTS"},
	}
}
