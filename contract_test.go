package pipelines_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// session is what a call needs: the client, and the parameters of the operation's path in their order.
type session struct {
	*pipelines.Client
	ctx    context.Context
	params []string
}

func (s session) repo() pipelines.Repo {
	return pipelines.Repo{Workspace: s.params[0], Slug: s.params[1]}
}

func (s session) last() string { return s.params[len(s.params)-1] }

// contractCall is how the SDK carries out one operation of the service, and what it sends besides the path.
type contractCall struct {
	id, sdk     string
	query, body string
	do          func(session) (any, error)
}

const (
	firstPage       = "pagelen=100"
	trustedHostBody = `{"type":"pipeline_known_host","hostname":"example.com","public_key":{"type":"pipeline_ssh_public_key","key_type":"ssh-ed25519","key":"AAAA"}}`
)

var trustedHost = pipelines.KnownHostRequest{Hostname: "example.com", KeyType: "ssh-ed25519", Key: "AAAA"}

// contractCalls has every operation of the service once.
var contractCalls = slices.Concat([]contractCall{
	{"getPipelinesForRepository", "Pipelines.List", firstPage, "", func(s session) (any, error) {
		return s.Pipelines.List(s.ctx, s.repo(), nil).Collect()
	}},
	{"createPipelineForRepository", "Pipelines.Run", "", `{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main"}}`, func(s session) (any, error) {
		return s.Pipelines.Run(s.ctx, s.repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	}},
	{"getPipelineForRepository", "Pipelines.Get", "", "", func(s session) (any, error) {
		return s.Pipelines.Get(s.ctx, s.repo(), s.last())
	}},
	{"stopPipeline", "Pipelines.Stop", "", "", func(s session) (any, error) {
		return nil, s.Pipelines.Stop(s.ctx, s.repo(), s.last())
	}},
	{"getPipelineStepsForRepository", "Steps.List", firstPage, "", func(s session) (any, error) {
		return s.Steps.List(s.ctx, s.repo(), s.last(), nil).Collect()
	}},
	{"getPipelineStepForRepository", "Steps.Get", "", "", func(s session) (any, error) {
		return s.Steps.Get(s.ctx, s.repo(), s.params[2], s.last())
	}},
	{"getPipelineStepLogForRepository", "Steps.GetLog", "", "", func(s session) (any, error) {
		return readLog(s.Steps.GetLog(s.ctx, s.repo(), s.params[2], s.last(), nil))
	}},
	{"getPipelineContainerLog", "Steps.GetContainerLog", "", "", func(s session) (any, error) {
		return readLog(s.Steps.GetContainerLog(s.ctx, s.repo(), s.params[2], s.params[3], s.last(), nil))
	}},
	{"getPipelineTestReports", "Steps.GetTestReport", "", "", func(s session) (any, error) {
		return s.Steps.GetTestReport(s.ctx, s.repo(), s.params[2], s.last())
	}},
	{"getPipelineTestReportTestCases", "Steps.ListTestCases", firstPage, "", func(s session) (any, error) {
		return s.Steps.ListTestCases(s.ctx, s.repo(), s.params[2], s.last(), nil).Collect()
	}},
	{"getPipelineTestReportTestCaseReasons", "Steps.ListTestCaseReasons", firstPage, "", func(s session) (any, error) {
		return s.Steps.ListTestCaseReasons(s.ctx, s.repo(), s.params[2], s.params[3], s.last(), nil).Collect()
	}},
	{"getRepositoryPipelineConfig", "Config.Get", "", "", func(s session) (any, error) {
		return s.Config.Get(s.ctx, s.repo())
	}},
	{"updateRepositoryPipelineConfig", "Config.Update", "", `{"enabled":false}`, func(s session) (any, error) {
		return s.Config.Update(s.ctx, s.repo(), pipelines.ConfigUpdate{Enabled: new(false)})
	}},
	{"updateRepositoryBuildNumber", "Config.SetNextBuildNumber", "", `{"next":42}`, func(s session) (any, error) {
		return s.Config.SetNextBuildNumber(s.ctx, s.repo(), 42)
	}},
	{"getRepositoryPipelineSchedules", "Schedules.List", firstPage, "", func(s session) (any, error) {
		return s.Schedules.List(s.ctx, s.repo(), nil).Collect()
	}},
	{"createRepositoryPipelineSchedule", "Schedules.Create", "", `{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"branches","pattern":"main"}},"cron_pattern":"0 0 12 * * ? *"}`, func(s session) (any, error) {
		return s.Schedules.Create(s.ctx, s.repo(), pipelines.ScheduleRequest{Target: pipelines.BranchTarget("main"), CronPattern: "0 0 12 * * ? *"})
	}},
	{"getRepositoryPipelineSchedule", "Schedules.Get", "", "", func(s session) (any, error) {
		return s.Schedules.Get(s.ctx, s.repo(), s.last())
	}},
	{"updateRepositoryPipelineSchedule", "Schedules.Update", "", `{"enabled":false}`, func(s session) (any, error) {
		return s.Schedules.Update(s.ctx, s.repo(), s.last(), pipelines.ScheduleUpdate{Enabled: new(false)})
	}},
	{"deleteRepositoryPipelineSchedule", "Schedules.Delete", "", "", func(s session) (any, error) {
		return nil, s.Schedules.Delete(s.ctx, s.repo(), s.last())
	}},
	{"getRepositoryPipelineScheduleExecutions", "Schedules.ListExecutions", firstPage, "", func(s session) (any, error) {
		return s.Schedules.ListExecutions(s.ctx, s.repo(), s.last(), nil).Collect()
	}},
	{"getRepositoryPipelineSshKeyPair", "SSH.GetKeyPair", "", "", func(s session) (any, error) {
		return s.SSH.GetKeyPair(s.ctx, s.repo())
	}},
	{"updateRepositoryPipelineKeyPair", "SSH.SetKeyPair", "", `{"type":"pipeline_ssh_key_pair","private_key":"PEM","public_key":"ssh-rsa AAAA"}`, func(s session) (any, error) {
		return s.SSH.SetKeyPair(s.ctx, s.repo(), pipelines.KeyPair{PrivateKey: "PEM", PublicKey: "ssh-rsa AAAA"})
	}},
	{"deleteRepositoryPipelineKeyPair", "SSH.DeleteKeyPair", "", "", func(s session) (any, error) {
		return nil, s.SSH.DeleteKeyPair(s.ctx, s.repo())
	}},
	{"getRepositoryPipelineKnownHosts", "SSH.ListKnownHosts", firstPage, "", func(s session) (any, error) {
		return s.SSH.ListKnownHosts(s.ctx, s.repo(), nil).Collect()
	}},
	{"createRepositoryPipelineKnownHost", "SSH.CreateKnownHost", "", trustedHostBody, func(s session) (any, error) {
		return s.SSH.CreateKnownHost(s.ctx, s.repo(), trustedHost)
	}},
	{"getRepositoryPipelineKnownHost", "SSH.GetKnownHost", "", "", func(s session) (any, error) {
		return s.SSH.GetKnownHost(s.ctx, s.repo(), s.last())
	}},
	{"updateRepositoryPipelineKnownHost", "SSH.UpdateKnownHost", "", trustedHostBody, func(s session) (any, error) {
		return s.SSH.UpdateKnownHost(s.ctx, s.repo(), s.last(), trustedHost)
	}},
	{"deleteRepositoryPipelineKnownHost", "SSH.DeleteKnownHost", "", "", func(s session) (any, error) {
		return nil, s.SSH.DeleteKnownHost(s.ctx, s.repo(), s.last())
	}},
	{"getRepositoryPipelineCaches", "Caches.List", firstPage, "", func(s session) (any, error) {
		return s.Caches.List(s.ctx, s.repo(), nil).Collect()
	}},
	{"deleteRepositoryPipelineCaches", "Caches.DeleteByName", "name=node+%26+npm", "", func(s session) (any, error) {
		return nil, s.Caches.DeleteByName(s.ctx, s.repo(), "node & npm")
	}},
	{"deleteRepositoryPipelineCache", "Caches.Delete", "", "", func(s session) (any, error) {
		return nil, s.Caches.Delete(s.ctx, s.repo(), s.last())
	}},
	{"getRepositoryPipelineCacheContentURI", "Caches.GetContentURI", "", "", func(s session) (any, error) {
		return s.Caches.GetContentURI(s.ctx, s.repo(), s.last())
	}},
	{"getEnvironmentsForRepository", "Deployments.ListEnvironments", firstPage, "", func(s session) (any, error) {
		return s.Deployments.ListEnvironments(s.ctx, s.repo(), nil).Collect()
	}},
	{"createEnvironment", "Deployments.CreateEnvironment", "", `{"type":"deployment_environment","name":"Canary","environment_type":{"type":"deployment_environment_type","name":"Staging"}}`, func(s session) (any, error) {
		return s.Deployments.CreateEnvironment(s.ctx, s.repo(), pipelines.EnvironmentRequest{Name: "Canary", EnvironmentType: pipelines.EnvironmentStaging})
	}},
	{"getEnvironmentForRepository", "Deployments.GetEnvironment", "", "", func(s session) (any, error) {
		return s.Deployments.GetEnvironment(s.ctx, s.repo(), s.last())
	}},
	{"updateEnvironmentForRepository", "Deployments.UpdateEnvironment", "", `{"change":{"name":"Canary","restrictions":{"admin_only":false}}}`, func(s session) (any, error) {
		return nil, s.Deployments.UpdateEnvironment(s.ctx, s.repo(), s.last(), pipelines.EnvironmentUpdate{Name: new("Canary"), AdminOnly: new(false)})
	}},
	{"deleteEnvironmentForRepository", "Deployments.DeleteEnvironment", "", "", func(s session) (any, error) {
		return nil, s.Deployments.DeleteEnvironment(s.ctx, s.repo(), s.last())
	}},
	{"getDeploymentsForRepository", "Deployments.List", firstPage, "", func(s session) (any, error) {
		return s.Deployments.List(s.ctx, s.repo(), nil).Collect()
	}},
	{"getDeploymentForRepository", "Deployments.Get", "", "", func(s session) (any, error) {
		return s.Deployments.Get(s.ctx, s.repo(), s.last())
	}},
	{"getOIDCConfiguration", "OIDC.GetConfiguration", "", "", func(s session) (any, error) {
		return s.OIDC.GetConfiguration(s.ctx, s.last())
	}},
	{"getOIDCKeys", "OIDC.GetKeys", "", "", func(s session) (any, error) {
		return s.OIDC.GetKeys(s.ctx, s.last())
	}},
},
	variableCalls("%sRepositoryPipelineVariable%s", "Variables.InRepository(repo)", func(s session) *pipelines.VariableSet {
		return s.Variables.InRepository(s.repo())
	}),
	variableCalls("%sPipelineVariable%sForWorkspace", "Variables.InWorkspace(workspace)", func(s session) *pipelines.VariableSet {
		return s.Variables.InWorkspace(s.params[0])
	}),
	variableCalls("%sPipelineVariable%sForTeam", "Variables.InTeam(username)", func(s session) *pipelines.VariableSet {
		return s.Variables.InTeam(s.params[0])
	}),
	variableCalls("%sPipelineVariable%sForUser", "Variables.InUser(user)", func(s session) *pipelines.VariableSet {
		return s.Variables.InUser(s.params[0])
	}),
	slices.DeleteFunc(variableCalls("%sDeploymentVariable%s", "Variables.InEnvironment(repo, environment)", func(s session) *pipelines.VariableSet {
		return s.Variables.InEnvironment(s.repo(), s.params[2])
	}), func(c contractCall) bool { return c.id == "getDeploymentVariable" }), // which the service lacks
	runnerCalls("%sRepositoryRunner%s", "Runners.InRepository(repo)", func(s session) *pipelines.RunnerSet {
		return s.Runners.InRepository(s.repo())
	}),
	runnerCalls("%sWorkspaceRunner%s", "Runners.InWorkspace(workspace)", func(s session) *pipelines.RunnerSet {
		return s.Runners.InWorkspace(s.params[0])
	}),
)

// variableCalls are the operations on one owner's variables. The pattern makes their IDs of a verb and of what the plural adds.
func variableCalls(id, sdk string, in func(session) *pipelines.VariableSet) []contractCall {
	return []contractCall{
		{fmt.Sprintf(id, "get", "s"), sdk + ".List", firstPage, "", func(s session) (any, error) {
			return in(s).List(s.ctx, nil).Collect()
		}},
		{fmt.Sprintf(id, "get", ""), sdk + ".Get", "", "", func(s session) (any, error) {
			return in(s).Get(s.ctx, s.last())
		}},
		{fmt.Sprintf(id, "create", ""), sdk + ".Create", "", `{"key":"TOKEN","value":"s3cret","secured":true}`, func(s session) (any, error) {
			return in(s).Create(s.ctx, pipelines.VariableRequest{Key: "TOKEN", Value: "s3cret", Secured: new(true)})
		}},
		{fmt.Sprintf(id, "update", ""), sdk + ".Update", "", `{"key":"TOKEN","value":"s3cret","secured":false}`, func(s session) (any, error) {
			return in(s).Update(s.ctx, s.last(), pipelines.VariableUpdate{Key: "TOKEN", Value: new("s3cret"), Secured: new(false)})
		}},
		{fmt.Sprintf(id, "delete", ""), sdk + ".Delete", "", "", func(s session) (any, error) {
			return nil, in(s).Delete(s.ctx, s.last())
		}},
	}
}

// runnerCalls are the operations on one owner's runners.
func runnerCalls(id, sdk string, in func(session) *pipelines.RunnerSet) []contractCall {
	const body = `{"name":"arm","labels":["self.hosted","linux"]}`
	runner := pipelines.RunnerRequest{Name: "arm", Labels: []string{"self.hosted", "linux"}}
	update := pipelines.RunnerUpdate{Name: new("arm"), Labels: []string{"self.hosted", "linux"}}
	return []contractCall{
		{fmt.Sprintf(id, "get", "s"), sdk + ".List", firstPage, "", func(s session) (any, error) {
			return in(s).List(s.ctx, nil).Collect()
		}},
		{fmt.Sprintf(id, "get", ""), sdk + ".Get", "", "", func(s session) (any, error) {
			return in(s).Get(s.ctx, s.last())
		}},
		{fmt.Sprintf(id, "create", ""), sdk + ".Create", "", body, func(s session) (any, error) {
			return in(s).Create(s.ctx, runner)
		}},
		{fmt.Sprintf(id, "update", ""), sdk + ".Update", "", body, func(s session) (any, error) {
			return in(s).Update(s.ctx, s.last(), update)
		}},
		{fmt.Sprintf(id, "delete", ""), sdk + ".Delete", "", "", func(s session) (any, error) {
			return nil, in(s).Delete(s.ctx, s.last())
		}},
	}
}

func readLog(log *pipelines.Log, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return io.ReadAll(log)
}

// documentedOperation is an operation of the service, with the SDK's call.
type documentedOperation struct {
	id, method, path string
	params           []string // of the path
	deprecated       bool
	status           int
	contractCall
}

var pathParam = regexp.MustCompile(`\{(\w+)\}`)

// documentedOperations reads testdata/operations.tsv and joins it with the calls.
func documentedOperations(t *testing.T) []documentedOperation {
	t.Helper()
	file, err := os.Open("testdata/operations.tsv")
	require.NoError(t, err)
	defer file.Close()
	table := csv.NewReader(file)
	table.Comma, table.LazyQuotes = '\t', true
	rows, err := table.ReadAll()
	require.NoError(t, err)
	var all []documentedOperation
	for _, row := range rows[1:] {
		o := documentedOperation{id: row[2], method: row[0], path: row[1], deprecated: row[4] == "yes"}
		o.status, err = strconv.Atoi(row[7])
		require.NoError(t, err)
		for _, param := range pathParam.FindAllStringSubmatch(o.path, -1) {
			o.params = append(o.params, param[1])
		}
		if i := slices.IndexFunc(contractCalls, func(c contractCall) bool { return c.id == o.id }); i >= 0 {
			o.contractCall = contractCalls[i]
		}
		all = append(all, o)
	}
	return all
}

func TestEveryOperationHasExactlyOneCall(t *testing.T) {
	var documented, called []string
	for _, o := range documentedOperations(t) {
		documented = append(documented, o.id)
	}
	for _, c := range contractCalls {
		called = append(called, c.id)
	}
	require.Len(t, documented, 75)
	require.ElementsMatch(t, documented, called)
}

// call carries the operation out with these parameters.
func (o documentedOperation) call(t *testing.T, c *pipelines.Client, params []string) error {
	t.Helper()
	require.NotNil(t, o.do, "%s has no call", o.id)
	_, err := o.do(session{c, t.Context(), params})
	return err
}

// elements are the path's elements below the base URL, with the parameters in their places.
func (o documentedOperation) elements(params []string) []string {
	elements := strings.Split("/2.0"+o.path, "/")
	for i, next := 0, 0; i < len(elements); i++ {
		if strings.HasPrefix(elements[i], "{") {
			elements[i] = params[next]
			next++
		}
	}
	return elements
}

// succeed answers as the operation does when all is well, with as much as any of them needs.
func (o documentedOperation) succeed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(o.status)
	if o.status == http.StatusOK || o.status == http.StatusCreated {
		_, _ = io.WriteString(w, `{"uuid":"{1}","values":[],"uri":"https://storage.example/cache"}`)
	}
}

