package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
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

// TestMain makes the test binary the program, for tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_THE_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

const repo = "acme/site"

// fixture is a service with a repository, and runs the program.
type fixture struct {
	*pipelinestest.Server

	repo      *pipelinestest.Repository
	out, errs clitest.Buffer
	env       cli.Env
}

func newFixture(t *testing.T, steps ...pipelinestest.Step) *fixture {
	t.Helper()
	clitest.SetCredentials(t, "a-token")
	s := &fixture{Server: pipelinestest.NewServer()}
	t.Cleanup(s.Close)
	s.repo = s.AddRepository("acme", "site")
	s.repo.Script("default", pipelinestest.Script{Parsing: time.Second, Pending: time.Second, Steps: steps})
	s.env = cli.Env{Stdout: &s.out, Stderr: &s.errs, Options: []pipelines.Option{
		pipelines.WithHTTPClient(&http.Client{Transport: s.Transport()}),
	}}
	return s
}

func (s *fixture) run(ctx context.Context, args ...string) int {
	return run(ctx, append([]string{"-repo", repo}, args...), s.env)
}

func scripted(name string, d time.Duration, log string) pipelinestest.Step {
	return pipelinestest.Step{Name: name, Duration: d, Log: log}
}

func count(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i+1)
	}
	return b.String()
}

func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clitest.SetCredentials(t, "")
		var out, errs clitest.Buffer
		require.Equal(t, cli.Success, run(t.Context(), nil, cli.Env{Stdout: &out, Stderr: &errs}))
		require.Empty(t, errs.String())

		first, rest, _ := strings.Cut(out.String(), "\n")
		require.Contains(t, first, "demo")
		require.NotContains(t, rest, "\x1b")
		require.NotContains(t, rest, "\r")
		script := demoScript(false)
		for _, s := range script.Steps {
			if s.Name != "Deploy" { // has a progress bar
				require.Equal(t, strings.Count(s.Log, "\n"), strings.Count(rest, " "+s.Name+strings.Repeat(" ", minLabel-len(s.Name))+" │ "), "lines of %s", s.Name)
			}
		}
		require.Contains(t, rest, "Deploy             │ Uploading site.tar.gz: 100 %\n")
		require.Regexp(t, `\n +0:0\d  Build +● IN_PROGRESS\n`, rest)
		require.Regexp(t, `\n +0:0\d  Build +● SUCCESSFUL in 3s\n`, rest)
		require.Contains(t, rest, `
STEP               RESULT      DURATION
Build              SUCCESSFUL  3s
Unit tests         SUCCESSFUL  4s
Integration tests  SUCCESSFUL  3s
Deploy             SUCCESSFUL  3s

SUCCESSFUL after 0:1`)
	})
}

func TestDemoDespiteCredentials(t *testing.T) {
	for args, want := range map[string]int{"-demo -repo acme/site": cli.Success, "-demo -demo-fail": cli.Failure} {
		t.Run(args, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clitest.SetCredentials(t, "a-token")
				t.Setenv("BITBUCKET_BASE_URL", "https://real.example.com")
				var out, errs clitest.Buffer
				require.Equal(t, want, run(t.Context(), strings.Fields(args), cli.Env{Stdout: &out, Stderr: &errs}))
				require.Empty(t, errs.String())
				require.True(t, strings.HasPrefix(out.String(), "This is a demo against a fake service, and its links lead nowhere.\n"))
				require.NotContains(t, out.String(), "a-token")
			})
		})
	}
}

func TestDemoThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clitest.SetCredentials(t, "")
		var out, errs clitest.Buffer
		require.Equal(t, cli.Failure, run(t.Context(), []string{"-demo-fail"}, cli.Env{Stdout: &out, Stderr: &errs}))
		_, end, found := strings.Cut(out.String(), "\nUnit tests FAILED; its last lines before the teardown:\n│ + go test ./...\n")
		require.True(t, found)
		require.Regexp(t, `│ ✗ unit/cart.TestTotal
│     cart_test.go:42: Total\(\) = 41.99, want 42.00
│ 9 passed, 1 failed

FAILED after 0:\d\d: https://bitbucket.org/acme/site/pipelines/results/1
$`, end)
		require.Contains(t, out.String(), "\nDeploy             NOT_RUN     -\n")
	})
}

func TestDemoOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clitest.SetCredentials(t, "")
		tty := &terminal{columns: 100}
		require.Equal(t, cli.Success, run(t.Context(), nil, cli.Env{Stdout: tty, Size: tty.size, Colours: true}))
		require.Contains(t, tty.String(), "2 of 4 steps done, running: Unit tests")
		require.Contains(t, tty.String(), "\x1b[32m✓\x1b[0m unit/", "the log's own colours")
		shown := strings.Join(tty.shows(t), "\n")
		require.NotContains(t, shown, "steps done", "progress leaves nothing behind")
		require.Equal(t, 9, strings.Count(shown, "Unit tests         │ ✓ unit/"))
		require.True(t, strings.HasSuffix(shown, "/results/1\n"), "the cursor is on a line of its own")
	})
}

func TestNarrowTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clitest.SetCredentials(t, "")
		tty := &terminal{columns: 40}
		require.Equal(t, cli.Success, run(t.Context(), nil, cli.Env{Stdout: tty, Size: tty.size}))
		for _, want := range []string{"0/4: Build\r", "1/4: Unit tests and 1 more\r", "3/4: Deploy\r"} {
			require.Contains(t, tty.String(), want)
		}
	})
}

func TestWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		s.repo.Script("nightly", pipelinestest.Script{Steps: []pipelinestest.Step{scripted("Build", time.Second, "+ echo hunter2 && login hunter2\n")}})
		s.repo.AddBranch("release/2", strings.Repeat("a", 40))
		require.Equal(t, cli.Success, s.run(t.Context(), "-branch", "release/2", "-custom", "nightly", "-var", "REGION=eu", "-secret", "TOKEN=hunter2"), s.errs.String())
		p := s.repo.Pipelines()[0]
		require.Equal(t, "release/2", p.Target.RefName)
		require.Equal(t, "nightly", p.Target.Selector.Pattern)
		require.Equal(t, []pipelines.Variable{{Key: "REGION", Value: "eu"}, {Key: "TOKEN", Value: "hunter2", Secured: true}}, p.Variables)
		require.Contains(t, s.out.String(), "on branch release/2, pipeline nightly: https://")
		require.Contains(t, s.out.String(), "│ + echo ****** && login ******\n")
		require.NotContains(t, s.out.String(), "hunter2")
		for _, r := range s.Requests() {
			require.Equal(t, !r.Storage, r.Header.Get("Authorization") == "Bearer a-token", r.Path)
		}
	})
}

func TestNoFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Hour, "building\n"))
		require.Equal(t, cli.Success, s.run(t.Context(), "-no-follow"))
		require.Equal(t, "1 https://bitbucket.org/acme/site/pipelines/results/1\n", s.out.String())
		require.Empty(t, s.errs.String())
		require.Len(t, s.Requests(), 1)
	})
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Hour, count(3600)))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		require.Equal(t, cli.Interrupted, s.run(ctx))
		require.Contains(t, s.out.String(), "Build              │ line 1\n")
		require.Equal(t, "Interrupted. Run #1 was not followed to its end and continues.\n"+
			"  look at it:  https://bitbucket.org/acme/site/pipelines/results/1\n"+
			"  stop it:     run --repo acme/site --stop 1\n", s.errs.String())
		require.False(t, s.repo.Pipelines()[0].State.Done())
		require.NotContains(t, methods(s), "POST /repositories/acme/site/pipelines/1/stopPipeline")
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Hour, ""))
		begin := time.Now()
		require.Equal(t, cli.Trouble, s.run(t.Context(), "-timeout", "5m"))
		require.Equal(t, 5*time.Minute, time.Since(begin))
		require.Contains(t, s.errs.String(), "The timeout of 5m0s has passed. Run #1 was not followed to its end and continues.\n  look at it:  https://")
	})
}

func TestAnOutageIsToldAndWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", 50*time.Minute, "built\n"))
		time.AfterFunc(2*time.Minute, func() { s.Inject(pipelinestest.Fault{Status: http.StatusServiceUnavailable, For: 40 * time.Minute}) })
		require.Equal(t, cli.Success, s.run(t.Context()), s.errs.String())
		require.Regexp(t, `\n +\d:\d\d  pipeline +● can't be followed since 2:\d\d, trying again: GET /repositories/acme/site/pipelines/.*: 503 `, s.out.String())
		require.Equal(t, 1, strings.Count(s.out.String(), "can't be followed"))
		require.Contains(t, s.out.String(), "Build  SUCCESSFUL  50m0s\n")
	})
}

func TestQuietRunsShowOnlyTheLastLinesOfFailedSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := scripted("Test", time.Minute, count(30))
		failing.Result = pipelines.ResultFailed
		s := newFixture(t, scripted("Build", time.Minute, "built\n"), failing)
		require.Equal(t, cli.Failure, s.run(t.Context(), "-quiet"), s.errs.String())
		require.NotContains(t, s.out.String(), "built")
		require.NotContains(t, s.out.String(), "line 10\n")
		require.Contains(t, s.out.String(), "\nTest FAILED; its last lines:\n│ line 11\n")
		require.Equal(t, 1, strings.Count(s.out.String(), "line 30\n"))
		require.Regexp(t, `Build +● SUCCESSFUL in 1m0s\n`, s.out.String())
		logs := s.RequestsTo(http.MethodGet, "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log")
		require.Len(t, logs, 1, "the other log isn't read")
	})
}

func TestNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", 90*time.Minute, ""))
		require.Equal(t, cli.Success, s.run(t.Context(), "-timeout", "0"))
		require.Contains(t, s.out.String(), "Build  SUCCESSFUL  1h30m0s\n")
	})
}

// The service accepts a request to stop a run that waits for a manual step, and does nothing.
func TestAPausedRunIsNotSaidToBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Second, "built\n"), pipelinestest.Step{Name: "Deploy", Duration: time.Second, Manual: true})
		require.Equal(t, cli.Success, s.run(t.Context(), "-no-follow"))
		time.Sleep(time.Minute)
		require.Equal(t, cli.Trouble, s.run(t.Context(), "-stop", "1"))
		require.Equal(t, "Run #1 could not be stopped: it waits for a person, and the service doesn't stop such a run: "+
			"https://bitbucket.org/acme/site/pipelines/results/1\n", s.errs.String())
	})
}

func TestPausedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Second, "built\n"), pipelinestest.Step{Name: "Deploy", Duration: time.Second, Manual: true, Log: "deployed\n"})
		tty := &terminal{columns: 100}
		s.env.Stdout, s.env.Size = tty, tty.size
		time.AfterFunc(10*time.Minute, func() { _ = s.repo.Resume("1") })
		require.Equal(t, cli.Success, s.run(t.Context()))
		shown := strings.Join(tty.shows(t), "\n")
		require.Equal(t, 1, strings.Count(shown, "The run waits for a person, who can let it go on at https://bitbucket.org/acme/site/pipelines/results/1\n"))
		require.Regexp(t, `Deploy +● PAUSED\n`, shown)
		require.Contains(t, shown, "│ deployed\n")
		require.Contains(t, tty.String(), "1 of 2 steps done, waiting for a person")
	})
}

func TestRefusedYAML(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		s.repo.Script("default", pipelinestest.Script{Error: &pipelines.ErrorDetail{Key: "parse-error", Message: "no\x1b]0;owned\a steps\nin line 3"}})
		require.Equal(t, cli.Failure, s.run(t.Context()))
		require.Contains(t, s.out.String(), "\nERROR: no steps in line 3 after 0:0")
		require.NotContains(t, s.out.String(), "STEP ")
	})
}

func TestSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("long ", 20)
		s := newFixture(t, scripted("", time.Second, "a\n"), scripted("Test", time.Second, "b\x1b[2J\n"), scripted("Test", time.Second, "c"), scripted(long, time.Second, "e\n"),
			scripted("\x1b]0;owned\aEvil\n", time.Second, "d\n"))
		require.Equal(t, cli.Success, s.run(t.Context()))
		for _, want := range []string{"step 1 +│ a", "Test +│ b", `Test \(3\) +│ c`, "long long long long lon… +● SUCCESSFUL in 1s", "Evil +│ d"} {
			require.Regexp(t, `(?m)^ +0:\d\d  `+want+`$`, s.out.String())
		}
		require.NotContains(t, s.out.String(), "owned")
	})
}

func TestSecretsAreMasked(t *testing.T) {
	const text = "denied: correct  horse, correct\n horse, hun\x1b[1mter2 and mark\u200fed"
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Login correct  horse", time.Second, "hun\x1b[1mter2\nmarked, mark\u200fed\n"+strings.Repeat("x", maxLine-3)+"hunter2\n"))
		s.env.Colours = true
		args := []string{"-secret", "A=correct  horse", "-secret", "B=hunter2", "-secret", "C=mark\u200fed", "-custom", "hunter2"}
		s.repo.Script("hunter2", pipelinestest.Script{Error: &pipelines.ErrorDetail{Message: text}})
		require.Equal(t, cli.Failure, s.run(t.Context(), args...))
		require.Contains(t, withoutColours(s.out.String()), "ERROR: denied: ******, ******, ****** and ****** after ")
		require.Equal(t, cli.Success, s.run(t.Context(), args[:6]...))
		require.Contains(t, withoutColours(s.out.String()), "│ ******, ******\n")
		require.Contains(t, s.out.String(), "Login ******")
		s.Inject(pipelinestest.Fault{Status: http.StatusBadRequest, Body: "refused correct  horse and correct horse"})
		require.Equal(t, cli.Trouble, s.run(t.Context(), args[:6]...))
		require.Contains(t, s.errs.String(), "refused ")
		for _, hidden := range []string{"horse", "hunter2", "ter2", "ker2", "marked", "hun"} {
			require.NotContains(t, withoutColours(s.out.String()+s.errs.String()), hidden)
		}
	})
}

func TestErrorsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		require.Equal(t, cli.Trouble, run(t.Context(), []string{"-repo", "site"}, s.env))
		require.Equal(t, "run: --repo: repository \"site\" is not of the form workspace/slug\n-h explains all flags.\n", s.errs.String())
	})
}

func TestRunOverSockets(t *testing.T) {
	s := newFixture(t)
	s.repo.Script("default", pipelinestest.Script{Steps: []pipelinestest.Step{scripted("Build", 0, "built\n")}})
	t.Setenv("BITBUCKET_BASE_URL", s.URL())
	s.env.Options = nil
	require.Equal(t, cli.Success, s.run(t.Context()))
	require.Contains(t, s.out.String(), "│ built\n")
}

