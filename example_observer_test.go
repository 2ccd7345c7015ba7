package pipelines_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// Tell about each attempt, those without a response too.
func ExampleWithObserver() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	srv.Inject(pipelinestest.Fault{Times: 1, Status: http.StatusBadGateway})
	srv.Inject(pipelinestest.Fault{Times: 1, Drop: pipelinestest.DropBefore})

	client := srv.Client( // as NewClient in a real program
		pipelines.WithObserver(func(a pipelines.Attempt) {
			if a.Response == nil {
				fmt.Println(a.Operation.Name, a.Number, "no response") // a.Err says why
				return
			}
			fmt.Println(a.Operation.Name, a.Number, a.Response.Status)
		}),
		pipelines.WithRetry(pipelines.RetryPolicy{MinWait: time.Millisecond}),
	)
	if _, err := client.Variables.InRepository(repo.Repo()).List(context.Background(), nil).Collect(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// Variables.List 1 502 Bad Gateway
	// Variables.List 2 no response
	// Variables.List 3 200 OK
}
