package pipelines_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
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

// Start a pipeline, wait for its end, and print how its steps ended. A real program makes its client with [pipelines.NewClient].
func Example() {
	srv := pipelinestest.NewServer() // stands for the service
	defer srv.Close()
	srv.AddRepository("acme", "site").Script("default", pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Build"}, {Name: "Test", Result: pipelines.ResultFailed},
	}})
	client := srv.Client()

	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}

	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if err != nil {
		log.Fatal(err)
	}
	run, err = client.Pipelines.Wait(ctx, repo, run.UUID, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("run", run.BuildNumber, run.State)
	for step, err := range client.Steps.List(ctx, repo, run.UUID, nil).All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("step", step.Name, step.State)
	}
	// Output:
	// run 1 FAILED
	// step Build SUCCESSFUL
	// step Test FAILED
}

func ExampleNewClient() {
	client, err := pipelines.NewClient(
		pipelines.WithToken("an access token"),
		pipelines.WithUserAgent("deploy-bot/1.4"),
		pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 8}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client) // shows no credentials
	// Output: pipelines.Client(https://api.bitbucket.org/2.0)
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

// In a step of Bitbucket Pipelines, the repository and the credentials come from the environment.
func ExampleRepoFromEnv() {
	repo, err := pipelines.RepoFromEnv()
	if err != nil {
		log.Print(err) // the program runs in no step
		return
	}
	fmt.Println(repo)
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
		switch e.Kind {
		case pipelines.EventLog:
			fmt.Printf("%s", e.Log)
		case pipelines.EventStep:
			if e.Step.State.Done() {
				fmt.Println(e.Step.Name, e.Step.State)
			}
		case pipelines.EventPipeline:
			if e.Pipeline.State.Done() {
				fmt.Println(e.Pipeline.State)
			}
		case pipelines.EventProblem: // it goes on
			log.Printf("following fails since %v: %v", e.FailingSince, e.Err)
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

// firstStep waits until the service has read the pipeline's YAML: before, the pipeline has no steps.
func firstStep(ctx context.Context, client *pipelines.Client, repo pipelines.Repo, id string) (*pipelines.Step, error) {
	for {
		step, err := client.Steps.List(ctx, repo, id, nil).First()
		if !errors.Is(err, pipelines.ErrEmptyList) {
			return step, err
		}
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func ExampleStepsService_GetLog() {
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
	for step, err := range client.Steps.List(ctx, repo, run.UUID, nil).All() {
		if err != nil {
			log.Fatal(err)
		}
		// The last line of each log. nil options read the whole log.
		text, err := client.Steps.GetLog(ctx, repo, run.UUID, step.UUID, &pipelines.LogOptions{TailLines: 1})
		if errors.Is(err, pipelines.ErrNotFound) {
			continue // the step has written none
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(step.Name, ": ")
		if _, err := text.WriteTo(os.Stdout); err != nil {
			log.Fatal(err)
		}
		_ = text.Close()
	}
	// Output:
	// Build: linking
	// Test: ok
}

// A request that has no method of its own.
func ExampleClient_Do() {
	srv, client := demo()
	defer srv.Close()

	var repositories struct {
		Size int `json:"size"`
	}
	err := client.Do(context.Background(), "GET", "/repositories/acme?pagelen=1", nil, &repositories)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(repositories.Size, "repository")
	// Output: 1 repository
}

func ExampleAPIError() {
	srv, client := demo()
	defer srv.Close()

	_, err := client.Pipelines.Get(context.Background(), pipelines.Repo{Workspace: "acme", Slug: "site"}, "99")
	var apiErr *pipelines.APIError
	if errors.As(err, &apiErr) {
		fmt.Println(apiErr.StatusCode, apiErr.Key, errors.Is(err, pipelines.ErrNotFound))
	}
	// Output: 404 result-service.pipeline-id.not-found true
}

func ExampleStepsService_ListTestCases() {
	srv, client := demo()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.Script("default", pipelinestest.Script{Steps: []pipelinestest.Step{{
		Name: "Test", Result: pipelines.ResultFailed,
		TestReport: &pipelinestest.TestReport{Passed: 41, Cases: []pipelines.TestCase{{
			Name: "TestTotal", Status: pipelines.TestFailed, Reason: &pipelines.TestCaseReason{Message: "41.99, not 42.00"},
		}}},
	}}})
	ctx := context.Background()

	run, err := client.Pipelines.Run(ctx, repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if err != nil {
		log.Fatal(err)
	}
	if run, err = client.Pipelines.Wait(ctx, repo.Repo(), run.UUID, nil); err != nil {
		log.Fatal(err)
	}
	step, err := client.Steps.List(ctx, repo.Repo(), run.UUID, nil).First()
	if err != nil {
		log.Fatal(err)
	}
	for test, err := range client.Steps.ListTestCases(ctx, repo.Repo(), run.UUID, step.UUID, nil).All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(test.Name, test.Status, test.Reason.Message)
	}
	// Output: TestTotal FAILED 41.99, not 42.00
}

func ExampleVariableSet_Set() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}
	ctx := context.Background()

	variables := client.Variables.InRepository(repo)
	for _, level := range []string{"info", "debug"} { // creates it, then updates it
		if _, err := variables.Set(ctx, pipelines.VariableRequest{Key: "LEVEL", Value: level}); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := variables.Set(ctx, pipelines.VariableRequest{Key: "KEY", Value: "s3cret", Secured: new(true)}); err != nil {
		log.Fatal(err)
	}
	for v, err := range variables.List(ctx, nil).All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s=%q\n", v.Key, v.Value)
	}
	// Output:
	// LEVEL="debug"
	// KEY=""
}

func ExampleDeploymentsService_CreateEnvironment() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}
	ctx := context.Background()

	env, err := client.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{
		Name: "Production EU", EnvironmentType: pipelines.EnvironmentProduction,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Variables.InEnvironment(repo, env.UUID).Set(ctx, pipelines.VariableRequest{Key: "REGION", Value: "eu"})
	fmt.Println(env.Name, env.Slug, err)
	// Output: Production EU production-eu <nil>
}

func ExampleSchedulesService_Create() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}

	schedule, err := client.Schedules.Create(context.Background(), repo, pipelines.ScheduleRequest{
		Target:      pipelines.BranchTarget("main").With(pipelines.CustomSelector("nightly")),
		CronPattern: "0 30 2 * * ? *", // half past two, UTC
		Enabled:     new(false),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(schedule.CronPattern, schedule.Enabled)
	// Output: 0 30 2 * * ? * false
}

func ExampleParseKnownHosts() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}

	scan := strings.NewReader(`# example.com:22 SSH-2.0-OpenSSH_9.9
example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl
`)
	hosts, err := pipelines.ParseKnownHosts(scan)
	if err != nil {
		log.Fatal(err)
	}
	for _, host := range hosts {
		created, err := client.SSH.CreateKnownHost(context.Background(), repo, host)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(created.Hostname, created.PublicKey.SHA256Fingerprint)
	}
	// Output: example.com SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU
}

