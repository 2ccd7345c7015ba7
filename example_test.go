package pipelines_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// demo is a service to run the examples on: one repository whose pipeline builds and tests.
func demo() (*pipelinestest.Server, *pipelines.Client) {
	srv := pipelinestest.NewServer()
	srv.AddRepository("acme", "site").Script("default", pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Build", Duration: 20 * time.Millisecond, Log: "compiling\nlinking\n"},
		{Name: "Test", Duration: 20 * time.Millisecond, Log: "ok\n"},
	}})
	return srv, srv.Client()
}

func ExampleNewClient() {
	client, err := pipelines.NewClient(
		pipelines.WithToken(os.Getenv("DEPLOY_TOKEN")),
		pipelines.WithUserAgent("deploy-bot/1.4"),
		pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 8}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client)
	// Output: pipelines: invalid argument: token is empty
}

func ExampleWithEnv() {
	client, err := pipelines.NewClient(pipelines.WithEnv())
	if err != nil {
		log.Print(err) // says which variables to set
		return
	}
	fmt.Println(client)
}

func ExampleParseRepo() {
	repo, err := pipelines.ParseRepo("acme/site")
	fmt.Println(repo.Workspace, repo.Slug, err)
	// Output: acme site <nil>
}

func ExamplePipelinesService_List() {
	srv, client := demo()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.AddPipelines(250)

	passed := 0
	for run, err := range client.Pipelines.List(context.Background(), repo.Repo(), nil).All() {
		if err != nil {
			log.Fatal(err)
		}
		if run.State.Succeeded() {
			passed++
		}
	}
	fmt.Println(passed, "of all runs passed")
	// Output: 250 of all runs passed
}

func ExamplePipelinesService_List_newest() {
	srv, client := demo()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.AddPipelines(250)

	newest, err := client.Pipelines.List(context.Background(), repo.Repo(), &pipelines.ListPipelinesOptions{
		Sort: pipelines.SortNewestFirst, Branch: "main", Status: []pipelines.PipelineStatus{pipelines.StatusPassed},
	}).First()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(newest.BuildNumber, newest.WebURL(repo.Repo()))
	// Output: 250 https://bitbucket.org/acme/site/pipelines/results/250
}

func ExamplePipelinesService_Run() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}

	run, err := client.Pipelines.Run(context.Background(), repo, pipelines.RunRequest{
		Target:    pipelines.BranchTarget("main"),
		Variables: []pipelines.Variable{{Key: "LEVEL", Value: "debug"}, {Key: "KEY", Value: "s3cret", Secured: true}},
	})
	switch {
	case errors.Is(err, pipelines.ErrOutcomeUnknown):
		log.Fatal("it may be running: look before trying again")
	case err != nil:
		log.Fatal(err)
	}
	run, err = client.Pipelines.Wait(context.Background(), repo, run.UUID, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(run.BuildNumber, run.State)
	// Output: 1 SUCCESSFUL
}

func ExamplePipelinesService_Watch() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()

	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range client.Pipelines.Watch(ctx, repo, run.UUID, nil) {
		if err != nil {
			log.Fatal(err)
		}
		switch {
		case e.Log != nil:
			fmt.Printf("%s", e.Log)
		case e.Step != nil && e.Step.State.Done():
			fmt.Println(e.Step.Name, e.Step.State)
		case e.Pipeline != nil && e.Pipeline.State.Done():
			fmt.Println(e.Pipeline.State)
		}
	}
	// Output:
	// compiling
	// linking
	// Build SUCCESSFUL
	// ok
	// Test SUCCESSFUL
	// SUCCESSFUL
}

func ExampleStepsService_FollowLog() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}
	ctx := context.Background()

	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if err != nil {
		log.Fatal(err)
	}
	step, err := firstStep(ctx, client, repo, run.UUID)
	if err != nil {
		log.Fatal(err)
	}
	r, err := client.Steps.FollowLog(ctx, repo, run.UUID, step.UUID, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fmt.Println(step.Name+":", lines.Text())
	}
	// Output:
	// Build: compiling
	// Build: linking
}

// firstStep waits until the pipeline has been parsed into steps.
func firstStep(ctx context.Context, client *pipelines.Client, repo pipelines.Repo, id string) (*pipelines.Step, error) {
	for {
		step, err := client.Steps.List(ctx, repo, id, nil).First()
		if !errors.Is(err, pipelines.ErrNotFound) {
			return step, err
		}
	}
}

func ExampleStepsService_Log() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}
	ctx := context.Background()

	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if err != nil {
		log.Fatal(err)
	}
	if _, err = client.Pipelines.Wait(ctx, repo, run.UUID, nil); err != nil {
		log.Fatal(err)
	}
	step, err := client.Steps.List(ctx, repo, run.UUID, nil).First()
	if err != nil {
		log.Fatal(err)
	}
	tail, err := client.Steps.Log(ctx, repo, run.UUID, step.UUID, &pipelines.LogOptions{Tail: 8})
	if err != nil {
		log.Fatal(err)
	}
	defer tail.Close()
	if _, err := tail.WriteTo(os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output: linking
}

func ExampleClient_Do() {
	srv, client := demo()
	defer srv.Close()

	var steps struct {
		Size int `json:"size"`
	}
	err := client.Do(context.Background(), "GET", "/repositories/acme/site/pipelines/1/steps", nil, &steps)
	fmt.Println(errors.Is(err, pipelines.ErrNotFound))
	// Output: true
}

func ExampleAPIError() {
	srv, client := demo()
	defer srv.Close()

	_, err := client.Pipelines.Get(context.Background(), pipelines.Repo{Workspace: "acme", Slug: "site"}, "99")
	var answer *pipelines.APIError
	if errors.As(err, &answer) {
		fmt.Println(answer.StatusCode, answer.Key, errors.Is(err, pipelines.ErrNotFound))
	}
	// Output: 404 result-service.pipeline-id.not-found true
}
