package pipelinestest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestAnUnknownURLIsNotFound(t *testing.T) {
	f := setup(t)
	for _, path := range []string{"/nothing", "/repositories", site + "/pipelines/1/nothing", "/", "/repositories//site/pipelines"} {
		a := f.get(path)
		require.Equal(t, http.StatusNotFound, a.StatusCode, path)
		require.Equal(t, map[string]any{"type": "error", "error": map[string]any{
			"message": "Resource not found", "detail": "There is no API hosted at this URL",
		}}, a.JSON())
	}
	require.Equal(t, http.StatusMethodNotAllowed, f.send(http.MethodDelete, site+"/pipelines", "").StatusCode)
}

func TestAUUIDWithoutBracesIsRefused(t *testing.T) {
	f := setup(t)
	uuid := f.run(mainBranch).At("uuid").(string)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines/"+escape(uuid)).StatusCode)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines/1").StatusCode)
	require.Equal(t, http.StatusBadRequest, f.get(site+"/pipelines/"+strings.Trim(uuid, "{}")).StatusCode)
}

func TestThePathPrefixIsOptional(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(11)
	bare := strings.TrimSuffix(f.srv.URL(), "/2.0")
	a := f.get(bare + site + "/pipelines")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.True(t, strings.HasPrefix(a.At("next").(string), bare+"/repositories/"))
	require.True(t, strings.HasPrefix(a.At("values.0.links.self.href").(string), bare+"/repositories/"))
}

// Some clients set a Content-Type for all their requests.
func TestAnEmptyJSONBodyIsRefused(t *testing.T) {
	f := setup(t)
	f.repo.AddPipeline(pipelines.Pipeline{State: pipelines.PipelineState{Name: pipelines.StateInProgress}})
	variable := site + "/pipelines_config/variables/" + escape(f.repo.AddVariable(pipelines.Variable{Key: "A"}).UUID)
	const json = "application/json"
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
	}{
		{"POST", site + "/pipelines/1/stopPipeline", json, "", 400},
		{"POST", site + "/pipelines/1/stopPipeline", json + "; charset=utf-8", "", 400},
		{"PUT", site + "/pipelines_config", json, "", 400},
		{"POST", site + "/pipelines/1/stopPipeline", json, "{}", 204},
		{"POST", site + "/pipelines/1/stopPipeline", "", "", 204},
		{"PUT", variable, json + "; charset=utf-8", `{"value":"c"}`, 200},
		{"PUT", variable, "", `{"value":"d"}`, 200},
		{"GET", variable, json, "", 200},
		{"DELETE", variable, json, "", 204},
	} {
		a := f.send(c.method, c.path, c.body, "Content-Type", c.contentType)
		require.Equal(t, c.status, a.StatusCode, "%s %s %q: %s", c.method, c.path, c.contentType, a.text)
		if c.status == http.StatusBadRequest {
			require.Equal(t, "Bad Request", a.text)
		}
	}
}
