package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const (
	demoWorkspace = "acme"
	demoQuota     = 20000            // so that the demo needn't be slow
	demoLength    = 45 * time.Second // until nothing more happens
)

var demoSlugs = []string{"site", "shop", "search", "mail", "docs", "api", "app", "infra", "old"}

// demo is a fake service on which things happen.
type demo struct {
	srv   *pipelinestest.Server
	repos []*pipelinestest.Repository
}

// seed adds repositories with a run of yesterday each.
func (d *demo) seed(srv *pipelinestest.Server) {
	d.srv = srv
	people := []string{"Ada", "Grace", "Linus", "Margaret"}
	for i, slug := range demoSlugs {
		r := srv.AddRepository(demoWorkspace, slug)
		created := time.Now().Add(-24*time.Hour + time.Duration(i*97)*time.Minute)
		p := pipelines.Pipeline{
			CreatedOn: created, CompletedOn: created.Add(time.Duration(100+i*13) * time.Second),
			Creator: &pipelines.Account{DisplayName: people[i%len(people)]},
		}
		if i == 3 {
			p.State = pipelines.PipelineState{Name: pipelines.StateCompleted, Result: &pipelines.Result{Name: pipelines.ResultFailed}}
		}
		r.AddPipeline(p)
		d.repos = append(d.repos, r)
	}
}

func demoNames() []string {
	var names []string
	for _, slug := range demoSlugs {
		names = append(names, demoWorkspace+"/"+slug)
	}
	return names
}

// play makes things happen, and ends *ctx when the demo is over. Call end when done.
func (d *demo) play(ctx *context.Context) (end func()) {
	limited, cancel := context.WithTimeout(*ctx, demoLength)
	*ctx = limited
	var timers []*time.Timer
	at := func(second int, do func()) {
		timers = append(timers, time.AfterFunc(time.Duration(second)*time.Second, do))
	}
	for i, r := range d.repos[:8] {
		at(1+i*3, func() { r.AddRun(demoScript(i), time.Now(), pipelines.BranchTarget(fmt.Sprintf("feature/%d", i%3+1))) })
		at(3+i*4, func() { r.AddRun(demoScript(i+3), time.Now()) })
	}
	old := d.repos[8]
	at(4, func() { old.AddRun(demoScript(0), time.Now()) })
	at(12, old.Delete)
	at(20, func() {
		d.srv.Inject(pipelinestest.Fault{Status: http.StatusServiceUnavailable, Body: "The service is busy.", For: 6 * time.Second})
	})
	at(40, func() { _ = d.repos[2].Resume("2") }) // is paused by then
	return func() {
		for _, timer := range timers {
			timer.Stop()
		}
		cancel()
	}
}

// demoScript is what the nth run of the demo does.
func demoScript(n int) pipelinestest.Script {
	test := pipelinestest.Step{Name: "Test", Duration: time.Duration(4+n*5%9) * time.Second, Log: "+ make test\nok cart\nok search\n"}
	if n%5 == 1 {
		test.Result, test.Log = pipelines.ResultFailed, "+ make test\nok cart\nFAIL search: TestRank\nmake: *** [test] Error 1\n"
	}
	deploy := pipelinestest.Step{Name: "Deploy", Duration: 3 * time.Second, Manual: n%7 == 2, Log: "deployed\n"}
	return pipelinestest.Script{Parsing: time.Second, Pending: time.Second, Steps: []pipelinestest.Step{test, deploy}}
}
