// The tests in this file prove something of each operation of the service.

package pipelinestest_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const (
	secret     = "s3cret-that-nobody-reads"
	ed25519Key = "AAAAC3NzaC1lZDI1NTE5AAAAIIMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
)

// everything adds a resource of each kind to a repository, all with the same secret, and returns the values of path parameters.
func (f *fixture) everything() map[string]string {
	f.t.Helper()
	variable := pipelines.Variable{Key: "TOKEN", Value: secret, Secured: true}
	one := f.repo.AddVariable(variable)
	workspace, team, user := f.srv.AddWorkspace("acme"), f.srv.AddTeam("devs"), f.srv.AddUser("ada")
	environment := f.repo.AddEnvironment("Staging", pipelines.EnvironmentStaging)
	inEnvironment := environment.AddVariable(variable)
	client := pipelines.Runner{Name: "builder", OAuthClient: &pipelines.RunnerOAuthClient{Secret: secret}}
	f.repo.SetKeyPair(pipelines.KeyPair{PrivateKey: secret, PublicKey: "ssh-rsa AAAA"})
	host := f.repo.AddKnownHost(pipelines.KnownHost{
		Hostname: "example.com", PublicKey: &pipelines.SSHPublicKey{KeyType: "ssh-ed25519", Key: ed25519Key},
	})
	schedule := f.repo.AddSchedule(pipelines.Schedule{Enabled: true})
	require.NoError(f.t, f.repo.FireSchedule(schedule.UUID))
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{
		Log: "done\n", Deployment: "Staging",
		TestReport: &pipelinestest.TestReport{Passed: 1, Cases: []pipelines.TestCase{
			{UUID: service, Name: "adds", Reason: &pipelines.TestCaseReason{Message: "2 is not 3"}},
		}},
	}}})
	run := f.send(http.MethodPost, site+"/pipelines", `{"target":`+mainBranch+`,"variables":[{"key":"TOKEN","value":"`+secret+`","secured":true}]}`)
	path := site + "/pipelines/" + escape(run.At("uuid").(string))
	step := f.get(path + "/steps").Values("uuid")[0].(string)
	return map[string]string{
		"workspace": "acme", "repo_slug": "site", "username": "devs", "selected_user": "ada",
		"pipeline_uuid": run.At("uuid").(string), "step_uuid": step, "log_uuid": step, "test_case_uuid": service,
		"environment_uuid": environment.UUID(), "deployment_uuid": f.repo.Deployments()[0].UUID, "schedule_uuid": schedule.UUID,
		"known_host_uuid": host.UUID, "cache_uuid": f.repo.AddCache("node", []byte("modules")).UUID,
		// The UUIDs of variables and runners depend on their owner.
		"/repositories/{variable_uuid}": one.UUID, "/deployments_config/{variable_uuid}": inEnvironment.UUID,
		"/workspaces/{variable_uuid}": workspace.AddVariable(variable).UUID, "/teams/{variable_uuid}": team.AddVariable(variable).UUID,
		"/users/{variable_uuid}":      user.AddVariable(variable).UUID,
		"/repositories/{runner_uuid}": f.repo.AddRunner(client).UUID, "/workspaces/{runner_uuid}": workspace.AddRunner(client).UUID,
	}
}

// fill replaces the parameters of a path template.
func fill(template string, params map[string]string) string {
	for name, value := range params {
		owner, name, own := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		switch {
		case !own:
			template = strings.ReplaceAll(template, "{"+owner+"}", escape(value))
		case strings.Contains(template, "/deployments_config/") != (owner == "deployments_config"):
		case strings.Contains(template, "/"+owner+"/"):
			template = strings.ReplaceAll(template, name, escape(value))
		}
	}
	return template
}

