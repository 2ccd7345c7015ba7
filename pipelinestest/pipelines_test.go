package pipelinestest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestARunIsAnsweredInParsing(t *testing.T) {
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

func TestARunMovesWithTime(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Parsing: 2 * time.Second, Pending: 3 * time.Second, Steps: []pipelinestest.Step{
		{Name: "Build", Duration: 10 * time.Second, Image: "golang:1.26", Commands: []string{"go build ./..."}},
		{Name: "Lint", Duration: 4 * time.Second, Parallel: true},
		{Name: "Test", Duration: 20 * time.Second},
	}})
	path := f.started()
	const pending, running, passed = "PENDING PENDING", "IN_PROGRESS", "COMPLETED SUCCESSFUL"
	for _, moment := range []struct {
		wait  time.Duration
		state string
		steps []string
	}{
		{0, "PARSING PARSING", []string{}},
		{2 * time.Second, "PENDING PENDING", []string{pending, pending, pending}},
		{3 * time.Second, "IN_PROGRESS RUNNING", []string{running, running, pending}},
		{4 * time.Second, "IN_PROGRESS RUNNING", []string{running, passed, pending}},
		{6 * time.Second, "IN_PROGRESS RUNNING", []string{passed, passed, running}},
		{20 * time.Second, "COMPLETED SUCCESSFUL", []string{passed, passed, passed}},
		{time.Hour, "COMPLETED SUCCESSFUL", []string{passed, passed, passed}},
	} {
		f.clock.Advance(moment.wait)
		require.Equal(t, moment.state, f.state(path))
		require.Equal(t, moment.steps, f.steps(path))
	}
	a := f.get(path)
	require.Equal(t, "2026-03-01T12:00:35Z", a.At("completed_on"))
	require.EqualValues(t, 35, a.At("duration_in_seconds"))
	require.EqualValues(t, 34, a.At("build_seconds_used"), "parallel steps count each")
	require.Equal(t, "pipeline_state_completed_successful", a.At("state.result.type"))
	require.Equal(t, map[string]any{"type": "branches", "pattern": "main"}, a.At("target.selector"))

	step := f.get(f.step(path, 0)).JSON()
	require.Equal(t, map[string]any{
		"type": "pipeline_step", "uuid": step["uuid"], "name": "Build", "run_number": 1.0, "maxTime": 120.0,
		"setup_commands": step["setup_commands"], "teardown_commands": step["teardown_commands"],
		"state": map[string]any{"type": "pipeline_step_state_completed", "name": "COMPLETED", "result": map[string]any{
			"type": "pipeline_step_state_completed_successful", "name": "SUCCESSFUL",
		}},
		"trigger": map[string]any{"type": "pipeline_step_trigger_automatic"}, "image": map[string]any{"name": "golang:1.26"},
		"script_commands": []any{map[string]any{"name": "go build ./...", "command": "go build ./...", "commandType": "user"}},
		"pipeline":        map[string]any{"type": "pipeline", "uuid": a.At("uuid")},
		"started_on":      "2026-03-01T12:00:05Z", "completed_on": "2026-03-01T12:00:15Z", "duration_in_seconds": 10.0, "build_seconds_used": 10.0,
	}, step)
}

