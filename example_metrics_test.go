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

// measured is a RoundTripper that sees every request, also those to storage hosts, with its credentials.
type measured struct{ next http.RoundTripper }

func (m measured) RoundTrip(req *http.Request) (*http.Response, error) {
	operation, ok := pipelines.OperationFromContext(req.Context())
	if !ok { // not a request of package pipelines
		return m.next.RoundTrip(req)
	}
	attempt, _ := pipelines.AttemptFromContext(req.Context())
	start := time.Now()
	resp, err := m.next.RoundTrip(req)
	observe(operation, attempt, resp, time.Since(start))
	return resp, err
}

// observe stands for a metrics library. The operation's fields have few different values: use them as labels, and
// not the URL.
func observe(operation pipelines.Operation, attempt int, resp *http.Response, _ time.Duration) {
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	fmt.Println(operation.Name, operation.Path, "attempt", attempt, "status", status)
}

// A RoundTripper for metrics and traces. For requests to the API alone, [pipelines.WithObserver] is simpler.
func ExampleOperationFromContext() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	run := repo.AddPipeline(pipelines.Pipeline{})
	srv.Inject(pipelinestest.Fault{Times: 1, Status: http.StatusBadGateway})

	client := srv.Client( // as NewClient in a real program
		pipelines.WithHTTPClient(&http.Client{Transport: measured{http.DefaultTransport}}),
		pipelines.WithRetry(pipelines.RetryPolicy{MinWait: time.Millisecond}),
	)
	if _, err := client.Pipelines.Get(context.Background(), repo.Repo(), run.UUID); err != nil {
		log.Fatal(err)
	}
	// Output:
	// Pipelines.Get /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid} attempt 1 status 502
	// Pipelines.Get /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid} attempt 2 status 200
}