// bodies are the bodies of the operations that change something.
var bodies = map[string]string{
	"createDeploymentVariable": `{"key":"A","secured":true,"value":"b"}`, "updateDeploymentVariable": `{"value":"c"}`,
	"createPipelineForRepository":    `{"target":` + mainBranch + `}`,
	"updateRepositoryPipelineConfig": `{"enabled":true}`, "updateRepositoryBuildNumber": `{"next":100}`,
	"createRepositoryPipelineSchedule":  `{"target":` + scheduled + `,"cron_pattern":"0 0 12 * * ? *"}`,
	"updateRepositoryPipelineSchedule":  `{"enabled":false}`,
	"updateRepositoryPipelineKeyPair":   `{"private_key":"` + secret + `","public_key":"ssh-rsa AAAA"}`,
	"createRepositoryPipelineKnownHost": knownHost("example.org", "ssh-ed25519"), "updateRepositoryPipelineKnownHost": knownHost("example.org", "ssh-rsa"),
	"createRepositoryPipelineVariable": `{"key":"A","secured":true,"value":"b"}`, "updateRepositoryPipelineVariable": `{"key":"B"}`,
	"createPipelineVariableForTeam": `{"key":"A","secured":true,"value":"b"}`, "updatePipelineVariableForTeam": `{"key":"B"}`,
	"createPipelineVariableForUser": `{"key":"A","secured":true,"value":"b"}`, "updatePipelineVariableForUser": `{"key":"B"}`,
	"createPipelineVariableForWorkspace": `{"key":"A","secured":true,"value":"b"}`, "updatePipelineVariableForWorkspace": `{"key":"B"}`,
	"createRepositoryRunner": `{"name":"a"}`, "updateRepositoryRunner": `{"name":"z"}`,
	"createWorkspaceRunner": `{"name":"a"}`, "updateWorkspaceRunner": `{"name":"z"}`,
	"createEnvironment": `{"name":"QA","environment_type":{"name":"Test"}}`, "updateEnvironmentForRepository": `{"change":{"name":"QA"}}`,
}

// operation is a row of the table of operations.
type operation struct {
	method, template, id, notes string
	status                      int
}

func operations(t *testing.T) []operation {
	t.Helper()
	data, err := os.ReadFile("../testdata/operations.tsv")
	require.NoError(t, err)
	var all []operation
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(line, "\t")
		if status, err := strconv.Atoi(fields[7]); err == nil {
			all = append(all, operation{fields[0], fields[1], fields[2], fields[len(fields)-1], status})
		}
	}
	require.Len(t, all, 75)
	return all
}

func TestEveryOperationSucceeds(t *testing.T) {
	for _, o := range operations(t) {
		t.Run(o.id, func(t *testing.T) {
			f := setup(t, pipelinestest.WithInProcess())
			f.client.Transport = f.srv.Transport()
			path := fill(o.template, f.everything())
			switch o.id {
			case "stopPipeline":
				f.repo.Script("main", pipelinestest.Script{Pending: time.Hour})
				path = f.started() + "/stopPipeline"
			case "deleteRepositoryPipelineCaches":
				path += "?name=node"
			case "getPipelineStepLogForRepository", "getPipelineContainerLog":
				o.status = http.StatusTemporaryRedirect // the step has ended
			}
			a := f.send(o.method, path, bodies[o.id])
			require.Equal(t, o.status, a.StatusCode, a.text)
			location := a.Header.Get("Location")
			switch {
			case o.status == http.StatusNoContent || o.status == http.StatusAccepted:
				require.Empty(t, a.text)
			case strings.Contains(o.notes, "Location header"):
				require.True(t, strings.HasSuffix(location, "/"+escape(a.At("uuid").(string))), location)
			case o.status == http.StatusOK:
				require.Empty(t, location)
				require.Equal(t, "application/json", a.Header.Get("Content-Type"))
			}
			if o.method == http.MethodDelete {
				require.Equal(t, http.StatusNotFound, f.send(o.method, path, "").StatusCode, "deleted")
			}
		})
	}
}

func TestEveryMissingResourceIsNotFound(t *testing.T) {
	f := setup(t)
	params := f.everything()
	for _, o := range operations(t) {
		element := o.template[strings.LastIndex(strings.TrimSuffix(o.template, "}"), "{"):]
		name := strings.Trim(strings.Split(element, "}")[0], "{")
		if !strings.HasSuffix(name, "_uuid") {
			continue
		}
		unknown := strings.Replace(o.template, "{"+name+"}", "%7B00000000-0000-4000-8000-000000000000%7D", 1)
		a := f.send(o.method, fill(unknown, params), bodies[o.id])
		require.Equal(t, http.StatusNotFound, a.StatusCode, o.id+": "+a.text)
		require.NotEmpty(t, a.At("error.data.key"), o.id)
	}
	for _, path := range []string{"/workspaces/other/pipelines-config/runners", "/workspaces/other/pipelines-config/variables"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			require.Equal(t, http.StatusNotFound, f.send(method, path, "{}").StatusCode, path)
		}
		require.Equal(t, http.StatusNotFound, f.send(http.MethodDelete, path+"/1", "").StatusCode, path)
	}
	for _, path := range []string{"/teams/ada", "/users/devs", site + "/deployments_config/environments/1"} {
		for _, segment := range []string{"/variables", "/pipelines_config/variables"} {
			require.Equal(t, http.StatusNotFound, f.get(path+segment).StatusCode, path)
		}
	}
}

