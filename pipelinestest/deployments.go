package pipelinestest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

type deployment struct{ pipelines.Deployment }

func (d *deployment) id() string { return d.UUID }

// stepDeployment holds the UUIDs of a step's deployment, its release and its environment.
type stepDeployment struct{ uuid, release, environment string }

// AddDeployment adds a deployment and returns it as stored. Missing fields get defaults: a successful deployment of main to the environment
// Test, now. The environment is given by its UUID, and d.Release names its run by the run's UUID.
func (r *Repository) AddDeployment(d pipelines.Deployment) *pipelines.Deployment {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	now := r.server.now()
	d = clone(d)
	d.UUID = cmp.Or(d.UUID, r.server.newUUID())
	if d.Environment == nil {
		d.Environment = &pipelines.Environment{UUID: r.addEnvironment(string(pipelines.EnvironmentTest), pipelines.EnvironmentTest).UUID()}
	}
	if d.State.Name == "" {
		d.State = completedDeployment(pipelines.ResultSuccessful, now, now)
	}
	if d.Commit == nil {
		d.Commit = &pipelines.Commit{Hash: r.branches["main"]}
	}
	d.Release = cmp.Or(d.Release, d.Deployable, &pipelines.DeploymentRelease{
		UUID: r.server.newUUID(), Commit: d.Commit, CreatedOn: cmp.Or(d.State.StartedOn, now),
	})
	d.Deployable = cmp.Or(d.Deployable, d.Release)
	for _, release := range []*pipelines.DeploymentRelease{d.Release, d.Deployable} {
		release.Name = cmp.Or(release.Name, r.releaseName(release.Pipeline))
	}
	d.LastUpdateTime = cmp.Or(d.LastUpdateTime, d.State.CompletedOn, d.State.StartedOn, now)
	setTypes(&d)
	r.deployments = append(r.deployments, &deployment{d})
	stored := clone(d)
	return &stored
}

// releaseName is the build number of the release's run. Without a run, it is the deployment's number.
func (r *Repository) releaseName(of *pipelines.PipelineRef) string {
	if of != nil {
		if run := r.find(of.UUID); run != nil {
			return run.releaseName()
		}
	}
	return "#" + strconv.Itoa(len(r.deployments)+1)
}

func (r *run) releaseName() string { return "#" + strconv.Itoa(r.model.BuildNumber) }

// Deployments returns all deployments in their current state: those added by the test, then those of runs.
func (r *Repository) Deployments() []pipelines.Deployment {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	all := r.deployed(r.server.now())
	found := make([]pipelines.Deployment, 0, len(all))
	for _, d := range all {
		found = append(found, clone(d.Deployment))
	}
	return found
}

// deployed returns the deployments at a time. Those of a run exist once its YAML is parsed.
func (r *Repository) deployed(now time.Time) collection[*deployment] {
	all := slices.Clone(r.deployments)
	for _, run := range r.runs {
		p := run.plan()
		for i, s := range run.steps {
			if s.deployment != nil && p.isParsed(now) {
				all = append(all, &deployment{run.deployment(s, p.spans[i], now)})
			}
		}
	}
	return all
}

