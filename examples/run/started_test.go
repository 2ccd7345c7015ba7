package main

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const listOfRuns = "https://bitbucket.org/acme/site/pipelines"

func TestARunThatWasStartedWithoutAnAnswerIsNamed(t *testing.T) {
	for _, args := range [][]string{nil, {"-no-follow"}} {
		synctest.Test(t, func(t *testing.T) {
			s := newFixture(t, scripted("Build", time.Second, "built\n"))
			s.repo.AddPipeline(pipelines.Pipeline{CreatedOn: time.Now().Add(-time.Hour)})
			s.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter})
			require.Equal(t, cli.Trouble, s.run(t.Context(), args...))
			require.Contains(t, s.errs.String(), "It is unknown whether a run was started: the request was sent, but no response says so.\n"+
				"This run may be the one, if nobody else started it:\n  #2, PARSING, created 2000-01-01 00:00:00 UTC by Pipelines Test: "+listOfRuns+"/results/2\n")
			require.NotContains(t, s.errs.String(), "#1")
			require.Empty(t, s.out.String())
			require.Len(t, s.RequestsTo(http.MethodPost, "/repositories/{workspace}/{repo_slug}/pipelines"), 1, "it isn't started again")
		})
	}
}

func TestAFailureOfTheServiceIsAResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusBadGateway})
		require.Equal(t, cli.Trouble, s.run(t.Context()))
		require.Contains(t, s.errs.String(), "502 Bad Gateway")
		require.NotContains(t, s.errs.String(), "no response arrived")
	})
}

func TestSeveralRunsMayBeTheOneThatWasStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Hour, ""))
		for range 2 {
			_, err := s.Client().Pipelines.Run(t.Context(), s.repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
			require.NoError(t, err)
		}
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter})
		require.Equal(t, cli.Trouble, s.run(t.Context()))
		require.Regexp(t, `One of these 3 runs may be the one:\n  #3, .*\n  #2, .*\n  #1, `, s.errs.String())
	})
}

func TestNoRunWasProbablyStartedIfNoneIsListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		begin := time.Now()
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropBefore})
		require.Equal(t, cli.Trouble, s.run(t.Context()))
		require.Contains(t, s.errs.String(), "None has appeared since, so it was probably not started. Look again before you try again, or there may be two: "+listOfRuns+"\n")
		require.Less(t, time.Since(begin), 30*time.Second)
	})
}

func TestRunsThatCannotBeListedAreNotCalledMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter})
		s.Inject(pipelinestest.Fault{Method: http.MethodGet, Status: http.StatusForbidden})
		require.Equal(t, cli.Trouble, s.run(t.Context()))
		require.Contains(t, s.errs.String(), "Looking for it failed: ")
		require.Contains(t, s.errs.String(), "Look before you try again, or there may be two: "+listOfRuns+"\n")
		require.NotContains(t, s.errs.String(), "probably not")
	})
}

func TestAnInterruptEndsTheLookForARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropBefore})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		begin := time.Now()
		require.Equal(t, cli.Interrupted, s.run(ctx))
		require.Less(t, time.Since(begin), 6*time.Second)
		require.Contains(t, s.errs.String(), "Look before you try again, or there may be two: "+listOfRuns+"\n")
	})
}

func TestATimeoutDuringTheStartLooksForTheRunToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, scripted("Build", time.Hour, ""))
		started := false
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Match: func(*http.Request) bool { started = true; return true }, Latency: time.Minute})
		require.Equal(t, cli.Trouble, s.run(t.Context(), "-timeout", "10s"))
		require.Contains(t, s.errs.String(), ": the time is up\n")
		require.True(t, started)
		require.Contains(t, s.errs.String(), "It is unknown whether a run was started")
		require.Contains(t, s.errs.String(), "None has appeared since")
	})
}

// The service requires no member of a run but its type.
func TestAStartedRunWhoseNumberIsLeftOutIsAskedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t)
		s.repo.AddPipeline(pipelines.Pipeline{UUID: "{a}", BuildNumber: 7, CreatedOn: time.Now(), CompletedOn: time.Now()})
		s.Inject(pipelinestest.Fault{
			Method: http.MethodPost, Status: http.StatusCreated, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"uuid":"{a}"}`,
		})
		require.Equal(t, cli.Success, s.run(t.Context(), "-no-follow"), s.errs.String())
		require.Equal(t, "7 https://bitbucket.org/acme/site/pipelines/results/7\n", s.out.String())
		require.Equal(t, cli.Success, s.run(t.Context()), s.errs.String())
		require.Contains(t, s.out.String(), "Run #7 of acme/site on branch main: https://bitbucket.org/acme/site/pipelines/results/7\n")
	})
}
