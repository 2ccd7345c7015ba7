package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestACommandLineThatCanNotBeMeantIsExplained(t *testing.T) {
	newService(t, 1)
	for args, want := range map[string]string{
		"start -campaign c variable A b -workspace acme":        `flags go before "variable": --workspace comes after it`,
		"start variable A b --campaign=c":                       `flags go before "variable": --campaign comes after it`,
		"start -campaign c -workspace acme variable A -secured": `flags go before "variable": --secured comes after it`,
		"run report -h":                                                    `flags go before "report": --h comes after it`,
		"work once -campaign c":                                            `flags go before "once": --campaign comes after it`,
		"work -campaign c once":                                            `what is "once"? fleet work takes only flags`,
		"fly":                                                              `no such command: "fly"; it is one of audit, forget, plan, results, run, start, status, work`,
		"-campaign c start":                                                `the command comes first, before flags such as -campaign`,
		"start -campaign c -workspace acme":                                "what is to be done? variable KEY VALUE, pipelines on|off, schedules on|off, or report",
		"start -campaign c -workspace acme delete":                         `no such action: "delete"`,
		"start -campaign c -workspace acme variable":                       "variable takes KEY VALUE",
		"start -campaign c -workspace acme variable A":                     "variable takes KEY VALUE",
		"start -campaign c -workspace acme variable A b s3cret":            "variable takes KEY VALUE",
		"start -campaign c -workspace acme -value-env X variable A b":      "variable takes KEY alone with --value-env",
		"start -campaign c -workspace acme pipelines":                      "pipelines takes on or off",
		"start -campaign c -workspace acme schedules on off":               "schedules takes on or off",
		"start -campaign c -workspace acme report all":                     "report takes nothing more",
		"start -campaign c -workspace acme -secured report":                "--secured are for variable",
		"start -campaign c -workspace= report":                             "--workspace is empty",
		"work -campaign c -concurrency 1000000000":                         "--concurrency has to be between 1 and 1000",
		"work -campaign c -retry-delay 11m":                                "--retry-delay has to be between 0s and 10m",
		"work -campaign c -log " + filepath.Join(t.TempDir(), "none", "x"): "--log",
	} {
		_, errs := fleetBoth(t, cli.Trouble, "", strings.Fields(args)...)
		require.Contains(t, errs, want, args)
		require.NotContains(t, errs, "s3cret", args)
	}
	fleet(t, cli.Success, "acme/r0\n", startArgs("variable", "OFFSET", "-5")...)
}

func TestWhatIsNotThereCanNotBeForgotten(t *testing.T) {
	newService(t, 1)
	require.Contains(t, fleet(t, cli.Trouble, "", "forget", "-campaign", "c"), "campaign c: no such campaign in Redis")
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	work(t)
	require.Contains(t, fleet(t, cli.Success, "", "forget", "-campaign", "c"), "Campaign c is no longer in Redis. Through: 1 of 1 repository.")
	require.Contains(t, fleet(t, cli.Trouble, "", "forget", "-campaign", "c"), "no such campaign")
}

func TestACampaignWithTasksOfADeadWorkerCanBeForgotten(t *testing.T) {
	newService(t, 1)
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	rdb := client(t)
	require.NoError(t, rdb.LMove(t.Context(), "asynq:{fleet-c}:pending", "asynq:{fleet-c}:active", "RIGHT", "LEFT").Err())
	fleet(t, cli.Success, "", "forget", "-campaign", "c")
	require.Empty(t, rdb.Keys(t.Context(), "*fleet-c*").Val())
	require.Empty(t, rdb.SMembers(t.Context(), "asynq:queues").Val())
}

func TestACampaignIsNotForgottenWhileItIsWorkedOn(t *testing.T) {
	newService(t, 2)
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", append(slices.Clone(slowFlags), "report")...)
	first, second := begin(t, "", "work", "-campaign", "c"), begin(t, "", "work", "-campaign", "c")
	awaitStatus(t, "workers     2")
	require.Contains(t, fleet(t, cli.Trouble, "", "forget", "-campaign", "c"), "is being worked on")
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", startArgs("report")...)
	awaitEnd(t)
	first.ends(t, cli.Success)
	second.ends(t, cli.Success)
	fleet(t, cli.Success, "", "forget", "-campaign", "c")
}

func TestResultsSayWhatIsLeftAndWhatHasFailed(t *testing.T) {
	srv, _ := newService(t, 2)
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r1/pipelines", Status: http.StatusForbidden, Body: "locked"})
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", startArgs("report")...)
	out, errs := fleetBoth(t, cli.Trouble, "", "results", "-campaign", "c")
	require.Contains(t, out, "acme/r0,left,,,,,,\nacme/r1,left,,,,,,\n", "one line for each repository")
	require.Equal(t, "fleet results: left: 2 of 2 repositories. fleet work does them.\n", errs)
	work(t)
	out, errs = fleetBoth(t, cli.Failure, "", "results", "-campaign", "c")
	require.Contains(t, out, "acme/r0,read,")
	require.Regexp(t, "acme/r1,failed,.*403 Forbidden: locked", out)
	require.Empty(t, errs)
	require.Contains(t, fleet(t, cli.Trouble, "", "results", "-campaign", "none"), "no such campaign")
}

