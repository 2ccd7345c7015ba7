package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// fixture runs the program with a fake service.
type fixture struct {
	srv       *pipelinestest.Server
	repo      *pipelinestest.Repository
	html      string
	out, errs bytes.Buffer
	env       cli.Env
}

func newFixture(t *testing.T, credentials bool) *fixture {
	t.Helper()
	clitest.SetCredentials(t, "")
	s := &fixture{html: filepath.Join(t.TempDir(), "report.html")}
	s.env = cli.Env{Stdout: &s.out, Stderr: &s.errs}
	if credentials {
		t.Setenv("BITBUCKET_TOKEN", "a-token")
		s.srv = pipelinestest.NewServer(pipelinestest.WithInProcess())
		s.repo = s.srv.AddRepository("acme", "site")
		s.env.Options = []pipelines.Option{
			pipelines.WithHTTPClient(&http.Client{Transport: s.srv.Transport()}), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1}),
		}
	}
	return s
}

func (s *fixture) run(ctx context.Context, args ...string) int {
	return run(ctx, append([]string{"-zone", "UTC", "-o", s.html}, args...), s.env)
}

// report runs the program on acme/site and returns the output of --json.
func (s *fixture) report(t *testing.T, status int, args ...string) Report {
	t.Helper()
	require.Equal(t, status, s.run(t.Context(), append([]string{"-repo", "acme/site", "-json", "-"}, args...)...), s.errs.String())
	var rep Report
	require.NoError(t, json.Unmarshal(s.out.Bytes(), &rep))
	return rep
}

func (s *fixture) page(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(s.html)
	require.NoError(t, err)
	return string(page)
}

func tested(d time.Duration, failures ...string) pipelinestest.Step {
	step := pipelinestest.Step{Name: "Test", Duration: d, TestReport: &pipelinestest.TestReport{Passed: 3}}
	if len(failures) > 0 {
		fail(&step, failures...)
	}
	return step
}

func script(steps ...pipelinestest.Step) pipelinestest.Script {
	return pipelinestest.Script{Pending: 20 * time.Second, Steps: steps}
}

func TestTheDemoReportsOnFiveWeeksOfHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Hour) // later that day
		s := newFixture(t, false)
		jsonFile := filepath.Join(t.TempDir(), "report.json")
		require.Equal(t, cli.Success, s.run(t.Context(), "-demo", "-repo", "acme/site", "-json", jsonFile), s.errs.String())
		require.Contains(t, s.errs.String(), "demo")

		body, err := os.ReadFile(jsonFile)
		require.NoError(t, err)
		var rep Report
		require.NoError(t, json.Unmarshal(body, &rep))
		require.Equal(t, "acme/site", rep.Repository)
		require.Len(t, rep.Days, 30)
		require.Equal(t, "2000-01-01", rep.Days[29].Date)
		require.InDelta(t, 300, rep.Counts.Runs, 40)
		require.Equal(t, rep.Counts.Runs-rep.Counts.Unfinished, rep.StepsRead)
		require.Less(t, rep.Requests, 900)
		require.Len(t, rep.Pipelines, 5)
		require.Len(t, rep.Branches, 5)
		require.NotEmpty(t, rep.Flaky)
		require.Contains(t, []string{"checkout.PaymentIT.testTimeoutIsRetried", "search.IndexIT.testEventuallyConsistent", "mail.QueueIT.testOrder"}, rep.Flaky[0].Test)
		sum := 0
		for _, d := range rep.Days {
			sum += d.Counts.Runs
		}
		require.Equal(t, rep.Counts.Runs, sum)

		for _, words := range []string{"acme/site: ", "in 30 days", "Load test · custom: nightly", rep.Flaky[0].Test, s.html} {
			require.Contains(t, s.out.String(), words)
		}
		page := s.page(t)
		require.Equal(t, 3, strings.Count(page, "<figure>"))
		for _, heading := range []string{
			"Runs and success by day", "Duration by pipeline", "Build time by branch", "Build time by step", "The slowest steps",
			"The steps that fail most often", "Flaky tests", "Waiting before start",
		} {
			require.Contains(t, page, ">"+heading+"</h2>")
		}
	})
}

func TestATestThatFailsAndPassesOnOneCommitIsFoundFlaky(t *testing.T) {
	s := newFixture(t, true)
	now := time.Now()
	s.repo.AddRun(script(tested(time.Minute, "cart.TotalTest", "cart.TaxTest")), now.Add(-2*time.Hour))
	s.repo.AddRun(script(tested(time.Minute)), now.Add(-time.Hour)) // on the same commit
	s.repo.AddBranch("main", "ffffffffffffffffffffffffffffffffffffffff")
	s.repo.AddRun(script(tested(time.Minute, "cart.BrokenTest")), now.Add(-30*time.Minute))
	rep := s.report(t, cli.Success, "-days", "2")
	require.Len(t, rep.Flaky, 2)
	require.Equal(t, "cart.TaxTest", rep.Flaky[0].Test)
	require.Equal(t, 1, rep.Flaky[0].LastRun)
	require.Equal(t, "https://bitbucket.org/acme/site/pipelines/results/1", rep.Flaky[0].LastURL)
	require.Equal(t, 1, rep.Steps[0].Flaky)
	require.InDelta(t, 20, rep.Wait.P99, 0)
	require.Contains(t, s.page(t), `<a href="https://bitbucket.org/acme/site/pipelines/results/1">#1</a>`)
	require.Contains(t, s.errs.String(), "cart.TaxTest")
}