// uuids makes a UUID for each parameter, so that two in each other's place would show.
func (o documentedOperation) uuids(format string) []string {
	ids := make([]string, len(o.params))
	for i := range ids {
		ids[i] = fmt.Sprintf(format, fmt.Sprintf("%08d-aaaa-4bbb-8ccc-dddddddddddd", i))
	}
	return ids
}

func TestEachOperationIsSentToTheByte(t *testing.T) {
	for _, o := range documentedOperations(t) {
		for name, form := range map[string]string{"bare UUIDs": "%s", "UUIDs in braces": "{%s}"} {
			t.Run(o.id+" with "+name, func(t *testing.T) {
				t.Parallel()
				srv := record(t, o.succeed)
				var sent pipelines.Operation
				c := newClient(t, srv.base(), pipelines.WithObserver(func(a pipelines.Attempt) {
					sent, _ = pipelines.OperationFromContext(a.Response.Request.Context())
				}))
				require.NoError(t, o.call(t, c, o.uuids(form)))

				got := srv.only(t)
				require.Equal(t, o.method, got.Method)
				require.Equal(t, strings.Join(o.elements(o.uuids("%%7B%s%%7D")), "/"), got.Path)
				require.Equal(t, o.query, got.Query)
				require.Equal(t, o.body, got.Body)
				require.Equal(t, o.body != "", got.Header.Get("Content-Type") == "application/json", "Content-Type")
				// Metrics are counted by these.
				require.Equal(t, o.method+" "+o.path, sent.Method+" "+sent.Path)
				require.Equal(t, path.Ext(o.sdk), path.Ext(sent.Name))
			})
		}
	}
}