func TestTheCredentialsAreNotWrittenIntoVariables(t *testing.T) {
	srv, _ := newService(t, 1)
	t.Setenv("FLEET_REDIS", strings.Replace(os.Getenv("FLEET_REDIS"), "redis://", "redis://default:the-password@", 1))
	t.Setenv("BITBUCKET_TOKEN", "the-token")
	for name, value := range map[string]string{
		"THE_TOKEN": "the-token\n", "THE_HEADER": "Bearer the-token", "THE_ADDRESS": os.Getenv("FLEET_REDIS"), "THE_PASSWORD": "the-password",
		"MINE": "mine",
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{
		"BITBUCKET_TOKEN", "BITBUCKET_API_TOKEN", "BITBUCKET_CLIENT_SECRET", "FLEET_REDIS", "THE_TOKEN", "THE_HEADER", "THE_ADDRESS", "THE_PASSWORD",
	} {
		out := fleet(t, cli.Trouble, "acme/r0\n", append(startArgs("-secured", "-value-env", name), "variable", "K")...)
		require.Contains(t, out, "fleet's own credentials", name)
		require.NotContains(t, out, "the-", name)
	}
	require.Contains(t, fleet(t, cli.Trouble, "acme/r0\n", startArgs("variable", "K", "the-token")...), "fleet's own credentials")

	t.Setenv("FLEET_REDIS", strings.Replace(os.Getenv("FLEET_REDIS"), "default:the-password@", "", 1))
	fleet(t, cli.Success, "acme/r0\n", append(startArgs("-value-env", "MINE"), "variable", "K")...)
	t.Setenv("BITBUCKET_TOKEN", "mine") // the worker's environment is another one
	require.Contains(t, fleet(t, cli.Trouble, "", "work", "-campaign", "c"), "fleet's own credentials")
	require.Empty(t, srv.Requests())
}

func TestTheTimeLeftIsOnlyWhatWasMeasured(t *testing.T) {
	now := time.Now()
	at := func(ago ...time.Duration) (all []outcome) {
		for _, d := range ago {
			all = append(all, outcome{result: result{State: stateRead, At: now.Add(-d)}})
		}
		return append(all, outcome{result: result{State: stateLeft}})
	}
	require.Equal(t, "none is done yet", timeLeft(at(), 20, now))
	require.Equal(t, "the last was done 3s ago", timeLeft(at(3*time.Second), 20, now))
	require.Equal(t, "the last was done 12m ago", timeLeft(at(13*time.Minute, 12*time.Minute), 20, now))
	require.Equal(t, "about 20s", timeLeft(at(2*time.Second, time.Second), 20, now))
	require.Equal(t, "the last was done about a second ago", timeLeft(at(-time.Minute), 20, now), "the worker's clock is fast")
}

func TestTheDemoTakesTheRepositoriesOfAWorkspace(t *testing.T) {
	setEnvironment(t, "", "")
	t.Setenv("BITBUCKET_TOKEN", "")
	require.Contains(t, fleet(t, cli.Trouble, "", "run", "-workspace", "acme", "report"), "--workspace needs credentials")
	require.Contains(t, fleet(t, cli.Trouble, "acme/x\n", "run", "-repos", "-", "report"), "--repos needs credentials")
	begin := time.Now()
	out := fleet(t, cli.Success, "", "run", "-demo", "-workspace", "acme", "-quota", "1000", "-per", "1s", "report")
	require.Contains(t, out, "report in 240 repositories")
	require.Regexp(t, `\nREPOSITORY +LAST RUN +STATE +BRANCH +STARTED +SECONDS\nacme/service-001 +\d+ +\w+ +main +\d{4}-`, out, "nothing can print it later")
	require.Less(t, time.Since(begin), time.Minute, "at the quota of the service it takes a quarter of an hour")
	require.Contains(t, fleet(t, cli.Trouble, "", "run", "-demo", "-workspace", "other", "report"), "--workspace: the demo has acme, but not other")
	require.Contains(t, fleet(t, cli.Trouble, "", "run", "-retry-failed", "report"), "--retry-failed needs --redis")
	require.Contains(t, fleet(t, cli.Success, "", "run", "-dry-run", "report"), "at 60 requests in 1s that takes 4s", "the demo doesn't take hours")
}

func TestAValueThatJSONCanNotHoldIsRefused(t *testing.T) {
	_, repos := newService(t, 1)
	t.Setenv("LATIN1", "caf\xe9")
	for _, args := range [][]string{
		startArgs("variable", "K", "caf\xe9"), startArgs("variable", "caf\xe9", "v"), append(startArgs("-value-env", "LATIN1"), "variable", "K"),
	} {
		_, errs := fleetBoth(t, cli.Trouble, "acme/r0\n", args...)
		require.Contains(t, errs, "is not UTF-8")
	}
	t.Setenv("LATIN1", "café")
	fleet(t, cli.Success, "acme/r0\n", append(startArgs("-value-env", "LATIN1"), "variable", "K")...)
	t.Setenv("LATIN1", "caf\xe9")
	require.Contains(t, fleet(t, cli.Trouble, "", "work", "-campaign", "c"), "the environment variable LATIN1 is not UTF-8")
	require.Empty(t, repos[0].Variables())
}

func TestTheDemoTouchesNoRealCampaign(t *testing.T) {
	_, repos := newService(t, 1)
	address := os.Getenv("FLEET_REDIS")
	fleet(t, cli.Success, "acme/r0\n", startArgs("variable", "GREETING", "hello")...)
	t.Setenv("BITBUCKET_TOKEN", "")
	fleet(t, cli.Failure, "", "run", "-campaign", "c", "-quota", "1000", "-per", "1s")
	for _, demo := range [][]string{{"run"}, {"run", "-demo"}} {
		require.Contains(t, fleet(t, cli.Success, "", append(demo, "-campaign", "c", "-dry-run")...), "Redis is in this program's memory")
		require.Contains(t, fleet(t, cli.Trouble, "", append(demo, "-redis", address)...), "--redis: the demo has a Redis in its memory")
		require.Contains(t, fleet(t, cli.Trouble, "", append(demo, "-retry-failed")...), "--retry-failed needs --redis")
	}
	setEnvironment(t, address, os.Getenv("BITBUCKET_BASE_URL"))
	work(t)
	require.Len(t, repos[0].Variables(), 1)
	require.Contains(t, fleet(t, cli.Success, "", "status", "-campaign", "c"), "in 1 repository, at most 1,000 requests in 1s")
}

func TestWhatNeedsCredentialsSaysWhichToSet(t *testing.T) {
	newService(t, 1)
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	t.Setenv("BITBUCKET_TOKEN", "")
	for _, command := range [][]string{{"work"}, {"start", "-workspace", "acme", "report"}} {
		require.Contains(t, fleet(t, cli.Trouble, "", slices.Insert(command, 1, "-campaign", "c")...), cli.ErrNoCredentials.Error())
	}
}

// spawn runs the program as a process, since libraries print on the process's own Stderr.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	return startProcess(t, append(os.Environ(), "FLEET_IS_THE_PROGRAM=1"), args...)
}

