package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAStopThatHadToWaitIsNotSentOnAnOldLook(t *testing.T) {
	for name, fault := range map[string]pipelinestest.Fault{
		"quota":  {Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"50"}}},
		"outage": {Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"50"}}},
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			first, newest := running(repo, topic), running(repo, topic)
			main := pipelines.BranchTarget("main").With(defaultPipeline)
			deploys := running(repo, main)
			running(repo, main)
			s.Inject(pipelinestest.Fault{Match: stops(newest)})
			for _, p := range []*pipelines.Pipeline{first, deploys} {
				once := fault
				once.Match, once.Times = stops(p), 1
				s.Inject(once)
			}
			time.AfterFunc(30*time.Second, func() {
				require.NoError(t, s.Client().Pipelines.Stop(t.Context(), repo.Repo(), newest.UUID))
				deploy(repo, deploys, "Production", pipelines.StateInProgress)
			})
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), "%s: %s", name, s.Errs.String())
			for _, r := range s.Requests() {
				if uuid, ok := stopped(r.Method, r.Path); ok && r.Status == http.StatusNoContent {
					require.Equal(t, newest.UUID, uuid, name)
				}
			}
		})
	}
}

func TestANewerRunThatIsStoppedWhileTheProgramLooksSupersedesNothing(t *testing.T) {
	for name, reads := range map[string]func(*http.Request) bool{
		"deployments":          func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/deployments") },
		"runs that have ended": func(r *http.Request) bool { return r.URL.Query().Get("status") == "PASSED" },
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			pauses := repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{
				{Duration: 30 * time.Second}, {Duration: time.Hour, Manual: true},
			}}, time.Now(), pipelines.BranchTarget("main"))
			running(repo, pauses.Target)
			running(repo, topic)
			newest := running(repo, topic)
			s.Inject(pipelinestest.Fault{Match: reads, Times: 1, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"50"}}})
			time.AfterFunc(30*time.Second, func() { require.NoError(t, s.Client().Pipelines.Stop(t.Context(), repo.Repo(), newest.UUID)) })
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), s.Errs.String())
			require.Equal(t, []int{4}, asked(s, repo), "%s: %s", name, s.Out.String())
		})
	}
}

// busy adds two pages of runs that have ended, the newest of which was created now.
func busy(repo *pipelinestest.Repository) {
	for i := range 150 {
		repo.AddPipeline(pipelines.Pipeline{CreatedOn: time.Now().Add(-time.Duration(i) * 40 * time.Second)})
	}
}

func TestAnotherLookSeesWhatTheFirstOneSaw(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		s.Ago(5*time.Hour, func() {
			repo.AddPipeline(pipelines.Pipeline{Target: topic, State: inStage(pipelines.StagePaused)})
			for i := range 6 {
				running(repo, pipelines.BranchTarget(fmt.Sprint("topic-", i)).With(defaultPipeline))
			}
			running(repo, topic)
			for i := range 6 { // they have been successful
				repo.AddPipeline(pipelines.Pipeline{Target: pipelines.BranchTarget(fmt.Sprint("topic-", i)).With(defaultPipeline)})
			}
		})
		time.Sleep(time.Minute)
		busy(repo)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Latency: 10 * time.Second})
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), s.Errs.String())
		require.Equal(t, []int{2, 3, 4, 5, 6, 7}, asked(s, repo))
		require.Contains(t, s.Out.String(), "left: the service can't stop a paused run\n")
	})
}

func TestAWatchStopsLaterWhatItCouldNotStop(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		first := running(repo, topic)
		repo.AddPipeline(pipelines.Pipeline{Target: topic}) // successful
		s.Inject(pipelinestest.Fault{Match: stops(first), Status: http.StatusConflict})
		time.AfterFunc(75*time.Minute, func() { busy(repo) })
		time.AfterFunc(80*time.Minute, s.ClearFaults)
		require.Equal(t, cli.Interrupted, s.RunFor(90*time.Minute, "apply --watch --repo acme/site"))
		require.Equal(t, 1, strings.Count(s.Out.String(), "superseded by build 2: stopping\n"), s.Out.String())
	})
}

func TestAStopThatTookEffectWithoutAnAnswerIsReported(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Drop: pipelinestest.DropAfter, Times: 1})
		s.Inject(pipelinestest.Fault{Match: func(r *http.Request) bool { return r.URL.Query().Get("status") != "" }, Latency: 5 * time.Second})
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), s.Errs.String())
		require.Contains(t, s.Out.String(), "RUNNING      2  had ended\n")
	})
}

func TestAnInterruptWhileAStopWaitsSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"50"}}})
		require.Equal(t, cli.Interrupted, s.RunFor(20*time.Second, "apply --repo acme/site"))
		require.Contains(t, s.Errs.String(), "supersede: interrupted: ")
		require.Contains(t, s.Out.String(), "  can't be stopped: POST ")
	})
}

func TestAnInterruptDoesNotSayOfARunThatItWasNotTriedIfItMayStop(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		for range 3 {
			running(repo, topic)
		}
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Latency: time.Minute})
		require.Equal(t, cli.Interrupted, s.RunFor(20*time.Second, "apply --repo acme/site"))
		require.Contains(t, s.Out.String(), "1  branch topic            default   RUNNING      3  interrupted: perhaps it stops\n")
		require.Contains(t, s.Out.String(), "2  branch topic            default   RUNNING      3  not tried\n")
	})
}

func TestARunThatCannotBeStoppedIsReportedOnceAndCostsLittle(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		first := running(repo, topic)
		running(repo, topic)
		for i := range 100 { // each time with other words
			s.Inject(pipelinestest.Fault{Match: stops(first), Times: 1, Status: http.StatusInternalServerError, Body: fmt.Sprint("error ", i)})
		}
		require.Equal(t, cli.Interrupted, s.RunFor(10*time.Minute, "apply --watch --repo acme/site"))
		require.Equal(t, 1, strings.Count(s.Out.String(), "superseded by build 2: can't be stopped: "), s.Out.String())
		looks := int(10*time.Minute/(28800*time.Millisecond)) + 1
		require.LessOrEqual(t, len(s.Changes()), looks+retries)
	})
}