func TestReadingEndsWhereRunsAreOlder(t *testing.T) {
	s := newFixture(t, true)
	now := time.Now()
	for i := range 1000 {
		s.repo.AddPipeline(pipelines.Pipeline{CreatedOn: now.Add(-time.Duration(i) * time.Hour)})
	}
	rep := s.report(t, cli.Success, "-days", "3", "-parallel", "2")
	require.Equal(t, len(s.srv.RequestsTo("", "")), rep.Requests)
	require.InDelta(t, 60, rep.Counts.Runs, 13)
	lists := len(s.srv.RequestsTo(http.MethodGet, "/repositories/{workspace}/{repo_slug}/pipelines"))
	require.LessOrEqual(t, lists, 3, "of ten pages")
}

func TestARunThatTheListRepeatsCountsOnce(t *testing.T) {
	s := newFixture(t, true)
	now := time.Now()
	for range 150 {
		s.repo.AddPipeline(pipelines.Pipeline{CreatedOn: now.Add(-time.Minute)})
	}
	var once sync.Once
	s.env.Options = append(s.env.Options, pipelines.WithObserver(func(pipelines.Attempt) {
		once.Do(func() { s.repo.AddPipeline(pipelines.Pipeline{CreatedOn: now}) }) // shifts the others by one
	}))
	rep := s.report(t, cli.Success, "-days", "2", "-parallel", "1")
	require.Equal(t, 150, rep.Counts.Runs)
	require.Len(t, s.srv.RequestsTo(http.MethodGet, "/repositories/acme/site/pipelines"), 2)
}

func TestTheBudgetIsKeptAndTheNewestRunsAreRead(t *testing.T) {
	s := newFixture(t, true)
	now := time.Now()
	for i := 20; i > 0; i-- {
		s.repo.AddRun(script(tested(time.Second)), now.Add(-time.Duration(i)*time.Minute))
	}
	rep := s.report(t, cli.Trouble, "-days", "2", "-max-requests", "8", "-parallel", "1")
	require.Len(t, s.srv.Requests(), 8)
	require.Equal(t, 8, rep.Requests)
	require.Equal(t, 20, rep.Counts.Runs)
	require.Equal(t, 7, rep.StepsRead)
	require.Contains(t, rep.Incomplete, "-max-requests")
	require.Contains(t, s.errs.String(), "not complete")
	require.Contains(t, s.page(t), "This report is not complete:")
	for _, r := range s.srv.RequestsTo(http.MethodGet, "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps") {
		require.NotContains(t, []string{"13", "12", "1"}, strings.Split(r.Path, "/")[6], "older than the seven newest")
	}
}

func TestAFailureWhileReadingLeavesAPartialReport(t *testing.T) {
	s := newFixture(t, true)
	now := time.Now()
	for i := 5; i > 0; i-- {
		s.repo.AddRun(script(tested(time.Second)), now.Add(-time.Duration(i)*time.Minute))
	}
	s.srv.Inject(pipelinestest.Fault{Path: "/repositories/{w}/{r}/pipelines/{p}/steps", Skip: 3, Status: http.StatusBadGateway})
	rep := s.report(t, cli.Trouble, "-days", "2", "-parallel", "1")
	require.Equal(t, 3, rep.StepsRead)
	require.Contains(t, rep.Incomplete, "502")
}

func TestWithoutRunsTheErrorIsReported(t *testing.T) {
	s := newFixture(t, true)
	s.srv.Inject(pipelinestest.Fault{Status: http.StatusForbidden})
	require.Equal(t, cli.Trouble, s.run(t.Context(), "-repo", "acme/site"))
	require.Contains(t, s.errs.String(), "403")
	require.NoFileExists(t, s.html)
}

func TestAnEmptyRepositoryHasAReport(t *testing.T) {
	s := newFixture(t, true)
	rep := s.report(t, cli.Success)
	require.Zero(t, rep.Counts)
	require.Len(t, rep.Days, 30)
	require.Contains(t, s.page(t), "There are no runs in these days.")
}

