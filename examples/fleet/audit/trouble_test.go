package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// path is that of a resource of a repository.
func path(slug, resource string) string { return "/repositories/acme/" + slug + "/" + resource }

func TestWhatCannotBeReadIsInTheReportWithTheReason(t *testing.T) {
	f := newFixture(t)
	e := f.addRandomWorkspace(rand.New(rand.NewPCG(5, 1)), 3, 4)
	f.Inject(pipelinestest.Fault{Path: path("repo-1", "pipelines_config/variables"), Status: http.StatusForbidden, Body: "Ask the owners."})
	f.Inject(pipelinestest.Fault{Path: path("repo-1", "pipelines_config/schedules"), Status: http.StatusNotFound, Body: "No such thing."})
	f.Inject(pipelinestest.Fault{Path: path("repo-2", "pipelines"), Status: http.StatusForbidden, Body: "Ask the owners."})
	require.Equal(t, cli.Failure, f.Run(f.args("")), &f.Errs)
	rep := f.report()
	require.Empty(t, rep.Incomplete)
	require.Len(t, rep.Unreadable, 3)
	for i, want := range []struct {
		repo, part, reason string
	}{{"acme/repo-1", partSchedules, "404"}, {"acme/repo-1", partVariables, "403"}, {"acme/repo-2", partRuns, "403"}} {
		row := rep.Unreadable[i]
		require.Equal(t, want.repo, row.Repository)
		require.Equal(t, []string{want.part}, row.Parts)
		require.Contains(t, row.Reason, want.reason)
		require.Zero(t, row.AsOf)
		require.Contains(t, f.Out.String(), row.Reason)
	}

	f.ClearFaults()
	e.requireTotals(t, f.audit(""))
	repo2 := f.AddRepository("acme", "repo-2")
	require.Len(t, f.Requests(), 1+2+3+2+len(repo2.Pipelines())+6+len(repo2.Environments()), "what was missing, and the settings of repo-2, which has new runs")

	f.Inject(pipelinestest.Fault{Path: path("repo-1", "pipelines_config/variables"), Status: http.StatusForbidden, Body: "Ask the owners."})
	require.Equal(t, cli.Failure, f.Run(f.args("--recheck 0")))
	rep = f.report()
	e.requireTotals(t, rep) // with what was known
	require.NotZero(t, rep.Unreadable[0].AsOf)
	f.ClearFaults()
	require.Empty(t, f.audit("").Unreadable)
}

func TestAMissingScopeIsAskedForOnlyOnce(t *testing.T) {
	f := newFixture(t, pipelinestest.WithToken("a-token", "repository", "pipeline"))
	f.addRandomWorkspace(rand.New(rand.NewPCG(5, 1)), 20, 1)
	require.Equal(t, cli.Failure, f.Run(f.args("")), &f.Errs)
	rep := f.report()
	require.Len(t, rep.Unreadable, 21, "the workspace and each repository")
	require.Contains(t, rep.Unreadable[3].Reason, "runner")
	asked := 0
	for _, r := range f.Requests() {
		if strings.HasSuffix(r.Path, "/runners") {
			asked++
		}
	}
	require.LessOrEqual(t, asked, 1+parallel)
}

func TestRepositoriesThatComeGoAndAreRenamed(t *testing.T) {
	f := newFixture(t)
	random := rand.New(rand.NewPCG(6, 1))
	e := newExpected()
	var repos []*pipelinestest.Repository
	for _, slug := range []string{"stays", "goes", "old-name"} {
		r := f.AddRepository("acme", slug)
		r.AddVariable(pipelines.Variable{Key: "K"})
		repos = append(repos, r)
		for range 5 {
			e.addRandomRun(r, random, f.now, 3600)
		}
	}
	require.Equal(t, e.total, f.audit("").BuildSeconds)

	repos[1].Delete()
	repos[2].Rename("new-name")
	fresh := f.AddRepository("acme", "fresh")
	e.addRandomRun(fresh, random, f.now, 3600)
	rep := f.audit("")
	require.Equal(t, e.total, rep.BuildSeconds)
	names := map[string]bool{}
	for _, r := range rep.Repositories {
		names[r.Repository] = !r.Gone.IsZero()
	}
	require.Equal(t, map[string]bool{"acme/stays": false, "acme/goes": true, "acme/new-name": false, "acme/fresh": false}, names)
	require.Len(t, rep.Variables, 2, "those of the repository that is gone don't count")

	f.audit("")
	for _, r := range f.Requests() {
		require.NotContains(t, r.Path, "goes")
	}
}