// What callers may put into a path, by mistake or on purpose.
var (
	refusedElements = []string{"", ".", ".."}
	strangeElements = []string{
		"a/b", "../x", "..\\x", "?", "?q=1", "#", "%2F", "%2e%2e", "%", ";v=1", "a b", "a+b", "...",
		"日本語/é", "\x00", "\r\nX-Injected: 1", "\x7f", "\xff", strings.Repeat("x/", 5<<10),
	}
)

func TestNoPathElementChangesThePath(t *testing.T) {
	for _, o := range documentedOperations(t) {
		t.Run(o.id, func(t *testing.T) {
			t.Parallel()
			srv := record(t, o.succeed)
			c := newClient(t, srv.base())
			for i, param := range o.params {
				with := func(element string) []string {
					params := o.uuids("{%s}")
					params[i] = element
					return params
				}
				for _, element := range refusedElements {
					require.ErrorIs(t, o.call(t, c, with(element)), pipelines.ErrInvalidArgument, "%s is %q", param, element)
					require.Empty(t, srv.take(), "%s is %q", param, element)
				}
				for _, element := range strangeElements {
					require.NoError(t, o.call(t, c, with(element)), "%s is %.20q", param, element)
					sent := srv.take()
					require.Len(t, sent, 1)
					require.Equal(t, o.elements(with(element)), unescaped(t, sent[0].Path), "%s is %.20q", param, element)
					require.Equal(t, o.query, sent[0].Query, "%s is %.20q", param, element)
				}
			}
		})
	}
}

