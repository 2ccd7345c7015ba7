package pipelinestest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const scheduled = `{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"branches","pattern":"main"}}`

func (f *fixture) schedule(target, pattern string) response {
	f.t.Helper()
	return f.send(http.MethodPost, site+"/pipelines_config/schedules", `{"target":`+target+`,"cron_pattern":"`+pattern+`","enabled":false}`)
}

func TestASchedule(t *testing.T) {
	f := setup(t)
	a := f.schedule(strings.Replace(scheduled, "main", "missing", 1), "0 0/15 12 ? * MON-FRI *")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, true, a.At("enabled"), "enabled is ignored")
	require.Equal(t, "pipeline_schedule", a.At("type"))
	require.Equal(t, "2026-03-01T12:00:00Z", a.At("created_on"))
	one := site + "/pipelines_config/schedules/" + escape(a.At("uuid").(string))
	require.Equal(t, a.JSON(), f.get(one).JSON())

	f.clock.Advance(time.Minute)
	changed := f.send(http.MethodPut, one, `{"enabled":false,"target":`+mainBranch+`}`)
	require.Equal(t, http.StatusOK, changed.StatusCode)
	require.Equal(t, false, changed.At("enabled"))
	require.Equal(t, "missing", changed.At("target.ref_name"), "only enabled can change")
	require.Equal(t, "2026-03-01T12:01:00Z", changed.At("updated_on"))
	require.Equal(t, changed.JSON(), f.send(http.MethodPut, one, `{}`).JSON())
	require.False(t, f.repo.Schedules()[0].Enabled)
}

func TestInvalidSchedulesAreRefused(t *testing.T) {
	f := setup(t)
	const noon = "0 0 12 * * ? *"
	for _, c := range []struct{ target, pattern string }{
		{scheduled, ""}, {scheduled, "0 12 * * *"}, {scheduled, "0 0 12 * * ?"}, {scheduled, noon + " *"}, {scheduled, "0 0 12 * * ? ;"},
		{`null`, noon}, {`{}`, noon}, {mainBranch, noon},
		{strings.Replace(scheduled, `"type":"pipeline_ref_target",`, "", 1), noon},
		{strings.Replace(scheduled, `"ref_type":"branch",`, "", 1), noon},
		{strings.Replace(scheduled, `"ref_name":"main",`, "", 1), noon},
		{strings.Replace(scheduled, `"branch"`, `"tag"`, 1), noon},
		{strings.Replace(scheduled, `"type":"branches",`, "", 1), noon},
	} {
		a := f.schedule(c.target, c.pattern)
		require.Equal(t, http.StatusBadRequest, a.StatusCode, c)
		require.NotEmpty(t, a.At("error.data.key"))
	}
	require.Empty(t, f.repo.Schedules())
}

func TestTooManySchedulesAreA401(t *testing.T) {
	f := setup(t, pipelinestest.WithScheduleLimit(1))
	require.Equal(t, http.StatusCreated, f.schedule(scheduled, "0 0 12 * * ? *").StatusCode)
	a := f.schedule(scheduled, "0 0 12 * * ? *")
	require.Equal(t, http.StatusUnauthorized, a.StatusCode)
	require.NotEmpty(t, a.At("error.data.key"))

	target := pipelines.BranchTarget("main")
	_, err := f.srv.Client().Schedules.Create(t.Context(), f.repo.Repo(), pipelines.ScheduleRequest{Target: target, CronPattern: "0 0 12 * * ? *"})
	require.ErrorIs(t, err, pipelines.ErrTooManySchedules)

	unlimited := setup(t, pipelinestest.WithScheduleLimit(0))
	for range 20 { // more than the default
		require.Equal(t, http.StatusCreated, unlimited.schedule(scheduled, "0 0 12 * * ? *").StatusCode)
	}
}