func TestErrors(t *testing.T) {
	const runs, logs = "/repositories/{workspace}/{repo_slug}/pipelines", "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps"
	for name, tt := range map[string]struct {
		fault *pipelinestest.Fault
		args  []string
		want  []string
	}{
		"bad token":        {&pipelinestest.Fault{Status: http.StatusUnauthorized}, nil, []string{"run: POST /repositories/acme/site/pipelines: 401 Unauthorized\n", "accept the credentials"}},
		"missing scope":    {&pipelinestest.Fault{Status: http.StatusForbidden}, nil, []string{"403", "pipeline:write"}},
		"unknown branch":   {nil, []string{"-branch", "nope"}, []string{"404", "Are the names right"}},
		"echoed secret":    {&pipelinestest.Fault{Status: http.StatusBadRequest, Body: "bad value hunter2\x1b[2J"}, []string{"-secret", "A=hunter2"}, []string{"400", "bad value ******"}},
		"no answer":        {&pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter}, nil, []string{"It is unknown whether a run was started", "#1, PARSING"}},
		"timeout":          {&pipelinestest.Fault{Path: runs, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"30"}}}, []string{"-timeout", "10s"}, []string{"The timeout of 10s passed before the run was started."}},
		"lost on the way":  {&pipelinestest.Fault{Path: logs, Status: http.StatusForbidden}, nil, []string{"403", "Run #1 was not followed to its end and continues."}},
		"trouble for good": {&pipelinestest.Fault{Path: logs, Status: http.StatusBadGateway}, nil, []string{"The timeout of 1h0m0s has passed. Run #1 was not followed to its end and continues."}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFixture(t, scripted("Build", time.Second, "built\n"))
				if tt.fault != nil {
					s.Inject(*tt.fault)
				}
				require.Equal(t, cli.Trouble, s.run(t.Context(), tt.args...))
				for _, want := range tt.want {
					require.Contains(t, s.errs.String(), want)
				}
				require.NotContains(t, s.out.String()+s.errs.String(), "hunter2")
				require.NotContains(t, s.out.String()+s.errs.String(), "\x1b")
			})
		})
	}
}

func TestInterruptBeforeTheStart(t *testing.T) {
	for name, tt := range map[string]struct {
		after time.Duration
		want  string
	}{
		"not sent":            {0, "Interrupted before the run was started."},
		"no response arrived": {time.Second, "It is unknown whether a run was started"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFixture(t)
				s.Inject(pipelinestest.Fault{Latency: time.Minute})
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(tt.after, cancel)
				synctest.Wait() // without a time to wait it is canceled by now
				require.Equal(t, cli.Interrupted, s.run(ctx))
				require.Contains(t, s.errs.String(), tt.want)
				require.NotContains(t, s.errs.String(), "context")
			})
		})
	}
}

// startProgram starts the program as a process.
func startProgram(t *testing.T, args ...string) (program *exec.Cmd, out io.Reader) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no process can send an interrupt there")
	}
	program = exec.CommandContext(t.Context(), os.Args[0], args...)
	program.Env = append(os.Environ(), "RUN_THE_PROGRAM=1")
	out, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	return program, out
}

func TestSignal(t *testing.T) {
	clitest.SetCredentials(t, "")
	program, out := startProgram(t)
	_, err := out.Read(make([]byte, 1)) // the process has started
	require.NoError(t, err)
	require.NoError(t, program.Process.Signal(os.Interrupt))
	require.Error(t, program.Wait())
	require.Equal(t, cli.Interrupted, program.ProcessState.ExitCode())
}

func TestSecondSignal(t *testing.T) {
	s := newFixture(t, scripted("Build", time.Hour, ""))
	t.Setenv("BITBUCKET_BASE_URL", s.URL())
	followed, stopped := make(chan struct{}, 100), make(chan struct{}, 100)
	arrives := func(c chan<- struct{}) func(*http.Request) bool {
		return func(*http.Request) bool { c <- struct{}{}; return true }
	}
	const run = "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}"
	s.Inject(pipelinestest.Fault{Method: http.MethodGet, Path: run, Match: arrives(followed)})
	s.Inject(pipelinestest.Fault{Path: run + "/stopPipeline", Match: arrives(stopped), Latency: time.Minute})
	program, _ := startProgram(t, "-repo", repo, "-stop-on-interrupt")
	<-followed
	require.NoError(t, program.Process.Signal(os.Interrupt))
	<-stopped
	require.NoError(t, program.Process.Signal(os.Interrupt))
	require.Error(t, program.Wait())
	require.False(t, program.ProcessState.Exited(), "the signal killed it: %v", program.ProcessState)
}

// methods lists the methods of the requests.
func methods(s *fixture) []string {
	var all []string
	for _, r := range s.Requests() {
		all = append(all, r.Method+" "+r.Path)
	}
	return all
}
