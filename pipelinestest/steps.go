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

// stepJSON is the JSON of a step. Unlike the model it has members that are zero.
type stepJSON struct {
	pipelines.Step
	DurationInSeconds int `json:"duration_in_seconds"`
	BuildSecondsUsed  int `json:"build_seconds_used"`
}

func encodeStep(s pipelines.Step) any { return stepJSON{s, s.DurationInSeconds, s.BuildSecondsUsed} }

// steps returns the steps of a run. There are none before the YAML is parsed.
func (c *call) steps(r *run) []pipelines.Step {
	if p := r.plan(); !p.isParsed(c.now) {
		return nil
	}
	var steps []pipelines.Step
	for i := range r.steps {
		steps = append(steps, r.step(i, c.now))
	}
	return steps
}

func (c *call) listSteps() *response {
	r, errResp := c.run()
	if errResp != nil {
		return errResp
	}
	return wholePage(c, c.steps(r), encodeStep)
}

func (c *call) getStep() *response {
	r, i, errResp := c.step()
	if errResp != nil {
		return errResp
	}
	return c.json(http.StatusOK, encodeStep(r.step(i, c.now)))
}

// step finds the step in the path: the run and the index of the step.
func (c *call) step() (*run, int, *response) {
	r, errResp := c.run()
	if errResp != nil {
		return nil, 0, errResp
	}
	id := c.params["step_uuid"]
	for i, s := range c.steps(r) {
		if s.UUID == id {
			return r, i, nil
		}
	}
	return nil, 0, serviceError(http.StatusNotFound, "result-service.step-id.not-found", "There is no step "+id+".", map[string]string{"stepId": id})
}

// setupCommands are the commands that prepare a step, as in the service's responses.
func (r *run) setupCommands() []string {
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

// userCommands are commands of the author and of the setup, which the service marks alike.
func userCommands(lines []string) []pipelines.Command {
	var commands []pipelines.Command
	for _, line := range lines {
		commands = append(commands, pipelines.Command{Name: line, Command: line, CommandType: pipelines.CommandUser})
	}
	return commands
}

// teardownCommands are the commands that the service adds to each step.
func teardownCommands() []pipelines.Command {
	return []pipelines.Command{
		{Name: "Upload Metrics", Command: `echo "Uploading metrics"`, CommandType: pipelines.CommandSystem, Action: "UPLOAD_METRICS"},
		{Name: "Process Test Reports", Command: `echo "Processing test reports"`, CommandType: pipelines.CommandSystem, Action: "PROCESS_TEST_REPORTS"},
	}
}
