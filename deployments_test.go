package pipelines_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestDeploymentStateMethods(t *testing.T) {
	var none pipelines.DeploymentState
	require.Equal(t, []any{false, false, ""}, []any{none.Done(), none.Succeeded(), none.String()})
	done := pipelines.DeploymentState{Name: pipelines.StateCompleted, Status: &pipelines.DeploymentStatus{Name: pipelines.ResultSuccessful}}
	require.Equal(t, []any{true, true, "SUCCESSFUL"}, []any{done.Done(), done.Succeeded(), done.String()})
	waiting := pipelines.DeploymentState{Name: pipelines.StateUndeployed}
	require.Equal(t, []any{false, false, "UNDEPLOYED"}, []any{waiting.Done(), waiting.Succeeded(), waiting.String()})
}

func TestDeploymentFiltersAreSent(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[]}`))
	_, err := newClient(t, srv.base()).Deployments.List(t.Context(), repo, &pipelines.ListDeploymentsOptions{
		Sort: pipelines.SortLastStarted, Environment: "11111111-2222-4333-8444-555555555555", State: pipelines.StateInProgress, PageLen: 50,
	}).Collect()
	require.NoError(t, err)
	require.Equal(t, "environment=%7B11111111-2222-4333-8444-555555555555%7D&pagelen=50&sort=-state.started_on&state.name=IN_PROGRESS", srv.only(t).Query)
}