func TestAStepHasItsSetupAndTeardown(t *testing.T) {
	f := setup(t)
	path := f.started()
	hash := f.get(path).At("target.commit.hash").(string)
	step := f.get(f.step(path, 0))
	require.Equal(t, "umask 000", step.At("setup_commands.0.command"))
	for _, command := range step.At("setup_commands").([]any) {
		require.Equal(t, at(command, "name"), at(command, "command"))
		require.Equal(t, "user", at(command, "commandType"), "as the service says of its own, too")
	}
	require.Contains(t, step.text, "git reset --hard "+hash)
	require.Contains(t, step.text, "git clone --branch=\\\"main\\\"")
	require.Equal(t, map[string]any{
		"commandType": "system", "action": "UPLOAD_METRICS", "name": "Upload Metrics", "command": `echo "Uploading metrics"`,
	}, step.At("teardown_commands.0"))
	require.Equal(t, "PROCESS_TEST_REPORTS", step.At("teardown_commands.1.action"))
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

func TestWhoStoppedARunHasLinks(t *testing.T) {
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

func TestAFailedStepEndsTheRun(t *testing.T) {
	for _, result := range []pipelines.ResultName{pipelines.ResultFailed, pipelines.ResultError} {
		f := setup(t)
		f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{
			{Duration: time.Second}, {Result: result}, {Parallel: true, Duration: time.Second}, {Duration: time.Hour}, {Manual: true},
		}})
		path := f.started()
		f.clock.Advance(time.Second)
		require.Equal(t, "IN_PROGRESS RUNNING", f.state(path), "a parallel step goes on")
		f.clock.Advance(time.Second)
		require.Equal(t, "COMPLETED "+string(result), f.state(path))
		require.Equal(t, []string{
			"COMPLETED SUCCESSFUL", "COMPLETED " + string(result), "COMPLETED SUCCESSFUL", "COMPLETED NOT_RUN", "COMPLETED NOT_RUN",
		}, f.steps(path))
		skipped := f.get(f.step(path, 3))
		require.Equal(t, "pipeline_step_state_completed_not_run", skipped.At("state.result.type"))
		require.Nil(t, skipped.At("started_on"))
	}
}

func TestARunWithAnErrorHasNoSteps(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{
		Parsing: time.Second, Error: &pipelines.ErrorDetail{Key: "plan-service.parse", Message: "line 3"}, Steps: []pipelinestest.Step{{}},
	})
	path := f.started()
	require.Equal(t, "PARSING PARSING", f.state(path))
	f.clock.Advance(time.Second)
	a := f.get(path)
	require.Equal(t, "COMPLETED ERROR", f.state(path))
	require.Equal(t, map[string]any{"type": "pipeline_error", "key": "plan-service.parse", "message": "line 3"}, a.At("state.result.error"))
	require.Nil(t, a.At("target.selector"))
	require.Empty(t, f.steps(path))
}

func TestAManualStepWaitsToBeResumed(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{
		{Duration: time.Minute}, {Name: "Deploy", Manual: true, Duration: time.Minute}, {Parallel: true}, {},
	}})
	path := f.started()
	require.Equal(t, []string{"IN_PROGRESS", "PENDING PENDING", "PENDING PENDING", "PENDING PENDING"}, f.steps(path))
	require.ErrorContains(t, f.repo.Resume("1"), "waits for no manual step")
	f.clock.Advance(time.Hour)
	require.Equal(t, "IN_PROGRESS PAUSED", f.state(path))
	require.Equal(t, []string{"COMPLETED SUCCESSFUL", "PENDING PAUSED", "PENDING PAUSED", "PENDING PENDING"}, f.steps(path))
	step := f.get(f.step(path, 1))
	require.Equal(t, "pipeline_step_trigger_manual", step.At("trigger.type"))
	require.Equal(t, "pipeline_step_state_pending_paused", step.At("state.stage.type"))
	require.Equal(t, "pipeline_state_in_progress_paused", f.get(path).At("state.stage.type"))

	require.Equal(t, http.StatusNoContent, f.send(http.MethodPost, path+"/stopPipeline", "").StatusCode)
	f.clock.Advance(time.Hour)
	require.Equal(t, "IN_PROGRESS PAUSED", f.state(path), "a paused run doesn't stop")

	require.NoError(t, f.repo.Resume(f.get(path).At("uuid").(string)))
	require.Equal(t, []string{"COMPLETED SUCCESSFUL", "IN_PROGRESS", "COMPLETED SUCCESSFUL", "PENDING PENDING"}, f.steps(path))
	f.clock.Advance(time.Minute)
	require.Equal(t, "COMPLETED SUCCESSFUL", f.state(path))
	require.ErrorContains(t, f.repo.Resume("7"), "no pipeline 7")
}

