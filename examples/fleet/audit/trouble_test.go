package audit

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
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
	require.Equal(t, "interrupted", f.report().Incomplete)
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

func TestAllAuditsTogetherKeepWithinTheQuotaOfAnyHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, pipelinestest.WithClock(time.Now), pipelinestest.WithQuota(100))
		f.addRandomWorkspace(rand.New(rand.NewPCG(7, 1)), 12, 20)
		var times []time.Time
		f.onRequest(func(int64) { times = append(times, time.Now()) })
		start := time.Now()
		for { // until one isn't interrupted
			status := f.RunFor(100*time.Minute, f.args("--quota 100"))
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

func TestAnAuditSaysThatItWaitsForTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, pipelinestest.WithClock(time.Now))
		f.audit("--quota 3")
		start := time.Now()
		f.audit("--quota 3")
		require.Greater(t, time.Since(start), 59*time.Minute)
		require.Contains(t, f.Errs.String(), "The quota of this hour is used up: the audit waits")
		time.Sleep(2 * time.Hour)
		f.audit("--quota 3")
		require.NotContains(t, f.Errs.String(), "used up")
	})
}

func TestRequestsOfAClockThatWasWrongAreForgotten(t *testing.T) {
	s := &state{Requests: map[int64]int{}}
	q := &quota{state: s, limit: 1}
	require.Zero(t, q.take(time.Now().Add(365*day)))
	require.Zero(t, q.take(time.Now()))
	require.NotZero(t, q.take(time.Now()))
	require.NotZero(t, q.take(time.Now().Add(-10*time.Minute)), "a clock that was set back a little")
}

// An audit of each night that is interrupted each night doesn't end with what was known the night before.
func TestTheNextNightsAuditIsANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, pipelinestest.WithClock(time.Now))
		r := f.AddRepository("acme", "site")
		f.Inject(pipelinestest.Fault{Skip: 5, Status: http.StatusUnauthorized})
		require.Equal(t, cli.Trouble, f.Run(f.args("")))
		f.ClearFaults()
		time.Sleep(day - 10*time.Minute)
		r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Minute}}}, time.Now().Add(-time.Hour))
		require.Equal(t, 60, f.audit("").BuildSeconds)
	})
}
