package main

import (
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

func TestRunsWithADeploymentInAnyStateAreLeft(t *testing.T) {
	for _, state := range []pipelines.StateName{pipelines.StateUndeployed, pipelines.StateInProgress, pipelines.StateCompleted} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			deploy(repo, running(repo, topic), "Production", state)
			deploy(repo, running(repo, topic), "Test", state)
			running(repo, topic)
			running(repo, topic)
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site --environment TEST"))
			require.Equal(t, []int{2, 3}, asked(s, repo), state)
			require.Contains(t, s.Out.String(), "left: deploys to Production")
			time.Sleep(time.Minute)
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site --environment test --environment "+strings.Trim(repo.AddEnvironment("Production", "Test").UUID(), "{}")))
			require.Equal(t, []int{2, 3, 1}, asked(s, repo), state)
		})
	}
}

func TestARunThatDeploysToSeveralEnvironmentsNeedsThemAllNamed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		p := running(repo, topic)
		deploy(repo, p, "Production", pipelines.StateUndeployed)
		deploy(repo, p, "Test", pipelines.StateCompleted)
		running(repo, topic)
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site --environment Test"))
		require.Empty(t, asked(s, repo))
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site --environment Test --environment Production"))
		require.Equal(t, []int{1}, asked(s, repo))
	})
}

func TestOfEnvironmentsWithSimilarNamesOnlyTheNamedOneIs(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		deploy(repo, running(repo, topic), "Live", pipelines.StateInProgress)
		deploy(repo, running(repo, topic), "live", pipelines.StateInProgress)
		running(repo, topic)
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site --environment live"))
		require.Equal(t, []int{2}, asked(s, repo))
		require.Equal(t, cli.Trouble, s.Run("apply --repo acme/site --environment LIVE"))
		require.Equal(t, "supersede: --environment LIVE: there is no such environment, only: Live, live\n", s.Errs.String())
		require.Equal(t, []int{2}, asked(s, repo))
	})
}

func TestAnUnknownEnvironmentIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		repo.AddEnvironment("Production", pipelines.EnvironmentProduction)
		repo.AddEnvironment("Test", pipelines.EnvironmentTest)
		s.AddRepository("acme", "shop").AddEnvironment("Staging", pipelines.EnvironmentStaging)
		require.Equal(t, cli.Trouble, s.Run("plan --repo acme/site --environment Test --environment Prod"))
		require.Equal(t, "supersede: --environment Prod: there is no such environment, only: Production, Test\n", s.Errs.String())
		require.Equal(t, cli.Trouble, s.Run("plan --repo acme/site --environment Staging"))
		require.Equal(t, cli.Success, s.Run("plan --repo acme/site --repo acme/shop --environment Staging"), "one of them has it")
		s.AddRepository("acme", "bare")
		require.Equal(t, cli.Trouble, s.Run("plan --repo acme/bare --environment Test"))
		require.Equal(t, "supersede: --environment Test: there are no environments\n", s.Errs.String())
	})
}

func TestADeploymentNamesItsRunInSeveralWays(t *testing.T) {
	for name, release := range map[string]func(p *pipelines.Pipeline) pipelines.Deployment{
		"UUID": func(p *pipelines.Pipeline) pipelines.Deployment {
			return pipelines.Deployment{Release: &pipelines.DeploymentRelease{Pipeline: &pipelines.PipelineRef{UUID: p.UUID}}}
		},
		"key": func(p *pipelines.Pipeline) pipelines.Deployment {
			return pipelines.Deployment{Release: &pipelines.DeploymentRelease{Key: "pipelines-" + p.UUID}}
		},
		"build number": func(*pipelines.Pipeline) pipelines.Deployment {
			return pipelines.Deployment{Release: &pipelines.DeploymentRelease{Name: "#1"}}
		},
		"deployable": func(p *pipelines.Pipeline) pipelines.Deployment {
			return pipelines.Deployment{Deployable: &pipelines.DeploymentRelease{Pipeline: &pipelines.PipelineRef{UUID: p.UUID}}}
		},
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			repo.AddDeployment(release(running(repo, topic)))
			running(repo, topic)
			running(repo, topic)
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), name)
			require.Equal(t, []int{2}, asked(s, repo), name)
		})
	}
}

func TestARepositoryWhoseEnvironmentsCannotBeReadKeepsNoOtherFromItsTurn(t *testing.T) {
	for _, command := range []string{"apply", "apply --watch"} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			deploy(repo, running(repo, topic), "Test", pipelines.StateInProgress)
			running(repo, topic)
			shop := s.AddRepository("acme", "shop")
			deploy(shop, running(shop, topic), "Test", pipelines.StateInProgress)
			running(shop, topic)
			s.Inject(pipelinestest.Fault{Path: "/repositories/acme/shop/environments", Status: http.StatusServiceUnavailable, Times: 20})
			s.RunFor(time.Hour, command+" --repo acme/shop --repo acme/site --environment Test")
			require.Equal(t, []int{1}, asked(s, repo), command)
			if command == "apply" {
				require.Contains(t, s.Errs.String(), "supersede: acme/shop: ")
				return
			}
			require.Equal(t, []int{1}, asked(s, shop), "the watch reads them later")
		})
	}
}