func TestARepositoryThatVanishesWhileItIsReadIsAskedForOnce(t *testing.T) {
	f := newFixture(t)
	gone := f.AddRepository("acme", "gone")
	f.AddRepository("acme", "stays")
	deleted := false
	f.Inject(pipelinestest.Fault{Path: "/workspaces/acme/pipelines-config/runners", Match: func(*http.Request) bool {
		if !deleted {
			deleted = true
			gone.Delete()
		}
		return false
	}})
	require.Equal(t, cli.Failure, f.Run(f.args("")), &f.Errs)
	rep := f.report()
	require.Len(t, rep.Unreadable, 1)
	require.Contains(t, rep.Unreadable[0].Reason, "not found")
	require.Len(t, rep.Unreadable[0].Parts, 7)
	asked := 0
	for _, r := range f.Requests() {
		if strings.Contains(r.Path, "/gone/") {
			asked++
		}
	}
	require.Equal(t, 1, asked)
}

func TestRunsThatHaveNotEndedAreReadAgain(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	script := pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Build", Duration: 100 * time.Second}, {Name: "Deploy", Duration: 50 * time.Second, Manual: true},
	}}
	var paused []*pipelines.Pipeline
	for i := range 110 { // more than a page
		paused = append(paused, r.AddRun(script, f.now.Add(-time.Duration(10+i)*time.Hour)))
	}
	for range 110 {
		r.AddRun(pipelinestest.Script{}, f.now.Add(-2*time.Hour))
	}
	require.Equal(t, 110*100, f.audit("").BuildSeconds)

	require.NoError(t, r.Resume(paused[109].UUID))
	f.now = f.now.Add(time.Hour)
	require.Equal(t, 110*100+50, f.audit("").BuildSeconds)
	require.Len(t, f.Requests(), 1+2+2+2+1+1, "a list of the newest runs on 2 pages, a list of the 109 that wait on 2, the run that went on, and its steps")
	require.Equal(t, 110*100+50, f.audit("").BuildSeconds)
	require.Len(t, f.Requests(), 1+2+2+2, "those that wait need no steps again")

	running := pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Hour}}}
	r.AddRun(running, f.now.Add(-10*time.Minute))
	require.Equal(t, 110*100+50+600, f.audit("").BuildSeconds)
	f.now = f.now.Add(20 * time.Minute)
	require.Equal(t, 110*100+50+1800, f.audit("").BuildSeconds)
	f.now = f.now.Add(20 * time.Hour)
	rep := f.audit("")
	require.Equal(t, 110*100+50+3600, rep.BuildSeconds)
	require.Equal(t, 109, rep.Repositories[0].Unended)
}

func TestAnyDateMayBeAuditedAfterAnyOther(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	total := 0 // of the last 50 days
	add := func(daysAgo int) {
		seconds := 10 + daysAgo
		r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Duration(seconds) * time.Second}}}, f.now.Add(-time.Duration(daysAgo)*day-time.Hour))
		total += seconds
	}
	for n := 50; n > 40; n-- {
		add(n)
	}
	since := func(days int) Report {
		return f.audit(fmt.Sprintf("--since %dd", days))
	}
	require.Equal(t, total, since(55).BuildSeconds)
	for n := 40; n > 0; n-- {
		for range 4 { // more than a page
			add(n)
		}
	}
	require.Equal(t, 4*(11+12), since(3).BuildSeconds)
	require.Equal(t, total, since(55).BuildSeconds)
	require.Equal(t, 4*(11+12), since(3).BuildSeconds)
}

func TestStepsThatAreRunAgainAreReadAgain(t *testing.T) {
	f := newFixture(t)
	f.AddRepository("acme", "site")
	seconds := 5
	f.Handle("GET /repositories/acme/site/pipelines", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"size":1,"values":[{"uuid":"{a}","created_on":%q,"state":{"name":"COMPLETED"},"build_seconds_used":%d}]}`,
			f.now.UTC().Format(time.RFC3339), seconds)
	}))
	f.Handle("GET /repositories/acme/site/pipelines/{run}/steps", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"values":[{"uuid":"{s}","name":"Build","build_seconds_used":%d}]}`, seconds)
	}))
	require.Equal(t, 5, f.audit("").BuildSeconds)
	seconds = 8
	rep := f.audit("")
	require.Equal(t, 8, rep.BuildSeconds)
	require.Equal(t, []BuildRow{{Repository: "acme/site", Step: "Build", BuildSeconds: 8, Runs: 1}}, rep.Steps)
}

