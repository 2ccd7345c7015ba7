package pipelines_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

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
