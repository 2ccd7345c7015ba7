package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const day = 24 * time.Hour

func newStage(t *testing.T) (*clitest.Fixture, *pipelinestest.Repository) {
	t.Helper()
	s := clitest.New(t, run)
	repo := s.AddRepository("acme", "site")
	for _, c := range []struct {
		name  string
		bytes int
		age   time.Duration
	}{{"node", 3000, 5 * day}, {"node", 2000, time.Hour}, {"docker", 9000, 4 * day}, {"ma\x1b[2Jven", 500, 2 * time.Minute}} {
		s.Ago(c.age, func() { repo.AddCache(c.name, make([]byte, c.bytes)) })
	}
	return s, repo
}

func names(repo *pipelinestest.Repository) []string {
	all := []string{}
	for _, c := range repo.Caches() {
		all = append(all, c.Name)
	}
	return all
}

func TestItShowsTheSizesByName(t *testing.T) {
	s, _ := newStage(t)
	require.Equal(t, cli.Success, s.Run("--repo acme/site"), s.Errs.String())
	require.Equal(t, `NAME      VERSIONS    SIZE  NEWEST         OLDEST
docker           1  9.0 kB  4 days ago     4 days ago
node             2  5.0 kB  1 hour ago     5 days ago
ma[2Jven         1   500 B  2 minutes ago  2 minutes ago

4 caches, 15 kB
`, s.Out.String())
	require.Empty(t, s.Errs.String())
}

func TestItShowsOnlySelectedCaches(t *testing.T) {
	s, _ := newStage(t)
	require.Equal(t, cli.Success, s.Run("--repo acme/site --older 3d --name node"))
	require.Contains(t, s.Out.String(), "\n1 cache, 3.0 kB\n")
	require.Equal(t, cli.Success, s.Run("--repo acme/site --larger 1GiB"))
	require.Equal(t, "No cache of acme/site matches; it has 4 caches.\n", s.Out.String())
	s.AddRepository("acme", "empty")
	require.Equal(t, cli.Success, s.Run("--repo acme/empty"))
	require.Equal(t, "acme/empty has no caches.\n", s.Out.String())
}

func TestItDeletesCachesThatMatchAllFlags(t *testing.T) {
	for args, want := range map[string][]string{
		"--older 3d":               {"node", "ma\x1b[2Jven"},
		"--larger 2kB":             {"node", "ma\x1b[2Jven"}, // 2000 bytes is not larger
		"--older 108h":             {"node", "docker", "ma\x1b[2Jven"},
		"--older 3d --larger 5kB":  {"node", "node", "ma\x1b[2Jven"},
		"--name node":              {"docker", "ma\x1b[2Jven"},
		"--name nothing":           {"node", "node", "docker", "ma\x1b[2Jven"},
		"--older 30m --larger 100": {"ma\x1b[2Jven"},
	} {
		t.Run(args, func(t *testing.T) {
			s, repo := newStage(t)
			require.Equal(t, cli.Success, s.Run("--repo acme/site --delete "+args), s.Errs.String())
			require.Equal(t, want, names(repo))
			require.NotContains(t, s.Out.String(), "\x1b")
		})
	}
}

func TestADryRunPrintsTheSameAndDeletesNothing(t *testing.T) {
	s, repo := newStage(t)
	require.Equal(t, cli.Success, s.Run("--repo acme/site --delete --older 3d --dry-run"))
	require.Regexp(t, `^would delete node of 3\.0 kB, 5 days ago, \{.*\}
would delete docker of 9\.0 kB, 4 days ago, \{.*\}

would delete 2 of 2 caches, 12 kB
$`, s.Out.String())
	require.Len(t, repo.Caches(), 4)
	require.Empty(t, s.Changes())
}

func TestAFailureReportsTheProgress(t *testing.T) {
	s, repo := newStage(t)
	s.Inject(pipelinestest.Fault{Method: http.MethodDelete, Skip: 1, Times: 1, Status: http.StatusForbidden})
	require.Equal(t, cli.Trouble, s.Run("--repo acme/site --delete --larger 1kB"))
	require.Contains(t, s.Out.String(), "\ndeleted 1 of 3 caches, 3.0 kB\n")
	require.Contains(t, s.Errs.String(), "The credentials don't allow this")
	require.Len(t, repo.Caches(), 3)
}

func TestAMissingCacheCountsAsDeleted(t *testing.T) {
	s, _ := newStage(t)
	s.Inject(pipelinestest.Fault{Method: http.MethodDelete, Times: 1, Status: http.StatusNotFound})
	require.Equal(t, cli.Success, s.Run("--repo acme/site --delete --larger 1kB"), s.Errs.String())
	require.Contains(t, s.Out.String(), "\ndeleted 3 of 3 caches, 14 kB\n")
}

func TestAnInterruptEndsIt(t *testing.T) {
	s, repo := newStage(t)
	require.Equal(t, cli.Interrupted, s.RunInterrupted("--repo acme/site --delete --larger 1kB"))
	require.Len(t, repo.Caches(), 4)
}

func TestInvalidUsageIsRejected(t *testing.T) {
	for args, want := range map[string]string{
		"--repo acme/site --delete":                   "never deletes all",
		"--repo acme/site --dry-run":                  "--dry-run goes with --delete",
		"--repo acme/site --delete --name=":           "--name is empty",
		"--repo acme/site --delete --older 3d --repo": "--repo needs a value",
		"--repo acme/site node":                       "1 argument too many",
		"--repo acme/site --larger huge":              "not a size",
		"--repo acme/site --older week":               "neither a duration",
		"":                                            "--repo is missing",
	} {
		s, repo := newStage(t)
		s.Refuses(args, want)
		require.Len(t, repo.Caches(), 4)
	}
}

func TestTheDemoRunsWithoutCredentials(t *testing.T) {
	status, out, errs := clitest.Demo(t, run, "")
	require.Equal(t, cli.Success, status)
	require.Contains(t, errs, "demo")
	require.Regexp(t, `node +2 +5\.2 MB +3 hours ago +6 days ago`, out)
	clitest.RequireDemo(t, run, "--older 3d --delete", "deleted 2 of 2 caches, 16 MB")
}

func TestHelp(t *testing.T) {
	help := clitest.RequireHelp(t, run)
	require.Contains(t, help, "pipeline:write")
	require.Contains(t, strings.Join(strings.Fields(help), " "), cli.DemoRuns)
}

func TestOneCacheIsNotCalledCaches(t *testing.T) {
	s := clitest.New(t, run)
	s.AddRepository("acme", "site").AddCache("node", make([]byte, 3000))
	require.Equal(t, cli.Success, s.Run("--repo acme/site --name maven"))
	require.Equal(t, "No cache of acme/site matches; it has 1 cache.\n", s.Out.String())
	require.Equal(t, cli.Success, s.Run("--repo acme/site --name node --delete"))
	require.Contains(t, s.Out.String(), "\ndeleted 1 of 1 cache, 3.0 kB\n")
}
