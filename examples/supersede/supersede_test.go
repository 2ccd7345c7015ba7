package main

import (
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

// inBubble runs a test with a service that has the repository acme/site.
func inBubble(t *testing.T, do func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := clitest.New(t, run)
		do(t, s, s.AddRepository("acme", "site"))
	})
}

var (
	defaultPipeline = pipelines.Selector{Type: pipelines.SelectorDefault}
	request         = pipelines.PullRequestTarget(pipelines.PullRequestRef{ID: 7, Source: "topic", Destination: "main"}).
			With(pipelines.Selector{Type: pipelines.SelectorPullRequests, Pattern: "**"})
	topic = pipelines.BranchTarget("topic").With(defaultPipeline)
)

// inStage is the state of a run that hasn't ended.
func inStage(stage pipelines.StageName) pipelines.PipelineState {
	return pipelines.PipelineState{Name: pipelines.StateInProgress, Stage: &pipelines.Stage{Name: stage}}
}

func withResult(result pipelines.ResultName) pipelines.PipelineState {
	return pipelines.PipelineState{Name: pipelines.StateCompleted, Result: &pipelines.Result{Name: result}}
}

// running adds a run that is going on.
func running(repo *pipelinestest.Repository, target pipelines.Target) *pipelines.Pipeline {
	return repo.AddPipeline(pipelines.Pipeline{Target: target, State: inStage(pipelines.StageRunning)})
}

// asked returns the runs that the service was asked to stop, by build number.
func asked(s *clitest.Fixture, repo *pipelinestest.Repository) []int {
	builds := map[string]int{}
	for _, p := range repo.Pipelines() {
		builds[p.UUID] = p.BuildNumber
	}
	var all []int
	for _, r := range s.Requests() {
		if uuid, ok := stopped(r.Method, r.Path); ok && builds[uuid] > 0 {
			all = append(all, builds[uuid])
		}
	}
	return all
}

// stopped returns which run a request stops.
func stopped(method, path string) (uuid string, ok bool) {
	path, ok = strings.CutSuffix(path, "/stopPipeline")
	path = path[strings.LastIndex(path, "/")+1:]
	return strings.NewReplacer("%7B", "{", "%7D", "}").Replace(path), ok && method == http.MethodPost
}

// stops matches the requests to stop a run.
func stops(p *pipelines.Pipeline) func(*http.Request) bool {
	return func(r *http.Request) bool {
		uuid, ok := stopped(r.Method, r.URL.EscapedPath())
		return ok && uuid == p.UUID
	}
}

// deploy adds a deployment of a run, which has begun when the run was created unless the state says otherwise.
func deploy(repo *pipelinestest.Repository, p *pipelines.Pipeline, environment string, state pipelines.StateName) {
	e := repo.AddEnvironment(environment, pipelines.EnvironmentTest)
	d := pipelines.Deployment{
		Environment: &pipelines.Environment{UUID: e.UUID()}, State: pipelines.DeploymentState{Name: state},
		Release: &pipelines.DeploymentRelease{Pipeline: &pipelines.PipelineRef{UUID: p.UUID}},
	}
	if state == pipelines.StateUndeployed {
		d.Release.CreatedOn = p.CreatedOn
	} else {
		d.State.StartedOn = p.CreatedOn
	}
	repo.AddDeployment(d)
}

// sent counts the requests whose path ends with a text.
func sent(s *clitest.Fixture, end string) (n int) {
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.Path, end) {
			n++
		}
	}
	return n
}

func TestOf200RunsOn20BranchesTheNewest20AreLeft(t *testing.T) {
	for _, sideBySide := range []bool{true, false} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			s.Ago(time.Hour, func() {
				for range 300 {
					deploy(repo, repo.AddPipeline(pipelines.Pipeline{}), "Production", pipelines.StateCompleted)
					time.Sleep(time.Second)
				}
			})
			newest := map[int]bool{}
			for i := range 200 {
				if i == 100 && sideBySide {
					for range 150 { // older than the newest run of each branch, so they needn't all be read
						repo.AddPipeline(pipelines.Pipeline{})
					}
				}
				branch := i / 10
				if sideBySide {
					branch = i % 20
				}
				p := running(repo, pipelines.BranchTarget(fmt.Sprint("topic-", branch)).With(defaultPipeline))
				newest[p.BuildNumber] = sideBySide && i >= 180 || !sideBySide && i%10 == 9
				time.Sleep(time.Second)
			}
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), s.Errs.String())
			builds := asked(s, repo)
			require.Len(t, builds, 180)
			for _, build := range builds {
				require.False(t, newest[build], build)
			}
			require.Equal(t, 3, sent(s, "/pipelines"), "two pages of runs that haven't ended, one of those that have")
			require.Equal(t, 3, sent(s, "/deployments"), "one page of each state")
			require.Len(t, s.Requests(), 3+3+180)
			require.Contains(t, s.Out.String(), "acme/site: 200 runs haven't ended\n")
			require.Contains(t, s.Out.String(), "\n180 runs asked to stop, which takes a moment\n")

			time.Sleep(time.Minute)
			require.Equal(t, cli.Success, s.Run("plan --repo acme/site"))
			require.Contains(t, s.Out.String(), "acme/site: 20 runs haven't ended\nNo run is superseded by a newer one\n")
		})
	}
}

func TestAPlanChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		require.Equal(t, cli.Success, s.Run("plan --repo acme/site"))
		require.Equal(t, "acme/site: 1 run hasn't ended\nNo run is superseded by a newer one\n", s.Out.String())
		running(repo, topic)
		require.Equal(t, cli.Failure, s.Run("plan --repo acme/site"))
		require.Equal(t, `acme/site: 2 runs haven't ended
BUILD  BRANCH OR PULL REQUEST  PIPELINE  STATE    NEWER  PLAN
    1  branch topic            default   RUNNING      2  stop
1 run would be stopped
`, s.Out.String())
		require.Empty(t, s.Changes())
	})
}

func TestOnlyRunsOfTheSameJobSupersede(t *testing.T) {
	with := func(target pipelines.Target, kind pipelines.SelectorType, pattern string) pipelines.Target {
		return target.With(pipelines.Selector{Type: kind, Pattern: pattern})
	}
	retargeted := request
	retargeted.Destination = "release"
	otherRequest := request
	otherRequest.PullRequest = &pipelines.PullRequest{ID: 8}
	future, mercurial := topic, topic
	future.Type, mercurial.RefType = "pipeline_future_target", pipelines.RefBookmark
	hash := strings.Repeat("a", 40)
	tag := with(pipelines.TagTarget("v1"), pipelines.SelectorTags, "v*")
	queue := with(pipelines.Target{RefName: "queue", TargetBranch: "main"}, pipelines.SelectorMergeQueues, "main")
	for name, test := range map[string]struct {
		older, newer pipelines.Target
		args         string
		same         bool
	}{
		"branch":                       {topic, topic, "", true},
		"another commit of the branch": {topic.At(hash), topic, "", true},
		"section of the branch":        {with(topic, pipelines.SelectorBranches, "to*"), with(topic, pipelines.SelectorBranches, "to*"), "", true},
		"another pattern":              {with(topic, pipelines.SelectorBranches, "to*"), with(topic, pipelines.SelectorBranches, "*"), "", false},
		"another section":              {with(topic, pipelines.SelectorBranches, "topic"), with(topic, pipelines.SelectorCustom, "topic"), "--custom *", false},
		"another branch":               {topic, pipelines.BranchTarget("main").With(defaultPipeline), "", false},
		"pull request":                 {request, request, "", true},
		"another destination":          {request, retargeted, "", true},
		"another pull request":         {request, otherRequest, "", false},
		"its branch":                   {request, with(topic, pipelines.SelectorPullRequests, "**"), "", false},
		"custom pipeline":              {with(topic, pipelines.SelectorCustom, "report"), with(topic, pipelines.SelectorCustom, "report"), "", false},
		"named custom pipeline":        {with(topic, pipelines.SelectorCustom, "report"), with(topic, pipelines.SelectorCustom, "report"), "--custom report", true},
		"another custom pipeline":      {with(topic, pipelines.SelectorCustom, "report"), with(topic, pipelines.SelectorCustom, "lint"), "--custom *", false},
		"unparsed":                     {pipelines.BranchTarget("topic"), topic, "", false},
		"newer but unparsed":           {topic, pipelines.BranchTarget("topic"), "", false},
		"tag":                          {tag, tag, "", false},
		"commit":                       {with(pipelines.CommitTarget(hash), pipelines.SelectorDefault, ""), with(pipelines.CommitTarget(hash), pipelines.SelectorDefault, ""), "", false},
		"merge queue":                  {queue, queue, "", false},
		"unknown target":               {future, future, "", false},
		"unknown reference":            {mercurial, mercurial, "", false},
		"unknown selector":             {with(topic, "future", "x"), with(topic, "future", "x"), "", false},
		"selected branch":              {topic, topic, "--branch to*", true},
		"other branches":               {topic, topic, "--branch main --branch release/*", false},
		"excepted branch":              {topic, topic, "--except t*c", false},
		"branch of the pull request":   {request, request, "--except topic", false},
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			running(repo, test.older)
			running(repo, test.newer)
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site "+test.args), name)
			if test.same {
				require.Equal(t, []int{1}, asked(s, repo), name)
				return
			}
			require.Empty(t, asked(s, repo), name)
		})
	}
}

