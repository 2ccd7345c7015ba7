package pipelines_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
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

// written remembers which secured values a program has written, without the values: it has an HMAC of each, which nobody without
// the key can guess a value from. Keep it, and the key apart from it, where the next run of the program finds them. Store it before
// each Apply and after it.
type written struct {
	key  []byte
	sums map[string][]byte // by scope and variable
}

func (w written) sum(scope string, v pipelines.VariableRequest) []byte {
	mac := hmac.New(sha256.New, w.key)
	fmt.Fprintf(mac, "%q %q %q", scope, v.Key, v.Value)
	return mac.Sum(nil)
}

func (w written) has(scope string, v pipelines.VariableRequest) bool {
	return hmac.Equal(w.sums[scope+" "+v.Key], w.sum(scope, v))
}

// forget forgets the variables that a plan is about to write: if that fails, nobody knows which value each has.
func (w written) forget(scope string, plan *pipelines.SyncPlan) {
	for _, one := range plan.Create {
		delete(w.sums, scope+" "+one.Key)
	}
	for _, change := range plan.Update {
		delete(w.sums, scope+" "+change.After.Key)
	}
}

func (w written) add(scope string, v pipelines.VariableRequest) {
	w.sums[scope+" "+v.Key] = w.sum(scope, v)
}

// Write a secured variable only if its wanted value is another one than last time.
func ExampleSyncOptions_rewrite() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site").Repo()
	ctx, variables := context.Background(), srv.Client().Variables.InRepository(repo)
	seen := written{key: []byte("a random key of the program's own"), sums: make(map[string][]byte)}

	pass := func(token string) {
		wanted := []pipelines.VariableRequest{{Key: "TOKEN", Value: token, Secured: new(true)}}
		plan, err := variables.Plan(ctx, wanted, &pipelines.SyncOptions{
			Rewrite: func(_ pipelines.Variable, wanted pipelines.VariableRequest) bool {
				return !seen.has(repo.String(), wanted)
			},
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(plan)
		seen.forget(repo.String(), plan)
		if err := variables.Apply(ctx, plan); err != nil {
			log.Fatal(err) // of a SyncError, add what is in Done
		}
		for _, one := range wanted {
			seen.add(repo.String(), one)
		}
	}
	pass("s3cret")
	pass("s3cret")
	pass("another")
	// Output:
	// + TOKEN = ****** (secured)
	// 1 to create, 0 to change, 0 to delete, 0 unchanged
	// 0 to create, 0 to change, 0 to delete, 1 unchanged
	// ~ TOKEN = ****** (secured), rewritten
	// 0 to create, 1 to change, 0 to delete, 0 unchanged
}
