package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
)

func TestAuditNeedsNoRedisAndNoCampaign(t *testing.T) {
	t.Setenv("FLEET_REDIS", "redis://127.0.0.1:1/0")
	status, out, errs := clitest.Demo(t, run, "audit --demo")
	require.Equal(t, cli.Failure, status, "a part of one repository can't be read")
	require.Contains(t, out, "acme since")
	require.NotContains(t, errs, "Redis")
}
