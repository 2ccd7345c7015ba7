package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
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

// world is a repository in which runs start, end and are resumed at random, and which knows what may be stopped.
type world struct {
	random *rand.Rand
	repo   *pipelinestest.Repository
	named  map[string]bool // the environments whose deployments may be stopped, by UUID

	mu       sync.Mutex
	mistakes []string
}

// start starts a run of any kind, some time ago.
func (w *world) start(ago time.Duration) {
	pick := func(choices ...string) string { return choices[w.random.IntN(len(choices))] }
	var steps []pipelinestest.Step
	for i := range 1 + w.random.IntN(3) {
		steps = append(steps, pipelinestest.Step{
			Name: fmt.Sprint(i), Duration: time.Duration(1+w.random.IntN(600)) * time.Second,
			Deployment: pick("", "", "", "Test", "Production"), Manual: i > 0 && w.random.IntN(4) == 0,
			Result: pipelines.ResultName(pick("", "", "", "FAILED")),
		})
	}
	script := pipelinestest.Script{Parsing: time.Duration(w.random.IntN(5)) * time.Second, Pending: time.Duration(w.random.IntN(60)) * time.Second, Steps: steps}
	if w.random.IntN(8) == 0 {
		script.Error = &pipelines.ErrorDetail{Key: "plan-service.parse.error"}
	}
	branch := pick("main", "topic")
	target := pipelines.BranchTarget(branch)
	switch w.random.IntN(8) {
	case 0:
		target = pipelines.TagTarget("v1")
	case 1, 2:
		target = pipelines.PullRequestTarget(pipelines.PullRequestRef{ID: 1 + w.random.IntN(2), Source: branch, Destination: "release"})
	case 3:
		target = target.With(pipelines.CustomSelector(pick("report", "secret")))
	}
	w.repo.AddRun(script, time.Now().Add(-ago), target)
}

// happen makes something happen between two requests, or nothing.
func (w *world) happen() {
	switch w.random.IntN(6) {
	case 0:
		w.start(0)
	case 1:
		time.Sleep(time.Duration(w.random.IntN(20)) * time.Second)
	case 2:
		_ = w.repo.Resume(fmt.Sprint(1 + w.random.IntN(50))) // if it waits for that
	}
}

// sight is the truth about a repository at a time.
type sight struct {
	runs        []pipelines.Pipeline
	deployments []pipelines.Deployment
	named       map[string]bool
}

func (w *world) sight() sight { return sight{w.repo.Pipelines(), w.repo.Deployments(), w.named} }

// mayStop reports why a run mustn't be stopped; nil: it may. It knows nothing of how the program finds that out.
func (s sight) mayStop(p pipelines.Pipeline) error {
	for _, d := range s.deployments {
		if d.Release.Pipeline.UUID == p.UUID && !s.named[d.Environment.UUID] {
			return fmt.Errorf("%d deploys to an environment that isn't named", p.BuildNumber)
		}
	}
	selector := func(p pipelines.Pipeline) string {
		if p.Target.Selector == nil {
			return "none"
		}
		return string(p.Target.Selector.Type) + p.Target.Selector.Pattern
	}
	ref := func(p pipelines.Pipeline) string {
		if p.Target.PullRequest != nil {
			return fmt.Sprint(p.Target.PullRequest.ID)
		}
		return string(p.Target.RefType) + p.Target.RefName
	}
	if kind := selector(p); kind == "none" || kind == "customsecret" || p.Target.RefType == pipelines.RefTag {
		return fmt.Errorf("%d is of a kind that is left", p.BuildNumber)
	}
	for _, other := range s.runs {
		word := other.State.String()
		if other.BuildNumber > p.BuildNumber && selector(other) == selector(p) && ref(other) == ref(p) && word != "ERROR" && word != "STOPPED" && word != "PARSING" {
			return nil
		}
	}
	return fmt.Errorf("%d is the newest", p.BuildNumber)
}

// see judges a request, and lets things happen before it takes effect.
func (w *world) see(r *http.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if uuid, ok := stopped(r.Method, r.URL.EscapedPath()); ok {
		now := w.sight()
		for _, p := range now.runs {
			if err := now.mayStop(p); err != nil && p.UUID == uuid {
				w.mistakes = append(w.mistakes, err.Error())
			}
		}
	}
	w.happen()
	return false
}

// left returns the runs that should have been stopped, but haven't.
func (w *world) left() (builds []int) {
	now := w.sight()
	for _, p := range now.runs {
		if word := p.State.String(); (word == "RUNNING" || word == "PENDING") && now.mayStop(p) == nil {
			builds = append(builds, p.BuildNumber)
		}
	}
	return builds
}

func TestWhateverHappensMeanwhileTheRightRunsAreStopped(t *testing.T) {
	stopped := 0
	for seed := range uint64(25) {
		synctest.Test(t, func(t *testing.T) {
			s := clitest.New(t, run)
			w := &world{random: rand.New(rand.NewPCG(seed, 0)), repo: s.AddRepository("acme", "site"), named: map[string]bool{}}
			w.repo.Script("custom:report", pipelinestest.Script{})
			w.repo.Script("custom:secret", pipelinestest.Script{})
			w.repo.AddEnvironment("Production", pipelines.EnvironmentProduction)
			w.named[w.repo.AddEnvironment("Test", pipelines.EnvironmentTest).UUID()] = true
			for range 10 + w.random.IntN(40) {
				w.start(time.Duration(w.random.IntN(900)) * time.Second)
			}
			const args = "apply --repo acme/site --environment Test --custom report"
			s.Inject(pipelinestest.Fault{Match: w.see})
			require.Equal(t, cli.Success, s.Run(args), "%d: %s", seed, s.Errs.String())
			stopped += len(s.Changes())

			s.ClearFaults()
			time.Sleep(2 * time.Second)
			want, before := w.left(), len(asked(s, w.repo))
			require.Equal(t, cli.Success, s.Run(args), "%d: %s", seed, s.Errs.String())
			require.ElementsMatch(t, want, asked(s, w.repo)[before:], seed)
			require.Empty(t, w.mistakes, seed)
		})
	}
	require.Greater(t, stopped, 80, "the worlds are too quiet to show anything")
}
