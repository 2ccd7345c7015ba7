package pipelines_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestRunnerStateMethods(t *testing.T) {
	var unknown pipelines.RunnerState
	require.Equal(t, []any{false, false, ""}, []any{unknown.Online(), unknown.TakesSteps(), unknown.String()})
	cordoned := pipelines.RunnerState{Status: pipelines.RunnerOnline, Cordoned: true}
	require.Equal(t, []any{true, false, "ONLINE"}, []any{cordoned.Online(), cordoned.TakesSteps(), cordoned.String()})
	require.True(t, pipelines.RunnerState{Status: pipelines.RunnerOnline}.TakesSteps())
}

func TestRunnerRequestsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"runner has no name": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Runners.InRepository(repo).Create(ctx, pipelines.RunnerRequest{})
			return err
		},
		"update changes nothing": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Runners.InWorkspace("acme").Update(ctx, "{r}", pipelines.RunnerUpdate{})
			return err
		},
		"has no name": func(ctx context.Context, c *pipelines.Client) error {
			return second(c.Runners.InWorkspace("acme").FindCreated(ctx, pipelines.RunnerRequest{}, time.Now()))
		},
		"since is zero": func(ctx context.Context, c *pipelines.Client) error {
			return second(c.Runners.InWorkspace("acme").FindCreated(ctx, pipelines.RunnerRequest{Name: "r"}, time.Time{}))
		},
	})
}

func TestARunnerHasLabelsWhateverTheServiceAdds(t *testing.T) {
	r := &pipelines.Runner{Labels: []string{"self.hosted", "linux", "gpu"}}
	for _, wanted := range [][]string{nil, {}, {"gpu", "linux"}, {"Linux"}, {"gpu", "gpu"}, {"self.hosted", "linux", "gpu"}} {
		require.True(t, r.HasLabels(wanted), "%q", wanted)
	}
	for _, wanted := range [][]string{{"windows"}, {"gpu", "arm64"}, {""}, {"lin"}} {
		require.False(t, r.HasLabels(wanted), "%q", wanted)
	}
	require.False(t, new(pipelines.Runner).HasLabels([]string{"linux"}))
}

func TestARunnerWhoseSecretIsLostIsFound(t *testing.T) {
	request := pipelines.RunnerRequest{Name: "builder", Labels: []string{"linux"}}
	for _, drop := range []pipelinestest.Drop{pipelinestest.DropAfter, pipelinestest.DropBefore} {
		synctest.Test(t, func(t *testing.T) {
			srv := pipelinestest.NewServer()
			r := srv.AddRepository("acme", "site")
			now := time.Now()
			online := pipelines.RunnerState{Status: pipelines.RunnerOnline}
			for _, other := range []pipelines.Runner{
				{Name: "other", Labels: request.Labels}, {Name: "builder", Labels: []string{"windows"}},
				{Name: "builder", Labels: request.Labels, State: online},
				{Name: "builder", Labels: request.Labels, CreatedOn: now.Add(-10 * time.Minute)},
			} {
				r.AddRunner(other)
			}
			srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: drop})
			set := srv.Client().Runners.InRepository(repo)
			_, err := set.Create(t.Context(), request)
			require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			require.ErrorContains(t, err, "the runner's secret is lost: find the runner with FindCreated and delete it")
			var unknown *pipelines.OutcomeUnknownError
			require.ErrorAs(t, err, &unknown)

			found, err := set.FindCreated(t.Context(), request, now)
			require.NoError(t, err)
			if drop == pipelinestest.DropBefore {
				require.Empty(t, found)
				require.Equal(t, 15*time.Second, time.Since(now))
				return
			}
			require.Len(t, found, 1)
			require.Equal(t, r.Runners()[4].UUID, found[0].UUID)
			require.Zero(t, time.Since(now), "it need not wait")
		})
	}
}

func TestLostRunnersAreFoundTheNewestFirst(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	w, now := srv.AddWorkspace("acme"), time.Now()
	for _, age := range []time.Duration{2 * time.Minute, time.Minute} {
		w.AddRunner(pipelines.Runner{Name: "builder", CreatedOn: now.Add(-age)})
	}
	found, err := srv.Client().Runners.InWorkspace("acme").FindCreated(t.Context(), pipelines.RunnerRequest{Name: "builder"}, now.Add(-time.Hour))
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.True(t, found[0].CreatedOn.After(found[1].CreatedOn))
}

func TestFindCreatedNeedsWhatItGoesBy(t *testing.T) {
	for _, member := range []string{"values", "values.uuid", "values.name", "values.labels", "values.state", "values.created_on"} {
		srv := record(t, serveJSON(`{"values":[]}`))
		_, err := newClient(t, srv.base()).Runners.InRepository(repo).FindCreated(t.Context(), pipelines.RunnerRequest{Name: "r"}, time.Now(),
			pipelines.WithQuery("fields", "-"+member))
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, member)
		srv.requireSent(t, 0)
	}
}