func TestRunsThatAnotherRunHasStartedAreLeft(t *testing.T) {
	for _, trigger := range []pipelines.Trigger{
		{Name: pipelines.TriggerParentStep}, {Type: "pipeline_trigger_parent_pipeline", Name: "PARENT_PIPELINE"}, {Type: "pipeline_trigger_parent_step"},
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			for range 2 {
				repo.AddPipeline(pipelines.Pipeline{Target: topic, Trigger: &trigger, State: inStage(pipelines.StageRunning)})
			}
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
			require.Empty(t, asked(s, repo))
		})
	}
}

func TestWhichStatesOfANewerRunSupersede(t *testing.T) {
	refused := withResult(pipelines.ResultFailed)
	refused.Result.Error = &pipelines.ErrorDetail{Key: "plan-service.parse.error"}
	for name, test := range map[string]struct {
		state      pipelines.PipelineState
		supersedes bool
	}{
		"parsing":       {pipelines.PipelineState{Name: pipelines.StateParsing}, false},
		"pending":       {pipelines.PipelineState{Name: pipelines.StatePending}, true},
		"running":       {inStage(pipelines.StageRunning), true},
		"paused":        {inStage(pipelines.StagePaused), true},
		"halted":        {inStage(pipelines.StageHalted), true},
		"unknown stage": {inStage("FUTURE"), false},
		"unknown state": {pipelines.PipelineState{Name: "FUTURE"}, false},
		"successful":    {withResult(pipelines.ResultSuccessful), true},
		"failed":        {withResult(pipelines.ResultFailed), true},
		"couldn't run":  {refused, false},
		"error":         {withResult(pipelines.ResultError), false},
		"stopped":       {withResult(pipelines.ResultStopped), false},
		"expired":       {withResult(pipelines.ResultExpired), false},
	} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			running(repo, topic)
			repo.AddPipeline(pipelines.Pipeline{Target: topic, State: test.state})
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), name)
			require.Equal(t, test.supersedes, len(asked(s, repo)) == 1, name)
		})
	}
}

func TestBuildNumbersSayWhichRunIsNewer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		now := time.Now()
		for _, build := range []int{12, 10, 11} { // created at the same time, or even in another order
			repo.AddPipeline(pipelines.Pipeline{BuildNumber: build, Target: topic, State: inStage(pipelines.StageRunning), CreatedOn: now.Add(-time.Duration(build) * time.Second)})
		}
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
		require.Equal(t, []int{10, 11}, asked(s, repo))
	})
}

func TestPausedRunsAreReported(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		repo.AddPipeline(pipelines.Pipeline{Target: topic, State: inStage(pipelines.StagePaused)})
		repo.AddPipeline(pipelines.Pipeline{Target: topic, State: inStage(pipelines.StageHalted)})
		running(repo, topic)
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
		require.Equal(t, []int{2}, asked(s, repo))
		require.Contains(t, s.Out.String(), "1  branch topic            default   PAUSED      3  left: the service can't stop a paused run\n")
		require.Contains(t, s.Out.String(), "2  branch topic            default   HALTED      3  stopping\n")
	})
}

func TestARunThatEndedMeanwhileCountsAsDone(t *testing.T) {
	for _, status := range []int{0, http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity} {
		inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
			script := pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: 5 * time.Second}}}
			repo.AddRun(script, time.Now(), topic)
			repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour}}}, time.Now(), topic)
			s.Inject(pipelinestest.Fault{Method: http.MethodPost, Latency: 10 * time.Second, Status: status}) // and it ends
			require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), s.Errs.String())
			require.Contains(t, s.Out.String(), "RUNNING      2  had ended\n")
		})
	}
}

func TestARunThatEndsBetweenTheListsIsNotStopped(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: 5 * time.Second}}}, time.Now(), topic)
		repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Hour}}}, time.Now(), topic)
		s.Inject(pipelinestest.Fault{Match: func(r *http.Request) bool { return r.URL.Query().Get("status") == "PASSED" }, Latency: 10 * time.Second})
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"), s.Errs.String())
		require.Equal(t, "acme/site: 2 runs haven't ended\nNo run is superseded by a newer one\n", s.Out.String())
		require.Len(t, s.Requests(), 2)
	})
}

