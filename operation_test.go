package pipelines_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestOperationIsOnEveryRequestsContext(t *testing.T) {
	srv := record(t, serveJSON(`{"access_token":"a","expires_in":7200,"token_type":"bearer"}`))
	var names []string
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		o, ok := pipelines.OperationFromContext(req.Context())
		assert.True(t, ok)
		names = append(names, o.Name+" "+o.Method+" "+o.Path)
		return http.DefaultTransport.RoundTrip(req)
	})}
	c := newClient(t, srv.base(), pipelines.WithHTTPClient(hc), pipelines.WithClientCredentials("id", "secret"))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.NoError(t, c.Do(t.Context(), http.MethodGet, "/user", nil, nil))
	require.Equal(t, []string{
		"OAuth.Token POST /site/oauth2/access_token",
		"Pipelines.Get GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}",
		"Do GET ",
	}, names)
	_, ok := pipelines.OperationFromContext(t.Context())
	require.False(t, ok)
}

func TestALimiterMayAskForOperationAndAttempt(t *testing.T) {
	srv := record(t, sequence(serve(503, "text/plain", ""), serve(429, "text/plain", ""), serveJSON(`{"uuid":"{u}"}`)))
	var asked []string
	limiter := limiterFunc(func(ctx context.Context) error {
		o, ok := pipelines.OperationFromContext(ctx)
		assert.True(t, ok)
		attempt, ok := pipelines.AttemptFromContext(ctx)
		assert.True(t, ok)
		asked = append(asked, fmt.Sprint(o.Name, " ", o.Method, " ", attempt))
		return nil
	})
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiter), pipelines.WithRetry(pipelines.RetryPolicy{MinWait: 1, MaxWait: 1}), pipelines.WithoutQuotaCircuit())
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.NoError(t, c.Pipelines.Stop(t.Context(), repo, "1"))
	require.Equal(t, []string{"Pipelines.Get GET 1", "Pipelines.Get GET 2", "Pipelines.Get GET 3", "Pipelines.Stop POST 1"}, asked)
}

func TestOperationAndAttemptAreInNoOtherContext(t *testing.T) {
	_, ok := pipelines.AttemptFromContext(t.Context())
	require.False(t, ok)
}

func TestOperationTellsRequestsToStorageHosts(t *testing.T) {
	storage := record(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a log\n") })
	api := record(t, http.RedirectHandler(storage.base()+"/log", http.StatusTemporaryRedirect).ServeHTTP)
	want := pipelines.Operation{
		Name: "Steps.GetLog", Method: "GET", Path: "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log",
	}
	var got []pipelines.Operation
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		o, _ := pipelines.OperationFromContext(req.Context())
		got = append(got, o)
		return http.DefaultTransport.RoundTrip(req)
	})}
	log, err := newClient(t, api.base(), pipelines.WithHTTPClient(hc)).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	toStorage := want
	toStorage.Storage = true
	require.Equal(t, []pipelines.Operation{want, toStorage}, got)
}
