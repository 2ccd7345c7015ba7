package pipelines_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAnEnvironmentIsFoundByItsName(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	c := srv.Client()
	created, err := c.Deployments.CreateEnvironment(t.Context(), repo, pipelines.EnvironmentRequest{
		Name: "Prod EU", EnvironmentType: pipelines.EnvironmentProduction, AdminOnly: new(true),
	})
	require.NoError(t, err)
	require.True(t, r.Environments()[0].Restrictions.AdminOnly)
	found, err := c.Deployments.GetEnvironmentByName(t.Context(), repo, "Prod EU")
	require.NoError(t, err)
	require.Equal(t, created.UUID, found.UUID)
	_, err = c.Deployments.GetEnvironmentByName(t.Context(), repo, "prod eu")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	_, err = c.Deployments.GetEnvironmentByName(t.Context(), repo, "")
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}

func TestEnvironmentRequestsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"environment has no name": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{})
			return err
		},
		"has no type": func(ctx context.Context, c *pipelines.Client) error {
			_, err := c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "e"})
			return err
		},
		"update changes nothing": func(ctx context.Context, c *pipelines.Client) error {
			return c.Deployments.UpdateEnvironment(ctx, repo, "{e}", pipelines.EnvironmentUpdate{})
		},
		"name is empty": func(ctx context.Context, c *pipelines.Client) error {
			return c.Deployments.UpdateEnvironment(ctx, repo, "{e}", pipelines.EnvironmentUpdate{Name: new("")})
		},
		"environment \"e\" has no type": func(ctx context.Context, c *pipelines.Client) error {
			return second(c.Deployments.SetEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "e"}))
		},
	})
}

// lateEnvironment runs a test in a bubble, with an environment EU whose changes show late.
func lateEnvironment(t *testing.T, late time.Duration, test func(*testing.T, *pipelinestest.Server, *pipelinestest.Repository)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithLateEnvironments(late))
		r := srv.AddRepository("acme", "site")
		r.AddEnvironment("EU", pipelines.EnvironmentProduction)
		test(t, srv, r)
	})
}

func TestSetEnvironmentReturnsOnceAChangeShows(t *testing.T) {
	lateEnvironment(t, 10*time.Second, func(t *testing.T, srv *pipelinestest.Server, _ *pipelinestest.Repository) {
		got, err := srv.Client().Deployments.SetEnvironment(t.Context(), repo, adminOnlyEU)
		require.NoError(t, err)
		require.True(t, got.Restrictions.AdminOnly)
		srv.ClearRequests()
		_, err = srv.Client().Deployments.SetEnvironment(t.Context(), repo, adminOnlyEU)
		require.NoError(t, err)
		require.Len(t, srv.Requests(), 1, "the next pass sends nothing but a list")
	})
}

func TestSetEnvironmentWaitsForAChangeWhoseResponseWasLost(t *testing.T) {
	lateEnvironment(t, 10*time.Second, func(t *testing.T, srv *pipelinestest.Server, _ *pipelinestest.Repository) {
		srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter})
		got, err := srv.Client().Deployments.SetEnvironment(t.Context(), repo, adminOnlyEU)
		require.NoError(t, err)
		require.True(t, got.Restrictions.AdminOnly)
		require.Len(t, srv.RequestsTo(http.MethodPost, ""), 1)
	})
}

func TestSetEnvironmentWaitsNotForEverForAChangeToShow(t *testing.T) {
	lateEnvironment(t, time.Hour, func(t *testing.T, srv *pipelinestest.Server, _ *pipelinestest.Repository) {
		start := time.Now()
		_, err := srv.Client().Deployments.SetEnvironment(t.Context(), repo, adminOnlyEU)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.ErrorContains(t, err, "the service accepted the change and didn't show it")
		require.Equal(t, 15*time.Second, time.Since(start))
		require.Len(t, srv.RequestsTo(http.MethodPost, ""), 1)
		require.Len(t, srv.RequestsTo(http.MethodGet, ""), 6)
	})
}

