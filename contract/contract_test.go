package contract_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	uuid = "01234567-89ab-cdef-0123-456789abcdef"
	hash = "0123456789abcdef0123456789abcdef01234567"
	cron = "0 0 12 * * ? *"
)

var repo = pipelines.Repo{Workspace: "acme", Slug: "site"}

func description(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../testdata/openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	return doc
}

func TestTheDescriptionHasTheDocumentedOperationsAndNoOthers(t *testing.T) {
	file, err := os.Open("../testdata/operations.tsv")
	require.NoError(t, err)
	defer file.Close()
	table := csv.NewReader(file)
	table.Comma, table.LazyQuotes = '\t', true
	rows, err := table.ReadAll()
	require.NoError(t, err)

	type operation struct {
		id, method, path, success string
		deprecated                bool
	}
	var documented, described []operation
	for _, row := range rows[1:] {
		documented = append(documented, operation{row[2], row[0], row[1], row[7], row[4] == "yes"})
	}
	for path, item := range description(t).Paths.Map() {
		for method, o := range item.Operations() {
			success := slices.Sorted(maps.Keys(o.Responses.Map()))[0]
			described = append(described, operation{o.OperationID, method, path, success, o.Deprecated})
		}
	}
	require.Len(t, documented, 75)
	require.ElementsMatch(t, documented, described)
}

// validator is a transport that validates each request against the description and responds to the valid ones.
type validator struct {
	router routers.Router
	mu     sync.Mutex
	seen   map[string][]request // by operation ID
}

func newValidator(t *testing.T) *validator {
	t.Helper()
	router, err := gorillamux.NewRouter(description(t))
	require.NoError(t, err)
	return &validator{router: router, seen: make(map[string][]request)}
}

// RoundTrip implements [http.RoundTripper].
func (v *validator) RoundTrip(req *http.Request) (*http.Response, error) {
	r := request{req.Method, req.URL.String(), req.Header.Get("Content-Type"), ""}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		r.body = string(body)
	}
	id, err := v.validate(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s\n%s\n%w", r.method, r.url, r.body, err)
	}
	v.mu.Lock()
	v.seen[id] = append(v.seen[id], r)
	v.mu.Unlock()
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.WriteString(`{"uuid":"{01234567-89ab-cdef-0123-456789abcdef}","values":[],"uri":"https://storage.example/cache"}`)
	return w.Result(), nil
}

// request is a request as text, so that a test can make a valid one invalid by replacing a part.
type request struct{ method, url, contentType, body string }

func (r request) replace(old, with string) request {
	for _, part := range []*string{&r.method, &r.url, &r.contentType, &r.body} {
		*part = strings.Replace(*part, old, with, 1)
	}
	return r
}

// index matches the index of a variable in the query of an on-demand run. The description has only the first.
var index = regexp.MustCompile(`\[\d+\]`)

