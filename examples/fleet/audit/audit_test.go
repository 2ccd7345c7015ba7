package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// fixture audits the workspace acme of a fake service, and keeps the last report.
type fixture struct {
	*clitest.Fixture

	t     *testing.T
	dir   string
	state string
	now   time.Time // of the service

	mu   sync.Mutex
	sent int64 // requests, while onRequest counts them
}

func newFixture(t *testing.T, options ...pipelinestest.ServerOption) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), now: time.Now()}
	f.state = filepath.Join(f.dir, "state")
	clock := pipelinestest.WithClock(func() time.Time { return f.now })
	f.Fixture = clitest.New(t, Run, append([]pipelinestest.ServerOption{clock, pipelinestest.WithInProcess()}, options...)...)
	f.AddWorkspace("acme")
	return f
}

// since is in all tests' runs.
func (f *fixture) since() string { return f.now.Add(-60 * day).UTC().Format(time.DateOnly) }

// args are the arguments with which the report goes into report.json.
func (f *fixture) args(more string) string {
	return fmt.Sprintf("--workspace acme --since %s --state %s --json %s %s", f.since(), f.state, filepath.Join(f.dir, "report.json"), more)
}

// audit requires that an audit succeeds. It returns its report, and keeps its requests.
func (f *fixture) audit(more string) Report {
	f.t.Helper()
	f.ClearRequests()
	require.Equal(f.t, cli.Success, f.Run(f.args(more)), "%s%s", &f.Out, &f.Errs)
	return f.report()
}

func (f *fixture) report() Report {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "report.json"))
	require.NoError(f.t, err)
	var rep Report
	require.NoError(f.t, json.Unmarshal(text, &rep))
	return rep
}

// onRequest calls a function with the number of each request before it is answered.
func (f *fixture) onRequest(do func(n int64)) {
	f.sent = 0
	f.ClearFaults()
	f.Inject(pipelinestest.Fault{Match: func(*http.Request) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sent++
		do(f.sent)
		return false
	}})
}

// expected are totals that a test computes from what it has added.
type expected struct {
	total                   int
	repos, branches, steps  map[string]int
	scopes, secured, places map[string]int
}

func newExpected() *expected {
	return &expected{0, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}}
}

var stepNames = []string{"Build", "Test", "Deploy", "Lint"}

// addRandomRun adds a run of at least an age, in seconds, and counts what it has used. One of less than a quarter of an hour may not have
// ended.
func (e *expected) addRandomRun(r *pipelinestest.Repository, random *rand.Rand, now time.Time, youngest int) {
	age := time.Duration(youngest+random.IntN(50*24*3600)) * time.Second
	if random.IntN(8) == 0 {
		age = time.Duration(youngest+random.IntN(300)) * time.Second
	}
	branch := fmt.Sprintf("b%d", random.IntN(3))
	var script pipelinestest.Script
	left := age
	for range random.IntN(4) {
		s := pipelinestest.Step{Name: stepNames[random.IntN(len(stepNames))], Duration: time.Duration(random.IntN(200)) * time.Second}
		if random.IntN(9) == 0 {
			s.Result = pipelines.ResultFailed
		}
		script.Steps = append(script.Steps, s)
	}
	failed := false
	repo := r.Repo().String()
	for _, s := range script.Steps {
		used := int(min(left, s.Duration) / time.Second)
		if failed {
			used = 0
		}
		left -= time.Duration(used) * time.Second
		failed = failed || s.Result == pipelines.ResultFailed && used == int(s.Duration/time.Second)
		e.total += used
		e.repos[repo] += used
		e.branches[repo+" "+branch] += used
		e.steps[repo+" "+s.Name] += used
	}
	r.AddRun(script, now.Add(-age), pipelines.BranchTarget(branch))
}

// addVariable adds a variable and counts it.
func (e *expected) addVariable(scope string, to interface {
	AddVariable(pipelines.Variable) *pipelines.Variable
}, key string, secured bool) {
	to.AddVariable(pipelines.Variable{Key: key, Value: "value-of-" + key, Secured: secured})
	e.scopes[scope]++
	e.places[key]++
	if secured {
		e.secured[scope]++
	}
}

// requireTotals compares a report with what was added. Zeros don't count.
func (e *expected) requireTotals(t *testing.T, rep Report) {
	t.Helper()
	got := newExpected()
	got.total = rep.BuildSeconds
	for _, r := range rep.Repositories {
		got.repos[r.Repository] += r.BuildSeconds
	}
	for _, b := range rep.Branches {
		got.branches[b.Repository+" "+b.Branch] += b.BuildSeconds
	}
	for _, s := range rep.Steps {
		got.steps[s.Repository+" "+s.Step] += s.BuildSeconds
	}
	for _, v := range rep.Variables {
		got.scopes[v.Scope]++
		if v.Secured {
			got.secured[v.Scope]++
		}
		require.Equal(t, e.places[v.Key], v.Places, v.Key)
	}
	for _, k := range rep.Keys {
		got.places[k.Key] = k.Places
	}
	for _, m := range []*expected{e, got} {
		for _, values := range []map[string]int{m.repos, m.branches, m.steps} {
			for key, value := range values {
				if value == 0 {
					delete(values, key)
				}
			}
		}
	}
	require.Equal(t, e, got)
}

