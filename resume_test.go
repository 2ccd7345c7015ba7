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
