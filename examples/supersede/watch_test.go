package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAWatchStopsRunsAsNewerOnesCome(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		script := pipelinestest.Script{Parsing: time.Second, Steps: []pipelinestest.Step{{Duration: 2 * time.Hour}}}
		other := s.AddRepository("acme", "shop")
		running(other, topic)
		for i := range 5 {
			time.AfterFunc(time.Duration(i)*10*time.Minute, func() {
				repo.AddRun(script, time.Now(), pipelines.BranchTarget("topic"))
			})
		}
		time.AfterFunc(15*time.Minute, func() { running(other, topic) })
		require.Equal(t, cli.Interrupted, s.RunFor(time.Hour, "apply --watch --repo acme/site --repo acme/shop"))
		require.Equal(t, []int{1, 2, 3, 4}, asked(s, repo))
		require.Equal(t, []int{1}, asked(s, other))
		out := s.Out.String()
		require.Contains(t, out, " watching 2 repositories, each about every 58s, with at most 1,000 requests an hour\n")
		require.Equal(t, 1, strings.Count(out, " acme/site: build 2 of branch topic (default), superseded by build 3: stopping\n"))
		require.Equal(t, 6, strings.Count(out, "\n"), out)
		require.NotContains(t, out, "used up")
		require.Equal(t, "supersede: interrupted\n", s.Errs.String())
	})
}

func TestAWatchSaysOnceWhatIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		repo.AddPipeline(pipelines.Pipeline{Target: topic, State: inStage(pipelines.StagePaused)})
		deploy(repo, running(repo, topic), "Production", pipelines.StateInProgress)
		running(repo, topic)
		require.Equal(t, cli.Interrupted, s.RunFor(time.Hour, "apply --watch --repo acme/site"))
		require.Empty(t, asked(s, repo))
		require.Equal(t, 1, strings.Count(s.Out.String(), "build 1 of branch topic (default), superseded by build 3: left: the service can't stop a paused run\n"))
		require.Equal(t, 1, strings.Count(s.Out.String(), "build 2 of branch topic (default), superseded by build 3: left: deploys to Production\n"))
		require.Equal(t, 3, sent(s, "/deployments"), "what is known of a run isn't read again")
	})
}

func TestARunThatDoesNotStopIsAskedOnceAndReported(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusNoContent})
		require.Equal(t, cli.Interrupted, s.RunFor(time.Hour, "apply --watch --repo acme/site"))
		require.Equal(t, []int{1}, asked(s, repo))
		require.Equal(t, 1, strings.Count(s.Out.String(), ": it was asked to stop, but is still RUNNING\n"))
	})
}

func TestAWatchReadsPausedRunsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		for range 250 { // wait for somebody since yesterday
			repo.AddPipeline(pipelines.Pipeline{Target: topic, State: inStage(pipelines.StagePaused), CreatedOn: time.Now().Add(-24 * time.Hour)})
		}
		running(repo, topic)
		time.AfterFunc(30*time.Minute, func() { // a newer one that pauses before it is seen
			repo.AddPipeline(pipelines.Pipeline{Target: topic, State: inStage(pipelines.StagePaused)})
		})
		require.Equal(t, cli.Interrupted, s.RunFor(time.Hour, "apply --watch --repo acme/site"))
		require.Equal(t, []int{251}, asked(s, repo))
		require.Equal(t, 250, strings.Count(s.Out.String(), "left: the service can't stop a paused run"))
		looks := int(time.Hour/(28800*time.Millisecond)) + 1
		require.LessOrEqual(t, sent(s, "/pipelines"), 3+2*looks)
	})
}

func TestARunThatDoesNotEndLeavesQuotaForOthers(t *testing.T) {
	for _, status := range []int{
		http.StatusNoContent, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusInternalServerError,
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			running(repo, topic)
			running(repo, topic)
			s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: status})
			require.Equal(t, cli.Interrupted, s.RunFor(8*time.Hour, "apply --watch --repo acme/site"))
			require.NotContains(t, s.Out.String(), "used up", status)
			require.Less(t, len(s.Requests()), 8*300, "about a quarter of the quota: %d", status)
		})
	}
}

func TestAWatchIsBackSoonAfterAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		time.AfterFunc(20*time.Second, func() { s.Inject(pipelinestest.Fault{Status: http.StatusBadRequest}) })
		time.AfterFunc(50*time.Second, func() { running(repo, topic); s.ClearFaults() })
		require.Equal(t, cli.Interrupted, s.RunFor(70*time.Second, "apply --watch --repo acme/site"))
		require.Equal(t, []int{1}, asked(s, repo), s.Out.String())
	})
}

func TestAWatchThatFailsLeavesQuotaForOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		answer(s, "COMPLETED", `{"uuid": "{d}", "state": {"name": "COMPLETED"}}`) // of an unknown run
		require.Equal(t, cli.Interrupted, s.RunFor(8*time.Hour, "apply --watch --repo acme/site"))
		require.NotContains(t, s.Out.String(), "used up")
		require.Less(t, len(s.Requests()), 8*300)
	})
}

func TestAnInterruptWhileTheQuotaIsUsedUpDoesNotSayThatTheRunMayStop(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		for range 60 {
			running(repo, topic)
		}
		require.Equal(t, cli.Interrupted, s.RunFor(30*time.Second, "apply --watch --quota 100 --repo acme/site"))
		require.Contains(t, s.Out.String(), "the quota is used up")
		require.NotContains(t, s.Out.String(), "perhaps")
		require.Equal(t, len(s.Changes()), strings.Count(s.Out.String(), ": stopping\n"))
	})
}

func TestAWatchStaysWithinItsQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clitest.New(t, run, pipelinestest.WithQuota(200))
		args := "apply --watch --quota 200"
		var last *pipelinestest.Repository
		for i := range 2 {
			repo := s.AddRepository("acme", fmt.Sprint("site-", i))
			args += " --repo " + repo.Repo().String()
			last = repo
			for range 80 {
				running(repo, topic)
			}
		}
		time.AfterFunc(7*time.Hour, func() { running(last, topic) })
		require.Equal(t, cli.Interrupted, s.RunFor(8*time.Hour, args))
		var refused int
		stopped := map[string]bool{}
		for _, r := range s.Requests() {
			if r.Status == http.StatusTooManyRequests {
				refused++
			}
			if strings.HasSuffix(r.Path, "/stopPipeline") {
				stopped[r.Path] = true
			}
		}
		require.Zero(t, refused)
		require.Equal(t, 2*79+1, len(stopped)) //nolint:testifylint // Len would print them all
		require.Equal(t, 1, strings.Count(s.Out.String(), " the quota is used up: until it recovers, a request is sent every 36s, and runs are stopped late\n"))
	})
}

func TestAWatchSurvivesAnOutageAndSaysSo(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusNotFound} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			running(repo, topic)
			time.AfterFunc(20*time.Minute, func() { s.Inject(pipelinestest.Fault{Status: status}) })
			time.AfterFunc(30*time.Minute, func() { running(repo, topic) })
			time.AfterFunc(50*time.Minute, s.ClearFaults)
			require.Equal(t, cli.Interrupted, s.RunFor(3*time.Hour, "apply --watch --repo acme/site"))
			require.Equal(t, []int{1}, asked(s, repo), status)
			require.Equal(t, 1, strings.Count(s.Out.String(), " acme/site can't be watched: "), s.Out.String())
			require.Equal(t, 1, strings.Count(s.Out.String(), " acme/site can be watched again\n"))
		})
	}
}

func TestAStopThatFailsIsTriedAgainAtTheNextLook(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusConflict, Times: 3})
		require.Equal(t, cli.Interrupted, s.RunFor(time.Hour, "apply --watch --repo acme/site"))
		require.Equal(t, 1, strings.Count(s.Out.String(), ": can't be stopped: "))
		require.Contains(t, s.Out.String(), "superseded by build 2: stopping\n")
	})
}

func TestWhatCannotPassEndsAWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		require.Equal(t, cli.Trouble, s.RunFor(time.Hour, "apply --watch --repo acme/missing"), "it may be misspelt")
		require.Contains(t, s.Errs.String(), "supersede: acme/missing: ")

		running(repo, topic)
		time.AfterFunc(20*time.Minute, func() { s.RevokeToken("a-token") })
		require.Equal(t, cli.Trouble, s.RunFor(time.Hour, "apply --watch --repo acme/site"))
		require.Contains(t, s.Errs.String(), "doesn't accept the credentials")
	})
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusForbidden})
		require.Equal(t, cli.Trouble, s.RunFor(time.Hour, "apply --watch --repo acme/site"))
		require.Contains(t, s.Errs.String(), "The credentials don't allow this")
	})
}

func TestARepositoryThatIsClosedLaterEndsNoWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		s.AddRepository("acme", "closed")
		time.AfterFunc(10*time.Minute, func() {
			s.Inject(pipelinestest.Fault{Path: "/repositories/acme/closed/pipelines", Status: http.StatusForbidden})
		})
		time.AfterFunc(30*time.Minute, func() {
			running(repo, topic)
			running(repo, topic)
		})
		require.Equal(t, cli.Interrupted, s.RunFor(time.Hour, "apply --watch --repo acme/closed --repo acme/site"))
		require.Equal(t, []int{1}, asked(s, repo))
		require.Equal(t, 1, strings.Count(s.Out.String(), "acme/closed can't be watched"), s.Out.String())

		require.Equal(t, cli.Trouble, s.RunFor(time.Hour, "apply --watch --repo acme/closed --repo acme/site"), "from the beginning")
	})
}

func TestEventsWakeAWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &work{options: &options{}}
		require.NoError(t, w.prepare(ctx, s.Client(), []pipelines.Repo{repo.Repo()}))
		wake := make(chan pipelines.Repo)
		watch := newWatch(w.repos, 100, wake, func(string) {})
		require.Greater(t, watch.every, 4*time.Minute)
		done := make(chan error)
		go func() { done <- watch.run(ctx) }()
		running(repo, topic)
		time.Sleep(time.Minute)
		running(repo, topic)
		wake <- pipelines.Repo{Workspace: "acme", Slug: "unknown"}
		time.Sleep(time.Second)
		require.Empty(t, asked(s, repo))
		wake <- repo.Repo()
		time.Sleep(time.Second)
		require.Equal(t, []int{1}, asked(s, repo), "at once")

		before := sent(s, "/pipelines")
		for range 100 {
			wake <- repo.Repo()
		}
		time.Sleep(6 * time.Second)
		require.LessOrEqual(t, sent(s, "/pipelines")-before, 2, "many events are one look")

		s.Inject(pipelinestest.Fault{Status: http.StatusBadRequest})
		before = sent(s, "/pipelines")
		for range 100 {
			wake <- repo.Repo()
			time.Sleep(time.Second / 2)
		}
		require.LessOrEqual(t, sent(s, "/pipelines")-before, 11, "also if looking fails")
		s.ClearFaults()
		close(wake) // then it polls
		before = sent(s, "/pipelines")
		time.Sleep(time.Hour)
		require.InDelta(t, 2*12, sent(s, "/pipelines")-before, 2)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

func TestTheDemoOfAWatchEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := clitest.RequireDemo(t, run, "apply --watch", "build 13 of branch feature/cart (default), superseded by build 15: stopping\n")
		require.Contains(t, out, "build 14 of branch hotfix (default), superseded by build 16: stopping\n")
	})
}

func TestTheDemoKeepsToAQuotaThatIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clitest.RequireDemo(t, run, "apply --watch --quota 1000", "each about every 29s, with at most 1,000 requests an hour\n")
	})
}
