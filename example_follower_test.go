package pipelines_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// Follow runs of several repositories, and go on after a restart with what was stored.
func ExampleClient_NewFollower() {
	srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
	defer srv.Close()
	client := srv.Client()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	stored := map[string]string{} // the text of each run's cursor; a program keeps it in a file or a database

	process := func(handle func(*pipelines.Event) bool) {
		follower, err := client.NewFollower(&pipelines.FollowerOptions{Logs: pipelines.LogsNone})
		if err != nil {
			log.Fatal(err)
		}
		for _, slug := range []string{"site", "shop"} {
			var cursor pipelines.Cursor // zero: from the beginning
			if err := cursor.UnmarshalText([]byte(stored[slug])); err != nil {
				log.Fatal(err)
			}
			if err := follower.Add(pipelines.Repo{Workspace: "acme", Slug: slug}, "1", cursor); err != nil {
				log.Fatal(err)
			}
		}
		for e, err := range follower.Events(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			goOn := handle(e)
			stored[e.Repo.Slug] = e.Cursor.String() // once the event is handled
			if !goOn || follower.Len() == 0 {
				return
			}
		}
	}

	for _, slug := range []string{"site", "shop"} {
		r := srv.AddRepository("acme", slug)
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build"}}})
		if _, err := client.Pipelines.Run(ctx, r.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")}); err != nil {
			log.Fatal(err)
		}
	}
	ended := map[string]pipelines.PipelineState{}
	process(func(e *pipelines.Event) bool { return e.Kind != pipelines.EventStep }) // this one stops early
	process(func(e *pipelines.Event) bool {
		switch {
		case e.Kind == pipelines.EventProblem:
			log.Printf("%v: following fails since %v: %v", e.Repo, e.FailingSince, e.Err)
		case e.Last:
			ended[e.Repo.String()] = e.Pipeline.State
		}
		return true
	})
	fmt.Println(len(ended), "runs have ended")
	// Output: 2 runs have ended
}
