package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// inBubble runs a test with a service that has the repository acme/site.
func inBubble(t *testing.T, do func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := clitest.New(t, run)
		do(t, s, s.AddRepository("acme", "site"))
	})
}

// script is a run of one step.
func script(d time.Duration, result pipelines.ResultName) pipelinestest.Script {
	step := pipelinestest.Step{Name: "Test", Duration: d, Result: result, Log: "one\n\x1b[2Jtwo\nthree\n"}
	return pipelinestest.Script{Parsing: time.Second, Pending: time.Second, Steps: []pipelinestest.Step{step}}
}

func TestItTellsTheStatesOfRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		s.Ago(time.Hour, func() { repo.AddPipelines(5) })
		repo.AddRun(script(5*time.Minute, pipelines.ResultFailed), time.Now())
		time.AfterFunc(time.Minute, func() { repo.AddRun(script(10*time.Second, ""), time.Now(), pipelines.BranchTarget("quick")) })
		time.AfterFunc(5*time.Minute, func() {
			paused := script(time.Minute, "")
			paused.Steps = append(paused.Steps, pipelinestest.Step{Name: "Deploy", Manual: true})
			repo.AddRun(paused, time.Now())
		})
		time.AfterFunc(15*time.Minute, func() { _ = repo.Resume("8") })
		require.Equal(t, cli.Success, s.RunFor(20*time.Minute, "acme/site"))
		out := s.Out.String()
		for _, want := range []string{
			"1 repository, each read about every 10s; 1 run followed; at most 1,000 requests an hour\n",
			"build 6 of acme/site on main is PARSING\n",
			"build 6 of acme/site on main is RUNNING\n",
			"build 6 of acme/site on main: FAILED after 5:02: https://bitbucket.org/acme/site/pipelines/results/6\n",
			"build 7 of acme/site on quick: SUCCESSFUL after 0:12: ",
			"build 8 of acme/site on main waits for a person: https://bitbucket.org/acme/site/pipelines/results/8\n",
			"build 8 of acme/site on main: SUCCESSFUL after ",
		} {
			require.Equal(t, 1, strings.Count(out, want), "%s in\n%s", want, out)
		}
		require.NotContains(t, out, "build 5 ", "it had ended before")
		require.NotContains(t, out, "\x1b")
	})
}

func TestTheLastLinesOfFailedStepsAreToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		file := filepath.Join(t.TempDir(), "board.json")
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--state "+file+" acme/site"))
		repo.AddRun(script(time.Second, pipelines.ResultFailed), time.Now())
		repo.AddRun(script(time.Second, ""), time.Now())
		time.Sleep(time.Hour)
		require.Equal(t, cli.Success, s.RunFor(5*time.Minute, "--tail 2 --state "+file+" acme/site"))
		out := s.Out.String()
		require.Contains(t, out, "build 1 of acme/site: step Test has failed; its last lines:\n  │ [2Jtwo\n  │ three\n")
		require.Equal(t, 1, strings.Count(out, "has failed"))
		require.Contains(t, out, "build 1 of acme/site on main: FAILED after ")
		require.Contains(t, out, "build 2 of acme/site on main: SUCCESSFUL after ")
		require.Equal(t, cli.Success, s.RunFor(5*time.Minute, "--tail 2 --state "+file+" acme/site"))
		require.NotContains(t, s.Out.String(), "build ")
	})
}

func TestWhatStartedAndEndedMeanwhileIsToldHoweverMuchItIs(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		file := filepath.Join(t.TempDir(), "board.json")
		repo.AddRun(script(2*time.Hour, ""), time.Now())
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--state "+file+" acme/site"))
		time.Sleep(2 * time.Hour)
		for range 150 { // two pages
			repo.AddRun(script(time.Second, ""), time.Now())
			time.Sleep(time.Minute)
		}
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--quota 100 --state "+file+" acme/site"))
		require.Equal(t, 151, strings.Count(s.Out.String(), ": SUCCESSFUL after "))
		require.Equal(t, cli.Success, s.RunFor(2*time.Hour, "--quota 100 --state "+file+" acme/site"))
		require.NotContains(t, s.Out.String(), ": SUCCESSFUL after ")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, `{"acme/site":{"settled":151,"runs":{}}}`+"\n", string(text), "nothing is remembered for longer than needed")
	})
}

func TestALateRunIsNewsToo(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		now := time.Now()
		time.AfterFunc(10*time.Minute, func() { // the list shows it after the next one
			repo.AddPipeline(pipelines.Pipeline{BuildNumber: 12, CreatedOn: time.Now(), CompletedOn: time.Now()})
		})
		time.AfterFunc(11*time.Minute, func() {
			repo.AddPipeline(pipelines.Pipeline{BuildNumber: 11, CreatedOn: now.Add(10 * time.Minute), CompletedOn: time.Now()})
		})
		require.Equal(t, cli.Success, s.RunFor(20*time.Minute, "acme/site"))
		require.Contains(t, s.Out.String(), "build 11 of acme/site on main: SUCCESSFUL")
		require.Contains(t, s.Out.String(), "build 12 of acme/site on main: SUCCESSFUL")
	})
}

