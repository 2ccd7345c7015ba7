package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestStopOnInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Hour, count(3600)))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		require.Equal(t, cli.Interrupted, s.run(ctx, "-stop-on-interrupt"))
		require.Equal(t, "Run #1 is being stopped: https://bitbucket.org/acme/site/pipelines/results/1\n", s.errs.String())
		p, err := s.Client().Pipelines.Wait(t.Context(), s.repo.Repo(), "1", nil)
		require.NoError(t, err)
		require.Equal(t, "STOPPED", p.State.String())
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Hour, ""))
		require.Equal(t, cli.Success, s.run(t.Context(), "-no-follow"))
		require.Equal(t, cli.Success, s.run(t.Context(), "-stop", "1"))
		require.Contains(t, s.errs.String(), "Run #1 is being stopped")
		require.Equal(t, cli.Trouble, s.run(t.Context(), "-stop", "2"))
		require.Contains(t, s.errs.String(), "Run #2 could not be stopped")
		require.NotContains(t, s.errs.String(), "isn't known")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.Equal(t, cli.Interrupted, s.run(gone, "-stop", "1"))
		require.Contains(t, s.errs.String(), "run: interrupted: POST /repositories/")
		require.Contains(t, s.errs.String(), "\nWhether run #1 is being stopped isn't known. Look at it: https://bitbucket.org/acme/site/pipelines/results/1\n")
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusServiceUnavailable})
		require.Equal(t, cli.Trouble, s.run(t.Context(), "-stop", "1"))
		require.Equal(t, 2, strings.Count(s.errs.String(), "\nWhether run #1 is being stopped isn't known."))
		require.NotContains(t, s.errs.String(), "context")
	})
}

func TestStoppedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Hour, count(3600)))
		client := s.Client()
		time.AfterFunc(10*time.Second, func() { _ = client.Pipelines.Stop(t.Context(), s.repo.Repo(), "1") })
		require.Equal(t, cli.Failure, s.run(t.Context()))
		require.Contains(t, s.out.String(), "\nBuild STOPPED; its last lines:\n│ line 1\n")
		require.Contains(t, s.out.String(), "\nSTOPPED by Pipelines Test after ")
	})
}