func TestStepsOfARunThatRunsCountAlthoughTheListTellsNothing(t *testing.T) {
	f := newFixture(t)
	f.AddRepository("acme", "site")
	seconds := 5
	f.Handle("GET /repositories/acme/site/pipelines", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"size":1,"values":[{"uuid":"{a}","created_on":%q,"state":{"name":"IN_PROGRESS","stage":{"name":"RUNNING"}}}]}`, f.now.UTC().Format(time.RFC3339))
	}))
	f.Handle("GET /repositories/acme/site/pipelines/{run}/steps", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"values":[{"uuid":"{s}","name":"Build","build_seconds_used":%d}]}`, seconds)
	}))
	require.Equal(t, 5, f.audit("").BuildSeconds)
	seconds = 8
	require.Equal(t, 8, f.audit("").BuildSeconds)
}

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

func TestRunsAsTheServiceMaySendThem(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	for i := range 3 { // no steps, or none that tell
		r.AddPipeline(pipelines.Pipeline{CreatedOn: f.now.Add(-time.Duration(i) * time.Hour), DurationInSeconds: 30, BuildSecondsUsed: 70})
	}
	f.Handle("GET /repositories/acme/odd/pipelines", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"size":3,"values":[
			{"uuid":"{a}","build_number":3,"state":{"name":"COMPLETED"},"target":{"ref_name":"main"}},
			{"uuid":"{b}","build_number":2,"created_on":%q,"state":{"name":"COMPLETED"},"target":{"source":"topic"},"build_seconds_used":"7"},
			{"uuid":"{c}","build_number":1,"created_on":"2019-01-01T00:00:00Z","state":{"name":"COMPLETED"}}]}`, f.now.Add(-time.Hour).UTC().Format(time.RFC3339))
	}))
	f.Handle("GET /repositories/acme/odd/pipelines/{run}/steps", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"values":[{"uuid":"{s}","build_seconds_used":5},{"uuid":"{t}","name":"Test"}]}`)
	}))
	f.AddRepository("acme", "odd")
	rep := f.audit("")
	require.Equal(t, 3*70+5+7, rep.BuildSeconds)
	require.Equal(t, 5, rep.Runs, "the run without a time counts, the one of 2019 doesn't")
	require.Contains(t, rep.Steps, BuildRow{Repository: "acme/site", Step: NoStep, BuildSeconds: 210, Runs: 3})
	require.Contains(t, rep.Steps, BuildRow{Repository: "acme/odd", Step: "step 1", BuildSeconds: 10, Runs: 2})
	require.Contains(t, rep.Branches, BuildRow{Repository: "acme/odd", Branch: "topic", BuildSeconds: 7, Runs: 1})
}

// secrets are in the service, and nowhere in the output or the state.
var secrets = []string{"plain-value-3141", "secured-value-2718", "of-an-environment-1618", "of-the-workspace-1414", "PRIVATE", "of-a-runner-1732", "a-token"}

func TestNoValueIsInTheOutputOrTheState(t *testing.T) {
	f := newFixture(t)
	workspace, r := f.AddWorkspace("acme"), f.AddRepository("acme", "site")
	workspace.AddVariable(pipelines.Variable{Key: "A", Value: secrets[3]})
	workspace.AddRunner(pipelines.Runner{Name: "runner", OAuthClient: &pipelines.RunnerOAuthClient{Secret: secrets[5]}})
	r.AddVariable(pipelines.Variable{Key: "A", Value: secrets[0]})
	r.AddVariable(pipelines.Variable{Key: "B", Value: secrets[1], Secured: true})
	r.AddEnvironment("Production", pipelines.EnvironmentProduction).AddVariable(pipelines.Variable{Key: "A", Value: secrets[2]})
	r.SetKeyPair(pipelines.KeyPair{PrivateKey: "-----BEGIN PRIVATE KEY-----", PublicKey: "ssh-ed25519 " + hostKeys[0] + " someone"})
	r.AddRun(pipelinestest.Script{}, f.now)
	f.Inject(pipelinestest.Fault{Path: path("site", "pipelines_config/schedules"), Status: http.StatusForbidden})
	require.Equal(t, cli.Failure, f.Run(f.args("--html "+filepath.Join(f.dir, "report.html")+" --csv "+filepath.Join(f.dir, "csv"))))
	rep := f.report()
	require.Len(t, rep.Variables, 4)
	require.Regexp(t, `^SHA256:\S{43} ssh-ed25519 someone$`, rep.SSHKeys[0].Fingerprint)

	files := 0
	texts := f.Out.String() + f.Errs.String()
	require.NoError(t, filepath.WalkDir(f.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(name)
		texts += string(text)
		return err
	}))
	require.Equal(t, 2+10+2, files, "the state of the workspace and of a repository, ten tables, the page and the JSON")
	for _, secret := range secrets {
		require.NotContains(t, texts, secret)
	}
	for _, r := range f.Requests() {
		if strings.HasSuffix(r.Path, "/variables") {
			fields := strings.Split(r.Query.Get("fields"), ",")
			require.Contains(t, fields, "values.key")
			require.NotContains(t, fields, "values.value", "values aren't even asked for")
		}
	}
}

