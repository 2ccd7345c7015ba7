package pipelines_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// writesFirst limits only what reads. What changes something passes at once, however many reads wait.
type writesFirst struct{ reads pipelines.Limiter }

func (l writesFirst) Wait(ctx context.Context) error {
	operation, _ := pipelines.OperationFromContext(ctx)
	if operation.Method != http.MethodGet {
		return nil
	}
	return l.reads.Wait(ctx)
}

// busy stands for a *rate.Limiter of golang.org/x/time/rate, behind which many reads wait.
type busy struct{}

func (busy) Wait(ctx context.Context) error {
	operation, _ := pipelines.OperationFromContext(ctx)
	attempt, _ := pipelines.AttemptFromContext(ctx)
	fmt.Printf("%s waits (attempt %d)\n", operation.Name, attempt)
	return nil
}

// A limiter that lets writes pass before reads.
func ExampleWithLimiter() {
	ctx := context.Background()
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site").Repo()
	client := srv.Client(pipelines.WithLimiter(writesFirst{reads: busy{}}))

	run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("started")
	if _, err := client.Pipelines.Get(ctx, repo, run.UUID); err != nil {
		log.Fatal(err)
	}
	if err := client.Pipelines.Stop(ctx, repo, run.UUID); err != nil {
		log.Fatal(err)
	}
	fmt.Println("stopped")
	// Output:
	// started
	// Pipelines.Get waits (attempt 1)
	// stopped
}
