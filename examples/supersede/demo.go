package main

import (
	"context"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const (
	demoQuota  = 20000            // so that a watch needn't be slow
	demoLength = 30 * time.Second // of a watch
)

// demo is a fake service with runs of all kinds.
type demo struct{ repo *pipelinestest.Repository }

func (d *demo) seed(srv *pipelinestest.Server) {
	d.repo = srv.AddRepository(cli.DemoRepo.Workspace, cli.DemoRepo.Slug)
	d.repo.Script("custom:report", demoScript())
	request := pipelines.PullRequestTarget(pipelines.PullRequestRef{ID: 7, Source: "feature/cart", Destination: "main"})
	report := pipelines.BranchTarget("main").With(pipelines.CustomSelector("report"))
	approval := pipelinestest.Step{Name: "Approve", Manual: true}
	for i, run := range []struct {
		target pipelines.Target
		script pipelinestest.Script
	}{
		{pipelines.BranchTarget("main"), demoScript(pipelinestest.Step{Name: "Deploy", Duration: time.Hour, Deployment: "Production"})},
		{pipelines.BranchTarget("feature/cart"), demoScript()},
		{request, demoScript()},
		{pipelines.BranchTarget("feature/search"), pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Test", Duration: time.Second}, approval}}},
		{report, demoScript()},
		{pipelines.BranchTarget("main"), demoScript()},
		{request, demoScript()},
		{pipelines.BranchTarget("feature/cart"), demoScript()},
		{pipelines.BranchTarget("feature/search"), demoScript()},
		{report, demoScript()},
		{pipelines.BranchTarget("feature/cart"), demoScript()},
	} {
		d.repo.AddRun(run.script, time.Now().Add(time.Duration(i-20)*time.Minute), run.target)
	}
}

// play starts more runs, until the demo is over. Call stop when done.
func (d *demo) play(ctx context.Context) (limited context.Context, stop func()) {
	limited, cancel := context.WithTimeout(ctx, demoLength)
	var timers []*time.Timer
	for i, branch := range []string{"feature/search", "feature/cart", "hotfix", "feature/cart", "hotfix"} {
		timers = append(timers, time.AfterFunc(time.Duration(4+5*i)*time.Second, func() {
			d.repo.AddRun(demoScript(), time.Now(), pipelines.BranchTarget(branch))
		}))
	}
	return limited, func() {
		for _, timer := range timers {
			timer.Stop()
		}
		cancel()
	}
}

// demoScript is a test that takes long, and further steps.
func demoScript(more ...pipelinestest.Step) pipelinestest.Script {
	return pipelinestest.Script{Steps: append([]pipelinestest.Step{{Name: "Test", Duration: time.Hour}}, more...)}
}
