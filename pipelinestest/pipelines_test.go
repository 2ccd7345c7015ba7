package pipelinestest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheResponseToARunSaysParsing(t *testing.T) {
	f := setup(t)
	f.repo.AddBranch("main", "1f4a9c")
	a := f.run(mainBranch)
	require.Equal(t, http.StatusCreated, a.StatusCode)
	uuid := a.At("uuid").(string)
	require.Regexp(t, `^\{[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}\}$`, uuid)
	location := a.Header.Get("Location")
	require.Equal(t, location, a.At("links.self.href"))
	require.True(t, strings.HasPrefix(location, f.srv.URL()+"/repositories/%7B"))
	require.True(t, strings.HasSuffix(location, "/"+escape(f.repo.UUID())+"/pipelines/"+escape(uuid)))
	require.Equal(t, location+"/steps", a.At("links.steps.href"))

	whole := a.JSON()
	for _, member := range []string{"creator", "repository", "configuration_sources"} {
		require.NotEmpty(t, whole[member])
		delete(whole, member)
	}
	require.Equal(t, map[string]any{
		"type": "pipeline", "uuid": uuid, "build_number": 1.0, "run_number": 1.0, "created_on": "2026-03-01T12:00:00Z",
		"state": map[string]any{"type": "pipeline_state_parsing", "name": "PARSING", "stage": map[string]any{
			"type": "pipeline_state_parsing_parsing", "name": "PARSING",
		}},
		"target": map[string]any{
			"type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main", "selector": nil,
			"commit": map[string]any{"type": "commit", "hash": "1f4a9c", "links": map[string]any{
				"self": map[string]any{"href": f.srv.URL() + site + "/commit/1f4a9c"},
				"html": map[string]any{"href": "https://bitbucket.org/acme/site/commits/1f4a9c"},
			}},
		},
		"trigger":             map[string]any{"type": "pipeline_trigger_manual", "name": "MANUAL"},
		"duration_in_seconds": 0.0, "build_seconds_used": 0.0, "first_successful": false, "expired": false, "has_variables": false,
		"labels": map[string]any{}, "links": whole["links"],
	}, whole)
	creator := escape(a.At("creator.uuid").(string))
	require.Equal(t, "user", a.At("creator.type"))
	require.Equal(t, f.srv.URL()+"/users/"+creator, a.At("creator.links.self.href"))
	require.Equal(t, "https://bitbucket.org/"+creator+"/", a.At("creator.links.html.href"))
	require.Contains(t, a.At("creator.links.avatar.href"), "https://secure.gravatar.com/avatar/")
	require.Equal(t, map[string]any{
		"type": "repository", "uuid": f.repo.UUID(), "name": "site", "full_name": "acme/site", "links": map[string]any{
			"self":   map[string]any{"href": f.srv.URL() + site},
			"html":   map[string]any{"href": "https://bitbucket.org/acme/site"},
			"avatar": map[string]any{"href": "https://bytebucket.org/ravatar/" + escape(f.repo.UUID()) + "?ts=default"},
		},
	}, a.At("repository"))
	require.Equal(t, "STATIC_LOCAL", a.At("configuration_sources.0.source"))
}

func TestAPullRequestsRunNamesThePullRequest(t *testing.T) {
	f := setup(t)
	started := f.run(`{"type":"pipeline_pullrequest_target","source":"dev","destination":"main","commit":{"hash":"1"},` +
		`"destination_commit":{"hash":"2"},"pullrequest":{"id":"7","title":"mine"}}`)
	require.Equal(t, http.StatusCreated, started.StatusCode, started.text)
	f.repo.AddPipeline(pipelines.Pipeline{Target: pipelines.Target{Source: "dev", Destination: "main", PullRequest: &pipelines.PullRequest{
		ID: 62, Title: "Add keys", Draft: true, Queued: true,
	}}})
	want := func(id, title string, flag bool) map[string]any {
		n, err := strconv.ParseFloat(id, 64)
		require.NoError(t, err)
		return map[string]any{
			"type": "pullrequest", "id": n, "title": title, "draft": flag, "queued": flag, "links": map[string]any{
				"self": map[string]any{"href": f.srv.URL() + site + "/pullrequests/" + id},
				"html": map[string]any{"href": "https://bitbucket.org/acme/site/pull-requests/" + id},
			},
		}
	}
	require.Equal(t, want("7", "Pull request 7", false), started.At("target.pullrequest"))
	require.Equal(t, want("62", "Add keys", true), f.get(site+"/pipelines/2").At("target.pullrequest"))
	require.Equal(t, []any{7., 62.}, f.get(site+"/pipelines").Values("target.pullrequest.id"))
	require.Equal(t, "commit", started.At("target.destination_commit.type"))
	require.Equal(t, "Pull request 7", f.repo.Pipelines()[0].Target.PullRequest.Title)
	require.NotContains(t, f.run(mainBranch).At("target"), "pullrequest")
}

