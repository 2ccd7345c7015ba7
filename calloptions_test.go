package pipelines_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestWithMaxAttemptsIsOfOneCall(t *testing.T) {
	srv := record(t, answer(503, "text/plain", ""))
	c := newClient(t, srv.base())
	for n := range 5 {
		before := len(srv.seen())
		_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithMaxAttempts(n+1))
		require.ErrorIs(t, err, pipelines.ErrServer)
		require.Len(t, srv.seen(), before+n+1)
	}
	_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithMaxAttempts(0))
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.ErrorContains(t, err, "WithMaxAttempts: 0")
}

func TestACallOfOneAttemptIsNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := viaFunc(t, func(req *http.Request) (*http.Response, error) { return respond(req, 429, ""), nil })
		for range 3 {
			_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithMaxAttempts(1))
			require.ErrorIs(t, err, pipelines.ErrRateLimited)
		}
		require.Zero(t, time.Since(start))
	})
}

func TestWithRawBodyGivesTheJSONAsItCame(t *testing.T) {
	const body = ` {"build_number": 1, "brand_new": [true]} `
	c := newClient(t, record(t, answerJSON(body)).base())
	var raw []byte
	_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithRawBody(&raw))
	require.NoError(t, err)
	require.Equal(t, body, string(raw))

	failing := newClient(t, record(t, answer(404, "application/json", `{"error":{"message":"no"}}`)).base())
	_, err = failing.Pipelines.Get(t.Context(), repo, "1", pipelines.WithRawBody(&raw))
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.Nil(t, raw, "what an earlier call left is gone")
	_, err = c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithRawBody(nil))
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}

func TestWithRawBodyOfAListGivesEachPage(t *testing.T) {
	for _, n := range []int{1, 4} {
		c := newClient(t, record(t, book{n: 250}.ServeHTTP).base())
		var raw []byte
		pages := 0
		for page, err := range c.Pipelines.List(t.Context(), repo, nil, pipelines.WithRawBody(&raw)).Parallel(n).Pages() {
			require.NoError(t, err)
			pages++
			require.Contains(t, string(raw), fmt.Sprintf(`"build_number":%d`, page.Values[0].BuildNumber))
		}
		require.Equal(t, 3, pages)
	}
}

func TestNilOptionsAreHarmless(t *testing.T) {
	srv := record(t, answerJSON(`{"state":{"name":"COMPLETED"},"values":[]}`))
	c := newClient(t, srv.base(), nil)
	_, err := c.Pipelines.Get(t.Context(), repo, "1", nil)
	require.NoError(t, err)
	_, err = c.Pipelines.Wait(t.Context(), repo, "1", nil, nil)
	require.NoError(t, err)
	_, err = c.Pipelines.List(t.Context(), repo, nil, nil).Collect()
	require.NoError(t, err)
	_, err = c.Variables.InRepository(repo).Plan(t.Context(), nil, nil, nil)
	require.NoError(t, err)
}

func TestWhatSendsSeveralRequestsTakesOptionsForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		r := srv.AddRepository("acme", "site")
		r.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 3 * time.Second, Log: "a\nb\n"}}})
		c := srv.Client()
		run, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.NoError(t, err)
		srv.ClearRequests()
		team := pipelines.WithHeader("X-Team", "blue")
		for _, err := range c.Pipelines.Watch(t.Context(), repo, run.UUID, nil, team) {
			require.NoError(t, err)
		}
		_, err = c.Pipelines.Wait(t.Context(), repo, run.UUID, nil, team)
		require.NoError(t, err)
		for _, ids := range [][]string{{run.UUID, "1"}, {"1"}} {
			_, err = c.Pipelines.WaitAll(t.Context(), repo, ids, nil, team)
			require.NoError(t, err)
		}
		steps, err := c.Steps.List(t.Context(), repo, run.UUID, nil, team).Collect()
		require.NoError(t, err)
		log, err := c.Steps.FollowLog(t.Context(), repo, run.UUID, steps[0].UUID, nil, team)
		require.NoError(t, err)
		var text strings.Builder
		n, err := log.WriteTo(&text)
		require.NoError(t, err)
		require.Equal(t, "a\nb\n", text.String())
		require.Equal(t, n, log.Offset())
		require.True(t, log.Step() == nil || log.Step().State.Done())
		require.NoError(t, log.Close())
		set := c.Variables.InRepository(repo)
		r.AddVariable(pipelines.Variable{Key: "CHANGED"})
		r.AddVariable(pipelines.Variable{Key: "GONE"})
		wanted := []pipelines.VariableRequest{{Key: "NEW"}, {Key: "CHANGED", Value: "1"}}
		plan, err := set.Plan(t.Context(), wanted, &pipelines.SyncOptions{Prune: true}, team)
		require.NoError(t, err)
		require.Equal(t, []int{1, 1, 1}, []int{len(plan.Create), len(plan.Update), len(plan.Delete)})
		require.NoError(t, set.Apply(t.Context(), plan, team))
		for _, req := range srv.Requests() {
			require.True(t, req.Storage || req.Header.Get("X-Team") == "blue", "%v", req)
		}
	})
}

func TestEventsSayWhatTheyAreAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		srv.AddRepository("acme", "site").Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Second, Log: "a\n"}}})
		c := srv.Client()
		run, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
		require.NoError(t, err)
		seen := map[pipelines.EventKind]int{}
		for e, err := range c.Pipelines.Watch(t.Context(), repo, run.UUID, nil) {
			require.NoError(t, err)
			seen[e.Kind]++
			require.Equal(t, e.Kind == pipelines.EventPipeline, e.Pipeline != nil)
			require.Equal(t, e.Kind == pipelines.EventLog, e.Log != nil)
			require.Equal(t, e.Kind != pipelines.EventPipeline, e.Step != nil)
		}
		require.Len(t, seen, 3)
	})
}

func TestAnyPagedPathCanBeListed(t *testing.T) {
	type member struct {
		UserName string `json:"nickname"`
		Since    time.Duration
	}
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		page := req.URL.Query().Get("page")
		if page == "" {
			page = "1"
		}
		next := ""
		if page == "1" {
			next = `,"next":"http://` + req.Host + req.URL.Path + `?page=2"`
		}
		answerJSON(`{"values":[{"nickname":"m`+page+`","since":5}]`+next+`}`)(w, req)
	})
	c := newClient(t, srv.base())
	all, err := pipelines.List[member](t.Context(), c, "/workspaces/acme/members?q=x", pipelines.WithHeader("X-Team", "blue")).Collect()
	require.NoError(t, err)
	require.Equal(t, []*member{{"m1", 5}, {"m2", 5}}, all, "as encoding/json decodes")
	for _, req := range srv.seen() {
		require.Contains(t, req.Query, "q=x")
		require.Equal(t, "blue", req.Header.Get("X-Team"))
	}
	_, err = pipelines.List[member](t.Context(), c, "https://elsewhere.example/x").Collect()
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.ErrorContains(t, err, "path is a URL")
	repos, err := pipelines.List[pipelines.Repository](t.Context(), newClient(t, record(t, answerJSON(`{"values":[{"full_name":"acme/site"}]}`)).base()), "/repositories/acme").First()
	require.NoError(t, err)
	require.Equal(t, "acme/site", repos.FullName)
}

func TestTheLastLinesOfALog(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for name, test := range map[string]struct {
		log   string
		lines int
		want  string
	}{
		"some":                         {"a\nb\nc\n", 2, "b\nc\n"},
		"one":                          {"a\nb\nc\n", 1, "c\n"},
		"as many as there are":         {"a\nb\nc\n", 3, "a\nb\nc\n"},
		"more than there are":          {"a\nb\nc\n", 9, "a\nb\nc\n"},
		"of a log without a line end":  {"a\nb\nc", 2, "b\nc"},
		"empty lines":                  {"a\n\n\n", 2, "\n\n"},
		"a line that is long":          {"a\n" + long + "\n", 1, long + "\n"},
		"lines before a long one":      {"a\nb\n" + long + "\n", 2, "b\n" + long + "\n"},
		"all of a long log":            {"a\n" + long + "\n" + long + "\n", 3, "a\n" + long + "\n" + long + "\n"},
		"a log that is one long line":  {long, 1, long},
		"lines that a part cuts apart": {strings.Repeat("line\n", 50_000), 30_000, strings.Repeat("line\n", 30_000)},
	} {
		t.Run(name, func(t *testing.T) {
			srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
			run := srv.AddRepository("acme", "site").AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Log: test.log}}}, time.Now())
			c := srv.Client()
			steps, err := c.Steps.List(t.Context(), repo, run.UUID, nil).Collect()
			require.NoError(t, err)
			log, err := c.Steps.GetLog(t.Context(), repo, run.UUID, steps[0].UUID, &pipelines.LogOptions{TailLines: test.lines})
			require.NoError(t, err)
			defer log.Close()
			var got strings.Builder
			_, err = log.WriteTo(&got)
			require.NoError(t, err)
			require.Equal(t, len(test.want), got.Len())
			if got.String() != test.want { // which may be too long to show
				t.Errorf("got another text of %d bytes, want %d bytes", got.Len(), len(test.want))
			}
		})
	}
	c := newClient(t, "http://127.0.0.1:1")
	for _, o := range []pipelines.LogOptions{{TailLines: -1}, {TailLines: 1, Tail: 1}, {TailLines: 1, Offset: 1}, {TailLines: 1, Length: 1}} {
		_, err := c.Steps.GetLog(t.Context(), repo, "1", "{s}", &o)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	}
}

