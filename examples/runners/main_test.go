package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func newStage(t *testing.T) (*clitest.Fixture, *pipelinestest.Repository, *pipelinestest.Workspace) {
	t.Helper()
	s := clitest.New(t, run)
	seed(s.Server)
	return s, s.AddRepository("acme", "site"), s.AddWorkspace("acme")
}

func names(runners []pipelines.Runner) []string {
	var all []string
	for _, r := range runners {
		all = append(all, r.Name)
	}
	return all
}

func TestItShowsTheRunnersOfBothOwners(t *testing.T) {
	s, repo, _ := newStage(t)
	repo.AddRunner(pipelines.Runner{Name: "e\x1b[2Jvil\nname", State: pipelines.RunnerState{Status: "NEW_ONE", UpdatedOn: time.Now().Add(-time.Minute)}})
	require.Equal(t, cli.Success, s.Run("--repo acme/site --workspace acme"), s.Errs.String())
	out := s.Out.String()
	require.Regexp(t, `(?m)^acme/site +mac mini +ONLINE +5 hours ago +3\.18\.0 \(current: 3\.21\.0\) +self\.hosted macos +\{`, out)
	require.Regexp(t, `(?m)^acme +rack 1 +ONLINE, cordoned +1 week ago `, out)
	require.Regexp(t, `(?m)^acme/site +e\[2Jvil name +NEW_ONE +1 minute ago +- +\{`, out)
	require.Contains(t, out, "\n6 runners, 2 online\n")
	for _, r := range repo.Runners() {
		require.NotContains(t, out, r.OAuthClient.Secret)
	}

	require.Equal(t, cli.Success, s.Run("--workspace acme"))
	require.NotContains(t, s.Out.String(), "mac mini")
	require.Equal(t, cli.Success, s.Run("--repo acme/site"))
	require.NotContains(t, s.Out.String(), "rack")
}

func TestStaleRunnersAreListedAndFailTheCheck(t *testing.T) {
	s, _, workspace := newStage(t)
	workspace.AddRunner(pipelines.Runner{Name: "switched off", State: pipelines.RunnerState{
		Status: pipelines.RunnerDisabled, UpdatedOn: time.Now().Add(-90 * 24 * time.Hour),
	}})
	for stale, want := range map[string][]string{"1h": {"laptop", "rack 2", "rack 3"}, "24h": {"laptop", "rack 3"}, "3d": {"rack 3"}} {
		require.Equal(t, cli.Failure, s.Run("--repo acme/site --workspace acme --stale "+stale))
		for _, name := range []string{"mac mini", "laptop", "rack 1", "rack 2", "rack 3", "switched off"} {
			require.Equal(t, slices.Contains(want, name), strings.Contains(s.Out.String(), " "+name+" "), "%s %s", stale, name)
		}
	}
	require.Equal(t, cli.Success, s.Run("--repo acme/site --stale 90d"))
	require.Equal(t, "2 runners, none offline for 90d or longer\n", s.Out.String())
	require.Empty(t, s.Changes())
}

func TestADryRunDeletesNothing(t *testing.T) {
	s, _, _ := newStage(t)
	require.Equal(t, cli.Failure, s.Run("--repo acme/site --workspace acme --stale 24h --delete --dry-run"))
	require.Contains(t, s.Out.String(), "would delete 2 runners\n")
	require.Empty(t, s.Changes())
}

func TestItDeletesTheStaleOnes(t *testing.T) {
	s, repo, workspace := newStage(t)
	require.Equal(t, cli.Success, s.Run("--repo acme/site --workspace acme --stale 24h --delete"), s.Errs.String())
	require.Contains(t, s.Out.String(), "deleted 2 of 2 runners\n")
	require.Equal(t, []string{"mac mini"}, names(repo.Runners()))
	require.Equal(t, []string{"rack 1", "rack 2"}, names(workspace.Runners()))
}

func TestARunnerThatCameBackIsKept(t *testing.T) {
	s, repo, _ := newStage(t)
	laptop := repo.Runners()[1]
	s.Inject(pipelinestest.Fault{
		Path: "/repositories/acme/site/pipelines-config/runners/*", Times: 1,
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: `{"uuid":"` + laptop.UUID + `","name":"laptop","state":{"status":"ONLINE"}}`,
	})
	require.Equal(t, cli.Success, s.Run("--repo acme/site --stale 24h --delete"), s.Errs.String())
	require.Contains(t, s.Out.String(), "came back: laptop of acme/site")
	require.Contains(t, s.Out.String(), "deleted 0 of 1 runner\n")
	require.Len(t, repo.Runners(), 2)
}