// addRandomWorkspace adds repositories with variables and runs.
func (f *fixture) addRandomWorkspace(random *rand.Rand, repositories, runs int) *expected {
	e := newExpected()
	workspace := f.AddWorkspace("acme")
	keys := []string{"A", "B", "C", "D"}
	some := func(scope string, to interface {
		AddVariable(pipelines.Variable) *pipelines.Variable
	}) {
		for _, key := range keys {
			if random.IntN(2) == 0 {
				e.addVariable(scope, to, key, random.IntN(2) == 0)
			}
		}
	}
	some(scopeWorkspace, workspace)
	for i := range repositories {
		r := f.AddRepository("acme", fmt.Sprintf("repo-%d", i))
		some(scopeRepository, r)
		for j := range random.IntN(3) {
			some(scopeEnvironment, r.AddEnvironment(fmt.Sprintf("env-%d", j), pipelines.EnvironmentTest))
		}
		for range random.IntN(runs + 1) {
			e.addRandomRun(r, random, f.now, 0)
		}
	}
	return e
}

func TestTotalsEqualTheServicesToTheSecond(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			f := newFixture(t)
			e := f.addRandomWorkspace(random, 1+random.IntN(5), 25)
			e.requireTotals(t, f.audit(""))
			e.requireTotals(t, f.audit("")) // of a second audit, too

			f.now = f.now.Add(day) // what ran has ended
			rep := f.audit("")
			all := 0
			for i := range rep.Repositories {
				for _, p := range f.AddRepository("acme", fmt.Sprintf("repo-%d", i)).Pipelines() {
					all += p.BuildSecondsUsed
				}
			}
			require.Equal(t, all, rep.BuildSeconds)
			steps := 0
			for _, s := range rep.Steps {
				steps += s.BuildSeconds
			}
			require.Equal(t, all, steps)
		})
	}
}

// requireSame compares reports but for when and how they were made.
func requireSame(t *testing.T, want, got Report) {
	t.Helper()
	plain := func(rep Report) string {
		rep.Written, rep.Requests = time.Time{}, 0
		text, err := json.MarshalIndent(rep, "", " ")
		require.NoError(t, err)
		lines := strings.Split(string(text), "\n")
		kept := lines[:0]
		for _, line := range lines {
			if !strings.Contains(line, `as_of"`) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\n")
	}
	require.Equal(t, plain(want), plain(got))
}

func TestAnAuditThatIsInterruptedAtAnyRequestContinues(t *testing.T) {
	f := newFixture(t)
	f.addRandomWorkspace(rand.New(rand.NewPCG(3, 1)), 3, 8)
	want := f.audit("")
	all := int64(len(f.Requests()))
	for n := int64(1); n <= all; n++ {
		f.state = filepath.Join(f.dir, fmt.Sprint("state-", n))
		ctx, cancel := context.WithCancel(t.Context())
		f.onRequest(func(sent int64) {
			if sent == n {
				cancel()
			}
		})
		require.Equal(t, cli.Interrupted, f.RunContext(ctx, f.args("")), "%d: %s", n, &f.Errs)
		f.ClearFaults()
		f.mu.Lock()
		before := f.sent
		f.mu.Unlock()
		got := f.audit("")
		requireSame(t, want, got)
		require.Empty(t, got.Incomplete)
		after := int64(len(f.Requests()))
		require.LessOrEqual(t, before+after, all+parallel, "interrupted at request %d", n)
		require.GreaterOrEqual(t, before+after, all, "interrupted at request %d", n)
	}
	t.Logf("%d requests, interrupted at each", all)
}

func TestASecondDayCostsOnlyWhatChanged(t *testing.T) {
	f := newFixture(t)
	random := rand.New(rand.NewPCG(4, 1))
	e := newExpected()
	const repositories = 12
	var repos []*pipelinestest.Repository
	for i := range repositories {
		r := f.AddRepository("acme", fmt.Sprintf("repo-%d", i))
		r.AddEnvironment("Production", pipelines.EnvironmentProduction)
		repos = append(repos, r)
		for range 10 {
			e.addRandomRun(r, random, f.now, 3600)
		}
	}
	e.requireTotals(t, f.audit(""))
	const list, workspace, settings = 1, 2, 7 // requests: of settings, one is for the environment's variables
	require.Len(t, f.Requests(), list+workspace+repositories*(1+settings)+repositories*10, "the first day")

	e.requireTotals(t, f.audit(""))
	require.Len(t, f.Requests(), list+workspace+repositories, "a day on which nothing happened")
	require.Equal(t, "To send: 12 requests, within the quota: 12 lists of runs, then the steps of new runs, a request each\n", f.Errs.String())

	f.now = f.now.Add(day)
	e.addRandomRun(repos[3], rand.New(rand.NewPCG(4, 1)), f.now, 3600)
	e.requireTotals(t, f.audit(""))
	require.Len(t, f.Requests(), list+workspace+repositories+settings+1, "a day with one new run")
	require.Contains(t, f.Errs.String(), "To send: 8 requests, within the quota: 1 repository's settings, 1 run's steps\n")

	e.requireTotals(t, f.audit("--recheck 0"))
	require.Len(t, f.Requests(), list+workspace+repositories*(1+settings), "all settings again")

	f.audit("--since " + f.now.Add(-90*day).UTC().Format(time.DateOnly))
	require.Len(t, f.Requests(), list+workspace+repositories, "an earlier date needs no steps of runs that are known")
}
