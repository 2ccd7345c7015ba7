package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// newService returns a service with some repositories, and a Redis in memory.
func newService(t *testing.T, repositories int) (*pipelinestest.Server, []*pipelinestest.Repository) {
	t.Helper()
	srv := pipelinestest.NewServer(pipelinestest.WithToken("a-token"))
	t.Cleanup(srv.Close)
	var repos []*pipelinestest.Repository
	for i := range repositories {
		repos = append(repos, srv.AddRepository("acme", fmt.Sprintf("r%d", i)))
	}
	address, stop, err := startMiniredis()
	require.NoError(t, err)
	t.Cleanup(stop)
	setEnvironment(t, address, srv.URL())
	return srv, repos
}

// fastFlags are flags of start with short delays.
var fastFlags = []string{"-campaign", "c", "-repos", "-", "-quota", "1000", "-per", "1s"}

func startArgs(action ...string) []string {
	return append(append([]string{"start"}, fastFlags...), action...)
}

func work(t *testing.T) {
	t.Helper()
	fleet(t, cli.Success, "", "work", "-campaign", "c", "-retry-delay", "10ms")
}

func TestTheDemoWorksWithoutCredentials(t *testing.T) {
	setEnvironment(t, "", "")
	t.Setenv("BITBUCKET_TOKEN", "")
	out, errs := fleetBoth(t, cli.Failure, "", "run", "-quota", "1000", "-per", "1s")
	require.Contains(t, errs, "No credentials in the environment: this is a demo against a fake service.\n")
	require.Contains(t, out, "  changed     215\n  already so  24\n  failed      2\n")
	require.Regexp(t, `acme/service-042 +GET .*403 Forbidden: This repository is locked\.`, out)
	require.Regexp(t, `acme/deleted-meanwhile .*404`, out)
}

func TestAFailureIsListedWithItsReasonAndRetriedOnRequest(t *testing.T) {
	srv, repos := newService(t, 3)
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r1/pipelines_config/variables", Status: http.StatusForbidden, Body: "\x1b[2Jlocked"})
	list := "acme/r0\nacme/r1 \n\n# no more\nacme/r0\n"
	require.Contains(t, fleet(t, cli.Success, list, startArgs("variable", "K", "v")...), "K in 2 repositories")
	require.Contains(t, fleet(t, cli.Success, list, startArgs("variable", "K", "v")...), "Put into Redis: 0 repositories. Waiting there already: 2.")
	require.Contains(t, fleet(t, cli.Trouble, "", "status", "-campaign", "c"), "left        2")
	work(t)
	out := fleet(t, cli.Failure, "", "status", "-wait", "-campaign", "c")
	require.Regexp(t, `acme/r1 .*403 Forbidden: .*locked`, out)
	require.NotContains(t, out, "\x1b")

	srv.ClearFaults()
	srv.ClearRequests()
	fleet(t, cli.Success, list+"acme/r2\n", append(startArgs("-retry-failed"), "variable", "K", "v")...)
	work(t)
	require.Contains(t, fleet(t, cli.Success, "", "status", "-campaign", "c"), "changed     3\n")
	require.Len(t, srv.Requests(), 4, "two repositories, and nothing of the one that was done")
	for _, r := range repos {
		require.Len(t, r.Variables(), 1)
	}
	require.Contains(t, fleet(t, cli.Trouble, list, startArgs("variable", "K", "other")...), "another campaign has this name")
	fleet(t, cli.Success, "", "forget", "-campaign", "c")
	require.Contains(t, fleet(t, cli.Trouble, "", "status", "-campaign", "c"), "no such campaign")
}

func TestTemporaryErrorsAreRetried(t *testing.T) {
	srv, repos := newService(t, 2)
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r0/pipelines_config/variables", Status: http.StatusInternalServerError, Times: 1})
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r1/pipelines_config/variables", Status: http.StatusInternalServerError})
	once := pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", append(startArgs("-attempts", "2"), "variable", "K", "v")...)
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: t.Output(), Stderr: t.Output(), Options: []pipelines.Option{once}}
	require.Equal(t, cli.Success, run(t.Context(), []string{"work", "-campaign", "c", "-retry-delay", "10ms"}, env))
	out := fleet(t, cli.Failure, "", "status", "-campaign", "c")
	require.Regexp(t, `acme/r1 .*500`, out)
	require.Len(t, repos[0].Variables(), 1)
	require.Len(t, srv.RequestsTo("GET", "/repositories/acme/r1/pipelines_config/variables"), 2)
}