func TestNamesFromTheServiceAreEscaped(t *testing.T) {
	s := newFixture(t, true)
	step := tested(time.Minute, "<script>alert(1)</script>")
	step.Name = "\x1b[2J<b>Test</b>"
	s.repo.AddRun(script(step), time.Now().Add(-time.Hour))
	step.Result, step.TestReport = "", nil
	s.repo.AddRun(script(step), time.Now().Add(-30*time.Minute))
	require.Equal(t, cli.Success, s.run(t.Context(), "-repo", "acme/site"))
	require.NotContains(t, s.out.String(), "\x1b")
	require.NotContains(t, s.page(t), "<script")
	require.NotContains(t, s.page(t), "<b>")
	require.Contains(t, s.page(t), "&lt;script&gt;")
}

func TestAnInterruptWritesNoReport(t *testing.T) {
	s := newFixture(t, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, cli.Interrupted, s.run(ctx, "-repo", "acme/site"))
	require.NoFileExists(t, s.html)
}

func TestUsage(t *testing.T) {
	for name, tt := range map[string]struct {
		args        []string
		credentials bool
		status      int
		want        string
	}{
		"help":            {[]string{"-h"}, false, cli.Success, "Scope: pipeline"},
		"unknown flag":    {[]string{"-frobnicate"}, false, cli.Trouble, "there is no flag --frobnicate"},
		"argument":        {[]string{"acme/site"}, false, cli.Trouble, "1 argument too many"},
		"no repository":   {nil, true, cli.Trouble, "--repo is missing"},
		"no credentials":  {[]string{"--repo", "acme/site"}, false, cli.Trouble, "--repo needs credentials"},
		"empty branch":    {[]string{"--branch="}, false, cli.Trouble, "--branch is empty"},
		"malformed":       {[]string{"--repo", "site"}, true, cli.Trouble, "workspace/slug"},
		"another repo":    {[]string{"--demo", "--repo", "acme/shop"}, true, cli.Trouble, "--repo: the demo has acme/site, but not acme/shop"},
		"no days":         {[]string{"--days", "0"}, false, cli.Trouble, "--days"},
		"no requests":     {[]string{"--max-requests", "0"}, false, cli.Trouble, "--max-requests"},
		"nothing at once": {[]string{"--parallel", "0"}, false, cli.Trouble, "--parallel"},
		"no such zone":    {[]string{"--zone", "Nowhere"}, false, cli.Trouble, `--zone: there is no time zone "Nowhere"`},
		"no such folder":  {[]string{"--days", "1", "--o", "/nonexistent/r.html"}, false, cli.Trouble, "/nonexistent"},
		"no HTML there":   {[]string{"--o", "-"}, false, cli.Trouble, "--o needs a file"},
		"one file":        {[]string{"--o", "a/../r", "--json", "./r"}, false, cli.Trouble, "the same file"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, tt.credentials)
			require.Equal(t, tt.status, run(t.Context(), append([]string{"-o", s.html}, tt.args...), s.env))
			require.Contains(t, s.out.String()+s.errs.String(), tt.want)
			require.Equal(t, tt.status == cli.Trouble, strings.HasSuffix(s.errs.String(), "\n-h explains all flags.\n"))
		})
	}
}

// brokenList fails for all pages but the first.
var brokenList = pipelinestest.Fault{Path: "/repositories/{w}/{r}/pipelines", Skip: 1, Status: http.StatusBadGateway}

func TestWhereTheReportIsSaidFromWhereTheUserStands(t *testing.T) {
	s := newFixture(t, false)
	folder, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	t.Chdir(folder) // as "go -C" does
	require.Equal(t, cli.Success, run(t.Context(), []string{"-o", "report.html", "-json", "report.json"}, s.env))
	require.Contains(t, s.out.String(), "The whole report: "+filepath.Join(folder, "report.html")+"\n")
	require.Contains(t, s.out.String(), "As JSON: "+filepath.Join(folder, "report.json")+"\n")
}

func TestAnEmptyNameIsNoFile(t *testing.T) {
	s := newFixture(t, false)
	t.Chdir(t.TempDir())
	require.Equal(t, cli.Success, run(t.Context(), []string{"--o", "", "--json", "-", "--days", "2"}, s.env))
	require.True(t, json.Valid(s.out.Bytes()))
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, files)
	require.NotContains(t, s.errs.String(), "The whole report")
}

func TestOneOfAThingIsNotSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Hour) // later that day
		s := newFixture(t, true)
		s.repo.AddRun(script(tested(time.Second)), time.Now().Add(-time.Hour))
		require.Equal(t, cli.Success, s.run(t.Context(), "--repo", "acme/site", "--days", "1"))
		page, summary := s.page(t), s.out.String()
		require.Contains(t, page, "1 day. Read with 2 requests; steps of 1 run.")
		for _, wrong := range []string{" 1 days", " 1 runs", " 1 requests"} {
			require.Zero(t, strings.Count(page+summary, wrong), wrong)
		}
	})
}
