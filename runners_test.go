package pipelines_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestRunnerStateMethods(t *testing.T) {
	var unknown pipelines.RunnerState
	require.Equal(t, []any{false, false, ""}, []any{unknown.Online(), unknown.TakesSteps(), unknown.String()})
	cordoned := pipelines.RunnerState{Status: pipelines.RunnerOnline, Cordoned: true}
	require.Equal(t, []any{true, false, "ONLINE"}, []any{cordoned.Online(), cordoned.TakesSteps(), cordoned.String()})
	require.True(t, pipelines.RunnerState{Status: pipelines.RunnerOnline}.TakesSteps())
}

func TestRunnerRequestsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"runner has no name": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Runners.InRepository(repo).Create(ctx, pipelines.RunnerRequest{})
			return err
		},
		"update changes nothing": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Runners.InWorkspace("acme").Update(ctx, "{r}", pipelines.RunnerUpdate{})
			return err
		},
	})
}