// take returns what arrived since the last time.
func (r *recorder) take() []recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.requests
	r.requests = nil
	return taken
}

// unescaped are the elements of a path as it was on the wire.
func unescaped(t *testing.T, escaped string) []string {
	t.Helper()
	elements := strings.Split(escaped, "/")
	for i := range elements {
		var err error
		elements[i], err = url.PathUnescape(elements[i])
		require.NoError(t, err)
	}
	return elements
}

// The service's routes are not looked for by what the call should send, as above, but the other way round: each request finds its own.
func TestAServerThatKnowsOnlyTheDocumentedOperationsServesEachCall(t *testing.T) {
	all := documentedOperations(t)
	for _, o := range all {
		t.Run(o.id, func(t *testing.T) {
			t.Parallel()
			routes := http.NewServeMux()
			routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
				t.Errorf("there is no %s %s", r.Method, r.URL.Path)
				http.NotFound(w, r)
			})
			hits := make(map[string]map[string]string)
			for _, route := range all {
				routes.HandleFunc(route.method+" /2.0"+route.path, func(w http.ResponseWriter, r *http.Request) {
					hits[route.id] = make(map[string]string)
					for _, param := range route.params {
						hits[route.id][param] = r.PathValue(param)
					}
					route.succeed(w, r)
				})
			}
			params, want := []string(nil), make(map[string]string)
			for _, param := range o.params {
				params, want[param] = append(params, "the-"+param), "the-"+param
			}
			require.NoError(t, o.call(t, newClient(t, record(t, routes.ServeHTTP).base()), params))
			require.Equal(t, map[string]map[string]string{o.id: want}, hits)
		})
	}
}

