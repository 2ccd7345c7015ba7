package pipelinestest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestACreatedEnvironment(t *testing.T) {
	f := setup(t)
	f.repo.AddEnvironment("First", pipelines.EnvironmentProduction)
	a := f.send(http.MethodPost, site+"/environments", `{"name":"My Live","environment_type":{"name":"Production"}}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	want := map[string]any{
		"type": "deployment_environment", "uuid": a.At("uuid"), "name": "My Live", "slug": "my-live", "rank": 2., "hidden": false,
		"category":         map[string]any{"name": "Production"},
		"environment_type": map[string]any{"type": "deployment_environment_type", "name": "Production", "rank": 2.},
		"restrictions":     map[string]any{"type": "deployment_restrictions_configuration", "admin_only": false},
		"lock":             map[string]any{"type": "deployment_environment_lock_open", "name": "OPEN"}, "environment_lock_enabled": false,
		"deployment_gate_enabled": false, "change_request_config": map[string]any{"configured": false},
	}
	require.Equal(t, want, a.JSON())
	require.Equal(t, want, f.get(site+"/environments/"+escape(a.At("uuid").(string))).JSON())
	require.Equal(t, want, f.get(site + "/environments").JSON()["values"].([]any)[1])
	require.Equal(t, "My Live", f.repo.Environments()[1].Name)
	require.Equal(t, a.At("uuid"), f.repo.AddEnvironment("My Live", pipelines.EnvironmentTest).UUID(), "the environment exists")
	require.Panics(t, func() { f.repo.AddEnvironment("X", "Live") })
}

func TestAnEnvironmentHasTheRankOfItsType(t *testing.T) {
	f := setup(t)
	f.repo.AddEnvironment("Live", pipelines.EnvironmentProduction)
	f.repo.AddEnvironment("Canary", pipelines.EnvironmentProduction)
	f.repo.AddEnvironment("Pre-Live", pipelines.EnvironmentStaging)
	f.repo.AddEnvironment("QA", pipelines.EnvironmentTest)
	require.Equal(t, []any{2., 2., 1., 0.}, f.get(site+"/environments").Values("rank"))
}

func TestACreatedEnvironmentKeepsItsRestrictions(t *testing.T) {
	for body, want := range map[string]bool{
		`{"name":"A","environment_type":{"name":"Test"},"restrictions":{"admin_only":true}}`:                                                                    true,
		`{"type":"","name":"A","environment_type":{"type":"","name":"Test"},"restrictions":{"type":"deployment_restrictions_configuration","admin_only":true}}`: true,
		`{"name":"A","environment_type":{"name":"Test"},"restrictions":{"admin_only":false}}`:                                                                   false,
		`{"name":"A","environment_type":{"name":"Test"},"restrictions":{}}`:                                                                                     false,
		`{"name":"A","environment_type":{"name":"Test"},"restrictions":null}`:                                                                                   false,
	} {
		f := setup(t)
		a := f.send(http.MethodPost, site+"/environments", body)
		require.Equal(t, http.StatusCreated, a.StatusCode, body+" "+a.text)
		require.Equal(t, want, a.At("restrictions.admin_only"), body)
		require.Equal(t, a.JSON(), f.get(site+"/environments/"+escape(a.At("uuid").(string))).JSON(), body)
		require.Equal(t, want, f.repo.Environments()[0].Restrictions.AdminOnly, body)
	}
}

func TestInvalidEnvironmentsAreRefused(t *testing.T) {
	f := setup(t)
	f.repo.AddEnvironment("Staging", pipelines.EnvironmentStaging)
	for body, status := range map[string]int{
		`{"name":"A"}`:                                    400,
		`{"name":"A","environment_type":"Test"}`:          400,
		`{"name":"A","environment_type":{}}`:              400,
		`{"name":"A","environment_type":{"name":"Live"}}`: 400,
		`{"environment_type":{"name":"Test"}}`:            400,
		`{"name":"A","environment_type":{"name":"Test"},"restrictions":{"admin_only":"yes"}}`: 400,
		`{"name":"Staging","environment_type":{"name":"Test"}}`:                               409,
	} {
		a := f.send(http.MethodPost, site+"/environments", body)
		require.Equal(t, status, a.StatusCode, body)
		require.NotEmpty(t, a.At("error.data.key"))
	}
	a := f.send(http.MethodPost, site+"/environments", `{"name":"A","environment_type":"Test"}`)
	require.Equal(t, "Property environment_type is required.", a.At("error.detail"))
	require.Equal(t, "deploy-service.request.validation-error", a.At("error.data.key"))
	require.Len(t, f.repo.Environments(), 1)
}

func TestAnEnvironmentChangesWithADelay(t *testing.T) {
	f := setup(t)
	path := site + "/environments/" + escape(f.repo.AddEnvironment("Staging", pipelines.EnvironmentStaging).UUID())
	a := f.send(http.MethodPost, path+"/changes", `{"change":{"name":"Pre-Live","restrictions":{"admin_only":true}}}`)
	require.Equal(t, http.StatusAccepted, a.StatusCode)
	require.Empty(t, a.text)
	require.Equal(t, "Staging", f.get(path).At("name"))
	require.Equal(t, []any{"Staging"}, f.get(site+"/environments").Values("name"))
	require.Equal(t, false, f.get(path).At("restrictions.admin_only"))
	require.Equal(t, "Pre-Live", f.repo.Environments()[0].Name, "the test sees the change at once")

	f.clock.Advance(time.Second)
	require.Equal(t, "Pre-Live", f.get(path).At("name"))
	require.Equal(t, "pre-live", f.get(path).At("slug"))
	require.Equal(t, true, f.get(path).At("restrictions.admin_only"))
}

func TestTheDelayOfAnEnvironmentChangeIsAnOption(t *testing.T) {
	for _, late := range []time.Duration{0, time.Minute} {
		f := setup(t, pipelinestest.WithLateEnvironments(late))
		path := site + "/environments/" + escape(f.repo.AddEnvironment("Staging", pipelines.EnvironmentStaging).UUID())
		f.send(http.MethodPost, path+"/changes", `{"change":{"name":"Pre-Live"}}`)
		if late > 0 {
			f.clock.Advance(late - time.Nanosecond)
			require.Equal(t, "Staging", f.get(path).At("name"))
			f.clock.Advance(time.Nanosecond)
		}
		require.Equal(t, "Pre-Live", f.get(path).At("name"))
	}
}

func TestInvalidEnvironmentChangesAreRefused(t *testing.T) {
	f := setup(t)
	f.repo.AddEnvironment("Test", pipelines.EnvironmentTest)
	path := site + "/environments/" + escape(f.repo.AddEnvironment("Staging", pipelines.EnvironmentStaging).UUID()) + "/changes"
	const unsupported, invalid = "deploy-service.environment.change-not-supported", "deploy-service.request.validation-error"
	for body, want := range map[string]struct {
		status int
		key    string
	}{
		`{"change":{"rank":1}}`:                    {400, unsupported},
		`{"change":{"restrictions":{"type":"x"}}}`: {400, unsupported},
		`{"name":"A"}`:                             {400, unsupported},
		`{}`:                                       {400, invalid},
		`{"change":{"name":""}}`:                   {400, invalid},
		`{"change":{"name":"Test"}}`:               {409, "deploy-service.environment.already-exists"},
		`{"change":{"restrictions":{"admin_only":1}}}`: {400, invalid},
	} {
		a := f.send(http.MethodPost, path, body)
		require.Equal(t, want.status, a.StatusCode, body)
		require.Equal(t, want.key, a.At("error.data.key"), body)
	}
}

func TestTheClientManagesEnvironments(t *testing.T) {
	f := setup(t)
	ctx, client, repo := t.Context(), f.srv.Client().Deployments, f.repo.Repo()
	e, err := client.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "QA", EnvironmentType: pipelines.EnvironmentTest})
	require.NoError(t, err)
	_, err = client.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "QA", EnvironmentType: pipelines.EnvironmentTest})
	require.ErrorIs(t, err, pipelines.ErrConflict)
	name, admins := "Quality", true
	require.NoError(t, client.UpdateEnvironment(ctx, repo, e.UUID, pipelines.EnvironmentUpdate{Name: &name, AdminOnly: &admins}))
	f.clock.Advance(time.Second)
	e, err = client.GetEnvironment(ctx, repo, e.UUID)
	require.NoError(t, err)
	require.Equal(t, name, e.Name)
	require.True(t, e.Restrictions.AdminOnly)
	all, err := client.ListEnvironments(ctx, repo, nil).Collect()
	require.NoError(t, err)
	require.Equal(t, []*pipelines.Environment{e}, all)
	require.NoError(t, client.DeleteEnvironment(ctx, repo, e.UUID))
	require.ErrorIs(t, client.DeleteEnvironment(ctx, repo, e.UUID), pipelines.ErrNotFound)
}
