package pipelinestest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestThereIsNoConfigurationUntilPipelinesIsEnabled(t *testing.T) {
	f := setup(t)
	path := site + "/pipelines_config"
	require.True(t, f.repo.PipelinesEnabled())
	f.repo.DisablePipelines()
	require.False(t, f.repo.PipelinesEnabled())
	require.Equal(t, http.StatusNotFound, f.get(path).StatusCode)
	require.Equal(t, http.StatusNotFound, f.send(http.MethodPut, path+"/build_number", `{"next":5}`).StatusCode)
	refused := f.run(mainBranch)
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)
	require.Equal(t, "Pipelines is not enabled in the repository.", refused.At("error.detail"))

	a := f.send(http.MethodPut, path, `{"enabled":true}`)
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, "pipelines_config", a.At("type"))
	require.Equal(t, "acme/site", a.At("repository.full_name"))
	f.started()

	require.Equal(t, false, f.send(http.MethodPut, path, `{"enabled":false}`).At("enabled"))
	require.Equal(t, false, f.get(path).At("enabled"))
	require.Equal(t, http.StatusBadRequest, f.run(mainBranch).StatusCode)
	for _, body := range []string{`{"enabled":1}`, `[]`, ``} {
		require.Equal(t, http.StatusBadRequest, f.send(http.MethodPut, path, body).StatusCode, body)
	}
}

// The Terraform provider sends this for each repository without pipelines.
func TestAConfigurationWithoutEnabledIsAcceptedAndChangesNothing(t *testing.T) {
	for _, body := range []string{`{"type":""}`, `{}`, `{"enabled":null}`, `{"type":"pipelines_config"}`} {
		f := setup(t)
		path := site + "/pipelines_config"
		a := f.send(http.MethodPut, path, body)
		require.Equal(t, http.StatusOK, a.StatusCode, body)
		require.Equal(t, true, a.At("enabled"), body)
		require.True(t, f.repo.PipelinesEnabled())

		f.repo.DisablePipelines()
		a = f.send(http.MethodPut, path, body)
		require.Equal(t, http.StatusOK, a.StatusCode, body)
		require.Equal(t, false, a.At("enabled"), body)
		require.Equal(t, a.JSON(), f.get(path).JSON(), "the configuration exists now")
		require.False(t, f.repo.PipelinesEnabled())
	}
}

func TestTheBuildNumberOnlyGrows(t *testing.T) {
	f := setup(t)
	f.started()
	path := site + "/pipelines_config/build_number"
	for _, body := range []string{`{"next":1}`, `{"next":0}`, `{}`, `{"next":"5"}`} {
		a := f.send(http.MethodPut, path, body)
		require.Equal(t, http.StatusBadRequest, a.StatusCode, body)
		require.NotEmpty(t, a.At("error.detail"))
	}
	require.Equal(t, map[string]any{"type": "pipeline_build_number", "next": 90.}, f.send(http.MethodPut, path, `{"next":90}`).JSON())
	f.send(http.MethodPut, path, `{"next":50}`)
	require.EqualValues(t, 50, f.run(mainBranch).At("build_number"))
	require.EqualValues(t, 51, f.run(mainBranch).At("build_number"))
}

func TestTheClientConfigures(t *testing.T) {
	f := setup(t)
	f.repo.DisablePipelines()
	ctx, client, repo := t.Context(), f.srv.Client().Config, f.repo.Repo()
	_, err := client.Get(ctx, repo)
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	enabled := true
	config, err := client.Update(ctx, repo, pipelines.ConfigUpdate{Enabled: &enabled})
	require.NoError(t, err)
	require.True(t, config.Enabled)
	same, err := client.Get(ctx, repo)
	require.NoError(t, err)
	require.Equal(t, config, same)
	next, err := client.SetNextBuildNumber(ctx, repo, 7)
	require.NoError(t, err)
	require.Equal(t, 7, next.Next)
	f.started()
	_, err = client.SetNextBuildNumber(ctx, repo, 7)
	require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
}
