package pipelines_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// chronicle is what events have told, by pipeline: states in their order, and logs.
type chronicle struct {
	states map[string][]string // "pipeline RUNNING", "Build SUCCESSFUL"
	logs   map[string]string   // by pipeline and step
	last   map[string]bool
}

func newChronicle() *chronicle {
	return &chronicle{states: map[string][]string{}, logs: map[string]string{}, last: map[string]bool{}}
}

// add notes an event. It fails the test where one comes at the wrong place.
func (c *chronicle) add(t *testing.T, e *pipelines.Event) {
	t.Helper()
	require.NotEmpty(t, e.Repo.Slug)
	id := e.PipelineUUID
	require.NotEmpty(t, id)
	require.False(t, c.last[id], "an event after the last")
	switch e.Kind {
	case pipelines.EventPipeline:
		require.Equal(t, id, e.Pipeline.UUID)
		require.NotZero(t, e.Pipeline.BuildNumber)
		require.NotEmpty(t, e.Pipeline.Links, "a pipeline with all fields")
		c.states[id] = append(c.states[id], "pipeline "+e.Pipeline.State.String())
		require.Equal(t, e.Pipeline.State.Done(), e.Last)
	case pipelines.EventStep:
		c.states[id] = append(c.states[id], e.Step.Name+" "+e.Step.State.String())
		require.False(t, e.Last)
	case pipelines.EventLog:
		require.NotContains(t, strings.Join(c.states[id], ","), e.Step.Name+" SUCCESSFUL", "a log after its step's end")
		c.logs[id+" "+e.Step.Name] += string(e.Log)
		require.False(t, e.Last)
	case pipelines.EventProblem:
		require.Error(t, e.Err)
	}
	c.last[id] = e.Last
}

// requireStates fails the test unless the states of a run were told once and in order, as far as their order is certain.
func (c *chronicle) requireStates(t *testing.T, id string, script pipelinestest.Script) {
	t.Helper()
	told := c.states[id]
	require.Equal(t, "pipeline SUCCESSFUL", told[len(told)-1])
	seen := map[string]int{}
	for _, state := range told {
		seen[state]++
		require.Equal(t, 1, seen[state], "%s of %q", state, told)
	}
	for _, step := range script.Steps {
		require.Equal(t, 1, seen[step.Name+" SUCCESSFUL"], "%s of %q", step.Name, told)
		require.Equal(t, step.Log, c.logs[id+" "+step.Name], "the log of "+step.Name)
	}
}

func newFollower(t *testing.T, c *pipelines.Client, o *pipelines.FollowerOptions) *pipelines.Follower {
	t.Helper()
	f, err := c.NewFollower(o)
	require.NoError(t, err)
	return f
}

// following adds runs that are told from their beginning.
func following(t *testing.T, f *pipelines.Follower, repo pipelines.Repo, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, f.Add(repo, id, pipelines.Cursor{}))
	}
}

// followAll yields events until there is nothing left to follow, or until says so.
func followAll(t *testing.T, f *pipelines.Follower, until func(*pipelines.Event) bool) {
	t.Helper()
	for e, err := range f.Events(t.Context()) {
		require.NoError(t, err)
		if until(e) || f.Len() == 0 {
			return
		}
	}
}

// startAt starts a run of a repository.
func startAt(t *testing.T, c *pipelines.Client, r *pipelinestest.Repository, script pipelinestest.Script) string {
	t.Helper()
	r.Script("", script)
	p, err := c.Pipelines.Run(t.Context(), r.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err)
	return p.UUID
}

// someSteps are steps of random lengths, with logs, some of them side by side.
func someSteps(random *rand.Rand) pipelinestest.Script {
	script := pipelinestest.Script{Parsing: time.Duration(random.IntN(5)) * time.Second, Pending: time.Duration(random.IntN(9)) * time.Second}
	for i := range 1 + random.IntN(4) {
		name := fmt.Sprint("step ", i)
		script.Steps = append(script.Steps, pipelinestest.Step{
			Name: name, Duration: time.Duration(1+random.IntN(200)) * time.Second, Log: lines(name, random.IntN(500)), Parallel: i > 0 && random.IntN(3) == 0,
		})
	}
	return script
}

// after is a context that ends after d.
func after(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