func TestARepoIsTextInJSONAndFlags(t *testing.T) {
	text, err := json.Marshal(map[pipelines.Repo]pipelines.Repo{repo: {Workspace: "a", Slug: "b"}})
	require.NoError(t, err)
	require.Equal(t, `{"acme/site":"a/b"}`, string(text))
	var back map[pipelines.Repo]pipelines.Repo
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, pipelines.Repo{Workspace: "a", Slug: "b"}, back[repo])
	var named pipelines.Repo
	flags := flag.NewFlagSet("x", flag.ContinueOnError)
	flags.SetOutput(&strings.Builder{})
	flags.TextVar(&named, "repo", pipelines.Repo{}, "")
	require.NoError(t, flags.Parse([]string{"-repo", "acme/site"}))
	require.Equal(t, repo, named)
	require.Error(t, flags.Parse([]string{"-repo", "acme"}))
	zero, err := json.Marshal(map[string]pipelines.Repo{"r": {}})
	require.NoError(t, err)
	require.Equal(t, `{"r":""}`, string(zero))
	named = repo
	require.NoError(t, named.UnmarshalText(nil))
	require.Zero(t, named)
}

func TestWhatIsNoRepositoryIsRefused(t *testing.T) {
	for _, text := range []string{"", "acme", "acme/", "/site", "a/b/c", "git@bitbucket.org:acme/site.git", "https://bitbucket.org/acme/site", "acme/si te", "acme/site?x", "../site", "acme/.."} {
		_, err := pipelines.ParseRepo(text)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, "%q", text)
		require.ErrorContains(t, err, "pipelines: ")
	}
}

func TestTheBuildsOwnRepository(t *testing.T) {
	t.Setenv("BITBUCKET_REPO_FULL_NAME", "acme/site")
	got, err := pipelines.RepoFromEnv()
	require.NoError(t, err)
	require.Equal(t, repo, got)
	t.Setenv("BITBUCKET_REPO_FULL_NAME", "nonsense")
	_, err = pipelines.RepoFromEnv()
	require.ErrorContains(t, err, "BITBUCKET_REPO_FULL_NAME")
	require.NoError(t, os.Unsetenv("BITBUCKET_REPO_FULL_NAME"))
	_, err = pipelines.RepoFromEnv()
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}

func TestATargetDescribesItself(t *testing.T) {
	for want, target := range map[string]pipelines.Target{
		"branch main":                         pipelines.BranchTarget("main"),
		"tag v1":                              pipelines.TagTarget("v1"),
		"commit abc of branch main":           pipelines.BranchTarget("main").At("abc"),
		"branch main, custom: deploy":         pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy")),
		"commit abc, default":                 pipelines.CommitTarget("abc").With(pipelines.Selector{Type: pipelines.SelectorDefault}),
		"pull request 17 (feature/x to main)": pipelines.PullRequestTarget(pullRequest),
		"":                                    {},
		"reference main":                      {RefName: "main"},
		"pull request 17 (feature/x to main), custom: x": pipelines.PullRequestTarget(pullRequest).With(pipelines.CustomSelector("x")),
	} {
		require.Equal(t, want, target.String())
	}
}

