package audit

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
)

func TestAWorkspaceWithoutAnythingHasAnEmptyReport(t *testing.T) {
	f := newFixture(t)
	rep := f.audit("--html " + filepath.Join(f.dir, "page.html"))
	require.Zero(t, rep.BuildSeconds)
	text, err := os.ReadFile(filepath.Join(f.dir, "report.json"))
	require.NoError(t, err)
	require.NotContains(t, string(text), "null")
	require.Contains(t, f.Out.String(), "0 runs of 0 repositories")

	f.AddRepository("acme", "off").DisablePipelines()
	rep = f.audit("")
	require.Len(t, rep.Repositories, 1, "where Pipelines was never enabled there are no runs, and nothing is unreadable")
}

func TestArgumentsAreChecked(t *testing.T) {
	f := newFixture(t)
	file := filepath.Join(f.dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	full := filepath.Join(f.dir, "full")
	require.NoError(t, os.MkdirAll(filepath.Join(full, "repositories.csv"), 0o700))
	for args, want := range map[string]string{
		"":                                          "--workspace is missing",
		"--workspace ..":                            "no workspace",
		"--workspace acme extra":                    "1 argument too many",
		"--workspace acme --state=":                 "--state is empty",
		"--workspace acme --since soon":             "--since is no date",
		"--workspace acme --since 3000-01-01":       "--since is in the future",
		"--workspace acme --quota 0":                "--quota is below 1",
		"--workspace acme --recheck never":          "--recheck: ",
		"--workspace acme --stale 0":                "--stale: ",
		"--workspace acme --html " + file + "/x/y":  file + "/x/y: not a directory",
		"--workspace acme --html " + f.dir + "/n/y": f.dir + "/n/y: no such file or directory",
		"--workspace acme --html -":                 "--html needs a file",
		"--workspace acme --html ./a --json a":      "--html and --json name the same file",
		"--workspace acme --json " + f.dir:          "is a directory",
		"--workspace acme --csv " + file:            "--csv: ",
		"--workspace acme --csv -":                  "--csv needs a directory",
		"--workspace acme --csv " + full:            "--csv: " + filepath.Join(full, "repositories.csv") + " is a directory",
		"--workspace acme --state " + file:          "is a file; it has to be a directory",
		"--demo --state " + f.state:                 "the demo has nothing to remember",
		"--demo --workspace other":                  "--workspace: the demo has acme, but not other",
	} {
		f.Refuses(args, want)
	}
	f.audit("")
	f.ClearRequests()
	f.Refuses("--workspace other --state "+f.state, "is the state of workspace acme")

	clitest.SetCredentials(t, "")
	f.Refuses("--workspace acme", "--workspace needs credentials")
	f.Refuses("--workspace acme --state "+f.state, "needs credentials")
	f.Refuses("--state "+f.state, "--state needs credentials")
}

func TestAStateOfAWorkspaceThatWasNotFoundIsNotLostToTheRightOne(t *testing.T) {
	f := newFixture(t)
	f.addRandomWorkspace(rand.New(rand.NewPCG(4, 2)), 2, 2)
	require.Equal(t, cli.Trouble, f.Run("--workspace misspelt --state "+f.state))
	require.Contains(t, f.Errs.String(), "No workspace with identifier 'misspelt'")
	require.NotContains(t, f.Errs.String(), "The same command continues")
	require.Len(t, f.audit("").Repositories, 2)
	f.ClearRequests()
	f.Refuses("--workspace misspelt --state "+f.state, "is the state of workspace acme")
}

func TestTheSummaryNamesWhatItCounts(t *testing.T) {
	out := func(t *testing.T, args string) string {
		t.Helper()
		status, out, _ := clitest.Demo(t, Run, args)
		require.Equal(t, cli.Failure, status, "one repository of the demo can't be read")
		return out
	}
	text := out(t, "--demo --workspace acme")
	require.Regexp(t, `^acme since .*\d runs of 12 repositories\n`, text)
	require.Contains(t, text, "NOT READABLE")
	require.True(t, json.Valid([]byte(out(t, "--json -"))))
	clitest.RequireHelp(t, Run)
}
