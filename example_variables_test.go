package pipelines_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// Keep the variables of a repository as code: plan, show, apply.
func ExampleVariableSet_Apply() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.AddVariable(pipelines.Variable{Key: "LEVEL", Value: "info"})
	repo.AddVariable(pipelines.Variable{Key: "OLD", Value: "1"})
	repo.AddVariable(pipelines.Variable{Key: "REGION", Value: "eu"})
	ctx, client := context.Background(), srv.Client()

	variables := client.Variables.InRepository(repo.Repo())
	plan, err := variables.Plan(ctx, []pipelines.VariableRequest{
		{Key: "LEVEL", Value: "debug"},
		{Key: "REGION", Value: "eu"},
		{Key: "TOKEN", Value: "s3cret", Secured: new(true)},
	}, &pipelines.SyncOptions{Prune: true, Secured: pipelines.SecuredIfMissing})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan) // secured values are masked
	if err := variables.Apply(ctx, plan); err != nil {
		log.Fatal(err) // a SyncError says what was done; a new plan has the rest
	}
	for _, v := range repo.Variables() {
		fmt.Println(v.Key, v.Secured)
	}
	// Output:
	// + TOKEN = ****** (secured)
	// ~ LEVEL = "info" -> "debug"
	// - OLD
	// 1 to create, 1 to change, 1 to delete, 1 unchanged
	// LEVEL false
	// REGION false
	// TOKEN true
}