// sdkMethod is an exported method of an exported type.
type sdkMethod struct {
	doc   string
	sends bool // takes call options, as all do that send a request
}

// sdkMethods finds the package's methods in its source, by names such as "VariableSet.List".
func sdkMethods(t *testing.T) map[string]sdkMethod {
	t.Helper()
	all := make(map[string]sdkMethod)
	for _, file := range parsePackage(t, token.NewFileSet(), ".", parser.ParseComments) {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !f.Name.IsExported() {
				continue
			}
			m := sdkMethod{doc: f.Doc.Text()}
			if params := f.Type.Params.List; len(params) > 0 {
				last, ok := params[len(params)-1].Type.(*ast.Ellipsis)
				m.sends = ok && fmt.Sprint(last.Elt) == "CallOption"
			}
			all[receiverName(f)+"."+f.Name.Name] = m
		}
	}
	return all
}

func receiverName(f *ast.FuncDecl) string {
	var name string
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if ident, ok := n.(*ast.Ident); ok && name == "" {
			name = ident.Name
		}
		return true
	})
	return name
}

// parsePackage parses the source files of a folder, without its tests.
func parsePackage(t *testing.T, files *token.FileSet, dir string, mode parser.Mode) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var all []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, mode|parser.SkipObjectResolution)
		require.NoError(t, err)
		all = append(all, file)
	}
	return all
}

