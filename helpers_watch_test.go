package pipelines_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// bubble runs a test on a fake clock, with a service and a client of it.
func bubble(t *testing.T, test func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		test(t, srv, srv.AddRepository("acme", "site"), srv.Client())
	})
}

func lines(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s line %d\n", prefix, i)
	}
	return b.String()
}

// fourSteps takes two minutes: build, two tests side by side, deploy.
func fourSteps() pipelinestest.Script {
	return pipelinestest.Script{
		Parsing: 3 * time.Second, Pending: 5 * time.Second,
		Steps: []pipelinestest.Step{
			{Name: "Build", Duration: 40 * time.Second, Log: lines("build", 400)},
			{Name: "Unit", Duration: 40 * time.Second, Log: lines("unit", 300)},
			{Name: "Lint", Duration: 25 * time.Second, Log: lines("lint", 100), Parallel: true},
			{Name: "Deploy", Duration: 32 * time.Second, Log: lines("deploy", 50)},
		},
	}
}

func start(t *testing.T, c *pipelines.Client) *pipelines.Pipeline {
	t.Helper()
	p, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err)
	require.Equal(t, "PARSING", p.State.String())
	return p
}

// seenEvents is what a watch has yielded.
type seenEvents struct {
	pipeline []string
	steps    []string
	logs     map[string]*bytes.Buffer
	last     *pipelines.Event
	late     []string // log pieces after the step's end
	problems []*pipelines.Event
}

// collect watches a pipeline to its end.
func collect(t *testing.T, ctx context.Context, c *pipelines.Client, id string) (*seenEvents, error) { //nolint:revive // t comes first in tests
	t.Helper()
	seen := &seenEvents{logs: map[string]*bytes.Buffer{}}
	ended := map[string]bool{}
	for e, err := range c.Pipelines.Watch(ctx, repo, id, nil) {
		if err != nil {
			require.Nil(t, e)
			return seen, err
		}
		switch {
		case e.Kind == pipelines.EventProblem:
			require.Error(t, e.Err)
			seen.problems = append(seen.problems, e)
		case e.Log != nil:
			require.Nil(t, e.Pipeline)
			if ended[e.Step.Name] {
				seen.late = append(seen.late, e.Step.Name)
			}
			if seen.logs[e.Step.Name] == nil {
				seen.logs[e.Step.Name] = new(bytes.Buffer)
			}
			seen.logs[e.Step.Name].Write(e.Log)
		case e.Step != nil:
			require.Nil(t, e.Pipeline)
			seen.steps = append(seen.steps, e.Step.Name+" "+e.Step.State.String())
			ended[e.Step.Name] = e.Step.State.Done()
		default:
			seen.pipeline = append(seen.pipeline, e.Pipeline.State.String())
		}
		seen.last = e
	}
	return seen, nil
}
