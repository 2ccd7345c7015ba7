package pipelines_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestStopSendsNoBody(t *testing.T) {
	srv := record(t, serve(204, "", ""))
	require.NoError(t, newClient(t, srv.base()).Pipelines.Stop(t.Context(), repo, "8"))
	got := srv.only(t)
	require.Equal(t, "POST /2.0/repositories/acme/site/pipelines/8/stopPipeline", got.Method+" "+got.Path)
	require.Empty(t, got.Body)
	require.Empty(t, got.Header.Get("Content-Type"))
}

func TestWebURLIsThePageOfTheRun(t *testing.T) {
	p := &pipelines.Pipeline{BuildNumber: 12}
	require.Equal(t, "https://bitbucket.org/acme/site/pipelines/results/12", p.WebURL(repo))
	odd := pipelines.Repo{Workspace: "11111111-2222-4333-8444-555555555555", Slug: "a b/c"}
	require.Equal(t, "https://bitbucket.org/%7B11111111-2222-4333-8444-555555555555%7D/a%20b%2Fc/pipelines/results/12", p.WebURL(odd))
}

func TestAStopWhoseResponseWasLostHasSucceeded(t *testing.T) {
	refused := serve(400, "application/json", `{"error":{"message":"Bad request","detail":"already complete"}}`)
	for state, succeeds := range map[string]bool{"STOPPED": true, "SUCCESSFUL": false} {
		t.Run(state, func(t *testing.T) {
			get := serveJSON(`{"state":{"name":"COMPLETED","result":{"name":"` + state + `"}}}`)
			srv := record(t, sequence(drop, refused, get))
			err := newClient(t, srv.base()).Pipelines.Stop(t.Context(), repo, "1")
			require.Equal(t, succeeds, err == nil, err)
			srv.requireSent(t, 3)
		})
	}
	srv := record(t, refused)
	err := newClient(t, srv.base()).Pipelines.Stop(t.Context(), repo, "1")
	require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
	srv.requireSent(t, 1, "nothing was lost, so there is nothing to look up")
}
