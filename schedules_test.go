package pipelines_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

var noon = pipelines.ScheduleRequest{Target: pipelines.BranchTarget("main"), CronPattern: "0 0 12 * * ? *"}

func TestAScheduleThatIsToBeDisabledIsDisabledAfterwards(t *testing.T) {
	request := noon
	request.Enabled = new(false)
	enabled, disabled := `{"uuid":"{s}","enabled":true}`, `{"uuid":"{s}","enabled":false}`

	srv := record(t, sequence(serve(201, "application/json", enabled), serveJSON(disabled)))
	schedule, err := newClient(t, srv.base()).Schedules.Create(t.Context(), repo, request)
	require.NoError(t, err)
	require.False(t, schedule.Enabled)
	seen := srv.seen()
	require.Len(t, seen, 2)
	require.Equal(t, "PUT /2.0/repositories/acme/site/pipelines_config/schedules/%7Bs%7D", seen[1].Method+" "+seen[1].Path)
	require.Equal(t, `{"enabled":false}`, seen[1].Body)

	obeys := record(t, serve(201, "application/json", disabled))
	_, err = newClient(t, obeys.base()).Schedules.Create(t.Context(), repo, request)
	require.NoError(t, err)
	obeys.requireSent(t, 1, "a service that does as it is told needs no second request")

	half := record(t, sequence(serve(201, "application/json", enabled), serve(403, "text/plain", "no")))
	schedule, err = newClient(t, half.base()).Schedules.Create(t.Context(), repo, request)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.ErrorContains(t, err, "was created, but it is enabled")
	require.Equal(t, "{s}", schedule.UUID, "so that it can be deleted")
}

func TestA401ForAScheduleHasTwoMeanings(t *testing.T) {
	refused := serve(401, "application/json", `{"error":{"message":"limit"}}`)
	full := record(t, sequence(refused, serveJSON(`{"values":[{}]}`)))
	_, err := newClient(t, full.base()).Schedules.Create(t.Context(), repo, noon)
	require.ErrorIs(t, err, pipelines.ErrTooManySchedules)
	require.ErrorIs(t, err, pipelines.ErrUnauthorized)
	require.EqualError(t, err,
		"pipelines: Schedules.Create: too many schedules: POST /repositories/acme/site/pipelines_config/schedules: 401 Unauthorized: limit")
	full.requireSent(t, 2)

	expired := record(t, refused)
	_, err = newClient(t, expired.base()).Schedules.Create(t.Context(), repo, noon)
	require.ErrorIs(t, err, pipelines.ErrUnauthorized)
	require.NotErrorIs(t, err, pipelines.ErrTooManySchedules)
}

func TestSchedulesThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	for says, request := range map[string]pipelines.ScheduleRequest{
		"has 0 fields":         {Target: noon.Target},
		"has 5 fields":         {Target: noon.Target, CronPattern: "0 12 * * *"},
		"has 8 fields":         {Target: noon.Target, CronPattern: "0 0 12 * * ? * *"},
		"target is a branch":   {Target: pipelines.CommitTarget("abc"), CronPattern: noon.CronPattern},
		"no reference name":    {Target: pipelines.BranchTarget(""), CronPattern: noon.CronPattern},
		"selector has no type": {Target: noon.Target.With(pipelines.Selector{}), CronPattern: noon.CronPattern},
	} {
		t.Run(says, func(t *testing.T) {
			_, err := c.Schedules.Create(t.Context(), repo, request)
			assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			assert.ErrorContains(t, err, says)
		})
	}
	_, err := c.Schedules.Update(t.Context(), repo, "{s}", pipelines.ScheduleUpdate{})
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	srv.requireSent(t, 0)
}