func TestAllAuditsTogetherKeepWithinTheQuotaOfAnyHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, pipelinestest.WithClock(time.Now), pipelinestest.WithQuota(100))
		f.addRandomWorkspace(rand.New(rand.NewPCG(7, 1)), 12, 20)
		var times []time.Time
		f.onRequest(func(int64) { times = append(times, time.Now()) })
		start := time.Now()
		for { // until one isn't interrupted
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Minute)
			status := f.RunContext(ctx, f.args("--quota 100"))
			cancel()
			if status == cli.Success {
				break
			}
			require.Equal(t, cli.Interrupted, status)
			require.Regexp(t, `about \d hours? at 100 requests an hour`, f.Errs.String())
		}
		require.Greater(t, len(times), 200)
		require.Less(t, time.Since(start), time.Duration(len(times)/100+2)*61*time.Minute, "the quota is used")
		for i := range times[:len(times)-100] {
			require.GreaterOrEqual(t, times[i+100].Sub(times[i]), time.Hour)
		}
		for _, r := range f.Requests() {
			require.NotEqual(t, http.StatusTooManyRequests, r.Status)
		}
	})
}

func TestAnAuditGoesOnWhenOthersHaveUsedUpTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, pipelinestest.WithClock(time.Now), pipelinestest.WithQuota(60))
		f.addRandomWorkspace(rand.New(rand.NewPCG(8, 1)), 8, 15)
		rep := f.audit("") // with the default of 1,000
		require.Empty(t, rep.Incomplete)
		require.Equal(t, 1, strings.Count(f.Errs.String(), "something else uses the quota"))
	})
}

// TestAKilledAuditContinues copies the state at a moment of the audit, as a process that is killed leaves it.
func TestAKilledAuditContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, pipelinestest.WithClock(time.Now))
		now := time.Now()
		e := newExpected()
		for i := range 4 {
			r := f.AddRepository("acme", fmt.Sprintf("repo-%d", i))
			for range 20 {
				e.addRandomRun(r, rand.New(rand.NewPCG(uint64(i), 1)), now, 3600)
			}
		}
		slow := pipelinestest.Fault{Latency: time.Second / 2}
		f.Inject(slow)
		want := f.audit("")
		all := len(f.Requests())
		for _, n := range []int64{2, 20, 60} {
			killed := filepath.Join(f.dir, fmt.Sprint("killed-", n))
			f.state = filepath.Join(f.dir, fmt.Sprint("state-", n))
			f.onRequest(func(sent int64) {
				if sent == n {
					require.NoError(t, os.CopyFS(killed, os.DirFS(f.state)))
				}
			})
			f.Inject(slow)
			require.Equal(t, cli.Success, f.Run(f.args("")))
			f.state = killed
			f.ClearFaults()
			requireSame(t, want, f.audit(""))
			require.LessOrEqual(t, int(n)+len(f.Requests()), all+4*parallel, "killed at request %d", n)
		}
	})
}