func TestFollowingShowsNewRunsBeforeTheirListIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clitest.New(t, run)
		var names []string
		for i := range 100 { // so that a list is read every 17 minutes
			names = append(names, s.AddRepository("acme", fmt.Sprint("site-", i)).Repo().String())
		}
		repo := s.AddRepository("acme", "site-50")
		repo.AddRun(script(2*time.Hour, ""), time.Now())
		repo.AddRun(script(2*time.Hour, ""), time.Now())
		began := time.Now().Add(30 * time.Minute)
		time.AfterFunc(30*time.Minute, func() { repo.AddRun(script(time.Hour, ""), time.Now()) })
		require.Equal(t, cli.Success, s.RunFor(time.Hour, strings.Join(names, " ")))
		for line := range strings.Lines(s.Out.String()) {
			if strings.Contains(line, "build 3 of acme/site-50") {
				at, err := time.ParseInLocation(time.DateTime, line[:len(time.DateTime)], time.Local)
				require.NoError(t, err)
				require.Less(t, at.Sub(began), time.Minute)
				return
			}
		}
		require.Fail(t, "it isn't there")
	})
}

func TestRefusedCredentialsEndIt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		file := filepath.Join(t.TempDir(), "board.json")
		repo.AddRun(script(30*time.Minute, ""), time.Now())
		time.AfterFunc(10*time.Minute, func() { s.RevokeToken("a-token") })
		require.Equal(t, cli.Trouble, s.RunFor(time.Hour, "--state "+file+" acme/site"))
		require.Contains(t, s.Errs.String(), "The service doesn't accept the credentials")
		s.AddToken("a-token")
		require.Equal(t, cli.Success, s.RunFor(time.Hour, "--state "+file+" acme/site"))
		require.Equal(t, 1, strings.Count(s.Out.String(), "build 1 of acme/site on main: SUCCESSFUL"))
		require.NotContains(t, s.Out.String(), "RUNNING", "that was told before")
	})
}

func TestRefusedCredentialsEndItThoughNothingIsFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		time.AfterFunc(10*time.Minute, func() { s.RevokeToken("a-token") })
		begin := time.Now()
		require.Equal(t, cli.Trouble, s.RunFor(time.Hour, "acme/site"))
		require.Less(t, time.Since(begin), 11*time.Minute)
	})
}

// brokenOutput fails from the nth write on.
type brokenOutput struct {
	strings.Builder
	left int
}

func (o *brokenOutput) Write(p []byte) (int, error) {
	if o.left--; o.left < 0 {
		return 0, errors.New("the disk is full")
	}
	return o.Builder.Write(p)
}

func TestWhatCouldNotBePrintedIsToldLater(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		file := filepath.Join(t.TempDir(), "board.json")
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--state "+file+" acme/site"))
		for range 5 {
			repo.AddRun(script(time.Minute, ""), time.Now())
			time.Sleep(time.Minute)
		}
		transport := pipelines.WithHTTPClient(&http.Client{Transport: s.Transport()})
		var told string
		for range 20 {
			out := &brokenOutput{left: 2}
			env := cli.Env{Stdin: strings.NewReader(""), Stdout: out, Stderr: io.Discard, Options: []pipelines.Option{transport}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			run(ctx, []string{"--state", file, "acme/site"}, env)
			cancel()
			told += out.String()
		}
		require.Equal(t, 5, strings.Count(told, ": SUCCESSFUL after "), told)
	})
}

func TestAFileThatIsNotItsOwnIsLeftAlone(t *testing.T) {
	for text, want := range map[string]string{
		"not JSON": "is not a file of this program",
		"[]":       "is not a file of this program\n",
		"null":     "is not a file of this program\n",
		`{"acme/site":{"settled":1,"runs":{"{1}":null}}}`: "nothing of acme/site",
		`{"acme/site":{}}`:                                          "nothing of acme/site",
		`{"acme":{"settled":1,"runs":{}}}`:                          "is not a file of this program",
		`{"acme/site":{"settled":1,"runs":{"{1}":{"cursor":"?"}}}}`: "is not a file of this program",
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
			file := filepath.Join(t.TempDir(), "board.json")
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			s.Refuses("--state "+file+" acme/site", want)
			kept, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, text, string(kept))
		})
	}
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		s.Refuses("--state "+filepath.Join(t.TempDir(), "no", "board.json")+" acme/site", "can't be stored")
	})
}

func TestAFileIsUsedByOneBoardAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		file := filepath.Join(t.TempDir(), "board.json")
		other, err := remember(file)
		require.NoError(t, err)
		require.Equal(t, cli.Trouble, s.RunFor(time.Minute, "--state "+file+" acme/site"))
		require.Contains(t, s.Errs.String(), "--state: "+file+": it is in use by another run of this program")
		require.Empty(t, s.Requests())
		other.close()
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--state "+file+" acme/site"))
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--state "+file+" acme/site"))
	})
}

