package pipelines_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
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