func TestErrorsThatEndAnAudit(t *testing.T) {
	f := newFixture(t)
	f.addRandomWorkspace(rand.New(rand.NewPCG(9, 1)), 3, 4)
	f.Inject(pipelinestest.Fault{Skip: 12, Status: http.StatusUnauthorized})
	require.Equal(t, cli.Trouble, f.Run(f.args("")))
	require.Contains(t, f.Errs.String(), "doesn't accept the credentials")
	require.Contains(t, f.Errs.String(), "The same command continues")
	require.Contains(t, f.report().Incomplete, "401")
	require.Contains(t, f.Out.String(), "This report is not complete: ")
	require.Len(t, f.report().Repositories, 3, "with what is known")
	require.Equal(t, NotRead, f.report().Steps[0].Step)
	f.ClearFaults()
	f.audit("")
	require.Contains(t, f.Errs.String(), "Continuing")

	require.Equal(t, cli.Trouble, f.Run("--workspace nobody"))
	require.Contains(t, f.Errs.String(), "nobody")
	require.Equal(t, cli.Interrupted, f.RunInterrupted(f.args("")))
}

func TestAnAuditWhoseStateCannotBeWrittenFails(t *testing.T) {
	f := newFixture(t)
	f.addRandomWorkspace(rand.New(rand.NewPCG(9, 1)), 3, 4)
	f.onRequest(func(n int64) {
		if n == 8 {
			require.NoError(t, os.RemoveAll(filepath.Join(f.state, "repositories")))
		}
	})
	require.Equal(t, cli.Trouble, f.Run(f.args("")))
	require.Contains(t, f.Errs.String(), "repositories")
	require.NotEmpty(t, f.report().Incomplete)
}

func TestAnAuditEndsWhenTheServiceCannotBeReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, pipelinestest.WithClock(time.Now))
		f.addRandomWorkspace(rand.New(rand.NewPCG(9, 1)), 30, 4)
		f.Inject(pipelinestest.Fault{Skip: 50, Drop: pipelinestest.DropBefore})
		require.Equal(t, cli.Trouble, f.Run(f.args("")))
		require.Less(t, len(f.Requests()), 50+5*(mostFailures+parallel))
		f.ClearFaults()
		require.Empty(t, f.audit("").Unreadable, "also what failed before is read when it continues")
	})
}

func TestArgumentsAreChecked(t *testing.T) {
	f := newFixture(t)
	file := filepath.Join(f.dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for args, want := range map[string]string{
		"":                                         "--workspace is missing",
		"--workspace ..":                           "no workspace",
		"--workspace acme extra":                   "1 argument too many",
		"--workspace acme --state=":                "--state is empty",
		"--workspace acme --since soon":            "--since is no date",
		"--workspace acme --since 3000-01-01":      "--since is in the future",
		"--workspace acme --quota 0":               "--quota is below 1",
		"--workspace acme --recheck never":         "--recheck: ",
		"--workspace acme --stale 0":               "--stale: ",
		"--workspace acme --html " + file + "/x/y": "--html: there is no directory",
		"--workspace acme --json " + f.dir:         "is a directory; it has to be a file",
		"--workspace acme --csv " + file:           "--csv: ",
		"--workspace acme --state " + file:         "is a file; it has to be a directory",
		"--demo --state " + f.state:                "the demo has nothing to remember",
	} {
		f.Refuses(args, want)
	}
	f.audit("")
	f.ClearRequests()
	f.Refuses("--workspace other --state "+f.state, "is the state of workspace acme")
	require.NoError(t, os.WriteFile(filepath.Join(f.state, "workspace.json"), []byte(`{"format":2}`), 0o600))
	f.Refuses("--workspace acme --state "+f.state, "has format 2; this program reads and writes format 1")
	require.NoError(t, os.WriteFile(filepath.Join(f.state, "workspace.json"), []byte("no"), 0o600))
	f.Refuses("--workspace acme --state "+f.state, "is no file of this program")

	clitest.SetCredentials(t, "")
	f.Refuses("--workspace acme", "--workspace needs credentials")
	f.Refuses("--workspace acme --state "+f.state, "needs credentials")
	f.Refuses("--state "+f.state, "--state needs credentials")
}

func TestTheSummaryNamesWhatItCounts(t *testing.T) {
	out := func(t *testing.T, args string) string {
		t.Helper()
		status, out, _ := clitest.Demo(t, Run, args)
		require.Equal(t, cli.Failure, status, "one repository of the demo can't be read")
		return out
	}
	text := out(t, "--demo --workspace other")
	require.Regexp(t, `^other since .*\d runs of 12 repositories\n`, text)
	require.Contains(t, text, "NOT READABLE")
	require.True(t, json.Valid([]byte(out(t, "--json -"))))
	clitest.RequireHelp(t, Run)
}