func TestAScheduleFires(t *testing.T) {
	f := setup(t)
	s := f.repo.AddSchedule(pipelines.Schedule{Enabled: true})
	require.NoError(t, f.repo.FireSchedule(s.UUID))
	executions := f.get(site + "/pipelines_config/schedules/" + escape(s.UUID) + "/executions")
	require.Equal(t, []any{"pipeline_schedule_execution_executed"}, executions.Values("type"))
	require.EqualValues(t, 1, executions.At("values.0.pipeline.build_number"))
	run := f.get(site + "/pipelines/1")
	require.Equal(t, map[string]any{"type": "pipeline_trigger_schedule", "name": "SCHEDULE"}, run.At("trigger"))
	require.Len(t, f.get(site+"/pipelines?trigger_type=SCHEDULED").Values("uuid"), 1)
	require.Equal(t, f.repo.Schedules()[0].Target, s.Target, "the target of the schedule is unchanged")

	require.ErrorContains(t, f.repo.FireSchedule("{1}"), "no schedule {1}")
	require.ErrorContains(t, f.repo.FireSchedule(f.repo.AddSchedule(pipelines.Schedule{}).UUID), "disabled")
}

func TestAScheduleThatCannotRun(t *testing.T) {
	f := setup(t)
	missing := pipelines.BranchTarget("missing")
	custom := pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy"))
	for _, c := range []struct {
		target  pipelines.Target
		message string
	}{
		{missing, "Could not find last reference for branch missing"},
		{custom, "There is no custom pipeline deploy in the repository's YAML."},
		{pipelines.Target{}, "Pipelines is not enabled in the repository."},
	} {
		if c.target.Type == "" {
			f.repo.DisablePipelines()
		}
		s := f.repo.AddSchedule(pipelines.Schedule{Enabled: true, Target: c.target})
		require.NoError(t, f.repo.FireSchedule(s.UUID))
		a := f.get(site + "/pipelines_config/schedules/" + escape(s.UUID) + "/executions")
		require.Equal(t, "pipeline_schedule_execution_errored", a.At("values.0.type"))
		require.Equal(t, c.message, a.At("values.0.error.message"))
	}
	require.Empty(t, f.repo.Pipelines())
}

func TestTheClientManagesSchedules(t *testing.T) {
	f := setup(t)
	ctx, client, repo := t.Context(), f.srv.Client().Schedules, f.repo.Repo()
	disabled, enabled := false, true
	s, err := client.Create(ctx, repo, pipelines.ScheduleRequest{
		Target: pipelines.BranchTarget("main"), CronPattern: "0 0 12 * * ? *", Enabled: &disabled,
	})
	require.NoError(t, err)
	require.False(t, s.Enabled, "the client disables it afterwards")
	s, err = client.Update(ctx, repo, s.UUID, pipelines.ScheduleUpdate{Enabled: &enabled})
	require.NoError(t, err)
	require.True(t, s.Enabled)
	same, err := client.Get(ctx, repo, s.UUID)
	require.NoError(t, err)
	require.Equal(t, s, same)
	require.NoError(t, f.repo.FireSchedule(s.UUID))
	execution, err := client.ListExecutions(ctx, repo, s.UUID, nil).First()
	require.NoError(t, err)
	require.Equal(t, 1, execution.Pipeline.BuildNumber)
	require.NoError(t, client.Delete(ctx, repo, s.UUID))
	_, err = client.List(ctx, repo, nil).First()
	require.ErrorIs(t, err, pipelines.ErrEmptyList)
}

func TestASeededScheduleHasASelector(t *testing.T) {
	f := setup(t)
	for want, target := range map[pipelines.Selector]pipelines.Target{
		{Type: pipelines.SelectorDefault}:                    {},
		{Type: pipelines.SelectorBranches, Pattern: "dev"}:   {RefName: "dev"},
		{Type: pipelines.SelectorTags, Pattern: "v1"}:        {RefType: pipelines.RefTag, RefName: "v1"},
		{Type: pipelines.SelectorCustom, Pattern: "nightly"}: {RefName: "dev", Selector: &pipelines.Selector{Pattern: "nightly"}},
		{Type: pipelines.SelectorBranches, Pattern: "de*"}:   {RefName: "dev", Selector: &pipelines.Selector{Pattern: "de*"}},
	} {
		seeded := f.repo.AddSchedule(pipelines.Schedule{Target: target})
		require.Equal(t, want, *seeded.Target.Selector)
		a := f.get(site + "/pipelines_config/schedules/" + escape(seeded.UUID))
		require.Equal(t, string(want.Type), a.At("target.selector.type"))
	}
}