func TestOneFailureKeepsNoOtherRunFromBeingStopped(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		first := running(repo, topic)
		second := running(repo, topic)
		running(repo, topic)
		running(repo, topic)
		s.Inject(pipelinestest.Fault{Match: stops(first), Status: http.StatusInternalServerError})
		s.Inject(pipelinestest.Fault{Match: stops(second), Status: http.StatusBadRequest})
		require.Equal(t, cli.Trouble, s.Run("apply --repo acme/site"))
		require.Contains(t, asked(s, repo), 3)
		require.Equal(t, 2, strings.Count(s.Out.String(), "can't be stopped: "))
		require.Contains(t, s.Errs.String(), "supersede: acme/site: 2 runs couldn't be stopped: the next apply tries again\n")
		s.ClearFaults()
		require.Equal(t, cli.Success, s.Run("apply --repo acme/site"))
		time.Sleep(time.Minute)
		require.Equal(t, cli.Success, s.Run("plan --repo acme/site"))
	})
}

func TestRefusedCredentialsEndIt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		for range 3 {
			running(repo, topic)
		}
		other := s.AddRepository("acme", "shop")
		running(other, topic)
		running(other, topic)
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusUnauthorized})
		require.Equal(t, cli.Trouble, s.Run("apply --repo acme/site --repo acme/shop"))
		require.Len(t, s.Changes(), 1)
		require.Equal(t, 2, strings.Count(s.Out.String(), "  not tried\n"))
		require.Contains(t, s.Errs.String(), "doesn't accept the credentials")
	})
}

func TestOneRepositoryKeepsNoOtherFromItsTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		running(repo, topic)
		running(repo, topic)
		require.Equal(t, cli.Trouble, s.Run("plan --repo acme/missing --repo acme/site --repo acme/site"))
		require.Equal(t, 1, strings.Count(s.Out.String(), "acme/site: 2 runs"))
		require.Contains(t, s.Errs.String(), "supersede: acme/missing: ")

		s.AddRepository("acme", "closed")
		s.Inject(pipelinestest.Fault{Path: "/repositories/acme/closed/pipelines", Status: http.StatusForbidden})
		require.Equal(t, cli.Trouble, s.Run("apply --repo acme/closed --repo acme/site"))
		require.Equal(t, []int{1}, asked(s, repo))
		require.Contains(t, s.Errs.String(), "The credentials don't allow this")
	})
}

func TestAnInterruptSaysWhatWasDone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, repo *pipelinestest.Repository) {
		for range 10 {
			running(repo, topic)
		}
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Latency: time.Second})
		require.Equal(t, cli.Interrupted, s.RunFor(2500*time.Millisecond, "apply --repo acme/site"))
		require.Contains(t, s.Out.String(), "2 runs asked to stop, which takes a moment\n")
		require.Equal(t, cli.Interrupted, s.RunInterrupted("plan --repo acme/site"))
	})
}

func TestWrongUsageIsRefusedBeforeAnythingIsSent(t *testing.T) {
	s := clitest.New(t, run)
	for args, want := range map[string]string{
		"":                                   "the first argument is the command, plan or apply",
		"--repo acme/site":                   "the first argument is the command, plan or apply",
		"stop --repo acme/site":              "the first argument is the command, plan or apply",
		"plan":                               "--repo is missing",
		"plan --repo acme":                   "--repo: ",
		"plan --repo acme/site more":         "too many",
		"plan --repo acme/site --watch":      "--watch goes with apply",
		"apply --repo acme/site --quota 500": "--quota goes with --watch",
		"apply --repo acme/site --watch --quota 99":      "--quota is below 100",
		"apply --repo acme/site --watch --quota 1000001": "--quota is above 1,000,000",
		"apply --repo acme/site --branch=":               "branch",
		"apply --repo acme/site --environment=":          "environment",
		"apply --repo=":                                  "repo",
		"apply --repo acme/site --every 5s":              "every",
	} {
		s.Refuses(args, want)
	}
	clitest.SetCredentials(t, "")
	for _, flag := range []string{"--repo acme/site", "--environment Production", "--custom report", "--branch main", "--except main"} {
		s.Refuses("plan "+flag, strings.Fields(flag)[0]+" needs credentials")
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"plan"}, {"apply"}} {
		require.Contains(t, clitest.RequireHelp(t, run, args...), "supersede apply --repo WORKSPACE/SLUG")
	}
}

func TestTheDemo(t *testing.T) {
	out := clitest.RequireDemo(t, run, "apply", "acme/site: 11 runs haven't ended")
	require.Contains(t, out, "left: deploys to Production")
	require.Contains(t, out, "left: the service can't stop a paused run")
	require.Contains(t, out, "left: custom pipeline, see --custom")
	require.Contains(t, out, "3 runs asked to stop")
	status, _, _ := clitest.Demo(t, run, "plan")
	require.Equal(t, cli.Failure, status)
}
