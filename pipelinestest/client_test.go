package pipelinestest_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheClientReadsWhatTheServerWrites(t *testing.T) {
	for name, opts := range map[string][]pipelinestest.ServerOption{
		"over a socket": nil,
		"in process":    {pipelinestest.InProcess()},
		"with a token":  {pipelinestest.WithToken("secret", "pipeline:write")},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, opts...)
			f.repo.Script("deploy", logged)
			client := f.srv.Client()
			run, err := client.Pipelines.Run(t.Context(), f.repo.Repo(), pipelines.RunRequest{
				Target:    pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy")),
				Variables: []pipelines.VariableRequest{{Key: "TOKEN", Value: "hidden", Secured: new(true)}},
			})
			require.NoError(t, err)
			require.Equal(t, "PARSING", run.State.String())
			require.Equal(t, "hidden", f.repo.Pipelines()[0].Variables[0].Value)

			f.clock.Advance(time.Minute)
			steps, err := client.Steps.List(t.Context(), f.repo.Repo(), run.UUID, nil).Collect()
			require.NoError(t, err)
			require.Len(t, steps, 2)
			log, err := client.Steps.GetLog(t.Context(), f.repo.Repo(), run.UUID, steps[0].UUID, nil)
			require.NoError(t, err)
			defer log.Close()
			text, err := io.ReadAll(log)
			require.NoError(t, err)
			require.Equal(t, logged.Steps[0].Log, string(text))

			err = client.Pipelines.Stop(t.Context(), f.repo.Repo(), run.UUID)
			require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
		})
	}
}

func TestTheClientGetsAnOAuthToken(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("other"), pipelinestest.WithOAuthConsumer("id", "se cret"))
	f.repo.AddPipelines(25)
	client := f.srv.Client(pipelines.WithClientCredentials("id", "se cret"))
	all, err := client.Pipelines.List(t.Context(), f.repo.Repo(), &pipelines.ListPipelinesOptions{PageLen: 10}).Collect()
	require.NoError(t, err)
	require.Len(t, all, 25)
}

func TestTheClientPagesWithoutNextLinks(t *testing.T) {
	f := setup(t, pipelinestest.WithoutNextLinks())
	f.repo.AddPipelines(25)
	all, err := f.srv.Client().Pipelines.List(t.Context(), f.repo.Repo(), &pipelines.ListPipelinesOptions{PageLen: 10}).Collect()
	require.NoError(t, err)
	require.Len(t, all, 25)
}

func TestTheClientFollowsARunInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		repo := srv.AddRepository("acme", "site")
		repo.Script("main", pipelinestest.Script{Parsing: time.Second, Steps: []pipelinestest.Step{
			{Duration: time.Hour, Log: strings.Repeat("a line of the log\n", 1000)},
		}})
		client := srv.Client()
		run, err := client.Pipelines.Run(t.Context(), repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		require.NoError(t, err)
		start := time.Now()
		done, err := client.Pipelines.Wait(t.Context(), repo.Repo(), run.UUID, nil)
		require.NoError(t, err)
		require.True(t, done.State.Succeeded())
		require.GreaterOrEqual(t, time.Since(start), time.Hour)
	})
}

func TestAnInProcessServerServesABubbleFromOutside(t *testing.T) {
	srv := pipelinestest.NewServer(pipelinestest.InProcess())
	repo := srv.AddRepository("acme", "site")
	client := srv.Client()
	synctest.Test(t, func(t *testing.T) {
		run, err := client.Pipelines.Run(t.Context(), repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		require.NoError(t, err)
		done, err := client.Pipelines.Wait(t.Context(), repo.Repo(), run.UUID, nil)
		require.NoError(t, err)
		require.True(t, done.State.Succeeded())
	})
}
