package pipelines_test

import (
	"context"
	"testing"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestSSHKeyPairsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"no private key": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.SSH.SetKeyPair(ctx, repo, pipelines.KeyPair{PublicKey: "p"})
			return err
		},
		"no public key": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.SSH.SetKeyPair(ctx, repo, pipelines.KeyPair{PrivateKey: "s3cret"})
			return err
		},
	})
}