func TestAHaltedRunEndsWhenItIsResumedOrStopped(t *testing.T) {
	const passed, failed, skipped, halted = "COMPLETED SUCCESSFUL", "COMPLETED FAILED", "COMPLETED NOT_RUN", "PENDING HALTED"
	steps := []pipelinestest.Step{{Duration: time.Minute}, {Duration: time.Minute}, {Duration: time.Minute}}
	failing := slices.Clone(steps)
	failing[1].Result = pipelines.ResultFailed
	for name, c := range map[string]struct {
		script         pipelinestest.Script
		act            func(f *fixture, path string)
		state          string
		waiting, ended []string
	}{
		"resumed after all went well": {
			pipelinestest.Script{Steps: steps, Halted: true}, resume, passed, []string{passed, passed, passed}, []string{passed, passed, passed},
		},
		"resumed after a failure": {
			pipelinestest.Script{Steps: failing, Halted: true}, resume, failed, []string{passed, failed, halted}, []string{passed, failed, skipped},
		},
		"stopped": {
			pipelinestest.Script{Steps: failing, Halted: true}, stop, "COMPLETED STOPPED", []string{passed, failed, halted}, []string{passed, failed, skipped},
		},
		"without steps": {pipelinestest.Script{Halted: true}, resume, passed, []string{}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.repo.Script("main", c.script)
			path := f.started()
			if len(c.waiting) > 0 {
				require.Equal(t, "IN_PROGRESS RUNNING", f.state(path))
				require.ErrorContains(t, f.repo.Resume("1"), "waits for no manual step")
			}
			f.clock.Advance(time.Hour)
			require.Equal(t, "IN_PROGRESS HALTED", f.state(path))
			require.Equal(t, c.waiting, f.steps(path))
			a := f.get(path)
			require.Equal(t, "pipeline_state_in_progress_halted", a.At("state.stage.type"))
			require.NotContains(t, a.JSON(), "completed_on")
			require.Len(t, f.get(site+"/pipelines?status=HALTED").At("values"), 1)
			for i, state := range c.waiting {
				if step := f.get(f.step(path, i)); state == halted {
					require.Equal(t, "pipeline_step_state_pending_halted", step.At("state.stage.type"))
					require.NotContains(t, step.JSON(), "completed_on")
				}
			}
			c.act(f, path)
			f.clock.Advance(time.Second)
			require.Equal(t, c.state, f.state(path))
			require.Equal(t, c.ended, f.steps(path))
			require.NotEmpty(t, f.get(path).At("completed_on"))
			require.ErrorContains(t, f.repo.Resume("1"), "waits for no manual step")
		})
	}
	require.PanicsWithValue(t, "pipelinestest: a script with an Error ends at once and cannot be Halted", func() {
		setup(t).repo.Script("main", pipelinestest.Script{Error: &pipelines.ErrorDetail{}, Halted: true})
	})
}

func resume(f *fixture, _ string) { require.NoError(f.t, f.repo.Resume("1")) }

func stop(f *fixture, path string) {
	require.Equal(f.t, http.StatusNoContent, f.send(http.MethodPost, path+"/stopPipeline", "").StatusCode)
}

func TestAHaltedRunMayHaveWaitedForAPersonBefore(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Halted: true, Steps: []pipelinestest.Step{{}, {Manual: true, Duration: time.Minute}}})
	path := f.started()
	require.Equal(t, "IN_PROGRESS PAUSED", f.state(path))
	resume(f, path)
	require.Equal(t, "IN_PROGRESS RUNNING", f.state(path))
	f.clock.Advance(time.Minute)
	require.Equal(t, "IN_PROGRESS HALTED", f.state(path))
	resume(f, path)
	require.Equal(t, "COMPLETED SUCCESSFUL", f.state(path))
}