func TestRefusedCredentialsStopTheWorkerAndLoseNothing(t *testing.T) {
	_, repos := newService(t, 2)
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", startArgs("pipelines", "off")...)
	t.Setenv("BITBUCKET_TOKEN", "expired")
	require.Contains(t, fleet(t, cli.Trouble, "", "work", "-campaign", "c"), "doesn't accept the credentials")
	require.Contains(t, fleet(t, cli.Trouble, "", "status", "-campaign", "c"), "left        2")
	require.True(t, repos[0].PipelinesEnabled())
}

func TestActionsChangeOnlyWhatDiffers(t *testing.T) {
	srv, repos := newService(t, 2)
	repos[0].AddSchedule(pipelines.Schedule{Enabled: true})
	off := func() (out string) {
		for _, kind := range []string{kindSchedules, kindPipelines} {
			out += fleet(t, cli.Success, "acme/r0\nacme/r1\n", append(append([]string{"run"}, fastFlags...), kind, "off")...)
			fleet(t, cli.Success, "", "forget", "-campaign", "c")
		}
		return out
	}
	require.Contains(t, off(), "changed     1\n  already so  1\n", "one has schedules")
	require.False(t, repos[0].Schedules()[0].Enabled)
	require.False(t, repos[0].PipelinesEnabled())
	require.False(t, repos[1].PipelinesEnabled())
	srv.ClearRequests()
	require.NotContains(t, off(), "changed")
	for _, r := range srv.Requests() {
		require.Equal(t, http.MethodGet, r.Method, "%s", r)
	}
}

func TestASecuredValueStaysOutOfRedis(t *testing.T) {
	_, repos := newService(t, 1)
	require.Contains(t, fleet(t, cli.Trouble, "acme/r0\n", append(startArgs("-secured"), "variable", "K", "v")...), "no place in Redis")
	fleet(t, cli.Success, "acme/r0\n", append(startArgs("-secured", "-value-env", "THE_VALUE"), "variable", "K")...)
	require.Contains(t, fleet(t, cli.Trouble, "", "work", "-campaign", "c"), "THE_VALUE")
	t.Setenv("THE_VALUE", "s3cret")
	work(t)
	require.Equal(t, "s3cret", repos[0].Variables()[0].Value)
	require.True(t, repos[0].Variables()[0].Secured)
}

func TestASecuredVariableStaysSecuredUnlessItsValueIsEmpty(t *testing.T) {
	_, repos := newService(t, 2)
	for _, r := range repos {
		r.AddVariable(pipelines.Variable{Key: "K", Value: "old", Secured: true})
	}
	fleet(t, cli.Success, "acme/r0\n", append(append([]string{"run"}, fastFlags...), "variable", "K", "new")...)
	require.Equal(t, "new", repos[0].Variables()[0].Value)
	require.True(t, repos[0].Variables()[0].Secured)

	fleet(t, cli.Success, "", "forget", "-campaign", "c")
	out := fleet(t, cli.Failure, "acme/r1\n", append(append([]string{"run"}, fastFlags...), "variable", "K", "")...)
	require.Regexp(t, `acme/r1 +secured variable "K" has no value`, out)
	require.Equal(t, "old", repos[1].Variables()[0].Value)
}

