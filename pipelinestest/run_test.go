package pipelinestest_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestASeededRunMayBeOfAnyTarget(t *testing.T) {
	f := setup(t)
	f.repo.Script("tags:v*", pipelinestest.Script{})
	script := pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Release", Log: "done\n"}}}
	for _, c := range []struct {
		target   pipelines.Target
		selector pipelines.Selector
	}{
		{pipelines.BranchTarget("dev"), pipelines.Selector{Type: pipelines.SelectorDefault}},
		{pipelines.TagTarget("v1"), pipelines.Selector{Type: pipelines.SelectorTags, Pattern: "v*"}},
		{pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy")), pipelines.CustomSelector("deploy")},
		{pipelines.Target{RefName: "dev"}, pipelines.Selector{Type: pipelines.SelectorDefault}},
		{
			pipelines.PullRequestTarget(pipelines.PullRequestRef{ID: 7, Source: "dev", Destination: "main", Commit: "1", DestinationCommit: "2"}),
			pipelines.Selector{Type: pipelines.SelectorPullRequests, Pattern: "**"},
		},
	} {
		p := f.repo.AddRun(script, f.clock.Now().Add(-time.Hour), c.target)
		require.Equal(t, c.target.RefName, p.Target.RefName)
		require.NotEmpty(t, p.Target.Type)
		require.NotEmpty(t, p.Target.Commit.Hash)
		require.Equal(t, c.selector, *p.Target.Selector)
		path := site + "/pipelines/" + strconv.Itoa(p.BuildNumber)
		require.Equal(t, []string{"COMPLETED SUCCESSFUL"}, f.steps(path))
		require.Equal(t, 307, f.get(f.step(path, 0)+"/log").StatusCode)
	}
	require.PanicsWithValue(t, "pipelinestest: a run has one target, not 2", func() {
		f.repo.AddRun(script, f.clock.Now(), pipelines.BranchTarget("a"), pipelines.BranchTarget("b"))
	})
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
	require.PanicsWithValue(t, "pipelinestest: a run cannot have started at 2026-03-01 12:01:01 +0000 UTC, which is in the future", func() {
		f.repo.AddRun(script, f.clock.Now().Add(time.Second))
	})
}

func TestStopARun(t *testing.T) {
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
			require.Equal(t, before, f.state(path), "stops after a delay")
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

func TestAManualStepPausesTheRun(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{
		{Duration: time.Minute}, {Name: "Deploy", Manual: true, Duration: time.Minute}, {Parallel: true}, {},
	}})
	path := f.started()
	require.Equal(t, []string{"IN_PROGRESS", "PENDING PENDING", "PENDING PENDING", "PENDING PENDING"}, f.steps(path))
	require.ErrorContains(t, f.repo.Resume("1"), "is neither paused before a manual step nor halted")
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
				require.ErrorContains(t, f.repo.Resume("1"), "is neither paused before a manual step nor halted")
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
			require.ErrorContains(t, f.repo.Resume("1"), "is neither paused before a manual step nor halted")
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

func TestAHaltedRunMayHaveBeenPaused(t *testing.T) {
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

func TestAStoppedRunHasNoErrorOfAStep(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour, Error: &pipelines.ErrorDetail{Key: "k"}}}})
	path := f.started()
	stop(f, path)
	f.clock.Advance(time.Minute)
	require.Equal(t, "COMPLETED STOPPED", f.state(path))
	require.NotContains(t, f.get(path).At("state.result"), "error")
	require.NotContains(t, f.get(f.step(path, 0)).At("state.result"), "error")
}

func TestAFailedStepEndsTheRun(t *testing.T) {
	for _, result := range []pipelines.ResultName{pipelines.ResultFailed, pipelines.ResultError} {
		f := setup(t)
		f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{
			{Duration: time.Second}, {Result: result}, {Parallel: true, Duration: time.Second}, {Duration: time.Hour}, {Manual: true},
		}})
		path := f.started()
		f.clock.Advance(time.Second)
		require.Equal(t, "IN_PROGRESS RUNNING", f.state(path), "a parallel step continues")
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