// validate returns the ID of the request's operation, or why the request is invalid.
func (v *validator) validate(r request) (id string, err error) {
	req, err := http.NewRequest(r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return "", err
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	route, params, err := v.router.FindRoute(req)
	if err != nil {
		return "", err
	}
	for name, value := range params { // the router doesn't unescape them
		if params[name], err = url.PathUnescape(value); err != nil {
			return "", err
		}
	}
	for name := range req.URL.Query() { // the validator ignores unknown parameters
		if route.Operation.Parameters.GetByInAndName("query", index.ReplaceAllString(name, "[0]")) == nil {
			return "", fmt.Errorf("unknown query parameter %q", name)
		}
	}
	if r.body == "" && r.contentType != "" {
		return "", errors.New("a content type without content")
	}
	return route.Operation.OperationID, openapi3filter.ValidateRequest(req.Context(), &openapi3filter.RequestValidationInput{
		Request: req, Route: route, PathParams: params,
		Options: &openapi3filter.Options{RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true},
	})
}

// send sends every request of the SDK through v.
func send(t *testing.T, v *validator) {
	t.Helper()
	c, err := pipelines.NewClient(
		pipelines.WithHTTPClient(&http.Client{Transport: v}), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	sendPipelines(t, c)
	sendSteps(t, c)
	sendSettings(t, c)
	sendDeployments(t, c)
	sendVariables(t, c)
	sendRunners(t, c)
}

// valid takes the results of a method.
func valid(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		require.NoError(t, err)
	}
}

func sendPipelines(t *testing.T, c *pipelines.Client) {
	ctx, ok := t.Context(), valid(t)
	release := pipelines.CustomSelector("release")
	pullRequest := pipelines.PullRequestTarget(pipelines.PullRequestRef{
		ID: 7, Source: "feature", Destination: "main", Commit: hash, DestinationCommit: hash[:12],
	})
	targets := []pipelines.Target{
		pipelines.BranchTarget("main"), pipelines.BranchTarget("feature/ä?"), pipelines.TagTarget("v1"),
		pipelines.BranchTarget("main").At(hash), pipelines.BranchTarget("main").With(release), pipelines.TagTarget("v1").At(hash).With(release),
		pipelines.BranchTarget("main").With(pipelines.Selector{Type: pipelines.SelectorPullRequests, Pattern: "**"}),
		pipelines.CommitTarget(hash).With(release), pipelines.CommitTarget(hash).With(pipelines.Selector{Type: pipelines.SelectorDefault}),
		pullRequest, pullRequest.With(pipelines.Selector{Type: pipelines.SelectorPullRequests, Pattern: "**"}),
	}
	variables := []pipelines.VariableRequest{{Key: "TOKEN", Value: "s3cret", Secured: new(true)}, {Key: "EMPTY"}}
	for _, target := range targets {
		run := pipelines.RunRequest{Target: target}
		ok(c.Pipelines.Run(ctx, repo, run))
		ok(c.Pipelines.RunOnDemand(ctx, repo, pipelines.OnDemandRequest{RunRequest: run, YAML: []byte("pipelines: {}\n")}))
		run.Variables = variables
		ok(c.Pipelines.Run(ctx, repo, run))
		ok(c.Pipelines.RunOnDemand(ctx, repo, pipelines.OnDemandRequest{
			RunRequest: run, YAML: []byte("pipelines: {}\n"), MergeDefaults: true, TargetBranchToCreate: "try",
		}))
	}

	filters := []pipelines.ListPipelinesOptions{
		{},
		{
			PageLen: 1, Sort: pipelines.SortNewestFirst, Branch: "main", RefName: "main", CommitHash: hash, SelectorPattern: "release",
			CreatorUUID: uuid, CreatedOn: time.Date(2026, 10, 5, 12, 0, 0, 671e6, time.UTC),
		},
		{Status: []pipelines.PipelineStatus{
			pipelines.StatusParsing, pipelines.StatusPending, pipelines.StatusPaused, pipelines.StatusHalted, pipelines.StatusBuilding,
			pipelines.StatusPassed, pipelines.StatusFailed, pipelines.StatusError, pipelines.StatusStopped, pipelines.StatusUnknown,
		}},
	}
	for _, sort := range []pipelines.PipelineSort{pipelines.SortOldestFirst, pipelines.SortCreator, "-" + pipelines.SortRunCreation} {
		filters = append(filters, pipelines.ListPipelinesOptions{Sort: sort})
	}
	for _, ref := range []pipelines.RefType{pipelines.RefBranch, pipelines.RefTag, pipelines.RefAnnotatedTag} {
		filters = append(filters, pipelines.ListPipelinesOptions{RefType: ref})
	}
	for _, selector := range []pipelines.SelectorType{
		pipelines.SelectorBranches, pipelines.SelectorTags, pipelines.SelectorCustom, pipelines.SelectorPullRequests, pipelines.SelectorDefault,
	} {
		filters = append(filters, pipelines.ListPipelinesOptions{SelectorType: selector})
	}
	for _, trigger := range []pipelines.TriggerName{
		pipelines.TriggerPush, pipelines.TriggerManual, pipelines.TriggerSchedule, pipelines.TriggerParentStep,
	} {
		filters = append(filters, pipelines.ListPipelinesOptions{TriggerType: trigger})
	}
	for _, filter := range filters {
		ok(c.Pipelines.List(ctx, repo, &filter).Collect())
	}
	ok(c.Pipelines.List(ctx, repo, nil, pipelines.WithQuery("fields", "values.uuid,next"), pipelines.WithQuery("page", "2")).Collect())
	ok(c.Pipelines.Get(ctx, repo, uuid))
	ok(c.Pipelines.Get(ctx, pipelines.Repo{Workspace: uuid, Slug: "{" + uuid + "}"}, "42"))
	ok(nil, c.Pipelines.Stop(ctx, repo, uuid))
	ok(nil, c.Pipelines.Stop(ctx, repo, "42"))
}

func sendSteps(t *testing.T, c *pipelines.Client) {
	ctx, ok := t.Context(), valid(t)
	for _, id := range []string{uuid, "{" + uuid + "}", "42"} {
		ok(c.Steps.List(ctx, repo, id, nil).Collect())
		ok(c.Steps.Get(ctx, repo, id, uuid))
		ok(c.Steps.GetLog(ctx, repo, id, uuid, nil))
		ok(c.Steps.GetContainerLog(ctx, repo, id, uuid, uuid, nil))
		ok(c.Steps.GetTestReport(ctx, repo, id, uuid))
		ok(c.Steps.ListTestCases(ctx, repo, id, uuid, nil).Collect())
		ok(c.Steps.ListTestCaseReasons(ctx, repo, id, uuid, uuid, nil).Collect())
	}
}

// sendSettings sends the requests on configuration, schedules, keys and caches.
func sendSettings(t *testing.T, c *pipelines.Client) {
	ctx, ok := t.Context(), valid(t)
	ok(c.Config.Get(ctx, repo))
	ok(c.Config.Update(ctx, repo, pipelines.ConfigUpdate{Enabled: new(true)}))
	ok(c.Config.SetNextBuildNumber(ctx, repo, 42))

	ok(c.Schedules.List(ctx, repo, nil).Collect())
	ok(c.Schedules.Get(ctx, repo, uuid))
	main := pipelines.BranchTarget("main")
	ok(c.Schedules.Create(ctx, repo, pipelines.ScheduleRequest{Target: main, CronPattern: cron}))
	ok(c.Schedules.Create(ctx, repo, pipelines.ScheduleRequest{
		Target: main.With(pipelines.CustomSelector("nightly")), CronPattern: cron, Enabled: new(false),
	}))
	ok(c.Schedules.Update(ctx, repo, uuid, pipelines.ScheduleUpdate{Enabled: new(false)}))
	ok(nil, c.Schedules.Delete(ctx, repo, uuid))
	ok(c.Schedules.ListExecutions(ctx, repo, uuid, nil).Collect())

	ok(c.SSH.GetKeyPair(ctx, repo))
	ok(c.SSH.SetKeyPair(ctx, repo, pipelines.KeyPair{PrivateKey: "PEM", PublicKey: "ssh-rsa AAAA"}))
	ok(nil, c.SSH.DeleteKeyPair(ctx, repo))
	host := pipelines.KnownHostRequest{Hostname: "example.com", KeyType: "ssh-ed25519", Key: "AAAA"}
	ok(c.SSH.ListKnownHosts(ctx, repo, nil).Collect())
	ok(c.SSH.GetKnownHost(ctx, repo, uuid))
	ok(c.SSH.CreateKnownHost(ctx, repo, host))
	ok(c.SSH.UpdateKnownHost(ctx, repo, uuid, host))
	ok(nil, c.SSH.DeleteKnownHost(ctx, repo, uuid))

	ok(c.Caches.List(ctx, repo, nil).Collect())
	ok(nil, c.Caches.Delete(ctx, repo, uuid))
	ok(nil, c.Caches.DeleteByName(ctx, repo, "node"))
	ok(c.Caches.GetContentURI(ctx, repo, uuid))

	ok(c.OIDC.GetConfiguration(ctx, repo.Workspace))
	ok(c.OIDC.GetKeys(ctx, repo.Workspace))
}

func sendDeployments(t *testing.T, c *pipelines.Client) {
	ctx, ok := t.Context(), valid(t)
	ok(c.Deployments.ListEnvironments(ctx, repo, nil).Collect())
	ok(c.Deployments.GetEnvironment(ctx, repo, uuid))
	for _, name := range []pipelines.EnvironmentTypeName{
		pipelines.EnvironmentTest, pipelines.EnvironmentStaging, pipelines.EnvironmentProduction,
	} {
		ok(c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "Canary", EnvironmentType: name}))
		ok(c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "Canary", EnvironmentType: name, AdminOnly: new(true)}))
	}
	for _, update := range []pipelines.EnvironmentUpdate{
		{Name: new("Canary")}, {AdminOnly: new(false)}, {Name: new("Canary"), AdminOnly: new(true)},
	} {
		ok(nil, c.Deployments.UpdateEnvironment(ctx, repo, uuid, update))
	}
	ok(nil, c.Deployments.DeleteEnvironment(ctx, repo, uuid))
	for _, filter := range []pipelines.ListDeploymentsOptions{
		{Sort: pipelines.SortLastStarted, Environment: uuid}, {State: pipelines.StateUndeployed},
		{State: pipelines.StateInProgress}, {State: pipelines.StateCompleted},
	} {
		ok(c.Deployments.List(ctx, repo, &filter).Collect())
	}
	ok(c.Deployments.Get(ctx, repo, uuid))
}

