package pipelinestest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAStepDeploysWhileItRuns(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Parsing: time.Minute, Steps: []pipelinestest.Step{
		{Duration: time.Minute}, {Duration: time.Minute, Deployment: "staging"},
	}})
	path := f.started()
	require.Empty(t, f.get(site+"/deployments").Values("uuid"))

	f.clock.Advance(time.Minute)
	a := f.get(site + "/deployments")
	step := f.get(path + "/steps").Values("uuid")[1].(string)
	run := f.get(path).At("uuid").(string)
	environment := f.repo.Environments()[0]
	require.Equal(t, pipelines.EnvironmentStaging, environment.EnvironmentType.Name, "created by the start of the run")
	require.Equal(t, map[string]any{"type": "deployment_state_undeployed", "name": "UNDEPLOYED"}, a.At("values.0.state"))
	require.Equal(t, map[string]any{"uuid": environment.UUID}, a.At("values.0.environment"))
	require.Equal(t, "steps-"+step, a.At("values.0.key"))
	require.Equal(t, step, a.At("values.0.step.uuid"))
	require.Equal(t, "pipelines-"+run, a.At("values.0.release.key"))
	require.Equal(t, run, a.At("values.0.release.pipeline.uuid"))
	require.Equal(t, a.At("values.0.release"), a.At("values.0.deployable"))
	require.Equal(t, "#1", a.At("values.0.release.name"))
	require.NotEmpty(t, a.At("values.0.commit.links.self.href"))
	one := site + "/deployments/" + escape(a.At("values.0.uuid").(string))

	f.clock.Advance(time.Minute)
	a = f.get(one)
	require.Equal(t, "deployment_state_in_progress", a.At("state.type"))
	require.Equal(t, "2026-03-01T12:02:00Z", a.At("state.started_on"))
	require.NotContains(t, a.At("state"), "completed_on")
	require.NotEmpty(t, a.At("state.deployer.links.self.href"))

	f.clock.Advance(time.Minute)
	a = f.get(one)
	require.Equal(t, "COMPLETED", a.At("state.name"))
	require.Equal(t, map[string]any{"type": "deployment_state_completed_successful", "name": "SUCCESSFUL"}, a.At("state.status"))
	require.Equal(t, "2026-03-01T12:03:00Z", a.At("state.completed_on"))
	require.Equal(t, "2026-03-01T12:03:00Z", a.At("last_update_time"))
	require.NotContains(t, a.At("state"), "completion_date")
}

func TestReleasesAreNamedByBuildNumbers(t *testing.T) {
	f := setup(t)
	f.repo.AddPipeline(pipelines.Pipeline{BuildNumber: 11})
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Deployment: "Staging"}, {Deployment: "Production"}}})
	run := f.run(mainBranch)
	of := &pipelines.DeploymentRelease{Pipeline: &pipelines.PipelineRef{UUID: run.At("uuid").(string)}}
	f.repo.AddDeployment(pipelines.Deployment{})
	f.repo.AddDeployment(pipelines.Deployment{Release: of})
	f.repo.AddDeployment(pipelines.Deployment{Release: &pipelines.DeploymentRelease{Name: "v1"}})
	f.repo.AddDeployment(pipelines.Deployment{Deployable: &pipelines.DeploymentRelease{Name: "v2"}})
	a := f.get(site + "/deployments")
	require.Equal(t, []any{"#1", "#12", "v1", "v2", "#12", "#12"}, a.Values("release.name"))
	require.Equal(t, a.Values("release.name"), a.Values("deployable.name"))
	require.Empty(t, of.Type, "the argument is unchanged")
}

func TestTheResultOfADeployment(t *testing.T) {
	for result, want := range map[pipelines.ResultName]string{
		pipelines.ResultFailed: "FAILED", pipelines.ResultError: "FAILED", pipelines.ResultStopped: "STOPPED",
	} {
		f := setup(t)
		f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{
			{Deployment: "Canary", Result: result}, {Deployment: "Production"},
		}})
		f.started()
		states := f.get(site + "/deployments?fields=values.state.status.name,values.environment.name")
		require.Equal(t, []any{want, nil}, states.Values("state.status.name"))
		require.Equal(t, []any{"Canary", "Production"}, states.Values("environment.name"))
		require.Equal(t, []any{"COMPLETED", "UNDEPLOYED"}, f.get(site+"/deployments").Values("state.name"))
		require.Equal(t, want, string(f.repo.Deployments()[0].State.Status.Name))
		require.Equal(t, pipelines.EnvironmentTest, f.repo.Environments()[0].EnvironmentType.Name)
	}
}

func TestDeploymentsAreFilteredAndSorted(t *testing.T) {
	f := setup(t)
	first := f.repo.AddDeployment(pipelines.Deployment{})
	second := f.repo.AddDeployment(pipelines.Deployment{
		Environment: &pipelines.Environment{UUID: service},
		State: pipelines.DeploymentState{
			Type: "deployment_state_in_progress", Name: pipelines.StateInProgress, StartedOn: f.clock.Now().Add(time.Hour),
		},
	})
	a, b := any(first.UUID), any(second.UUID)
	for query, want := range map[string][]any{
		"":                                  {a, b},
		"sort=state.started_on":             {a, b},
		"sort=-state.started_on":            {b, a},
		"environment=" + escape(service):    {b},
		"state.name=COMPLETED":              {a},
		"state.name=UNDEPLOYED":             {},
		"state.name=COMPLETED&environment=": {a},
	} {
		require.Equal(t, want, f.get(site+"/deployments?"+query).Values("uuid"), query)
	}
	require.Equal(t, http.StatusBadRequest, f.get(site+"/deployments?sort=name").StatusCode)
}

func TestTheClientReadsDeployments(t *testing.T) {
	f := setup(t)
	seeded := f.repo.AddDeployment(pipelines.Deployment{})
	ctx, client, repo := t.Context(), f.srv.Client().Deployments, f.repo.Repo()
	d, err := client.Get(ctx, repo, seeded.UUID)
	require.NoError(t, err)
	require.True(t, d.State.Succeeded())
	d, err = client.List(ctx, repo, &pipelines.ListDeploymentsOptions{
		Sort: pipelines.SortLastStarted, Environment: seeded.Environment.UUID, State: pipelines.StateCompleted,
	}, pipelines.WithQuery("fields", "+values.environment.name")).First()
	require.NoError(t, err)
	require.Equal(t, seeded.UUID, d.UUID)
	require.Equal(t, "Test", d.Environment.Name)
	_, err = client.Get(ctx, repo, service)
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}
