package pipelines_test

import (
	"context"
	"testing"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestConfigRequestsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"update changes nothing": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Config.Update(ctx, repo, pipelines.ConfigUpdate{})
			return err
		},
		"is not positive": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Config.SetNextBuildNumber(ctx, repo, 0)
			return err
		},
	})
}