func TestAMissingRunnerIsIgnored(t *testing.T) {
	s, _, _ := newStage(t)
	s.Inject(pipelinestest.Fault{Method: http.MethodDelete, Times: 1, Status: http.StatusNotFound})
	require.Equal(t, cli.Success, s.Run("--repo acme/site --workspace acme --stale 24h --delete"), s.Errs.String())
	require.Contains(t, s.Out.String(), "was deleted already: laptop of acme/site")
	require.Contains(t, s.Out.String(), "deleted 1 of 2 runners\n")
}

func TestFailuresAndInterruptsAreReported(t *testing.T) {
	s, repo, workspace := newStage(t)
	s.Inject(pipelinestest.Fault{Method: http.MethodDelete, Skip: 1, Status: http.StatusForbidden})
	require.Equal(t, cli.Trouble, s.Run("--repo acme/site --workspace acme --stale 24h --delete"))
	require.Contains(t, s.Out.String(), "deleted 1 of 2 runners\n")
	require.Contains(t, s.Errs.String(), "don't allow this")
	require.Len(t, repo.Runners(), 1)
	require.Len(t, workspace.Runners(), 3)
	require.Equal(t, cli.Trouble, s.Run("--workspace nowhere"))
	require.Contains(t, s.Errs.String(), "runners: the runners of nowhere: ")
	require.Equal(t, cli.Interrupted, s.RunInterrupted("--repo acme/site"))
}

func TestInvalidUsageIsRejected(t *testing.T) {
	for args, want := range map[string]string{
		"":                                      "--repo WORKSPACE/SLUG or --workspace WORKSPACE is missing",
		"--repo acme/site --delete":             "--delete goes with --stale",
		"--repo acme/site --stale 1d --dry-run": "--dry-run goes with --delete",
		"--repo acme":                           "--repo: repository",
		"--repo acme/site --workspace=":         "--workspace is empty",
		"--workspace acme --stale never":        "neither a duration",
	} {
		s := clitest.New(t, run)
		s.Refuses(args, want)
	}
	status, _, errs := clitest.Demo(t, run, "--workspace acme")
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, errs, "--workspace needs credentials")
}

func TestTheDemoRunsWithoutCredentials(t *testing.T) {
	status, out, errs := clitest.Demo(t, run, "")
	require.Equal(t, cli.Success, status)
	require.Contains(t, errs, "demo")
	require.Contains(t, out, "5 runners, 2 online")
	clitest.RequireDemo(t, run, "--stale 24h --delete", "deleted 2 of 2 runners")
}

func TestHelp(t *testing.T) {
	require.Contains(t, clitest.RequireHelp(t, run), "runner:write")
}

func TestNoRunnersAndOneRunnerAreSaidInWords(t *testing.T) {
	s := clitest.New(t, run)
	repo := s.AddRepository("acme", "site")
	s.AddWorkspace("acme")
	require.Equal(t, cli.Success, s.Run("--repo acme/site"))
	require.Equal(t, "acme/site has no runners.\n", s.Out.String())
	require.Equal(t, cli.Success, s.Run("--repo acme/site --workspace acme --stale 24h --delete"))
	require.Equal(t, "acme/site and acme have no runners.\n", s.Out.String())
	repo.AddRunner(pipelines.Runner{Name: "mac", State: pipelines.RunnerState{Status: pipelines.RunnerOffline, UpdatedOn: time.Now().Add(-2 * time.Hour)}})
	require.Equal(t, cli.Success, s.Run("--repo acme/site --stale 24h"))
	require.Equal(t, "1 runner, none offline for 1d or longer\n", s.Out.String())
	require.Equal(t, cli.Failure, s.Run("--repo acme/site --stale 1h"))
	require.Contains(t, s.Out.String(), "\n1 of 1 runner offline for 1h or longer\n")
	require.Equal(t, cli.Success, s.Run("--repo acme/site"))
	require.Contains(t, s.Out.String(), "\n1 runner, 0 online\n")
}