func ExampleCachesService_Download() {
	srv, client := demo()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	cache := repo.AddCache("node", []byte("an archive"))

	n, err := client.Caches.Download(context.Background(), repo.Repo(), cache.UUID, os.Stdout)
	fmt.Println(":", n, err)
	// Output: an archive: 10 <nil>
}

func ExampleConfigService_Update() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}

	config, err := client.Config.Update(context.Background(), repo, pipelines.ConfigUpdate{Enabled: new(true)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(config.Enabled)
	// Output: true
}

func ExampleOIDCService_GetKeys() {
	srv, client := demo()
	defer srv.Close()

	set, err := client.OIDC.GetKeys(context.Background(), "acme")
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range set.Keys {
		public, err := key.PublicKey()
		fmt.Printf("%s %T %v\n", key.Alg, public, err)
	}
	// Output: RS256 *rsa.PublicKey <nil>
}

func ExampleRunnersService_InWorkspace() {
	srv, client := demo()
	defer srv.Close()

	runner, err := client.Runners.InWorkspace("acme").Create(context.Background(), pipelines.RunnerRequest{
		Name: "builder-1", Labels: []string{"self.hosted", "linux"},
	})
	if err != nil {
		log.Fatal(err)
	}
	// The secret comes this once. It is masked wherever it is printed.
	fmt.Println(runner.Name, runner.State, runner.OAuthClient.Secret != "")
	// Output: builder-1 UNREGISTERED true
}