func TestAStepsErrorIsTheRunsToo(t *testing.T) {
	given := &pipelines.ErrorDetail{Key: "plan-service.memory", Message: "Container exceeded its memory", Arguments: map[string]any{"limit": "4096"}}
	for result, want := range map[pipelines.ResultName]string{"": "ERROR", pipelines.ResultError: "ERROR", pipelines.ResultFailed: "FAILED"} {
		f := setup(t)
		f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{
			{}, {Result: result, Error: given}, {Parallel: true, Result: pipelines.ResultFailed}, {},
		}})
		path := f.started()
		a := f.get(path)
		require.Equal(t, "COMPLETED "+want, f.state(path))
		require.Equal(t, "pipeline_state_completed_"+strings.ToLower(want), a.At("state.result.type"))
		require.Equal(t, map[string]any{
			"type": "pipeline_error", "key": given.Key, "message": given.Message, "arguments": map[string]any{"limit": "4096"},
		}, a.At("state.result.error"))
		require.Equal(t, []string{"COMPLETED SUCCESSFUL", "COMPLETED " + want, "COMPLETED FAILED", "COMPLETED NOT_RUN"}, f.steps(path))
		step := f.get(f.step(path, 1))
		require.Equal(t, "pipeline_step_error", step.At("state.result.error.type"))
		require.Equal(t, given.Message, step.At("state.result.error.message"))
		require.NotContains(t, f.get(f.step(path, 2)).At("state.result"), "error")

		run, err := f.srv.Client().Pipelines.Get(t.Context(), f.repo.Repo(), "1")
		require.NoError(t, err)
		require.Equal(t, given.Message, run.State.Result.Error.Message)
	}
	require.Empty(t, given.Type, "what the test gave stays as it was")
	for _, result := range []pipelines.ResultName{pipelines.ResultSuccessful, pipelines.ResultStopped, pipelines.ResultExpired} {
		require.PanicsWithValue(t, `pipelinestest: step "Test" has an Error and cannot end with the result `+string(result), func() {
			setup(t).repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Test", Result: result, Error: given}}})
		})
	}
}

func TestARunThatWasStoppedHasNoStepsError(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour, Error: &pipelines.ErrorDetail{Key: "k"}}}})
	path := f.started()
	stop(f, path)
	f.clock.Advance(time.Minute)
	require.Equal(t, "COMPLETED STOPPED", f.state(path))
	require.NotContains(t, f.get(path).At("state.result"), "error")
	require.NotContains(t, f.get(f.step(path, 0)).At("state.result"), "error")
}

func TestStopping(t *testing.T) {
	script := pipelinestest.Script{Parsing: 10 * time.Second, Steps: []pipelinestest.Step{
		{Duration: 10 * time.Second, Log: "one\ntwo\n"}, {Duration: 10 * time.Second, Log: strings.Repeat("line\n", 10)}, {Duration: time.Hour},
	}}
	const passed, stopped, skipped = "COMPLETED SUCCESSFUL", "COMPLETED STOPPED", "COMPLETED NOT_RUN"
	for name, c := range map[string]struct {
		after time.Duration
		steps []string
	}{
		"a run that is parsing has no steps":        {time.Second, []string{}},
		"the running step is stopped":               {14 * time.Second, []string{stopped, skipped, skipped}},
		"ended steps stay as they are":              {25 * time.Second, []string{passed, stopped, skipped}},
		"a step that starts in between is stopped":  {29500 * time.Millisecond, []string{passed, passed, stopped}},
		"a step that would start then is never run": {29 * time.Second, []string{passed, passed, skipped}},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.repo.Script("main", script)
			path := f.started()
			f.clock.Advance(c.after)
			before := f.state(path)
			a := f.send(http.MethodPost, path+"/stopPipeline", "")
			require.Equal(t, http.StatusNoContent, a.StatusCode)
			require.Empty(t, a.text)
			require.Equal(t, before, f.state(path), "it stops a little later")
			f.clock.Advance(time.Second)
			require.Equal(t, stopped, f.state(path))
			require.Equal(t, c.steps, f.steps(path))
			require.NotEmpty(t, f.get(path).At("state.result.terminator.uuid"))
			f.clock.Advance(time.Hour)
			require.Equal(t, c.steps, f.steps(path))

			refused := f.send(http.MethodPost, path+"/stopPipeline", "")
			require.Equal(t, http.StatusBadRequest, refused.StatusCode)
			require.Equal(t, "Cannot stop pipeline result that is already complete with status STOPPED", refused.At("error.detail"))
			require.Equal(t, "Bad request", refused.At("error.message"))
			require.NotEmpty(t, refused.At("error.data.key"))
		})
	}
}