// A method's documentation names one request on the line "API:", or several as a list below it.
var (
	apiLines = regexp.MustCompile(`(?m)^API:.*(?:\n  - .*)*$`)
	apiLine  = regexp.MustCompile(`^API: ((?:GET|POST|PUT|DELETE) /\S+)$`)
	apiItem  = regexp.MustCompile(`^  - ((?:GET|POST|PUT|DELETE) /\S+)$`)
	apiRefs  = regexp.MustCompile(`^API: as (?:\[\w+\.\w+\](?:, | and |\.$))+$`)
	docLink  = regexp.MustCompile(`\[(\w+\.\w+)\]`)
)

// documentedEndpoints are what the documentation says the method sends requests to. Links to other methods stand for theirs.
func documentedEndpoints(t *testing.T, all map[string]sdkMethod, name string) []string {
	t.Helper()
	require.Contains(t, all, name)
	var found []string
	for _, lines := range apiLines.FindAllString(all[name].doc, -1) {
		first, items, several := strings.Cut(lines, "\n")
		switch match := apiLine.FindStringSubmatch(first); {
		case several:
			require.Equal(t, "API:", first, "of %s", name)
			for item := range strings.SplitSeq(items, "\n") {
				require.Regexp(t, apiItem, item, "of %s", name)
				found = append(found, apiItem.FindStringSubmatch(item)[1])
			}
		case match != nil:
			found = append(found, match[1])
		default:
			require.Regexp(t, apiRefs, first, "of %s", name)
			for _, link := range docLink.FindAllStringSubmatch(first, -1) {
				found = append(found, documentedEndpoints(t, all, link[1])...)
			}
		}
	}
	require.LessOrEqual(t, strings.Count(all[name].doc, "\nAPI:"), 1, "of %s: several lines that begin with API: are shown as one paragraph", name)
	return found
}