func TestAFileThatAnEditorHasWrittenIsStillItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		file := filepath.Join(t.TempDir(), "board.json")
		require.NoError(t, os.WriteFile(file, []byte("\ufeff{}\r\n"), 0o600))
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--state "+file+" acme/site"), s.Errs.String())
	})
}

func TestARunWithoutAnIDIsLeftOut(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		const body = `{"values":[null,{"build_number":7,"state":{"name":"IN_PROGRESS"}}]}`
		header := http.Header{"Content-Type": {"application/json"}}
		s.Inject(pipelinestest.Fault{Path: "/repositories/acme/site/pipelines", Status: http.StatusOK, Body: body, Header: header})
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "acme/site"), s.Errs.String())
		require.Contains(t, s.Out.String(), "0 runs followed")
	})
}

func TestARunWhoseStateTheServiceLeavesOutIsToldInWords(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		for _, fault := range []pipelinestest.Fault{
			{Path: "/repositories/acme/site/pipelines", Body: `{"values":[{"uuid":"{a}","build_number":7,"state":{}}]}`},
			{Path: "/repositories/acme/site/pipelines/{a}", Body: `{"uuid":"{a}","build_number":7,"state":{}}`},
		} {
			fault.Method, fault.Status, fault.Header = http.MethodGet, http.StatusOK, http.Header{"Content-Type": {"application/json"}}
			s.Inject(fault)
		}
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "acme/site"))
		require.Regexp(t, `(?m)  build 7 of acme/site is in an unknown state$`, s.Out.String())
	})
}

func TestRepositoriesAreNamedInAnyWay(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		s.AddRepository("acme", "shop")
		s.AddRepository("other", "docs")
		s.Stdin = "# mine\nother/docs\nacme/site\n"
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--workspace acme --repos - acme/site"))
		require.Contains(t, s.Out.String(), " 3 repositories, ")
	})
}

func TestUsage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		s.Refuses("", "name repositories as WORKSPACE/SLUG, or with --repos or --workspace")
		s.Refuses("acme", `repository "acme" is not of the form workspace/slug`)
		s.Refuses("--tail -1 acme/site", "--tail is negative")
		s.Refuses("--quota 10 acme/site", "--quota is below 100")
		s.Refuses("--quota 9223372036854775807 acme/site", "--quota is above 1,000,000")
		s.Refuses("--demo acme/nope", "the demo has acme/site, ")
		s.Refuses("--demo --workspace other", "--workspace: the demo has acme, but not other")
		s.Refuses("--demo --state b.json", "the demo has a quota of its own, and nothing to remember")
		s.Refuses("--workspace= acme/site", "--workspace is empty")
		s.Refuses("--repos nowhere.txt", "nowhere.txt")
		s.Refuses("--demo --quota 500", "the demo has a quota of its own, and nothing to remember")
		s.Refuses("acme/site --tail 3", "flags go before the repositories")
		s.Refuses("--workspace acme acme", `repository "acme" is not of the form workspace/slug`)
		clitest.SetCredentials(t, "")
		s.Refuses("acme/site", "there are no credentials in the environment")
		s.Refuses("--state "+filepath.Join(t.TempDir(), "board.json"), "there are no credentials in the environment")
		s.Refuses("--quota 500", "there are no credentials in the environment")
	})
}

func TestHelp(t *testing.T) {
	help := clitest.RequireHelp(t, run)
	require.Contains(t, help, "  0  interrupted")
	require.NotContains(t, help, "130")
}

func TestRepositoriesMayComeFromEditorsThatWriteAByteOrderMark(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		s.Stdin = "\ufeffacme/site\r\n"
		require.Equal(t, cli.Success, s.RunFor(time.Minute, "--repos -"), s.Errs.String())
		require.Contains(t, s.Out.String(), " 1 repository, ")
		s.ClearRequests()
		s.Stdin = "\xff\xfea\x00"
		s.Refuses("--repos -", "the standard input is UTF-16 text: save it as UTF-8")
	})
}

func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := clitest.RequireDemo(t, run, "--tail 3", "9 repositories, each read about every ")
		for _, want := range []string{
			": SUCCESSFUL after ", ": FAILED after ", " waits for a person: ", "its last lines:\n  │ ok cart\n  │ FAIL search: TestRank\n",
		} {
			require.Contains(t, out, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		out := clitest.RequireDemo(t, run, "--demo acme/site acme/old", "2 repositories, each read about every ")
		require.NotContains(t, out, "acme/shop")
	})
	synctest.Test(t, func(t *testing.T) {
		status, _, errs := clitest.Demo(t, run, "")
		require.Equal(t, cli.Success, status)
		require.Equal(t, "No credentials in the environment: this is a demo against a fake service.\nThe demo is over.\n", errs)
	})
}