func TestARunThatEndsWhileItIsStoppedKeepsItsResult(t *testing.T) {
	f := setup(t)
	path := f.started()
	f.clock.Advance(500 * time.Millisecond)
	require.Equal(t, http.StatusNoContent, f.send(http.MethodPost, path+"/stopPipeline", "").StatusCode)
	f.clock.Advance(time.Minute)
	require.Equal(t, "COMPLETED SUCCESSFUL", f.state(path))
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

func TestRunsThatAreRefused(t *testing.T) {
	const pullRequest = `"type":"pipeline_pullrequest_target","source":"a","destination":"b","commit":{"hash":"1"},"destination_commit":{"hash":"2"}`
	for name, c := range map[string]struct {
		body   string
		status int
		detail string
	}{
		"a body that is no JSON":            {`{`, 400, "The request body contains invalid properties"},
		"a body that is no object":          {`[]`, 400, "The request body contains invalid properties"},
		"a body without a target":           {`{}`, 400, "The request body contains invalid properties"},
		"a target that is no object":        {`{"target":1}`, 400, "The request body contains invalid properties"},
		"a target without a type":           {`{"target":{"ref_type":"branch","ref_name":"main"}}`, 400, "The request body contains invalid properties"},
		"a target without a reference":      {`{"target":{"type":"pipeline_ref_target","ref_type":"branch"}}`, 400, "The target has no ref_name."},
		"a reference of unknown type":       {`{"target":{"type":"pipeline_ref_target","ref_type":"twig","ref_name":"main"}}`, 400, "The target has no ref_type, or an unknown one."},
		"a selector without a type":         {`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"pattern":"x"}}}`, 400, "The selector has no type."},
		"a commit target without a commit":  {`{"target":{"type":"pipeline_commit_target","selector":{"type":"default"}}}`, 400, "The target has no commit."},
		"a commit target without selector":  {`{"target":{"type":"pipeline_commit_target","commit":{"hash":"1"}}}`, 400, "The target has no selector."},
		"an incomplete pull request":        {`{"target":{` + pullRequest + `}}`, 400, "The target needs source, destination, commit, destination_commit and pullrequest."},
		"a pull request whose ID is a word": {`{"target":{` + pullRequest + `,"pullrequest":{"id":"x"}}}`, 400, "The request body contains invalid properties"},
		"a variable without a key":          {`{"target":` + mainBranch + `,"variables":[{"value":"x"}]}`, 400, "A variable has no key."},
		"an unknown custom pipeline":        {`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":"no"}}}`, 400, "There is no custom pipeline no in the repository's YAML."},
		"an unknown branch":                 {`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"no"}}`, 404, "Could not find last reference for branch no"},
		"an unknown tag":                    {`{"target":{"type":"pipeline_ref_target","ref_type":"tag","ref_name":"main"}}`, 404, "Could not find last reference for tag main"},
		"the fallback isn't a branch":       {`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"default"}}`, 404, "Could not find last reference for branch default"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.repo.Script("", pipelinestest.Script{})
			a := f.send(http.MethodPost, site+"/pipelines", c.body, "Content-Type", "application/json")
			require.Equal(t, c.status, a.StatusCode)
			require.Equal(t, c.detail, a.At("error.detail"))
			require.Empty(t, f.repo.Pipelines())
		})
	}
}

