package pipelines_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
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
	srv := record(t, answerJSON(`{"values":[]}`))
	_, err := newClient(t, srv.base()).Deployments.List(t.Context(), repo, &pipelines.ListDeploymentsOptions{
		Sort: pipelines.SortLastStarted, Environment: "11111111-2222-4333-8444-555555555555", State: pipelines.StateInProgress, PageLen: 50,
	}).Collect()
	require.NoError(t, err)
	require.Equal(t, "environment=%7B11111111-2222-4333-8444-555555555555%7D&pagelen=50&sort=-state.started_on&state.name=IN_PROGRESS", srv.only(t).Query)
}

func TestAnEnvironmentIsFoundByItsName(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	c := srv.Client()
	created, err := c.Deployments.CreateEnvironment(t.Context(), repo, pipelines.EnvironmentRequest{
		Name: "Prod EU", EnvironmentType: pipelines.EnvironmentProduction, AdminOnly: new(true),
	})
	require.NoError(t, err)
	require.True(t, r.Environments()[0].Restrictions.AdminOnly)
	found, err := c.Deployments.GetEnvironmentByName(t.Context(), repo, "Prod EU")
	require.NoError(t, err)
	require.Equal(t, created.UUID, found.UUID)
	_, err = c.Deployments.GetEnvironmentByName(t.Context(), repo, "prod eu")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	_, err = c.Deployments.GetEnvironmentByName(t.Context(), repo, "")
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}

func TestEnvironmentRequestsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"environment has no name": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{})
			return err
		},
		"has no type": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "e"})
			return err
		},
		"update changes nothing": func(ctx context.Context, c *pipelines.Client) error {
			return c.Deployments.UpdateEnvironment(ctx, repo, "{e}", pipelines.EnvironmentUpdate{})
		},
		"name is empty": func(ctx context.Context, c *pipelines.Client) error {
			return c.Deployments.UpdateEnvironment(ctx, repo, "{e}", pipelines.EnvironmentUpdate{Name: new("")})
		},
	})
}