func TestAnEnvironmentIsFoundByItsName(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	c := srv.Client()
	created, err := c.Deployments.CreateEnvironment(t.Context(), repo, pipelines.EnvironmentRequest{
		Name: "Prod EU", EnvironmentType: pipelines.EnvironmentProduction, AdminOnly: new(true),
	})
	require.NoError(t, err)
	require.True(t, r.Environments()[0].Restrictions.AdminOnly)
	found, err := c.Deployments.GetEnvironmentByName(t.Context(), repo, "Prod EU")
	require.NoError(t, err)
	require.Equal(t, created.UUID, found.UUID)
	_, err = c.Deployments.GetEnvironmentByName(t.Context(), repo, "prod eu")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	_, err = c.Deployments.GetEnvironmentByName(t.Context(), repo, "")
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}

func TestAnErrorSaysWhatWasNotFound(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"message":"Not found","data":{"key":"result-service.pipeline-id.not-found"}}}`:                                     "pipeline",
		`{"error":{"message":"Not found","data":{"key":"variable-service.variable.not-found"}}}`:                                      "variable",
		`{"error":{"message":"Not found","data":{"key":"result-service.repository.not-found"}}}`:                                      "repository",
		`{"type":"error","error":{"message":"Repository variable not found"}}`:                                                        "",
		`{"type":"error","error":{"message":"Repository acme/site not found"}}`:                                                       "repository",
		`{"type":"error","error":{"message":"You may not have access to this repository or it no longer exists in this workspace."}}`: "repository",
		`{"type":"error","error":{"message":"No workspace with identifier 'acme'."}}`:                                                 "workspace",
		`{"type":"error","error":{"message":"Resource not found"}}`:                                                                   "",
		`<html>`: "",
	} {
		c := newClient(t, record(t, answer(404, "application/json", body)).base())
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		var e *pipelines.APIError
		require.ErrorAs(t, err, &e)
		require.Equal(t, want, e.NotFound(), body)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
		require.Equal(t, want == "repository", errors.Is(err, pipelines.ErrRepositoryNotFound), body)
	}
}

func TestANegativeMaxRetryAfterWaitsForNone(t *testing.T) {
	for _, status := range []int{429, 503} {
		synctest.Test(t, func(t *testing.T) {
			sent, err := waits(t, pipelines.RetryPolicy{MaxRetryAfter: -1}, func(_ int, req *http.Request) *http.Response {
				resp := respond(req, status, "")
				resp.Header.Set("Retry-After", "1")
				return resp
			})
			require.Error(t, err)
			require.Len(t, sent, 1)
		})
	}
}

func TestTheCauseOfAContextsEndIsInTheError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errShutdown := errors.New("shutting down")
		limited := pipelines.WithLimiter(limiterFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
		for name, opts := range map[string][]pipelines.Option{"waiting": nil, "held by the limiter": {limited}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errShutdown) })
			c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
				resp := respond(req, 503, "")
				resp.Header.Set("Retry-After", "30")
				return resp, nil
			}, opts...)
			for call, do := range map[string]func() error{
				"Get":  func() error { _, err := c.Pipelines.Get(ctx, repo, "1"); return err },
				"Wait": func() error { _, err := c.Pipelines.Wait(ctx, repo, "1", nil); return err },
				"Watch": func() error {
					for _, err := range c.Pipelines.Watch(ctx, repo, "1", nil) {
						return err
					}
					return nil
				},
			} {
				err := do()
				require.ErrorIs(t, err, context.Canceled, "%s %s", call, name)
				require.ErrorIs(t, err, errShutdown, "%s %s", call, name)
			}
		}
	})
}

func TestArgumentsAreNamed(t *testing.T) {
	for says, opt := range map[string]pipelines.Option{
		"RetryPolicy.MaxAttempts is negative":                      pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: -1}),
		"RetryPolicy.MaxQuotaWait is negative":                     pipelines.WithRetry(pipelines.RetryPolicy{MaxQuotaWait: -1}),
		`base URL: "ftp://x" is not an absolute http or https URL`: pipelines.WithBaseURL("ftp://x"),
		`base URL: "https://" has no host`:                         pipelines.WithBaseURL("https://"),
		`base URL: "https://x/2.0" has a query or a fragment`:      pipelines.WithBaseURL("https://x/2.0?token=s3cret"),
		"base URL: contains credentials: give them by an option":   pipelines.WithBaseURL("https://u:s3cret@x"),
	} {
		_, err := pipelines.NewClient(opt)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "s3cret")
	}
	c := newClient(t, "http://api.example")
	require.ErrorContains(t, c.Do(t.Context(), "GET", "https://api.bitbucket.org/2.0/user", nil, nil), "path is a URL: give what comes after the base URL")
}