func TestTheScriptOfARun(t *testing.T) {
	named := func(name string) pipelinestest.Script {
		return pipelinestest.Script{Steps: []pipelinestest.Step{{Name: name}}}
	}
	const pullRequest = `"type":"pipeline_pullrequest_target","destination":"main","commit":{"hash":"1"},"destination_commit":{"hash":"2"}`
	for name, c := range map[string]struct{ target, step, selector string }{
		"a branch's own":              {mainBranch, "main", `{"type":"branches","pattern":"main"}`},
		"a branch's by pattern":       {`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"feature/x"}`, "feature", `{"type":"branches","pattern":"feature/*"}`},
		"a tag's by pattern":          {`{"type":"pipeline_ref_target","ref_type":"tag","ref_name":"v1"}`, "version", `{"type":"tags","pattern":"v?"}`},
		"the fallback":                {`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"other"}`, "fallback", `{"type":"default"}`},
		"a custom one":                {`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":"deploy"}}`, "deploy", `{"type":"custom","pattern":"deploy"}`},
		"a commit's":                  {`{"type":"pipeline_commit_target","commit":{"hash":"1"},"selector":{"type":"custom","pattern":"deploy"}}`, "deploy", `{"type":"custom","pattern":"deploy"}`},
		"a commit's by another kind":  {`{"type":"pipeline_commit_target","commit":{"hash":"1"},"selector":{"type":"branches","pattern":"main"}}`, "main", `{"type":"branches","pattern":"main"}`},
		"a pull request's, by source": {`{"source":"feature/x","pullrequest":{"id":"7"},` + pullRequest + `}`, "feature", `{"type":"pull-requests","pattern":"feature/*"}`},
		"a pull request's fallback":   {`{"source":"other","pullrequest":{"id":7},` + pullRequest + `}`, "fallback", `{"type":"pull-requests","pattern":"**"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			for selector, script := range map[string]string{"main": "main", "feature/*": "feature", "v?": "version", "": "fallback", "deploy": "deploy"} {
				f.repo.Script(selector, named(script))
			}
			f.repo.AddBranch("feature/x", "1")
			f.repo.AddBranch("other", "1")
			f.repo.AddTag("v1", "1")
			a := f.run(c.target)
			require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
			require.Equal(t, []any{c.step}, f.get(site+"/pipelines/1/steps").Values("name"))
			got := f.get(site + "/pipelines/1?fields=target.selector").text
			require.JSONEq(t, `{"target":{"selector":`+c.selector+`}}`, got)
		})
	}
}

func TestAScriptMakesItsBranchAndTag(t *testing.T) {
	f := setup(t)
	f.repo.Script("release", pipelinestest.Script{})
	branch := f.run(`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"release"}`)
	tag := f.run(`{"type":"pipeline_ref_target","ref_type":"tag","ref_name":"release"}`)
	require.Equal(t, http.StatusCreated, branch.StatusCode)
	require.Equal(t, http.StatusCreated, tag.StatusCode)
	require.Regexp(t, "^[0-9a-f]{40}$", branch.At("target.commit.hash"))
	require.Equal(t, "COMPLETED SUCCESSFUL", f.state(site+"/pipelines/1"), "a script without steps has nothing to do")
}

func TestARunKeepsTheCommitItWasGiven(t *testing.T) {
	f := setup(t)
	a := f.run(`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","commit":{"type":"commit","hash":"abcdef"}}`)
	require.Equal(t, "abcdef", a.At("target.commit.hash"))
}

func TestVariablesAreForTheTestOnly(t *testing.T) {
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
	require.Equal(t, "1", f.repo.Pipelines()[0].Variables[0].Value, "what is returned is a copy")
}

func TestOnDemandRunsComeWithTheirYAML(t *testing.T) {
	f := setup(t)
	query := url.Values{
		"target.type": {"pipeline_ref_target"}, "target.ref_type": {"branch"}, "target.ref_name": {"main"}, "target.commit.hash": {"abc"},
		"target.selector.type": {"custom"}, "target.selector.pattern": {"only here"}, "target_branch_to_create": {"new"},
		"variables[0].key": {"A"}, "variables[0].value": {"1"}, "variables[1].key": {"B"}, "variables[1].secured": {"true"},
	}
	start := func(yaml string, without ...string) answer {
		q := url.Values{}
		for name := range query {
			q.Set(name, query.Get(name))
		}
		for _, name := range without {
			q.Del(name)
		}
		return f.send(http.MethodPost, site+"/pipelines?"+q.Encode(), yaml, "Content-Type", "application/yaml; charset=utf-8")
	}
	a := start("pipelines: {}")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, "abc", a.At("target.commit.hash"))
	require.Equal(t, []pipelines.Variable{{Key: "A", Value: "1"}, {Key: "B", Secured: true}}, f.repo.Pipelines()[0].Variables)
	created := f.run(`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"new"}`)
	require.Equal(t, "abc", created.At("target.commit.hash"))

	require.Equal(t, http.StatusBadRequest, start("").StatusCode)
	require.Equal(t, http.StatusBadRequest, start("pipelines: {}", "target.type").StatusCode)
	query = url.Values{
		"target.type": {"pipeline_pullrequest_target"}, "target.source": {"a"}, "target.destination": {"b"}, "target.commit.hash": {"1"},
		"target.destination_commit.hash": {"2"}, "target.pullrequest.id": {"7"},
	}
	require.EqualValues(t, 7, start("pipelines: {}").At("target.pullrequest.id"))
	require.Equal(t, http.StatusBadRequest, start("pipelines: {}", "target.pullrequest.id").StatusCode)
}