// deployment returns the deployment of a step at a time.
func (r *run) deployment(s *step, planned span, now time.Time) pipelines.Deployment {
	release := &pipelines.DeploymentRelease{
		Type: "deployment_release", UUID: s.deployment.release, Name: r.releaseName(), Key: "pipelines-" + r.model.UUID, CreatedOn: r.model.CreatedOn,
		Commit: r.model.Target.Commit, Pipeline: &pipelines.PipelineRef{Type: "pipeline", UUID: r.model.UUID},
		URL: r.model.WebURL(r.repo.repo()),
	}
	d := pipelines.Deployment{
		Type: "deployment", UUID: s.deployment.uuid, Key: "steps-" + s.uuid, Step: &pipelines.StepRef{UUID: s.uuid},
		Environment: &pipelines.Environment{Type: "deployment_environment", UUID: s.deployment.environment},
		Release:     release, Deployable: release, Commit: r.model.Target.Commit,
	}
	switch {
	case !planned.started(now):
		d.Version, d.LastUpdateTime = 1, r.model.CreatedOn
		d.State = pipelines.DeploymentState{Type: "deployment_state_undeployed", Name: pipelines.StateUndeployed}
		return d
	case !planned.done(now):
		d.Version, d.LastUpdateTime = 2, planned.start
		d.State = pipelines.DeploymentState{Type: "deployment_state_in_progress", Name: pipelines.StateInProgress, StartedOn: planned.start}
	default:
		d.Version, d.LastUpdateTime = 3, planned.end
		d.State = completedDeployment(planned.result, planned.start, planned.end)
	}
	d.State.URL, d.State.Deployer = release.URL, r.model.Creator
	return d
}

// completedDeployment is the state of a deployment whose step has ended. A deployment has only three results.
func completedDeployment(result pipelines.ResultName, start, end time.Time) pipelines.DeploymentState {
	if result != pipelines.ResultSuccessful && result != pipelines.ResultStopped {
		result = pipelines.ResultFailed
	}
	const kind = "deployment_state_completed"
	return pipelines.DeploymentState{
		Type: kind, Name: pipelines.StateCompleted, StartedOn: start, CompletedOn: end,
		Status: &pipelines.DeploymentStatus{Type: discriminator(kind, result), Name: result},
	}
}

const deploymentsPath = repositoryPath + "/deployments"

var deployments = kind[*deployment]{"deployment", deployService, func(c *call) (*collection[*deployment], *response) {
	all := c.repo.deployed(c.now)
	return &all, nil
}, (*call).encodeDeployment}

var deploymentRoutes = []route{
	{http.MethodGet, deploymentsPath, readPipeline, (*call).listDeployments},
	{http.MethodGet, deploymentsPath + "/{deployment_uuid}", readPipeline, deployments.get},
}

// deploymentJSON is the JSON of a deployment.
type deploymentJSON struct {
	pipelines.Deployment
	Environment any `json:"environment"`
}

// encodeDeployment encodes a deployment. The environment has only its UUID unless the fields parameter asks for more.
func (c *call) encodeDeployment(d *deployment) any {
	w := deploymentJSON{d.Deployment, map[string]string{"uuid": d.Environment.UUID}}
	if e, ok := c.repo.environments.find(d.Environment.UUID); ok && strings.Contains(c.query.Get("fields"), "environment.") {
		w.Environment = encodeEnvironment(e.visible(c.now))
	}
	w.Commit = c.linkedCommit(d.Commit)
	w.Release, w.Deployable = c.linkedRelease(*d.Release), c.linkedRelease(*d.Deployable)
	w.State.Deployer = c.linkedAccount(w.State.Deployer)
	return w
}

func (c *call) linkedRelease(r pipelines.DeploymentRelease) *pipelines.DeploymentRelease {
	if r.Commit != nil {
		r.Commit = c.linkedCommit(r.Commit)
	}
	return &r
}

func (c *call) listDeployments() *response {
	found := c.repo.deployed(c.now)
	environment, state, sort := c.query.Get("environment"), c.query.Get("state.name"), c.query.Get("sort")
	found = slices.DeleteFunc(found, func(d *deployment) bool {
		return environment != "" && d.Environment.UUID != environment || state != "" && string(d.State.Name) != state
	})
	startedOn := func(a, b *deployment) int { return a.State.StartedOn.Compare(b.State.StartedOn) }
	switch sort {
	case "":
	case "state.started_on":
		slices.SortStableFunc(found, startedOn)
	case "-state.started_on":
		slices.SortStableFunc(found, func(a, b *deployment) int { return startedOn(b, a) })
	default:
		return errorResponse(http.StatusBadRequest, "Invalid sort", "Unknown sort order "+sort+".")
	}
	return page(c, found, c.encodeDeployment)
}
