package pipelines_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestARunThatIsStillInTheStateThatWasToldIsFollowedOn(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		p := r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Minute}}}, time.Now())
		var after pipelines.Cursor
		for e, err := range c.Pipelines.Watch(t.Context(), repo, p.UUID, nil) {
			require.NoError(t, err)
			require.Equal(t, "RUNNING", e.Pipeline.State.String())
			after = e.Cursor
			break
		}
		var told []string
		for e, err := range c.Pipelines.Watch(t.Context(), repo, p.UUID, &pipelines.WatchOptions{After: after}) {
			require.NoError(t, err)
			if e.Kind == pipelines.EventPipeline {
				told = append(told, e.Pipeline.State.String())
			}
		}
		require.Equal(t, []string{"SUCCESSFUL"}, told)
	})
}

func TestARunThatItsCursorKnowsIsAbsentOnlyForAWhile(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		p := r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Log: "one line\n"}}}, time.Now())
		var after pipelines.Cursor
		for e, err := range c.Pipelines.Watch(t.Context(), repo, p.UUID, nil) { // its end is told last
			require.NoError(t, err)
			require.Equal(t, pipelines.EventLog, e.Kind)
			after = e.Cursor
			break
		}
		srv.Inject(pipelinestest.Fault{Status: 404, For: time.Minute})
		var told []pipelines.EventKind
		for e, err := range c.Pipelines.Watch(t.Context(), repo, p.UUID, &pipelines.WatchOptions{After: after}) {
			require.NoError(t, err)
			told = append(told, e.Kind)
		}
		require.Equal(t, []pipelines.EventKind{pipelines.EventStep, pipelines.EventPipeline}, told)
	})
}