func TestTheTerminatorOfARunHasLinks(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour}}})
	path := f.started()
	f.send(http.MethodPost, path+"/stopPipeline", "")
	f.clock.Advance(time.Minute)
	seeded := f.repo.AddPipeline(pipelines.Pipeline{State: pipelines.PipelineState{Result: &pipelines.Result{
		Name: pipelines.ResultStopped, Terminator: &pipelines.Account{UUID: service, DisplayName: "Ada"},
	}}})
	for _, path := range []string{path, site + "/pipelines/" + strconv.Itoa(seeded.BuildNumber)} {
		a := f.get(path)
		uuid := a.At("state.result.terminator.uuid").(string)
		require.Equal(t, f.srv.URL()+"/users/"+escape(uuid), a.At("state.result.terminator.links.self.href"))
		require.NotEmpty(t, a.At("state.result.terminator.links.avatar.href"))
		require.Equal(t, "user", a.At("state.result.terminator.type"))
	}
}

func TestAMissingPipelineOrStepIsNotFound(t *testing.T) {
	f := setup(t)
	path := f.started()
	for _, missing := range []string{site + "/pipelines/9", site + "/pipelines/9/steps", site + "/pipelines/9/steps/1", site + "/pipelines/9/steps/1/log", site + "/pipelines/abc"} {
		a := f.get(missing)
		require.Equal(t, http.StatusNotFound, a.StatusCode)
		require.Equal(t, "result-service.pipeline-id.not-found", a.At("error.data.key"))
	}
	require.Equal(t, http.StatusNotFound, f.send(http.MethodPost, site+"/pipelines/9/stopPipeline", "").StatusCode)
	require.Equal(t, http.StatusNotFound, f.get(path+"/steps/1").StatusCode)
	require.Equal(t, http.StatusNotFound, f.get(path+"/steps/1/log").StatusCode)
}

func TestTheAPIDoesNotShowTheVariablesOfARun(t *testing.T) {
	f := setup(t)
	body := `{"target":` + mainBranch + `,"variables":[{"key":"A","value":"1"},{"key":"B","value":"hidden","secured":true}]}`
	a := f.send(http.MethodPost, site+"/pipelines", body, "Content-Type", "application/json")
	require.Equal(t, http.StatusCreated, a.StatusCode)
	require.NotContains(t, a.text+f.get(site+"/pipelines").text, "variables\":[")
	require.Equal(t, false, a.At("has_variables"))
	runs := f.repo.Pipelines()
	require.Len(t, runs, 1)
	require.Equal(t, []pipelines.Variable{{Key: "A", Value: "1"}, {Key: "B", Value: "hidden", Secured: true}}, runs[0].Variables)
	runs[0].Variables[0].Value = "changed"
	require.Equal(t, "1", f.repo.Pipelines()[0].Variables[0].Value, "the result is a copy")
}

func TestSeededPipelines(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(2)
	p := f.repo.AddPipeline(pipelines.Pipeline{BuildNumber: 40, DurationInSeconds: 90, Expired: true, Variables: []pipelines.Variable{{Key: "K"}}})
	require.Equal(t, 40, p.BuildNumber)
	require.True(t, p.State.Succeeded())
	require.Equal(t, f.clock.Now().Add(90*time.Second), p.CompletedOn)
	require.Equal(t, "K", p.Variables[0].Key)
	require.Equal(t, true, f.get(site+"/pipelines/40").At("expired"))
	require.Empty(t, f.steps(site+"/pipelines/40"))
	require.EqualValues(t, 41, f.run(mainBranch).At("build_number"))
	require.Equal(t, f.clock.Now().Add(-time.Minute), f.repo.Pipelines()[1].CreatedOn)
	require.PanicsWithValue(t, "pipelinestest: build number 40 is taken in acme/site", func() {
		f.repo.AddPipeline(pipelines.Pipeline{BuildNumber: 40})
	})
	require.Panics(t, func() {
		f.repo.AddPipeline(pipelines.Pipeline{Labels: map[string]any{"x": func() {}}})
	})
}

func TestASeededPipelineCanBeStopped(t *testing.T) {
	f := setup(t)
	f.repo.AddPipeline(pipelines.Pipeline{State: pipelines.PipelineState{Name: pipelines.StateInProgress, Stage: &pipelines.Stage{Name: pipelines.StageRunning}}})
	f.repo.AddPipeline(pipelines.Pipeline{State: pipelines.PipelineState{Name: pipelines.StateInProgress, Stage: &pipelines.Stage{Name: pipelines.StagePaused}}})
	f.repo.AddPipeline(pipelines.Pipeline{State: pipelines.PipelineState{Name: pipelines.StateInProgress, Stage: &pipelines.Stage{Name: pipelines.StageHalted}}})
	for _, id := range []string{"1", "2", "3"} {
		require.Equal(t, http.StatusNoContent, f.send(http.MethodPost, site+"/pipelines/"+id+"/stopPipeline", "").StatusCode)
	}
	require.Equal(t, "IN_PROGRESS RUNNING", f.state(site+"/pipelines/1"))
	f.clock.Advance(2 * time.Second)
	require.Equal(t, "COMPLETED STOPPED", f.state(site+"/pipelines/1"))
	require.Equal(t, "2026-03-01T12:00:01Z", f.get(site+"/pipelines/1").At("completed_on"))
	require.Equal(t, "IN_PROGRESS PAUSED", f.state(site+"/pipelines/2"), "a paused run doesn't stop")
	require.Equal(t, "COMPLETED STOPPED", f.state(site+"/pipelines/3"))
}
