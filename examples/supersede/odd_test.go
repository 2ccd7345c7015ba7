package main

import (
	"encoding/json"
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

// old adds deployments of an old run, the newest first.
func old(repo *pipelinestest.Repository, n int, state pipelines.StateName) {
	old := repo.AddPipeline(pipelines.Pipeline{CreatedOn: time.Now().Add(-24 * time.Hour)})
	for range n {
		deploy(repo, old, "Test", state)
		old.CreatedOn = old.CreatedOn.Add(-time.Minute)
	}
}

func TestNoOrderIsBelievedThatWasNotAskedFor(t *testing.T) {
	for _, state := range []pipelines.StateName{pipelines.StateUndeployed, pipelines.StateInProgress, pipelines.StateCompleted} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			s.Inject(pipelinestest.Fault{
				Match: func(r *http.Request) bool { return r.URL.Query().Get("sort") == "-state.started_on" }, Status: http.StatusBadRequest,
			})
			old(repo, 150, state) // the list is sorted by environment
			deploy(repo, running(repo, topic), "Production", state)
			running(repo, topic)
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
			require.Empty(t, asked(s, repo), state)
		})
	}
}

func TestDeploymentsThatNeverBeganDoNotEndASortedList(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		p := running(repo, topic)
		running(repo, topic)
		var values []string // a database may sort those first that have no time
		for i := range 100 {
			values = append(values, fmt.Sprintf(`{"uuid": "{%d}", "state": {"name": "COMPLETED"}, "release": {"name": "#9", "created_on": %q}}`,
				i, time.Now().Add(-time.Duration(i)*time.Hour).UTC().Format(time.RFC3339)))
		}
		deploy(repo, p, "Production", pipelines.StateCompleted)
		one, err := json.Marshal(repo.Deployments()[0])
		require.NoError(t, err)
		for page, list := range map[string]string{"1": strings.Join(values, ","), "2": string(one)} {
			s.Inject(pipelinestest.Fault{
				Match: func(r *http.Request) bool {
					q := r.URL.Query()
					return strings.HasSuffix(r.URL.Path, "/deployments") && q.Get("state.name") == "COMPLETED" && (q.Get("page") == page || q.Get("page") == "" && page == "1")
				},
				Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"size": 101, "values": [` + list + `]}`,
			})
		}
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), s.Errs.String())
		require.Empty(t, asked(s, repo))
	})
}

func TestADeploymentThatNamesItsRunInOtherWays(t *testing.T) {
	for name, test := range map[string]struct {
		release func(uuid string) string
		refused bool
	}{
		"without braces":        {func(uuid string) string { return `{"pipeline": {"uuid": "` + strings.Trim(uuid, "{}") + `"}}` }, false},
		"in upper case":         {func(uuid string) string { return `{"pipeline": {"uuid": "` + strings.ToUpper(uuid) + `"}}` }, false},
		"a key without braces":  {func(uuid string) string { return `{"key": "pipelines-` + strings.Trim(uuid, "{}") + `"}` }, false},
		"nulls and a number":    {func(string) string { return `{"pipeline": null, "key": null, "uuid": null, "name": "#1"}` }, false},
		"an empty key":          {func(string) string { return `{"key": "pipelines-", "name": "#1"}` }, false},
		"a name without number": {func(string) string { return `{"name": "v1.2"}` }, true},
		"another key":           {func(string) string { return `{"key": "other-1", "name": ""}` }, true},
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			p := running(repo, topic)
			running(repo, topic)
			answer(s, "IN_PROGRESS", `{"uuid": "{d}", "environment": {"uuid": "{e}"}, "state": {"name": "IN_PROGRESS"}, "release": `+test.release(p.UUID)+`}`)
			want := cli.Success
			if test.refused {
				want = cli.Trouble
			}
			require.Equal(t, want, s.Run("apply --repo acme/site"), "%s: %s", name, s.Errs.String())
			require.Empty(t, asked(s, repo), name)
		})
	}
}

func TestAnEnvironmentWithoutUUIDNamesNoDeployment(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		s.Inject(pipelinestest.Fault{
			Path: "/repositories/acme/site/environments", Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
			Body: `{"size": 1, "values": [{"uuid": null, "name": "Staging"}]}`,
		})
		answer(s, "IN_PROGRESS", `{"uuid": "{d}", "environment": null, "state": {"name": "IN_PROGRESS"}, "release": {"name": "#1"}}`)
		s.Run("apply --repo acme/site --environment Staging")
		require.Empty(t, asked(s, repo))
	})
}

func TestARunThatSomebodyHasStartedAgainIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		repo.AddPipeline(pipelines.Pipeline{Target: topic, State: inStage(pipelines.StageRunning), RunNumber: 2})
		running(repo, topic)
		running(repo, topic)
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
		require.Equal(t, []int{2}, asked(s, repo))
		require.Contains(t, s.Out.String(), "1  branch topic            default   RUNNING      3  left: somebody has started it again\n")
	})
}

func TestADeploymentThatBeginsWhileTheOthersAreReadHidesNone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{
			{Duration: time.Minute}, {Duration: time.Hour, Deployment: "Production"},
		}}, time.Now(), pipelines.BranchTarget("main"))
		long := pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: 2 * time.Hour}, {Duration: time.Hour, Deployment: "Production"}}}
		for range 99 {
			repo.AddRun(long, time.Now(), pipelines.TagTarget("v1"))
		}
		repo.AddRun(long, time.Now(), pipelines.BranchTarget("topic"))
		repo.AddRun(long, time.Now(), pipelines.BranchTarget("topic"))
		time.Sleep(50 * time.Second)
		s.Inject(pipelinestest.Fault{
			Match: func(r *http.Request) bool {
				return r.URL.Query().Get("state.name") == "UNDEPLOYED" && r.URL.Query().Get("page") == "2"
			},
			Latency: 12 * time.Second,
		})
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), s.Errs.String())
		require.Empty(t, asked(s, repo))
	})
}

func TestACustomPipelineWithoutNameIsNoJob(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		for range 2 {
			running(repo, topic.With(pipelines.CustomSelector("")))
		}
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site --custom *"))
		require.Empty(t, asked(s, repo))
	})
}

func TestAPullRequestOfAnUnknownBranchMayBeOfAnExceptedOne(t *testing.T) {
	for flags, want := range map[string]int{"": 1, "--except main": 0, "--branch topic": 0} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			unknown := request
			unknown.Source = ""
			running(repo, unknown)
			running(repo, unknown)
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site "+flags))
			require.Len(t, asked(s, repo), want, flags)
		})
	}
}

func TestAnErrorOfARepositoryHasNoWordsForProgrammers(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Repository) {
		require.Equal(t, cli.Trouble, s.Run("plan --repo acme/missing"))
		require.NotContains(t, s.Errs.String(), "Pipelines.List")
		require.Equal(t, cli.Trouble, s.RunFor(time.Hour, "apply --watch --repo acme/missing"))
		require.NotContains(t, s.Errs.String(), "Pipelines.List")
	})
}
