package main

import (
	"context"
	"crypto/sha1" //nolint:gosec // commit hashes are SHA-1
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// history generates five weeks of runs, always the same ones: a flaky integration test, commits that break something, a dependency cache
// that is lost ten days ago, and a queue at noon. The server's clock is set to the start of each run.
type history struct {
	random *rand.Rand
	now    time.Time
	runs   []demoRun

	mu sync.Mutex
	at time.Time // zero: now
}

// demoRun is a run to start.
type demoRun struct {
	at     time.Time
	target pipelines.Target
	script pipelinestest.Script
}

func newHistory() *history {
	return &history{random: rand.New(rand.NewPCG(6, 300)), now: time.Now()} //nolint:gosec // test data, not a secret
}

func (h *history) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at.IsZero() {
		return time.Now()
	}
	return h.at
}

func (h *history) setClock(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = t
}

const (
	onMain  = "branches:main"
	onPull  = "pull-requests:**"
	nightly = "custom:nightly"
)

// seed starts the runs.
func (h *history) seed(srv *pipelinestest.Server) {
	repo := srv.AddRepository(cli.DemoRepo.Workspace, cli.DemoRepo.Slug)
	for _, b := range demoBranches {
		repo.AddBranch(b, hashOf(b, 0))
	}
	h.write()
	slices.SortStableFunc(h.runs, func(a, b demoRun) int { return a.at.Compare(b.at) })
	client := srv.Client()
	defer client.CloseIdleConnections()
	for _, r := range h.runs {
		for _, selector := range []string{"default", onMain, onPull, nightly} {
			repo.Script(selector, r.script)
		}
		h.setClock(r.at)
		if _, err := client.Pipelines.Run(context.Background(), cli.DemoRepo, pipelines.RunRequest{Target: r.target}); err != nil {
			panic(err) // a bug in the demo
		}
	}
	h.setClock(time.Time{})
	srv.ClearRequests()
}

var demoBranches = []string{"main", "feature/checkout", "feature/search", "fix/rounding", "release/2.1"}

// write generates the runs.
func (h *history) write() {
	for ago := 34; ago >= 0; ago-- {
		day := h.now.AddDate(0, 0, -ago)
		midnight := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, day.Location())
		h.add(midnight.Add(2*time.Hour), pipelines.BranchTarget("main").With(pipelines.CustomSelector("nightly")).At(hashOf("main", ago)), nightly, "")
		pushes := 9 + h.random.IntN(5)
		if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			pushes = h.random.IntN(4)
		}
		for n := range pushes {
			h.push(midnight.Add(8*time.Hour+time.Duration(h.random.IntN(600))*time.Minute), hashOf(day.Format(time.DateOnly), n))
		}
	}
}

// push generates the runs of a pushed commit. Half of the time a failed pipeline is run again.
func (h *history) push(at time.Time, commit string) {
	branch := demoBranches[[]int{0, 0, 0, 1, 1, 2, 2, 3, 4}[h.random.IntN(9)]]
	target, kind := pipelines.BranchTarget(branch).At(commit), "default"
	switch {
	case branch == "main":
		kind = onMain
	case h.random.IntN(3) == 0:
		kind = onPull
		target = pipelines.PullRequestTarget(pipelines.PullRequestRef{
			ID: 40 + h.random.IntN(9), Source: branch, Destination: "main", Commit: commit, DestinationCommit: hashOf("main", 0),
		})
	}
	trouble := h.failureKind()
	h.add(at, target, kind, trouble)
	if trouble == "" || trouble == "stop" || h.random.IntN(3) == 0 {
		return
	}
	if trouble == "flaky" {
		trouble = ""
	}
	h.add(at.Add(time.Duration(15+h.random.IntN(40))*time.Minute), target, kind, trouble)
}

// failureKind picks a kind of failure.
func (h *history) failureKind() string {
	switch n := h.random.IntN(100); {
	case n < 9:
		return "flaky"
	case n < 14:
		return "unit"
	case n < 17:
		return "build"
	case n < 19:
		return "yaml"
	case n < 22:
		return "stop"
	}
	return ""
}

func (h *history) add(at time.Time, target pipelines.Target, kind, trouble string) {
	if at.After(h.now) {
		return
	}
	queue := 5 + h.random.IntN(20)
	if hour := at.Hour(); hour >= 11 && hour <= 14 {
		queue += h.random.IntN(150)
	}
	script := pipelinestest.Script{Parsing: time.Second, Pending: time.Duration(queue) * time.Second}
	if trouble == "yaml" {
		script.Error = &pipelines.ErrorDetail{Key: "plan-service.parse.error", Message: "The YAML can't be read."}
	} else {
		script.Steps = h.steps(kind, trouble, at.After(h.now.AddDate(0, 0, -10)))
	}
	h.runs = append(h.runs, demoRun{at, target, script})
}

func (h *history) steps(kind, trouble string, slow bool) []pipelinestest.Step {
	build := 70.0
	if slow {
		build = 160 // without the cache
	}
	steps := []pipelinestest.Step{
		{Name: "Build", Duration: h.about(build)},
		{Name: "Lint", Duration: h.about(35)},
		{Name: "Unit tests", Duration: h.about(130), Parallel: true, TestReport: &pipelinestest.TestReport{Passed: 812}},
		{Name: "Integration tests", Duration: h.about(310), Parallel: true, TestReport: &pipelinestest.TestReport{Passed: 143}},
	}
	switch kind {
	case onMain:
		steps = append(steps,
			pipelinestest.Step{Name: "Package image", Duration: h.about(95)}, pipelinestest.Step{Name: "Deploy to staging", Duration: h.about(60), Deployment: "staging"})
	case nightly:
		steps = append(steps, pipelinestest.Step{Name: "Load test", Duration: h.about(1500)}, pipelinestest.Step{Name: "Scan dependencies", Duration: h.about(240), Parallel: true})
		if h.random.IntN(7) == 0 {
			steps[5].Result = pipelines.ResultFailed
		}
	}
	switch trouble {
	case "flaky":
		fail(&steps[3], []string{"checkout.PaymentIT.testTimeoutIsRetried", "search.IndexIT.testEventuallyConsistent", "checkout.PaymentIT.testTimeoutIsRetried", "mail.QueueIT.testOrder"}[h.random.IntN(4)])
	case "unit":
		fail(&steps[2], "cart.TotalTest.testRounding", "cart.TotalTest.testDiscount")
	case "build":
		steps[0].Result, steps[0].Duration = pipelines.ResultFailed, h.about(20)
	case "stop":
		steps[1].Result, steps[1].Duration = pipelines.ResultStopped, h.about(10)
	}
	return steps
}

func fail(s *pipelinestest.Step, tests ...string) {
	s.Result = pipelines.ResultFailed
	report := *s.TestReport
	for _, name := range tests {
		report.Cases = append(report.Cases, pipelines.TestCase{FullyQualifiedName: name, Status: pipelines.TestFailed})
	}
	s.TestReport = &report
}

// about is a random duration with a mean of the given seconds, sometimes much longer.
func (h *history) about(mean float64) time.Duration {
	factor := 0.8 + 0.4*h.random.Float64()
	if h.random.IntN(12) == 0 {
		factor *= 1.3 + h.random.Float64()
	}
	return time.Duration(mean*factor) * time.Second
}

func hashOf(name string, n int) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "%s %d", name, n))) //nolint:gosec // as in Git
}

// serverOption makes the server use the history's clock.
func (h *history) serverOption() pipelinestest.ServerOption { return pipelinestest.WithClock(h.clock) }
