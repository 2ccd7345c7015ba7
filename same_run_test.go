package pipelines_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestARunThatWasAddedByItsUUIDIsTheSameByItsBuildNumber(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		p := r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Minute}}}, time.Now())
		f, err := c.NewFollower(nil)
		require.NoError(t, err)
		require.NoError(t, f.Add(repo, p.UUID, pipelines.Cursor{}))
		for _, err := range f.Events(t.Context()) {
			require.NoError(t, err)
			require.NoError(t, f.Add(repo, fmt.Sprint(p.BuildNumber), pipelines.Cursor{}))
			require.Equal(t, 1, f.Len())
			f.Remove(repo, fmt.Sprint(p.BuildNumber))
			require.Zero(t, f.Len())
			break
		}
	})
}

func TestARunThatWasAddedByBothOfItsNamesIsToldOnce(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		p := r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Minute}}}, time.Now())
		f, err := c.NewFollower(&pipelines.FollowerOptions{WithoutSteps: true})
		require.NoError(t, err)
		require.NoError(t, f.Add(repo, p.UUID, pipelines.Cursor{}))
		require.NoError(t, f.Add(repo, fmt.Sprint(p.BuildNumber), pipelines.Cursor{}))
		var told []string
		for e, err := range f.Events(t.Context()) {
			require.NoError(t, err)
			told = append(told, e.Pipeline.State.String())
			if f.Len() == 0 {
				break
			}
		}
		require.Equal(t, []string{"RUNNING", "SUCCESSFUL"}, told)
	})
}
