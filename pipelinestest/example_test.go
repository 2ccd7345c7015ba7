package pipelinestest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// This test of a program that starts a pipeline has a run that fails.
func Example() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.Script("deploy", pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Build", Log: "compiled\n"},
		{Name: "Deploy", Log: "no such host\n", Result: pipelines.ResultFailed},
		{Name: "Announce"},
	}})

	ctx, client := context.Background(), srv.Client()
	run, err := client.Pipelines.Run(ctx, repo.Repo(), pipelines.RunRequest{
		Target:    pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy")),
		Variables: []pipelines.VariableRequest{{Key: "ENV", Value: "staging"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("started:", run.State)

	steps, err := client.Steps.List(ctx, repo.Repo(), run.UUID, nil).Collect()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range steps {
		fmt.Println(step.Name, step.State)
	}
	fmt.Println("variables:", repo.Pipelines()[0].Variables[0].Key)
	// Output:
	// started: PARSING
	// Build SUCCESSFUL
	// Deploy FAILED
	// Announce NOT_RUN
	// variables: ENV
}

// The response to a request that starts a run is lost, so the program doesn't know whether the run exists.
func ExampleServer_Inject() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	srv.Inject(pipelinestest.Fault{
		Method: http.MethodPost, Path: "/repositories/{workspace}/{repo_slug}/pipelines", Times: 1,
		Drop: pipelinestest.DropAfter,
	})

	_, err := srv.Client().Pipelines.Run(context.Background(), repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	fmt.Println("outcome unknown:", errors.Is(err, pipelines.ErrOutcomeUnknown))
	fmt.Println("runs:", len(repo.Pipelines()))
	// Output:
	// outcome unknown: true
	// runs: 1
}

// An administrator revokes the token of a program that continues with a new one.
func ExampleServer_RevokeToken() {
	srv := pipelinestest.NewServer(pipelinestest.WithToken("old"))
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.AddPipelines(1)
	ctx, client := context.Background(), srv.Client()

	srv.RevokeToken("old")
	_, err := client.Pipelines.Get(ctx, repo.Repo(), "1")
	fmt.Println("revoked:", errors.Is(err, pipelines.ErrUnauthorized))
	srv.AddToken("new")
	_, err = srv.Client(pipelines.WithToken("new")).Pipelines.Get(ctx, repo.Repo(), "1")
	fmt.Println("with the new token:", err)
	// Output:
	// revoked: true
	// with the new token: <nil>
}

// A person deletes a repository while a program works with it.
func ExampleRepository_Delete() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	client := srv.Client()

	repo.Delete()
	_, err := client.Pipelines.Run(context.Background(), repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	fmt.Println("deleted:", errors.Is(err, pipelines.ErrRepositoryNotFound))
	// Output:
	// deleted: true
}

// The requests that a program sent, printed without secrets.
func ExampleServer_Requests() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.AddPipelines(3)

	list := srv.Client().Pipelines.List(context.Background(), repo.Repo(), &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst})
	newest, err := list.First()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("newest:", newest.BuildNumber)
	for _, r := range srv.Requests() {
		fmt.Println(r, r.Query.Get("sort"))
	}
	// Output:
	// newest: 3
	// GET /2.0/repositories/acme/site/pipelines 200 -created_on
}

// A clock of the test moves a run on without waiting. A bubble of testing/synctest needs none.
func ExampleWithClock() {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	srv := pipelinestest.NewServer(pipelinestest.WithClock(func() time.Time { return now }))
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Build", Duration: 10 * time.Minute}, {Name: "Deploy", Manual: true},
	}})

	ctx, client := context.Background(), srv.Client()
	run, err := client.Pipelines.Run(ctx, repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if err != nil {
		fmt.Println(err)
		return
	}
	show := func() {
		p, err := client.Pipelines.Get(ctx, repo.Repo(), run.UUID)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(now.Format(time.TimeOnly), p.State)
	}
	show()
	now = now.Add(10 * time.Minute)
	show()
	if err := repo.Resume(run.UUID); err != nil {
		fmt.Println(err)
	}
	show()
	// Output:
	// 12:00:00 RUNNING
	// 12:10:00 PAUSED
	// 12:10:00 SUCCESSFUL
}

// A test of a program that keeps variables as code reads the variables that it leaves.
func ExampleRepository_AddVariable() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})

	variables := srv.Client().Variables.InRepository(repo.Repo())
	read, err := variables.Set(context.Background(), pipelines.VariableRequest{Key: "TOKEN", Value: "new"})
	if err != nil {
		fmt.Println(err)
		return
	}
	kept := repo.Variables()[0]
	fmt.Printf("read: %q\n", read.Value)
	fmt.Printf("kept: %q\n", kept.Value)
	// Output:
	// read: ""
	// kept: "new"
}