func TestTheDocumentationNamesTheEndpointsOfEveryMethod(t *testing.T) {
	all := sdkMethods(t)
	named := make(map[string]struct{})
	for name, m := range all {
		found := documentedEndpoints(t, all, name)
		for _, endpoint := range found {
			named[endpoint] = struct{}{}
		}
		if m.sends && name != "Client.Do" { // which may go anywhere
			require.NotEmpty(t, found, "the documentation of %s has no line such as \"API: GET /path\"", name)
		}
	}
	var documented []string
	for _, o := range documentedOperations(t) {
		documented = append(documented, o.method+" "+o.path)
	}
	require.ElementsMatch(t, documented, slices.Collect(maps.Keys(named)))
}

// chain are the methods that lead to a call: "Variables.InTeam(username).List" is VariablesService.InTeam and VariableSet.List.
func (o documentedOperation) chain(t *testing.T) []string {
	t.Helper()
	steps := strings.Split(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(o.sdk, ""), ".")
	service, ok := reflect.TypeFor[pipelines.Client]().FieldByName(steps[0])
	require.True(t, ok, o.sdk)
	var names []string
	at := service.Type
	for _, step := range steps[1:] {
		m, ok := at.MethodByName(step)
		require.True(t, ok, o.sdk)
		names = append(names, at.Elem().Name()+"."+step)
		at = m.Type.Out(0)
	}
	return names
}

func TestEachCallIsDocumentedWithItsOwnEndpoint(t *testing.T) {
	all := sdkMethods(t)
	for _, o := range documentedOperations(t) {
		chain := o.chain(t)
		require.Contains(t, documentedEndpoints(t, all, chain[len(chain)-1]), o.method+" "+o.path, o.sdk)
	}
}

func TestDeprecatedOperationsAreReachedByDeprecatedMethodsOnly(t *testing.T) {
	all := sdkMethods(t)
	deprecated := 0
	for _, o := range documentedOperations(t) {
		marked := slices.ContainsFunc(o.chain(t), func(name string) bool { return strings.Contains(all[name].doc, "\nDeprecated: ") })
		require.Equal(t, o.deprecated, marked, o.sdk)
		if marked {
			deprecated++
		}
	}
	require.Equal(t, 10, deprecated)
}

func TestTheTableOfOperationsIsAsTheCode(t *testing.T) {
	const begin, end = "<!-- operations -->\n", "<!-- /operations -->\n"
	var table strings.Builder
	table.WriteString("\n| operation | request | method |\n|---|---|---|\n")
	for _, o := range documentedOperations(t) {
		note := ""
		if o.deprecated {
			note = ", deprecated"
		}
		fmt.Fprintf(&table, "| %s | `%s %s` | `%s`%s |\n", o.id, o.method, o.path, o.sdk, note)
	}
	table.WriteString("\n")

	page, err := os.ReadFile("docs/operations.md")
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), begin)
	require.True(t, found, "docs/operations.md has no line %q", strings.TrimSpace(begin))
	_, after, found := strings.Cut(rest, end)
	require.True(t, found, "docs/operations.md has no line %q", strings.TrimSpace(end))
	requireFile(t, "docs/operations.md", before+begin+table.String()+end+after)
}