func TestListFilters(t *testing.T) {
	f := setup(t)
	base := f.clock.Now()
	state := func(name pipelines.StateName, stage pipelines.StageName, result pipelines.ResultName) pipelines.PipelineState {
		s := pipelines.PipelineState{Name: name}
		if stage != "" {
			s.Stage = &pipelines.Stage{Name: stage}
		}
		if result != "" {
			s.Result = &pipelines.Result{Name: result}
		}
		return s
	}
	hash := strings.Repeat("ab", 20)
	for i, p := range []pipelines.Pipeline{
		{State: state("PARSING", "PARSING", ""), Target: pipelines.BranchTarget("main").At(hash)},
		{State: state("IN_PROGRESS", "RUNNING", ""), Target: pipelines.TagTarget("v1").With(pipelines.Selector{Type: "tags", Pattern: "v*"})},
		{State: state("IN_PROGRESS", "PAUSED", ""), Target: pipelines.BranchTarget("v1").With(pipelines.CustomSelector("deploy"))},
		{State: state("COMPLETED", "", "FAILED"), Trigger: &pipelines.Trigger{Name: pipelines.TriggerSchedule}},
		{State: state("COMPLETED", "", "SUCCESSFUL"), Creator: &pipelines.Account{UUID: "{0}"}, Trigger: &pipelines.Trigger{Name: pipelines.TriggerPush}},
	} {
		p.CreatedOn = base.Add(-time.Duration(i) * time.Minute)
		f.repo.AddPipeline(p)
	}
	for query, want := range map[string][]any{
		"":                        {5.0, 4.0, 3.0, 2.0, 1.0},
		"sort=created_on":         {5.0, 4.0, 3.0, 2.0, 1.0},
		"sort=-created_on":        {1.0, 2.0, 3.0, 4.0, 5.0},
		"sort=-run_creation_date": {1.0, 2.0, 3.0, 4.0, 5.0},
		"sort=creator.uuid&status=PASSED&status=FAILED": {5.0, 4.0},
		"status=PARSING":                         {1.0},
		"status=BUILDING":                        {2.0},
		"status=PAUSED":                          {3.0},
		"status=FAILED":                          {4.0},
		"status=PASSED":                          {5.0},
		"status=PASSED&status=PARSING":           {5.0, 1.0},
		"status=SUCCESSFUL":                      {},
		"status=passed":                          {},
		"status=UNKNOWN":                         {},
		"target.branch=v1":                       {3.0},
		"target.ref_name=v1":                     {3.0, 2.0},
		"target.ref_name=v1&target.ref_type=TAG": {2.0},
		"target.ref_type=tag":                    {},
		"target.commit.hash=" + hash:             {1.0},
		"target.commit.hash=" + hash[:12]:        {},
		"target.selector.type=CUSTOM":            {3.0},
		"target.selector.type=TAG":               {2.0},
		"target.selector.type=custom":            {},
		"target.selector.pattern=deploy":         {3.0},
		"trigger_type=SCHEDULED":                 {4.0},
		"trigger_type=SCHEDULE":                  {},
		"trigger_type=PUSH":                      {5.0},
		"creator.uuid=%7B0%7D":                   {5.0},
		"creator.uuid=0":                         {5.0},
		"created_on=2026-03-01T12:58:00%2B01:00": {3.0},
		"created_on=yesterday":                   {},
		"q=state%3D1":                            {5.0, 4.0, 3.0, 2.0, 1.0},
	} {
		require.Equal(t, want, f.get(site+"/pipelines?"+query).Values("build_number"), query)
	}
	require.Equal(t, http.StatusBadRequest, f.get(site+"/pipelines?sort=name").StatusCode)
}