// answer makes the service respond to a list of deployments in a state with one deployment.
func answer(s *clitest.Fixture, state, deployment string) {
	s.Inject(pipelinestest.Fault{
		Match: func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/deployments") && r.URL.Query().Get("state.name") == state
		},
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"size": 1, "values": [` + deployment + `]}`,
	})
}

func TestNothingIsStoppedIfADeploymentMayBeOfAnyRun(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		answer(s, "IN_PROGRESS", `{"uuid": "{d}", "state": {"name": "IN_PROGRESS"}}`)
		require.Equal(t, cli.Trouble, s.Run("apply --repo acme/site"))
		require.Equal(t, "supersede: acme/site: the deployment {d} to an environment without a name doesn't say of which run it is, "+
			"so no run can safely be stopped\n", s.Errs.String())
		require.Empty(t, asked(s, repo))

		s.ClearFaults()
		answer(s, "COMPLETED", `{"uuid": "{d}", "state": {"name": "COMPLETED", "started_on": "1999-01-01T00:00:00Z"}}`)
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), "it is older than all runs")
		require.Len(t, asked(s, repo), 1)

		s.ClearFaults()
		time.Sleep(time.Minute)
		running(repo, topic)
		answer(s, "UNDEPLOYED", `{"uuid": "{d}", "state": {"name": "UNDEPLOYED"}, "last_update_time": "1999-01-01T00:00:00Z"}`)
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), "it hasn't changed since")
		require.Len(t, asked(s, repo), 2)
	})
}

// pages has the numbers of the requested pages of deployments in a state.
func pages(s *clitest.Fixture, state string) (all []string) {
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.Path, "/deployments") && r.Query.Get("state.name") == state {
			all = append(all, r.Query.Get("page"))
		}
	}
	return all
}

func TestDeploymentsAreReadBackToTheOldestRunIfTheyAreSorted(t *testing.T) {
	for name, test := range map[string]struct {
		refuseSort bool
		completed  int // pages that are read
	}{
		"sorted":             {false, 2},
		"sorting is refused": {true, 1 + 4},
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			if test.refuseSort {
				s.Inject(pipelinestest.Fault{
					Match:  func(r *http.Request) bool { return r.URL.Query().Get("sort") == "-state.started_on" },
					Status: http.StatusBadRequest,
				})
			}
			old := repo.AddPipeline(pipelines.Pipeline{})
			for range 250 {
				old.CreatedOn = time.Now()
				deploy(repo, old, "Production", pipelines.StateCompleted)
				time.Sleep(time.Second)
			}
			time.Sleep(time.Hour)
			first := running(repo, topic)
			for range 150 { // so that the first page isn't enough
				old.CreatedOn = time.Now()
				deploy(repo, old, "Production", pipelines.StateCompleted)
				time.Sleep(time.Second)
			}
			running(repo, topic)
			require.Equal(t, cli.Failure, s.Run("plan --repo acme/site"), name)
			require.Len(t, pages(s, "COMPLETED"), test.completed, name)
			require.Len(t, pages(s, "UNDEPLOYED"), 1, name)

			deploy(repo, first, "Production", pipelines.StateCompleted)
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), name)
			require.Empty(t, asked(s, repo), name)
		})
	}
}

func TestUndeployedOnesAreReadWhicheverEndOfTheirListIsNewer(t *testing.T) {
	for _, newestFirst := range []bool{true, false} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			now := time.Now()
			old := repo.AddPipeline(pipelines.Pipeline{CreatedOn: now.Add(-24 * time.Hour)})
			add := func(n int) {
				for range n {
					deploy(repo, old, "Production", pipelines.StateUndeployed)
					old.CreatedOn = old.CreatedOn.Add(map[bool]time.Duration{true: -time.Minute, false: time.Minute}[newestFirst])
				}
			}
			first := running(repo, topic)
			running(repo, topic)
			running(repo, topic)
			if newestFirst {
				deploy(repo, first, "Production", pipelines.StateUndeployed)
			}
			add(350)
			if !newestFirst {
				deploy(repo, first, "Production", pipelines.StateUndeployed)
			}
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
			require.Equal(t, []int{3}, asked(s, repo))
			require.Len(t, pages(s, "UNDEPLOYED"), 4, "no order is known")
		})
	}
}

func TestADeploymentThatBeginsWhileOthersAreStoppedIsSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		var all []*pipelines.Pipeline
		for range 10 {
			all = append(all, running(repo, topic))
		}
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Latency: 5 * time.Second})
		time.AfterFunc(10*time.Second, func() { deploy(repo, all[5], "Production", pipelines.StateInProgress) })
		time.AfterFunc(10*time.Second, func() { running(repo, topic) })
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
		require.Equal(t, []int{1, 2, 3, 4, 5, 7, 8, 9, 10}, asked(s, repo))
		require.Contains(t, s.Out.String(), "6  ")
		require.Contains(t, s.Out.String(), "left: deploys to Production")
	})
}

func TestANewerRunThatIsStoppedWhileOthersAreSupersedesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		main := pipelines.BranchTarget("main").With(defaultPipeline)
		for range 9 {
			running(repo, topic)
		}
		running(repo, main)
		newest := running(repo, main)
		s.Inject(pipelinestest.Fault{Match: stops(newest)})
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Latency: 5 * time.Second})
		time.AfterFunc(11*time.Second, func() { require.NoError(t, s.Client().Pipelines.Stop(t.Context(), repo.Repo(), newest.UUID)) })
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
		require.Equal(t, []int{1, 2, 3, 11, 4, 5, 6, 7, 8}, asked(s, repo), "10 is left")
	})
}