func sendVariables(t *testing.T, c *pipelines.Client) {
	ctx, ok := t.Context(), valid(t)
	for _, set := range []*pipelines.VariableSet{
		c.Variables.InRepository(repo), c.Variables.InWorkspace(repo.Workspace), c.Variables.InEnvironment(repo, uuid),
		c.Variables.InTeam("team"), c.Variables.InUser(uuid), //nolint:staticcheck // deprecated by the service, but supported
	} {
		ok(set.List(ctx, nil).Collect())
		if _, err := set.Get(ctx, uuid); !errors.Is(err, pipelines.ErrNotFound) { // in an environment it is looked up in the list, which is empty
			ok(nil, err)
		}
		for _, variable := range []pipelines.VariableRequest{
			{Key: "TOKEN", Value: "s3cret", Secured: new(true)}, {Key: "EMPTY"}, {Key: "OPEN", Value: "eu", Secured: new(false)},
		} {
			ok(set.Create(ctx, variable))
		}
		ok(set.Set(ctx, pipelines.VariableRequest{Key: "REGION", Value: "eu"}))
		for _, update := range []pipelines.VariableUpdate{
			{Key: "REGION"}, {Value: new("")}, {Secured: new(false)}, {Key: "REGION", Value: new("eu"), Secured: new(true)},
		} {
			ok(set.Update(ctx, uuid, update))
		}
		ok(nil, set.Delete(ctx, uuid))
	}
}