func TestBodiesThatAreNotJSONAreRefused(t *testing.T) {
	f := setup(t)
	params := f.everything()
	for _, o := range operations(t) {
		if bodies[o.id] == "" {
			continue
		}
		for _, body := range []string{"", "{", `"text"`, `[]`} {
			a := f.send(o.method, fill(o.template, params), body)
			require.Equal(t, http.StatusBadRequest, a.StatusCode, o.id+" "+body)
			require.NotEmpty(t, a.At("error.data.key"), o.id)
		}
	}
}

func TestNoResponseToAReadContainsASecret(t *testing.T) {
	f := setup(t)
	params := f.everything()
	read := 0
	for _, o := range operations(t) {
		if o.method != http.MethodGet {
			continue
		}
		a := f.get(fill(o.template, params))
		require.Less(t, a.StatusCode, http.StatusBadRequest, o.id)
		for _, header := range a.Header {
			require.NotContains(t, strings.Join(header, "\n"), secret, o.id)
		}
		require.NotContains(t, a.text, secret, o.id)
		require.NotContains(t, a.text, `"private_key"`, o.id)
		read++
	}
	require.Equal(t, 37, read)
	require.Equal(t, secret, f.repo.Variables()[0].Value, "the test may read it")
	require.Equal(t, secret, f.repo.KeyPair().PrivateKey)
	require.Equal(t, secret, f.srv.AddWorkspace("acme").Runners()[0].OAuthClient.Secret)
}

func TestNoResponseToAWriteContainsASecret(t *testing.T) {
	f := setup(t)
	params := f.everything()
	for _, o := range operations(t) {
		if o.method == http.MethodGet || bodies[o.id] == "" {
			continue
		}
		body := strings.NewReplacer(`"b"}`, `"`+secret+`"}`, `"c"}`, `"`+secret+`"}`).Replace(bodies[o.id])
		require.NotContains(t, f.send(o.method, fill(o.template, params), body).text, secret, o.id)
	}
}

func TestAPITokensAreRefusedOnSomePaths(t *testing.T) {
	f := setup(t)
	params := f.everything()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("ada@example.com:token"))
	for _, o := range operations(t) {
		a := f.send(o.method, fill(o.template, params), bodies[o.id], "Authorization", basic)
		if strings.HasPrefix(o.template, "/teams/") || strings.HasPrefix(o.template, "/users/") || strings.Contains(o.template, "/oidc/") {
			require.Equal(t, http.StatusForbidden, a.StatusCode, o.id)
			require.Equal(t, "This resource does not support authentication using the provided token", a.At("error.message"))
			continue
		}
		require.NotEqual(t, http.StatusForbidden, a.StatusCode, o.id)
	}
}

func TestEachOperationNeedsItsScope(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("token", "runner", "pipeline"))
	f.srv.AddTeam("devs")
	for path, want := range map[string]string{
		"PUT " + site + "/pipelines_config":              "repository:admin",
		"POST " + site + "/pipelines_config/variables":   "pipeline:variable",
		"POST /teams/devs/pipelines_config/variables":    "pipeline:variable",
		"POST " + site + "/pipelines_config/schedules":   "pipeline:write",
		"POST /workspaces/acme/pipelines-config/runners": "runner:write",
		"GET /workspaces/acme/pipelines-config/runners":  "",
		"GET " + site + "/environments":                  "",
	} {
		method, path, _ := strings.Cut(path, " ")
		a := f.send(method, path, "{}")
		if want == "" {
			require.Equal(t, http.StatusOK, a.StatusCode, path)
			continue
		}
		require.Equal(t, http.StatusForbidden, a.StatusCode, path)
		require.Equal(t, []any{want}, a.At("error.detail.required"))
	}
}

func TestEveryListIsPaged(t *testing.T) {
	f := setup(t)
	for i := range 12 {
		f.repo.AddVariable(pipelines.Variable{Key: "V" + strconv.Itoa(i), Value: "x"})
		f.repo.AddCache("node", bytes.Repeat([]byte("x"), i))
	}
	for _, path := range []string{site + "/pipelines_config/variables", site + "/pipelines-config/caches"} {
		a := f.get(path)
		require.Len(t, a.Values("uuid"), 10)
		require.EqualValues(t, 12, a.At("size"))
		require.Len(t, f.get(a.At("next").(string)).Values("uuid"), 2)
	}
}
