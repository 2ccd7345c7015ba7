package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestOfTwoStartsWithOppositeActionsOneWins(t *testing.T) {
	newService(t, 1)
	for range 30 {
		starts := map[string]*command{}
		for _, word := range []string{"on", "off"} {
			starts[word] = begin(t, fourRepos, startArgs("pipelines", word)...)
		}
		on, off := <-starts["on"].ended, <-starts["off"].ended
		winner, loser := "on", "off"
		if on != cli.Success {
			winner, loser = loser, winner
		}
		require.ElementsMatch(t, []int{cli.Success, cli.Trouble}, []int{on, off})
		require.Contains(t, starts[loser].printed.String(), "another campaign has this name: pipelines "+winner)
		require.Contains(t, fleet(t, cli.Trouble, "", "status", "-campaign", "c"), "pipelines "+winner+" in 4 repositories")
		fleet(t, cli.Success, "", "forget", "-campaign", "c")
	}
}

func TestStartsOfOneCampaignAtTheSameTimeMakeOneTaskForEachRepository(t *testing.T) {
	newService(t, 40)
	var list strings.Builder
	for i := range 40 {
		fmt.Fprintf(&list, "acme/r%d\n", i)
	}
	var together sync.WaitGroup
	for range 4 {
		together.Go(func() { fleet(t, cli.Success, list.String(), startArgs("pipelines", "off")...) })
	}
	together.Wait()
	work(t)
	require.Contains(t, fleet(t, cli.Success, "", "status", "-campaign", "c"), "changed     40\n")
}

// TestARetryOfATaskThatHasFailedButNotEndedIsNotLost holds the engine back between the recorded failure and the end of the task.
func TestARetryOfATaskThatHasFailedButNotEndedIsNotLost(t *testing.T) {
	srv, repos := newService(t, 1)
	redisServer := miniredis.RunT(t)
	t.Setenv("FLEET_REDIS", "redis://"+redisServer.Addr())
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	redisServer.Server().SetPreHook(func(_ *server.Peer, _ string, args ...string) bool {
		if slices.Contains(args, "asynq:{fleet-c}:processed") {
			once.Do(func() {
				close(reached)
				<-release
			})
		}
		return false
	})
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r0/pipelines_config", Status: http.StatusForbidden})
	fleet(t, cli.Success, "acme/r0\n", startArgs("pipelines", "off")...)
	worker := begin(t, "", "work", "-campaign", "c")
	<-reached
	srv.ClearFaults()
	require.Contains(t, fleet(t, cli.Success, "acme/r0\n", append(startArgs("-retry-failed"), "pipelines", "off")...), "Put into Redis: 1 repository.")
	close(release)
	worker.stop()
	<-worker.ended
	begin(t, "", "work", "-campaign", "c").ends(t, cli.Success)
	require.Contains(t, fleet(t, cli.Success, "", "status", "-campaign", "c"), "changed     1\n")
	require.False(t, repos[0].PipelinesEnabled())
}

func TestAnInterruptedRetryIsMendedByStart(t *testing.T) {
	srv, repos := newService(t, 1)
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r0/pipelines_config", Status: http.StatusForbidden, Times: 1})
	fleet(t, cli.Success, "acme/r0\n", startArgs("pipelines", "off")...)
	work(t)
	rdb := client(t)
	s := store{rdb: rdb, campaign: "c"}
	require.NoError(t, s.retryFailed(t.Context())) // and nothing after it
	seen, err := s.existing(t.Context())
	require.NoError(t, err, "start may still be at work")
	require.Equal(t, 1, seen.left())
	rdb.Del(t.Context(), s.key("starting")) // the time has passed
	require.Contains(t, fleet(t, cli.Trouble, "", "work", "-campaign", "c"), "neither a result nor a task has 1 of 1 repository")
	require.Contains(t, fleet(t, cli.Trouble, "", "status", "-campaign", "c"), "neither a result nor a task has 1 of 1 repository")
	fleet(t, cli.Success, "acme/r0\n", startArgs("pipelines", "off")...)
	work(t)
	require.False(t, repos[0].PipelinesEnabled())
}

func TestAWorkerNeverTakesTheTasksOfAnotherActionForItsOwn(t *testing.T) {
	_, repos := newService(t, 3)
	hurried := pace.progress
	pace.progress = 500 * time.Millisecond // the worker doesn't see the moment between the campaigns
	t.Cleanup(func() { pace.progress = hurried })
	three := "acme/r0\nacme/r1\nacme/r2\n"
	fleet(t, cli.Success, three, append(slices.Clone(slowFlags), "pipelines", "off")...)
	worker := begin(t, "", "work", "-campaign", "c")
	awaitStatus(t, "workers     1")
	client(t).FlushAll(t.Context())
	fleet(t, cli.Success, three, startArgs("schedules", "on")...)
	require.Contains(t, worker.ends(t, cli.Trouble), "campaign c was forgotten and started anew, with the action schedules on")
	next := begin(t, "", "work", "-campaign", "c")
	awaitEnd(t)
	next.ends(t, cli.Success)
	require.Contains(t, fleet(t, cli.Success, "", "status", "-campaign", "c"), "schedules on in 3 repositories")
	enabled := 0
	for _, r := range repos {
		if r.PipelinesEnabled() {
			enabled++
		}
	}
	require.GreaterOrEqual(t, enabled, 2, "the quota was for one request")
}

func TestWorkersFollowAChangeOfTheQuotaAndTheAttempts(t *testing.T) {
	srv, _ := newService(t, 3)
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r2/pipelines", Status: http.StatusInternalServerError})
	three := "acme/r0\nacme/r1\nacme/r2\n"
	fleet(t, cli.Success, three, append(slices.Clone(slowFlags), "report")...)
	worker := begin(t, "", "work", "-campaign", "c", "-retry-delay", "10m", "-concurrency", "1") // r2 is the last
	awaitStatus(t, "left        2")
	fleet(t, cli.Success, three, append(startArgs("-attempts", "1"), "report")...)
	awaitEnd(t)
	worker.ends(t, cli.Success)
	require.Contains(t, fleet(t, cli.Failure, "", "status", "-campaign", "c"), "at most 1,000 requests in 1s\n  read        2\n  failed      1\n")
}

func TestAPlanTellsWhatStartWouldDo(t *testing.T) {
	srv, _ := newService(t, 4)
	srv.Inject(pipelinestest.Fault{Path: "/repositories/acme/r1/pipelines", Status: http.StatusForbidden})
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", startArgs("report")...)
	work(t)
	plan := append([]string{"plan"}, fastFlags...)
	out := fleet(t, cli.Success, fourRepos, append(slices.Clone(plan), "report")...)
	require.Contains(t, out, "About 2 requests")
	require.Contains(t, out, "Through already: 2 of 4 repositories.")
	out = fleet(t, cli.Success, fourRepos, append(slices.Clone(plan), "-retry-failed", "report")...)
	require.Contains(t, out, "About 3 requests")
	require.Contains(t, out, "Failed before, to be tried again: 1.")
	require.Contains(t, fleet(t, cli.Trouble, fourRepos, append(slices.Clone(plan), "pipelines", "off")...), "another campaign has this name: report")
}