func TestStepsAreOnOnePage(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: make([]pipelinestest.Step, 130)})
	path := f.started()
	for _, query := range []string{"", "?pagelen=5", "?pagelen=x"} {
		a := f.get(path + "/steps" + query)
		require.Len(t, a.At("values"), 130)
		require.EqualValues(t, 130, a.At("size"))
		require.Nil(t, a.At("next"))
	}
	require.Empty(t, f.get(path+"/steps?page=2").At("values"))
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

func TestASeededRunHasStepsAndLogs(t *testing.T) {
	f := setup(t)
	script := pipelinestest.Script{Parsing: time.Second, Steps: []pipelinestest.Step{
		{Name: "Build", Duration: time.Minute, Log: "done\n"}, {Name: "Deploy", Result: pipelines.ResultFailed, Deployment: "Production"},
	}}
	p := f.repo.AddRun(script, f.clock.Now().Add(-24*time.Hour))
	require.Equal(t, "FAILED", p.State.String())
	require.Equal(t, f.clock.Now().Add(-24*time.Hour+61*time.Second), p.CompletedOn)
	require.Equal(t, pipelines.SelectorDefault, p.Target.Selector.Type)
	path := site + "/pipelines/1"
	require.Equal(t, []string{"COMPLETED SUCCESSFUL", "COMPLETED FAILED"}, f.steps(path))
	log := f.get(f.step(path, 0) + "/log")
	require.Equal(t, "done\n", f.get(log.Header.Get("Location"), "Authorization", "").text)
	require.Len(t, f.repo.Deployments(), 1)

	running := f.repo.AddRun(script, f.clock.Now().Add(-30*time.Second))
	require.Equal(t, 2, running.BuildNumber)
	require.Equal(t, "RUNNING", running.State.String())
	f.clock.Advance(time.Minute)
	require.Equal(t, "COMPLETED FAILED", f.state(site+"/pipelines/2"))
	require.PanicsWithValue(t, "pipelinestest: a run cannot have been started at 2026-03-01 12:01:01 +0000 UTC, which is still to come", func() {
		f.repo.AddRun(script, f.clock.Now().Add(time.Second))
	})
}

func TestAStepEndsOnlyAsStepsDo(t *testing.T) {
	f := setup(t)
	for _, result := range []pipelines.ResultName{"", "SUCCESSFUL", "FAILED", "ERROR", "STOPPED", "EXPIRED"} {
		f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Result: result}}})
	}
	for _, result := range []pipelines.ResultName{pipelines.ResultNotRun, "PASSED", "failed"} {
		script := pipelinestest.Script{Steps: []pipelinestest.Step{{}, {Name: "Test", Result: result}}}
		message := `pipelinestest: step "Test" cannot end with the result ` + string(result)
		require.PanicsWithValue(t, message, func() { f.repo.Script("main", script) })
		require.PanicsWithValue(t, message, func() { f.repo.AddRun(script, f.clock.Now()) })
	}
}
