package clitest

import (
	"context"
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func exampleHelp(_ context.Context, args []string, env cli.Env) int {
	flags := flag.NewFlagSet("prog", flag.ContinueOnError)
	flags.Bool("demo", false, "work on a fake service")
	flags.String("repo", "", "the repository, as `WORKSPACE/SLUG`")
	cli.Help{
		Intro: "prog does it.", Usage: []cli.Item{{"prog --demo"}}, Credentials: cli.DemoRuns,
		Statuses: []cli.Item{{"0", "done " + strings.Repeat("well ", 30)}, cli.TroubleStatus, cli.InterruptedStatus},
	}.Set(flags)
	status, _ := env.Parse(flags, args[1:])
	return status
}

func TestHelpOfPackageCLIHasTheForm(t *testing.T) {
	require.Contains(t, RequireHelp(t, exampleHelp, "plan"), "prog does it.")
}

func TestHelpOfAnotherFormIsFound(t *testing.T) {
	good := RequireHelp(t, exampleHelp, "plan")
	flags := []string{"demo", "repo"}
	require.NoError(t, checkHelp(good, flags))
	for want, bad := range map[string]string{
		"too long":                  strings.Replace(good, "prog does it.", strings.Repeat("x", 101), 1),
		"can't be seen":             strings.Replace(good, "prog does it.", "prog does it. ", 1),
		"no usage lines":            strings.Replace(good, "Usage:", "How:", 1),
		"credentials and exit":      good + "more\n",
		"it doesn't end with":       strings.Replace(good, "Credentials come", "They come", 1),
		"0 lines describe --repo":   strings.Replace(good, "  --repo ", "  -repo ", 1),
		"2 lines describe --demo":   strings.Replace(good, "  --repo ", "  --demo  again\n  --repo ", 1),
		"--demo has one hyphen":     strings.Replace(good, "prog does it.", "prog does it with -demo, too.", 1),
		"0 lines describe --secret": good,
	} {
		names := flags
		if bad == good {
			names = []string{"secret"}
		}
		require.ErrorContains(t, checkHelp(bad, names), want)
	}
}
