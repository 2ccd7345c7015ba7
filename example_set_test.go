package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// Schedules as code: the second pass finds all as it is wanted and sends no writes.
func ExampleSchedulesService_Set() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}
	ctx := context.Background()

	wanted := []pipelines.ScheduleRequest{
		{Target: pipelines.BranchTarget("main"), CronPattern: "0 0 6 ? * MON-FRI *"},
		{Target: pipelines.BranchTarget("main").With(pipelines.CustomSelector("nightly")), CronPattern: "0 30 2 * * ? *", Enabled: new(false)},
	}
	for range 2 {
		for _, request := range wanted {
			if _, err := client.Schedules.Set(ctx, repo, request); err != nil {
				log.Fatal(err)
			}
		}
	}
	for schedule, err := range client.Schedules.List(ctx, repo, nil).All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(schedule.Target, schedule.CronPattern, schedule.Enabled, wanted[1].Matches(schedule))
	}
	fmt.Println(len(srv.RequestsTo(http.MethodPost, "")), "created")
	// Output:
	// branch main, branches: main 0 0 6 ? * MON-FRI * true false
	// branch main, custom: nightly 0 30 2 * * ? * false true
	// 2 created
}

func ExampleSSHService_SetKnownHost() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}

	for _, key := range []string{"AAAA", "BBBB"} { // adds the host, then replaces its key
		host, err := client.SSH.SetKnownHost(context.Background(), repo, pipelines.KnownHostRequest{
			Hostname: "example.com", KeyType: "ssh-ed25519", Key: key,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(host.Hostname, host.PublicKey.Key)
	}
	// Output:
	// example.com AAAA
	// example.com BBBB
}

func ExampleDeploymentsService_SetEnvironment() {
	srv := pipelinestest.NewServer(pipelinestest.WithLateEnvironments(0))
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.AddEnvironment("Production EU", pipelines.EnvironmentProduction)

	env, err := srv.Client().Deployments.SetEnvironment(context.Background(), repo.Repo(), pipelines.EnvironmentRequest{
		Name: "Production EU", EnvironmentType: pipelines.EnvironmentProduction, AdminOnly: new(true),
	})
	if err != nil {
		log.Fatal(err) // an ErrConflict: it is of another type
	}
	fmt.Println(env.Name, env.Restrictions.AdminOnly)
	// Output: Production EU true
}

// Start a run. If the response is lost, go on with the run that it has started.
func ExamplePipelinesService_FindStarted() {
	srv, client := demo()
	defer srv.Close()
	repo := pipelines.Repo{Workspace: "acme", Slug: "site"}
	srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter})
	ctx := context.Background()

	request, since := pipelines.RunRequest{Target: pipelines.BranchTarget("main")}, time.Now()
	run, err := client.Pipelines.Run(ctx, repo, request)
	if errors.Is(err, pipelines.ErrOutcomeUnknown) {
		found, findErr := client.Pipelines.FindStarted(ctx, repo, request, since)
		switch {
		case findErr != nil:
			log.Fatal(findErr)
		case len(found) == 1: // probably
			run, err = found[0], nil
		}
	}
	if err != nil {
		log.Fatal(err) // none was found: it may be started again; or several: a person has to decide
	}
	fmt.Println("run", run.BuildNumber)
	// Output: run 1
}

func ExampleRunner_HasLabels() {
	runner := &pipelines.Runner{Name: "builder-1", Labels: []string{"self.hosted", "linux", "gpu"}}
	fmt.Println(runner.HasLabels([]string{"gpu"}), runner.HasLabels([]string{"gpu", "arm64"}))
	// Output: true false
}

// A runner whose creation was not answered is of no use: delete it and create another.
func ExampleRunnerSet_FindCreated() {
	srv, client := demo()
	defer srv.Close()
	srv.AddWorkspace("acme")
	srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Times: 1, Drop: pipelinestest.DropAfter})
	ctx, runners := context.Background(), client.Runners.InWorkspace("acme")

	request, since := pipelines.RunnerRequest{Name: "builder-1", Labels: []string{"linux"}}, time.Now()
	runner, err := runners.Create(ctx, request)
	if errors.Is(err, pipelines.ErrOutcomeUnknown) {
		lost, findErr := runners.FindCreated(ctx, request, since)
		if findErr != nil {
			log.Fatal(findErr)
		}
		for _, one := range lost {
			if err := runners.Delete(ctx, one.UUID); err != nil {
				log.Fatal(err)
			}
		}
		fmt.Println("deleted", len(lost))
		runner, err = runners.Create(ctx, request)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(runner.Name, runner.OAuthClient.Secret != "")
	// Output:
	// deleted 1
	// builder-1 true
}