func TestOneLineSaysThatRedisCanNotBeReached(t *testing.T) {
	clitest.SetCredentials(t, "a-token")
	processes, dir := map[string]*process{}, t.TempDir()
	for _, name := range []string{"start", "work", "status", "results", "forget", "run"} {
		args := []string{name, "-campaign", "c", "-log", filepath.Join(dir, name), "-redis", "redis://:hunter2@127.0.0.1:1"}
		if name == "start" || name == "run" {
			args = append(args, "-workspace", "acme", "report")
		}
		processes[name] = spawn(t, args...)
	}
	for name, p := range processes {
		require.Error(t, <-p.ended)
		require.Equal(t, cli.Trouble, p.ProcessState.ExitCode())
		require.Regexp(t, "^fleet "+name+": Redis at 127.0.0.1:1 can't be used: .*connection refused\n$", p.errs.String())
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Contains(t, string(text), "failed to dial")
		require.NotContains(t, string(text), "hunter2")
	}
}

func TestAWorkerWaitsForRedisAndSaysSo(t *testing.T) {
	newService(t, 2)
	redisServer := miniredis.RunT(t)
	t.Setenv("FLEET_REDIS", "redis://"+redisServer.Addr())
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", append(slices.Clone(slowFlags), "report")...)
	log := filepath.Join(t.TempDir(), "log")
	p := spawn(t, "work", "-campaign", "c", "-log", log)
	awaitStatus(t, "read        1")
	redisServer.Close()
	prints := func(want string) {
		require.Eventually(t, func() bool { return strings.Contains(p.errs.String(), want) }, 20*time.Second, 10*time.Millisecond)
	}
	prints("; waiting for up to 1m.\n")
	require.NoError(t, redisServer.Restart())
	prints("Redis at " + redisServer.Addr() + " responds again.\n")
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", startArgs("report")...)
	awaitEnd(t)
	require.NoError(t, <-p.ended, "%s", &p.errs)
	require.Equal(t, 3, strings.Count(p.errs.String(), "\n"), "with how many were done:\n%s", &p.errs)
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(text), "refused")
}