func TestScheduleExecutionsAreReadInEveryPlausibleForm(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[
		{"type":"pipeline_schedule_execution_executed","pipeline":{"uuid":"{p}","build_number":7}},
		{"type":"pipeline_schedule_execution_errored","error":{"key":"k","message":"no branch"}},
		{"type":"pipeline_schedule_execution_executed","pipeline":"{q}"},
		{"type":"pipeline_schedule_execution_errored","error":"no yml"},
		{"type":"pipeline_schedule_execution_dreamt","pipeline":null,"error":null,"moon":"full"}]}`))
	all, err := newClient(t, srv.base()).Schedules.ListExecutions(t.Context(), repo, "{s}", nil).Collect()
	require.NoError(t, err)
	require.Len(t, all, 5)
	require.Equal(t, &pipelines.Pipeline{UUID: "{p}", BuildNumber: 7}, all[0].Pipeline)
	require.Equal(t, "no branch", all[1].Error.String())
	require.Equal(t, "{q}", all[2].Pipeline.UUID)
	require.Equal(t, "no yml", all[3].Error.String())
	require.Nil(t, all[4].Pipeline)
	require.Nil(t, all[4].Error)
	require.Contains(t, string(all[4].Raw), `"moon":"full"`, "nothing is lost")
}

func TestAScheduleIsDisabledUnlessTheResponseShowsThatItIs(t *testing.T) {
	request := noon
	request.Enabled = new(false)
	for fields, tc := range map[string]struct {
		created string
		sent    int
	}{
		"uuid":         {`{"uuid":"{s}"}`, 2},
		"":             {`{"uuid":"{s}","enabled":"?"}`, 2},
		"uuid,enabled": {`{"uuid":"{s}","enabled":false}`, 1},
	} {
		srv := record(t, sequence(serve(201, "application/json", tc.created), serveJSON(`{"uuid":"{s}","enabled":false}`)))
		got, err := newClient(t, srv.base()).Schedules.Create(t.Context(), repo, request, pipelines.WithQuery("fields", fields))
		require.NoError(t, err, fields)
		require.Equal(t, "{s}", got.UUID, fields)
		srv.requireSent(t, tc.sent, fields)
	}

	srv := record(t, serve(201, "application/json", `{"cron_pattern":"0 0 12 * * ? *"}`))
	got, err := newClient(t, srv.base()).Schedules.Create(t.Context(), repo, request, pipelines.WithQuery("fields", "cron_pattern"))
	require.ErrorContains(t, err, "was created, but it is enabled: the response has no UUID")
	require.NotErrorIs(t, err, pipelines.ErrInvalidArgument, "it was sent")
	require.Equal(t, noon.CronPattern, got.CronPattern)
	srv.only(t)
}

func TestAScheduleRequestMatchesTheScheduleThatItWouldMake(t *testing.T) {
	branch := pipelines.Selector{Type: pipelines.SelectorBranches, Pattern: "main"}
	main := pipelines.BranchTarget("main")
	for name, tc := range map[string]struct {
		s    *pipelines.Schedule
		want bool
	}{
		"as it was requested":                  {&pipelines.Schedule{Target: main, CronPattern: noon.CronPattern}, true},
		"with what the service adds":           {&pipelines.Schedule{UUID: "{s}", Target: main.With(branch).At("abc"), CronPattern: "0 0  12 * * ? *", Enabled: true}, true},
		"of another pipeline":                  {&pipelines.Schedule{Target: main.With(pipelines.CustomSelector("main")), CronPattern: noon.CronPattern}, false},
		"of the default pipeline":              {&pipelines.Schedule{Target: main.With(pipelines.Selector{Type: pipelines.SelectorDefault}), CronPattern: noon.CronPattern}, false},
		"of another branch":                    {&pipelines.Schedule{Target: pipelines.BranchTarget("dev"), CronPattern: noon.CronPattern}, false},
		"at another time":                      {&pipelines.Schedule{Target: main, CronPattern: "0 0 13 * * ? *"}, false},
		"at times that can't be told to match": {&pipelines.Schedule{Target: main, CronPattern: "0 0 12 ? * * *"}, false},
		"none":                                 {nil, false},
	} {
		require.Equal(t, tc.want, noon.Matches(tc.s), name)
	}
	weekdays := pipelines.ScheduleRequest{Target: main.At("def"), CronPattern: "0 0 12 ? * mon-fri *"}
	require.True(t, weekdays.Matches(&pipelines.Schedule{Target: main.At("abc"), CronPattern: "0 0 12 ? * MON-FRI *"}))
}

func TestSetLeavesAScheduleEnabledOrNotUnlessItIsTold(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		body := `{"uuid":"{s}","target":{"ref_type":"branch","ref_name":"main"},"cron_pattern":"0 0 12 * * ? *","enabled":` + strconv.FormatBool(enabled) + `}`
		srv := record(t, serveJSON(`{"values":[`+body+`]}`))
		got, err := newClient(t, srv.base()).Schedules.Set(t.Context(), repo, noon)
		require.NoError(t, err)
		require.Equal(t, enabled, got.Enabled)
		srv.requireSent(t, 1)
	}
}

func TestSetIgnoresSchedulesThatCertainlyAreOthers(t *testing.T) {
	others := `{"values":[{"uuid":"{1}","cron_pattern":"0 0 13 * * ? *"},{"uuid":"{2}","target":{"ref_name":"dev"}}]}`
	srv := record(t, sequence(serveJSON(others), serve(403, "text/plain", "no")))
	_, err := newClient(t, srv.base()).Schedules.Set(t.Context(), repo, noon)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.Equal(t, "POST", srv.seen()[1].Method, "it creates one")
}

// It may be enabled.
func TestSetDisablesAScheduleThatIsListedWithoutEnabled(t *testing.T) {
	request := noon
	request.Enabled = new(false)
	listed := `{"values":[{"uuid":"{s}","target":{"ref_type":"branch","ref_name":"main"},"cron_pattern":"0 0 12 * * ? *"}]}`
	srv := record(t, sequence(serveJSON(listed), serveJSON(`{"uuid":"{s}","enabled":false}`)))
	got, err := newClient(t, srv.base()).Schedules.Set(t.Context(), repo, request)
	require.NoError(t, err)
	require.Equal(t, "{s}", got.UUID)
	require.Equal(t, `{"enabled":false}`, srv.seen()[1].Body)
}

func TestSetReturnsAScheduleThatItCouldNotDisable(t *testing.T) {
	request := noon
	request.Enabled = new(false)
	srv := record(t, sequence(serveJSON(`{"values":[]}`), serve(201, "application/json", `{"uuid":"{s}","enabled":true}`), serve(403, "text/plain", "no")))
	got, err := newClient(t, srv.base()).Schedules.Set(t.Context(), repo, request)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.ErrorContains(t, err, "was created, but it is enabled")
	require.Equal(t, "{s}", got.UUID)
	srv.requireSent(t, 3)

	srv = record(t, serveJSON(`{"values":[]}`))
	_, err = newClient(t, srv.base()).Schedules.Set(t.Context(), repo, request, pipelines.WithQuery("fields", "values"))
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.ErrorContains(t, err, "leaves uuid out", "by which it is disabled")
	srv.requireSent(t, 1)
}

func TestSetReturnsThatThereAreTooManySchedules(t *testing.T) {
	srv := record(t, sequence(serveJSON(`{"values":[]}`), serve(401, "application/json", `{"error":{"message":"limit"}}`), serveJSON(`{"values":[{}]}`)))
	_, err := newClient(t, srv.base()).Schedules.Set(t.Context(), repo, noon)
	require.ErrorIs(t, err, pipelines.ErrTooManySchedules)
	srv.requireSent(t, 3)
}

func TestSetRefusesSchedulesThatTheServiceWouldRefuse(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"has 0 fields": func(ctx context.Context, c *pipelines.Client) error {
			return second(c.Schedules.Set(ctx, repo, pipelines.ScheduleRequest{Target: noon.Target}))
		},
		"target is a branch": func(ctx context.Context, c *pipelines.Client) error {
			return second(c.Schedules.Set(ctx, repo, pipelines.ScheduleRequest{CronPattern: noon.CronPattern}))
		},
	})
}

func TestAScheduleThatStaysEnabledIsAnError(t *testing.T) {
	there := `{"uuid":"{1}","enabled":true,"cron_pattern":"0 15 2 * * ? *",
		"target":{"ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":"nightly"}}}`
	c := newClient(t, record(t, serveJSON(there)).base())
	created, err := c.Schedules.Create(t.Context(), repo, nightlyOff)
	require.ErrorContains(t, err, "schedule {1} was created, but it is enabled")
	require.True(t, created.Enabled)

	c = newClient(t, record(t, sequence(serveJSON(`{"values":[`+there+`]}`), serveJSON(there))).base())
	_, err = c.Schedules.Set(t.Context(), repo, nightlyOff)
	require.ErrorContains(t, err, "left schedule {1} enabled")
}
