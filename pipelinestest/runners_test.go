package pipelinestest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheSecretOfARunnerIsReturnedOnce(t *testing.T) {
	f := setup(t)
	workspace := f.srv.AddWorkspace("acme")
	for path, runners := range map[string]func() []pipelines.Runner{
		site + "/pipelines-config/runners":          f.repo.Runners,
		"/workspaces/acme/pipelines-config/runners": workspace.Runners,
	} {
		a := f.send(http.MethodPost, path, `{"name":"builder","labels":["self.hosted","linux"]}`)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, "pipeline_runner", a.At("type"))
		require.Equal(t, map[string]any{
			"type": "pipeline_runner_state", "status": "UNREGISTERED", "updated_on": "2026-03-01T12:00:00Z", "cordoned": false,
		}, a.At("state"))
		told := a.At("oauth_client.secret").(string)
		require.NotEmpty(t, told)
		require.Equal(t, told, runners()[0].OAuthClient.Secret)
		require.NotContains(t, fmt.Sprintf("%+v", *runners()[0].OAuthClient), told)
		one := path + "/" + escape(a.At("uuid").(string))
		for _, resp := range []response{f.get(path), f.get(one), f.send(http.MethodPut, one, `{"name":"other"}`)} {
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.NotContains(t, resp.text, told)
		}
		item := f.get(path).At("values.0")
		require.Nil(t, at(item, "type"))
		require.Nil(t, at(item, "state.type"))
		require.Nil(t, at(item, "oauth_client.type"))
		require.Equal(t, a.At("oauth_client.id"), at(item, "oauth_client.id"))
		require.Equal(t, "pipeline_runner_oauth_client", f.get(one).At("oauth_client.type"))
	}
}

func TestUpdateARunner(t *testing.T) {
	f := setup(t)
	runner := f.repo.AddRunner(pipelines.Runner{Name: "builder", Labels: []string{"linux"}})
	path := site + "/pipelines-config/runners/" + escape(runner.UUID)
	f.clock.Advance(time.Minute)
	a := f.send(http.MethodPut, path, `{"name":"other"}`)
	require.Equal(t, "other", a.At("name"))
	require.Equal(t, []any{"linux"}, a.At("labels"))
	require.Equal(t, "2026-03-01T12:01:00Z", a.At("updated_on"))
	require.Equal(t, []any{}, f.send(http.MethodPut, path, `{"labels":[]}`).At("labels"))

	require.NoError(t, f.repo.SetRunnerState(runner.UUID, pipelines.RunnerState{
		Status: pipelines.RunnerOnline, Cordoned: true, Version: &pipelines.RunnerVersion{Version: "3.1"},
	}))
	require.Equal(t, map[string]any{
		"type": "pipeline_runner_state", "status": "ONLINE", "updated_on": "2026-03-01T12:01:00Z", "cordoned": true,
		"version": map[string]any{"type": "pipeline_runner_version", "version": "3.1"},
	}, f.get(path).At("state"))
	require.Equal(t, map[string]any{"version": "3.1"}, f.get(site+"/pipelines-config/runners").At("values.0.state.version"), "lists have no types")
	require.ErrorContains(t, f.repo.SetRunnerState("{1}", pipelines.RunnerState{}), "no runner {1}")
}

func TestInvalidRunnersAreRefused(t *testing.T) {
	f := setup(t, pipelinestest.WithRunnerLimit(1))
	path := site + "/pipelines-config/runners"
	invalid := []string{`{"name":""}`, `{"name":"a","labels":["Linux"]}`, `{"name":"a","labels":["1","2","3","4","5","6","7","8","9","10","11"]}`}
	for _, body := range append(invalid, `{}`) {
		require.Equal(t, http.StatusBadRequest, f.send(http.MethodPost, path, body).StatusCode, body)
	}
	a := f.send(http.MethodPost, path, `{"name":"a"}`)
	require.Equal(t, http.StatusOK, a.StatusCode)
	for _, body := range invalid {
		require.Equal(t, http.StatusBadRequest, f.send(http.MethodPut, path+"/"+escape(a.At("uuid").(string)), body).StatusCode, body)
	}
	full := f.send(http.MethodPost, path, `{"name":"b"}`)
	require.Equal(t, http.StatusBadRequest, full.StatusCode)
	require.Equal(t, "runner-service.runner.limit-reached", full.At("error.data.key"))
}

func TestTheClientManagesRunners(t *testing.T) {
	f := setup(t)
	client := f.srv.Client().Runners
	for _, set := range []*pipelines.RunnerSet{client.InRepository(f.repo.Repo()), client.InWorkspace("acme")} {
		created, err := set.Create(t.Context(), pipelines.RunnerRequest{Name: "builder", Labels: []string{"linux"}})
		require.NoError(t, err)
		require.NotEmpty(t, created.OAuthClient.Secret)
		updated, err := set.Update(t.Context(), created.UUID, pipelines.RunnerUpdate{Name: new("other")})
		require.NoError(t, err)
		one, err := set.Get(t.Context(), created.UUID)
		require.NoError(t, err)
		require.Equal(t, updated, one)
		require.False(t, one.State.Online())
		require.Empty(t, one.OAuthClient.Secret)
		all, err := set.List(t.Context(), nil).Collect()
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.NoError(t, set.Delete(t.Context(), created.UUID))
		_, err = set.Get(t.Context(), created.UUID)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
	}
}
