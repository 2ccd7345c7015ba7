package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// Start a custom pipeline with variables.
func ExamplePipelinesService_Run() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	site := srv.AddRepository("acme", "site")
	site.Script("deploy", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Deploy"}}})
	client := srv.Client()
	ctx, repo := context.Background(), pipelines.Repo{Workspace: "acme", Slug: "site"}

	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{
		Target: pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy")),
		Variables: []pipelines.VariableRequest{
			{Key: "REGION", Value: "eu"},
			{Key: "TOKEN", Value: "s3cret", Secured: new(true)},
		},
	})
	switch {
	case errors.Is(err, pipelines.ErrOutcomeUnknown):
		log.Fatal("the run may exist: list the runs before you start another one: ", err)
	case errors.Is(err, pipelines.ErrNotFound):
		log.Fatal("no such branch or repository: ", err)
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(run.State, run.WebURL(repo))
	// Output: PARSING https://bitbucket.org/acme/site/pipelines/results/1
}

// The connection is lost while a run is started: it may exist. Look for a new run before starting another one.
func ExampleOutcomeUnknownError() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	srv.AddRepository("acme", "site")
	srv.Inject(pipelinestest.Fault{ // the service starts the run, and the response is lost
		Method: http.MethodPost, Path: "/repositories/*/*/pipelines", Drop: pipelinestest.DropAfter,
	})
	client := srv.Client()
	ctx, repo := context.Background(), pipelines.Repo{Workspace: "acme", Slug: "site"}
	newest := &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst, Branch: "main"}

	before := 0
	last, err := client.Pipelines.List(ctx, repo, newest).First()
	switch {
	case err == nil:
		before = last.BuildNumber
	case !errors.Is(err, pipelines.ErrEmptyList):
		log.Fatal(err)
	}

	_, err = client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if !errors.Is(err, pipelines.ErrOutcomeUnknown) {
		log.Fatal("this example has lost the response: ", err)
	}
	// A new run may be missing from the list for a moment, and somebody else may have started one: compare its
	// Creator and Target.
	for run, err := range client.Pipelines.List(ctx, repo, newest).All() {
		if err != nil {
			log.Fatal(err)
		}
		if run.BuildNumber <= before {
			break
		}
		fmt.Println("found run", run.BuildNumber, "on", run.Target.RefName)
	}
	// Output: found run 1 on main
}

// Start the pipeline of several branches and wait for all of them.
func ExamplePipelinesService_WaitAll() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	client := srv.Client()
	site := srv.AddRepository("acme", "site")
	site.AddBranch("release/1", "1a11")
	site.AddBranch("release/2", "2b22")
	ctx, repo := context.Background(), site.Repo()

	var ids []string
	for _, branch := range []string{"main", "release/1", "release/2"} {
		run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget(branch)})
		if err != nil {
			log.Fatal(err)
		}
		ids = append(ids, run.UUID)
	}
	runs, err := client.Pipelines.WaitAll(ctx, repo, ids, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, run := range runs {
		fmt.Println(run.BuildNumber, run.State)
	}
	// Output:
	// 1 SUCCESSFUL
	// 2 SUCCESSFUL
	// 3 SUCCESSFUL
}

// Stop the run on Ctrl-C.
func ExamplePipelinesService_Stop() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	srv.AddRepository("acme", "site").Script("default", pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Build", Duration: time.Hour},
	}})
	client, repo := srv.Client(), pipelines.Repo{Workspace: "acme", Slug: "site"}

	ctx, interrupt := signal.NotifyContext(context.Background(), os.Interrupt)
	defer interrupt()

	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if err != nil {
		log.Fatal(err)
	}
	interrupt() // as Ctrl-C would
	_, err = client.Pipelines.Wait(ctx, repo, run.UUID, nil)
	if ctx.Err() == nil {
		log.Fatal("not interrupted: ", err)
	}

	// ctx has ended and would end these requests: they need another context.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.Pipelines.Stop(ctx, repo, run.UUID); err != nil {
		log.Fatal(err)
	}
	run, err = client.Pipelines.Wait(ctx, repo, run.UUID, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(run.State)
	// Output: STOPPED
}
