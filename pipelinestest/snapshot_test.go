package pipelinestest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestARunProgressesWithTime(t *testing.T) {
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
	require.EqualValues(t, 34, a.At("build_seconds_used"), "each parallel step counts")
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

func TestTheErrorOfAStepIsAlsoThatOfTheRun(t *testing.T) {
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
	require.Empty(t, given.Type, "the argument is unchanged")
	for _, result := range []pipelines.ResultName{pipelines.ResultSuccessful, pipelines.ResultStopped, pipelines.ResultExpired} {
		require.PanicsWithValue(t, `pipelinestest: step "Test" has an Error and cannot end with the result `+string(result), func() {
			setup(t).repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Test", Result: result, Error: given}}})
		})
	}
}
