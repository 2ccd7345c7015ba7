package clitest

import (
	"context"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func TestRequireHelpAcceptsHelpOfPackageCLI(t *testing.T) {
	help := RequireHelp(t, func(_ context.Context, args []string, env cli.Env) int {
		require.Equal(t, "plan", args[0])
		flags := flag.NewFlagSet("prog", flag.ContinueOnError)
		flags.Bool("demo", false, "work on a fake service")
		flags.String("repo", "", "the repository, as `WORKSPACE/SLUG`")
		cli.Help{
			Intro: "prog does it.", Usage: []cli.Item{{"prog --demo"}}, Credentials: cli.DemoRuns,
			Statuses: []cli.Item{{"0", "done"}, cli.TroubleStatus, cli.InterruptedStatus},
		}.Set(flags)
		status, _ := env.Parse(flags, args[1:])
		return status
	}, "plan")
	require.Contains(t, help, "prog does it.")
}