// A repository that can't be seen any more looks like one without the environment.
func TestSetEnvironmentCreatesNothingAfterAChangeOfUnknownOutcome(t *testing.T) {
	lateEnvironment(t, 0, func(t *testing.T, srv *pipelinestest.Server, _ *pipelinestest.Repository) {
		srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter})
		srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Skip: 1, Status: http.StatusNotFound})
		_, err := srv.Client().Deployments.SetEnvironment(t.Context(), repo, adminOnlyEU)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
		require.Len(t, srv.RequestsTo(http.MethodPost, ""), 1)
	})
}

func TestSetEnvironmentOfAnotherTypeIsRefused(t *testing.T) {
	lateEnvironment(t, 0, func(t *testing.T, srv *pipelinestest.Server, _ *pipelinestest.Repository) {
		request := adminOnlyEU
		request.EnvironmentType = pipelines.EnvironmentTest
		_, err := srv.Client().Deployments.SetEnvironment(t.Context(), repo, request)
		require.ErrorIs(t, err, pipelines.ErrConflict)
		require.ErrorContains(t, err, `the environment "EU" is of type "Production", not "Test"`)
		require.Len(t, srv.Requests(), 1)
	})
}

func TestSetEnvironmentReadsTheTypeWhereverItIs(t *testing.T) {
	for members, conflicts := range map[string]bool{
		`,"category":{"name":"Production"}`:         false,
		`,"category":{"name":"Test"}`:               true,
		`,"environment_type":{"name":"Production"}`: false,
		``: false, // the service doesn't tell
	} {
		srv := record(t, serveJSON(`{"values":[{"uuid":"{e}","name":"EU"`+members+`}]}`))
		_, err := newClient(t, srv.base()).Deployments.SetEnvironment(t.Context(), repo, pipelines.EnvironmentRequest{
			Name: "EU", EnvironmentType: pipelines.EnvironmentProduction, AdminOnly: new(false),
		})
		require.Equal(t, conflicts, errors.Is(err, pipelines.ErrConflict), members)
		srv.requireSent(t, 1, members)
	}
}

func TestSetEnvironmentLeavesRestrictionsUnlessItIsTold(t *testing.T) {
	lateEnvironment(t, 0, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository) {
		_, err := srv.Client().Deployments.SetEnvironment(t.Context(), repo, adminOnlyEU)
		require.NoError(t, err)
		request := adminOnlyEU
		request.AdminOnly = nil
		got, err := srv.Client().Deployments.SetEnvironment(t.Context(), repo, request)
		require.NoError(t, err)
		require.True(t, got.Restrictions.AdminOnly)
		require.Len(t, srv.RequestsTo(http.MethodPost, ""), 1)

		request.AdminOnly = new(false)
		_, err = srv.Client().Deployments.SetEnvironment(t.Context(), repo, request)
		require.NoError(t, err)
		require.False(t, r.Environments()[0].Restrictions.AdminOnly)
	})
}

// The answer to the creation is all that is known of an environment that isn't listed.
func TestSetEnvironmentRestrictsOneThatWasCreatedWithoutItsRestriction(t *testing.T) {
	created := `{"uuid":"{1}","name":"EU","environment_type":{"name":"Production"},"restrictions":{"admin_only":false}}`
	srv := record(t, sequence(
		serveJSON(`{"values":[]}`), serveJSON(created), serve(403, "text/plain", ""),
		serve(202, "text/plain", ""), serve(403, "text/plain", ""),
	))
	one, err := newClient(t, srv.base()).Deployments.SetEnvironment(t.Context(), repo, adminOnlyEU)
	require.ErrorContains(t, err, "whether it took effect is unknown")
	require.Equal(t, "{1}", one.UUID)
	require.Contains(t, srv.seen()[3].Body, `"admin_only":true`)
}
