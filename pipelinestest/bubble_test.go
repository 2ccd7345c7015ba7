package pipelinestest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const outsideBubbleMessage = "pipelinestest: this Server was made outside the testing/synctest bubble that uses it, and a bubble's clock stands still " +
	"while it waits for a socket: make Server and Client inside the bubble, or the Server with WithInProcess"

func TestAServerMadeOutsideABubblePanicsInside(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	run := repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build"}}}, time.Now())
	synctest.Test(t, func(t *testing.T) {
		require.PanicsWithValue(t, outsideBubbleMessage, func() { srv.URL() })
		require.PanicsWithValue(t, outsideBubbleMessage, func() { srv.Client() })
		require.PanicsWithValue(t, outsideBubbleMessage, func() { _, _ = repo.StepClaims(run.UUID, "Build") })
	})
}

func TestAClientMadeOutsideABubbleFailsInsideAtOnce(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	repo.AddPipelines(1)
	client := srv.Client()
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		_, err := client.Pipelines.Get(t.Context(), repo.Repo(), "1")
		require.ErrorContains(t, err, outsideBubbleMessage)
		_, err = client.Pipelines.List(t.Context(), repo.Repo(), nil).Collect()
		require.ErrorContains(t, err, outsideBubbleMessage)
		_, err = client.Pipelines.Run(t.Context(), repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		require.ErrorContains(t, err, outsideBubbleMessage)
		require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		_, err = client.Pipelines.Wait(t.Context(), repo.Repo(), "1", nil)
		require.ErrorContains(t, err, outsideBubbleMessage)
	})
	require.Less(t, time.Since(start), 10*time.Second)
	require.Empty(t, srv.Requests())
	_, err := client.Pipelines.Get(t.Context(), repo.Repo(), "1")
	require.NoError(t, err, "works outside")
}

func TestATransportWorksInABubbleWhereverItsServerWasMade(t *testing.T) {
	srv := pipelinestest.NewServer()
	srv.AddRepository("acme", "site").AddPipelines(3)
	client := &http.Client{Transport: srv.Transport()}
	synctest.Test(t, func(t *testing.T) {
		status, text := follow(t, client, "https://api.bitbucket.org/2.0"+site+"/pipelines")
		require.Equal(t, http.StatusOK, status, text)
	})
}

func TestAServerMadeInABubbleNeverOpensASocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		repo := srv.AddRepository("acme", "site")
		repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Log: "done\n"}}})
		time.Sleep(3 * 366 * 24 * time.Hour)
		require.Equal(t, "http://api.bitbucket.test/2.0", srv.URL())
		client := srv.Client()
		run, err := client.Pipelines.Run(t.Context(), repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		require.NoError(t, err)
		steps, err := client.Steps.List(t.Context(), repo.Repo(), run.UUID, nil).Collect()
		require.NoError(t, err)
		log, err := client.Steps.GetLog(t.Context(), repo.Repo(), run.UUID, steps[0].UUID, nil)
		require.NoError(t, err)
		require.NoError(t, log.Close())
	})
}

// It covers everything that could block the bubble: locks, the storage, faults, and added endpoints.
func TestAnInProcessServerWorksInsideABubble(t *testing.T) {
	srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
	repo := srv.AddRepository("acme", "site")
	repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour, Log: "one\ntwo\n"}, {Manual: true}}})
	repo.AddPipelines(2)
	earlier := repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{}}}, time.Now())
	srv.Handle("GET /user", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }))
	client := srv.Client()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p, err := client.Pipelines.Get(ctx, repo.Repo(), earlier.UUID)
		require.NoError(t, err)
		require.Zero(t, p.DurationInSeconds, "started in the future of the bubble")

		srv.Inject(pipelinestest.Fault{Times: 1, Latency: time.Minute, Drop: pipelinestest.DropBefore})
		srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Times: 1, Stall: true, After: 3})
		run, err := client.Pipelines.Run(ctx, repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.Nil(t, run)
		run, err = client.Pipelines.Run(ctx, repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		require.NoError(t, err)
		p, err = client.Pipelines.Wait(ctx, repo.Repo(), run.UUID, nil)
		require.NoError(t, err)
		require.True(t, p.State.Paused())
		require.NoError(t, repo.Resume(run.UUID))
		p, err = client.Pipelines.Wait(ctx, repo.Repo(), run.UUID, nil)
		require.NoError(t, err)
		require.True(t, p.State.Succeeded())
		steps, err := client.Steps.List(ctx, repo.Repo(), run.UUID, nil).Collect()
		require.NoError(t, err)
		log, err := client.Steps.GetLog(ctx, repo.Repo(), run.UUID, steps[0].UUID, nil)
		require.NoError(t, err)
		text, err := io.ReadAll(log)
		require.NoError(t, err)
		require.NoError(t, log.Close())
		require.Equal(t, "one\ntwo\n", string(text))
		require.NoError(t, client.Do(ctx, http.MethodGet, "/user", nil, nil))
	})
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

func TestTheClientOfAnInProcessServerWorksInABubble(t *testing.T) {
	srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
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

func TestInProcessAndInABubbleNoSocketIsOpened(t *testing.T) {
	require.Equal(t, "http://api.bitbucket.test/2.0", pipelinestest.NewServer(pipelinestest.WithInProcess()).URL())
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, "http://api.bitbucket.test/2.0", pipelinestest.NewServer().URL())
	})
}