func sendRunners(t *testing.T, c *pipelines.Client) {
	ctx, ok := t.Context(), valid(t)
	for _, set := range []*pipelines.RunnerSet{c.Runners.InRepository(repo), c.Runners.InWorkspace(repo.Workspace)} {
		ok(set.List(ctx, nil).Collect())
		ok(set.Get(ctx, uuid))
		for _, runner := range []pipelines.RunnerRequest{{Name: "arm"}, {Name: "arm", Labels: []string{"self.hosted", "linux"}}} {
			ok(set.Create(ctx, runner))
		}
		labels := []string{"self.hosted", "linux"}
		for _, update := range []pipelines.RunnerUpdate{{Name: new("arm")}, {Labels: labels}, {Name: new("arm"), Labels: labels}} {
			ok(set.Update(ctx, uuid, update))
		}
		ok(nil, set.Delete(ctx, uuid))
	}
}

func TestEveryRequestOfTheSDKIsValid(t *testing.T) {
	v := newValidator(t)
	send(t, v)
	var described []string
	for _, item := range description(t).Paths.Map() {
		for _, o := range item.Operations() {
			described = append(described, o.OperationID)
		}
	}
	require.ElementsMatch(t, described, slices.Collect(maps.Keys(v.seen)))
}

// A description that accepts everything would prove nothing.
func TestAnInvalidRequestFailsTheValidation(t *testing.T) {
	v := newValidator(t)
	send(t, v)
	const (
		commitTarget = `{"type":"pipeline_commit_target","commit":{"type":"commit","hash":"` + hash + `"}`
		release      = `"selector":{"type":"custom","pattern":"release"}`
	)
	for _, test := range []struct{ what, id, old, with, want string }{
		{"an unknown path", "getRepositoryPipelineVariables", "pipelines_config", "pipelines-config", "no matching operation"},
		{"another method", "stopPipeline", "POST", "PUT", "method not allowed"},
		{"a UUID without braces", "getPipelineForRepository", "%7B" + uuid + "%7D", uuid, "pipeline_uuid"},
		{"a build number instead of a step's UUID", "getPipelineStepForRepository", "steps/%7B" + uuid + "%7D", "steps/42", "step_uuid"},
		{"an unknown query parameter", "getPipelinesForRepository", "target.branch", "branch", `unknown query parameter "branch"`},
		{"a filter of an operation that has none", "getRepositoryRunners", "pagelen", "sort", `unknown query parameter "sort"`},
		{"a page that is too long", "getRepositoryPipelineCaches", "pagelen=100", "pagelen=101", "pagelen"},
		{"a status that the filter does not have", "getPipelinesForRepository", "=PASSED", "=SUCCESSFUL", "status"},
		{"a reference type in lower case", "getPipelinesForRepository", "ref_type=BRANCH", "ref_type=branch", "target.ref_type"},
		{"part of a commit hash", "getPipelinesForRepository", hash, hash[:12], "target.commit.hash"},
		{"a time without its zone", "getPipelinesForRepository", "00.671Z", "00.671", "created_on"},
		{"a cache without a name", "deleteRepositoryPipelineCaches", "?name=node", "", "value is required but missing"},
		{"a target without its type", "createPipelineForRepository", `"type":"pipeline_ref_target",`, "", `/target": input does not contain the discriminator`},
		{"a target of unknown type", "createPipelineForRepository", "pipeline_ref_target", "ref", `discriminator property "type" has invalid value`},
		{"a commit target without a selector", "createPipelineForRepository", commitTarget + `,` + release, commitTarget, `"selector" is missing`},
		{"a pull request target without its destination's commit", "createPipelineForRepository", `"destination_commit":{"type":"commit","hash":"` + hash[:12] + `"},`, "", `"destination_commit" is missing`},
		{"a run without a target", "createPipelineForRepository", `"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main"}`, "", `"target" is missing`},
		{"a variable of a run without a value", "createPipelineForRepository", `"value":"s3cret",`, "", `"value" is missing`},
		{"YAML with the content type of JSON", "createPipelineForRepository", "application/yaml", "application/json", "failed to decode request body"},
		{"YAML on a branch of unknown kind", "createPipelineForRepository", "target.ref_type=tag", "target.ref_type=TAG", "target.ref_type"},
		{"YAML with a flag that is text", "createPipelineForRepository", "%5B0%5D.secured=true", "%5B0%5D.secured=yes", "variables[0].secured"},
		{"a known host without its type", "createRepositoryPipelineKnownHost", `"type":"pipeline_known_host",`, "", `"/type": property "type" is missing`},
		{"a known host's key without its type", "updateRepositoryPipelineKnownHost", `"type":"pipeline_ssh_public_key",`, "", `"/public_key/type": property "type" is missing`},
		{"a known host with fingerprints", "createRepositoryPipelineKnownHost", `"key":`, `"md5_fingerprint":"md5:00","key":`, `"md5_fingerprint" is unsupported`},
		{"an environment type that is text", "createEnvironment", `{"type":"deployment_environment_type","name":"Test"}`, `"Test"`, `"/environment_type": value must be an object`},
		{"an environment of an unknown type", "createEnvironment", `"Test"`, `"test"`, `"/environment_type/name": value is not one of`},
		{"an environment's change outside its wrapper", "updateEnvironmentForRepository", `{"change":{"name":"Canary"}}`, `{"name":"Canary"}`, `"name" is unsupported`},
		{"an environment's change of something else", "updateEnvironmentForRepository", `"name":`, `"rank":`, `"rank" is unsupported`},
		{"a schedule without a selector", "createRepositoryPipelineSchedule", `,"selector":{"type":"branches","pattern":"main"}`, "", `"selector" is missing`},
		{"a schedule whose target has no type", "createRepositoryPipelineSchedule", `"type":"pipeline_ref_target",`, "", `"/target/type": property "type" is missing`},
		{"a cron pattern of five fields", "createRepositoryPipelineSchedule", cron, "0 12 * * ?", `"/cron_pattern": string doesn't match`},
		{"a schedule's update of its pattern", "updateRepositoryPipelineSchedule", `"enabled":`, `"cron_pattern":`, `"cron_pattern" is unsupported`},
		{"half a key pair", "updateRepositoryPipelineKeyPair", `,"public_key":"ssh-rsa AAAA"`, "", `"public_key" is missing`},
		{"a build number that is text", "updateRepositoryBuildNumber", "42", `"42"`, `"/next": value must be an integer`},
		{"a variable without a key", "createPipelineVariableForWorkspace", `"key":"TOKEN",`, "", `"key" is missing`},
		{"a variable that doesn't say whether it is secured", "createRepositoryPipelineVariable", `,"secured":true`, "", `"secured" is missing`},
		{"a variable with a member of the response", "createDeploymentVariable", `"key":`, `"uuid":"x","key":`, `"uuid" is unsupported`},
		{"an update of a variable that changes nothing", "updatePipelineVariableForTeam", `"key":"REGION"`, "", "at least 1 properties"},
		{"a runner without a name", "createWorkspaceRunner", `"name":"arm",`, "", `"name" is missing`},
		{"an update of a runner that changes nothing", "updateRepositoryRunner", `"name":"arm"`, "", "at least 1 properties"},
		{"no body where one is required", "updateRepositoryPipelineConfig", `{"enabled":true}`, "", "a content type without content"},
		{"a body that is not JSON", "updateRepositoryPipelineConfig", `{"enabled":true}`, `{"enabled":`, "failed to decode request body"},
		{"a form", "updateRepositoryPipelineConfig", "application/json", "application/x-www-form-urlencoded", "Content-Type has unexpected value"},
	} {
		t.Run(test.what, func(t *testing.T) {
			i := slices.IndexFunc(v.seen[test.id], func(r request) bool { return r.replace(test.old, test.with) != r })
			require.GreaterOrEqual(t, i, 0, "no request of %s has %q", test.id, test.old)
			_, err := v.validate(v.seen[test.id][i].replace(test.old, test.with))
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestABodyWhereNoneIsAllowedIsInvalid(t *testing.T) {
	v := newValidator(t)
	send(t, v)
	stop := v.seen["stopPipeline"][0]
	stop.contentType, stop.body = "application/json", "{}"
	_, err := v.validate(stop)
	require.ErrorContains(t, err, "body not allowed")
}