func TestTheReportHasARowForEachRepositoryOfTheWorkspace(t *testing.T) {
	const repositories = 101 // a page of the service has a hundred
	srv, repos := newService(t, repositories)
	repos[0].AddPipelines(3)
	fleet(t, cli.Success, "", "start", "-campaign", "c", "-workspace", "acme", "-quota", "1000", "-per", "1s", "report")
	listing := srv.RequestsTo("GET", "/repositories/acme")
	require.Len(t, listing, 2)
	require.Equal(t, "2", listing[1].Query.Get("page"))
	work(t)
	out := fleet(t, cli.Success, "", "results", "-campaign", "c")
	require.Equal(t, 1+repositories, strings.Count(out, "\n"))
	require.Regexp(t, `^repository,result,reason,last run,state,branch,started,seconds
acme/r0,read,,3,SUCCESSFUL,main,\d{4}-.*Z,\d+
acme/r1,read,,,never ran,,,
`, out)
}

func TestTheReportLeavesOutATimeThatIsUnknownAndHasTheBranchOfAPullRequest(t *testing.T) {
	srv, _ := newService(t, 1)
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r0/pipelines", Status: http.StatusOK, Body: `{"values": [{"build_number": 7,
		"state": {"name": "PENDING"}, "target": {"type": "pipeline_pullrequest_target", "source": "fix", "destination": "main"}}]}`})
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	work(t)
	require.Contains(t, fleet(t, cli.Success, "", "results", "-campaign", "c"), "\nacme/r0,read,,7,PENDING,fix,,0\n")
}

func TestAPlanEstimatesTheDurationAndDoesNotChangeRedis(t *testing.T) {
	newService(t, 1)
	names := make([]string, 2000)
	for i := range names {
		names[i] = fmt.Sprintf("acme/r%d", i)
	}
	out := fleet(t, cli.Success, strings.Join(names, "\n"), "plan", "-campaign", "c", "-repos", "-", "-quota", "1000", "variable", "K", "v")
	require.Contains(t, out, "About 4,000 requests; at 1,000 requests in 1h that takes 4h2m")
	require.Contains(t, fleet(t, cli.Trouble, "", "status", "-campaign", "c"), "no such campaign")
}

func TestInvalidFlagsAreRejected(t *testing.T) {
	newService(t, 1)
	for args, want := range map[string]string{
		"fly":                               "no such command",
		"start -repos - variable A b":       "-campaign has to be",
		"start -campaign c variable A b":    "name the repositories with --workspace or --repos",
		"start -campaign c -repos - dance":  "no such action",
		"start -campaign c -repos - report": "there are no repositories",
		"start -campaign c -repos " + filepath.Join(t.TempDir(), "none") + " report": "none",
		"start -campaign c -repos - -quota 1 report":                                 "-quota",
		"work -campaign c -concurrency 0":                                            "-concurrency",
		"status -campaign c -redis http://user:hunter2@host more":                    "what is",
		"status -campaign c -redis http://user:hunter2@host":                         "no URL of Redis",
	} {
		_, errs := fleetBoth(t, cli.Trouble, "", strings.Fields(args)...)
		require.Contains(t, errs, want, args)
		require.NotContains(t, errs, "hunter2")
	}
}

func TestEachCommandExplainsItself(t *testing.T) {
	setEnvironment(t, "redis://:hunter2@127.0.0.1:1", "")
	require.Contains(t, clitest.RequireHelp(t, run), "ACTION comes last")
	for name := range commands {
		help := clitest.RequireHelp(t, run, name)
		require.Contains(t, help, "fleet "+name+" ")
		require.NotContains(t, help, "hunter2")
	}
}

func TestTheLimitNeverExceedsTheQuota(t *testing.T) {
	for _, requests := range []int{2, 10, 900, 1000, 10000} {
		q := quota{Requests: requests, Per: time.Hour}
		l := q.limit()
		require.Equal(t, requests, l.Rate+l.Burst)
		require.Positive(t, l.Burst)
	}
	require.Equal(t, 10*time.Hour, quota{Requests: 1000, Per: time.Hour}.duration(10+9900).Round(time.Second))
}
