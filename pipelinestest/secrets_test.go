// The tests in this file prove that no response, log line or printed value contains a secret.

package pipelinestest_test

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const canary = "zXq7secret9Wv"

// shown is the output of everything that formats a value without naming its fields.
func shown(v any) map[string]string {
	all := map[string]string{"Sprint": fmt.Sprint(v)}
	for _, verb := range "vsqxXdtcUboeg" {
		for _, flag := range []string{"", "+", "#", " "} {
			format := "%" + flag + string(verb)
			all[format] = fmt.Sprintf(format, v)
		}
	}
	var text, js bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&js, nil)} {
		slog.New(h).Info("x", "v", v, slog.Group("g", "v", v), "in", struct{ V any }{v})
	}
	all["slog as text"], all["slog as JSON"] = text.String(), js.String()
	body, err := stdjson.Marshal(v)
	all["encoding/json"] = string(body) + fmt.Sprint(err)
	body, err = json.Marshal(v)
	all["go-json-experiment"] = string(body) + fmt.Sprint(err)
	return all
}

func assertShowsNothing(t *testing.T, of string, v any) {
	t.Helper()
	for how, text := range shown(v) {
		for _, spelling := range spellings(how) {
			assert.NotContains(t, text, spelling, "%s by %s", of, how)
		}
	}
}

// spellings are the forms in which the canary may appear in the output of a format.
func spellings(how string) []string {
	all := []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)}
	for shift := range 3 { // base64 depends on the offset of the canary
		code := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + canary))
		all = append(all, code[shift+1:len(code)-2])
	}
	if strings.HasPrefix(how, "%") {
		for _, as := range []any{canary, []byte(canary)} {
			all = append(all, strings.Trim(fmt.Sprintf(how, as), "[] "))
		}
	}
	return all
}

// seeded is a server full of secrets.
func seeded(t *testing.T) *fixture {
	f := setup(t, pipelinestest.WithToken(canary), pipelinestest.WithOAuthConsumer("id", canary), pipelinestest.WithLateVariables(0))
	secured := pipelines.Variable{Key: "K", Value: canary, Secured: true}
	environment := f.repo.AddEnvironment("Test", pipelines.EnvironmentTest)
	workspace := f.srv.AddWorkspace("acme")
	for _, owner := range []interface {
		AddVariable(v pipelines.Variable) *pipelines.Variable
	}{f.repo, environment, workspace, f.srv.AddTeam("team"), f.srv.AddUser("user")} {
		owner.AddVariable(secured)
	}
	f.repo.SetKeyPair(pipelines.KeyPair{PrivateKey: canary, PublicKey: "ssh-ed25519 AAAA"})
	runner := pipelines.Runner{Name: "r", OAuthClient: &pipelines.RunnerOAuthClient{Secret: canary}}
	f.repo.AddRunner(runner)
	workspace.AddRunner(runner)
	f.repo.AddPipeline(pipelines.Pipeline{Variables: []pipelines.Variable{secured}})
	f.repo.AddSchedule(pipelines.Schedule{CronPattern: "0 0 * * *", Enabled: true})
	require.NoError(t, f.repo.FireSchedule(f.repo.Schedules()[0].UUID))
	f.repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Log: "built\n", Deployment: "Test"}}}, f.clock.Now())
	f.clock.Advance(time.Minute)
	return f
}

func (f *fixture) secretClient() *pipelines.Client {
	return f.srv.Client(pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1}))
}

func TestRecordedRequestsKeepSecretsButDoNotPrintThem(t *testing.T) {
	f := seeded(t)
	secured := pipelines.VariableRequest{Key: "N", Value: canary, Secured: new(true)}
	c := f.secretClient()
	variables := c.Variables.InRepository(f.repo.Repo())
	created, err := variables.Create(t.Context(), secured)
	require.NoError(t, err)
	_, err = variables.Update(t.Context(), created.UUID, pipelines.VariableUpdate{Value: new(canary)})
	require.NoError(t, err)
	_, err = c.SSH.SetKeyPair(t.Context(), f.repo.Repo(), pipelines.KeyPair{PrivateKey: canary, PublicKey: "p"})
	require.NoError(t, err)
	_, err = c.Pipelines.RunOnDemand(t.Context(), f.repo.Repo(), pipelines.OnDemandRequest{
		RunRequest: pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{secured}},
		YAML:       []byte("pipelines: {default: [{step: {script: [true]}}]}"),
	})
	require.NoError(t, err)
	consumer := f.srv.Client(pipelines.WithClientCredentials("id", canary))
	_, err = consumer.Config.Get(t.Context(), f.repo.Repo())
	require.NoError(t, err)
	_, err = f.srv.Client(pipelines.WithBasicAuth("me", canary)).Config.Get(t.Context(), f.repo.Repo())
	require.NoError(t, err)

	requests := f.srv.Requests()
	require.Equal(t, "Bearer "+canary, requests[0].Header.Get("Authorization"))
	require.Contains(t, string(requests[0].Body), canary)
	assertShowsNothing(t, "requests", requests)
	assertShowsNothing(t, "filtered requests", f.srv.RequestsTo(http.MethodPost, ""))
	for _, r := range requests {
		assertShowsNothing(t, "request", r)
		assertShowsNothing(t, "pointer", &r)
		assertShowsNothing(t, "map", map[string]*pipelinestest.Request{"r": &r})
		assertShowsNothing(t, "interface", []any{r, &r})
	}
	body, err := stdjson.Marshal(requests[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"method":"POST","path":"/2.0/repositories/acme/site/pipelines_config/variables","status":201,"storage":false}`, string(body))
}

func TestNothingOfTheServerPrintsASecret(t *testing.T) {
	f := seeded(t)
	f.secretClient() // its client, with the token
	for of, v := range map[string]any{
		"server": f.srv, "repository": f.repo, "workspace": f.srv.AddWorkspace("acme"), "team": f.srv.AddTeam("team"),
		"variables": f.repo.Variables(), "key pair": f.repo.KeyPair(), "runners": f.repo.Runners(), "pipelines": f.repo.Pipelines(),
		"option": pipelinestest.WithToken(canary), "transport": f.srv.Transport(), "handler": f.srv.Handler(),
		"holder": struct{ S *pipelinestest.Server }{f.srv},
	} {
		assertShowsNothing(t, of, v)
	}
}

func TestNoResponseContainsASecret(t *testing.T) {
	f := seeded(t)
	bearer := []string{"Authorization", "Bearer " + canary}
	paths := []string{
		site + "/pipelines", site + "/pipelines_config", site + "/pipelines_config/variables", "/workspaces/acme/pipelines-config/variables",
		"/teams/team/pipelines_config/variables", "/users/user/pipelines_config/variables", site + "/environments", site + "/deployments",
		site + "/pipelines_config/schedules", site + "/pipelines_config/ssh/key_pair", site + "/pipelines_config/ssh/known_hosts",
		site + "/pipelines-config/caches", site + "/pipelines-config/runners", "/workspaces/acme/pipelines-config/runners", site + "/nothing",
	}
	visited := map[string]int{}
	for len(paths) > 0 {
		path := paths[0]
		paths = paths[1:]
		if visited[path] != 0 {
			continue
		}
		a := f.get(path, bearer...)
		visited[path] = a.StatusCode
		assertResponseSilent(t, path, a)
		if !strings.HasPrefix(a.text, "{") {
			continue
		}
		listed, _ := a.JSON()["values"].([]any)
		for _, item := range listed {
			uuid, ok := at(item, "uuid").(string)
			if !ok {
				continue
			}
			one := path + "/" + url.PathEscape(uuid)
			paths = append(paths, one)
			switch {
			case strings.HasSuffix(path, "/pipelines"):
				paths = append(paths, one+"/steps")
			case strings.HasSuffix(path, "/schedules"):
				paths = append(paths, one+"/executions")
			case strings.HasSuffix(path, "/environments"):
				paths = append(paths, site+"/deployments_config/environments/"+url.PathEscape(uuid)+"/variables")
			case strings.HasSuffix(path, "/steps"):
				paths = append(paths, one+"/log", one+"/test_reports")
			}
		}
	}
	ok := 0
	for _, status := range visited {
		if status == http.StatusOK {
			ok++
		}
	}
	require.Greater(t, ok, 30, visited)
	for _, sent := range [][3]string{
		{http.MethodPost, site + "/pipelines_config/variables", `{"key":"N","value":"` + canary + `","secured":true}`},
		{http.MethodPost, site + "/pipelines_config/variables", `{"key":"N","value":"` + canary + `","secured":true}`}, // a conflict
		{http.MethodPost, site + "/pipelines_config/variables", `{"key":"","value":"` + canary + `","secured":true}`},
		{http.MethodPost, site + "/pipelines_config/variables", `{"key":5,"value":"` + canary},
		{http.MethodPut, site + "/pipelines_config/ssh/key_pair", `{"private_key":"` + canary + `","public_key":"p"}`},
		{http.MethodPut, site + "/pipelines_config/ssh/key_pair", `{"private_key":"` + canary + `"}`},
		{http.MethodPost, site + "/pipelines", `{"target":` + mainBranch + `,"variables":[{"key":"K","value":"` + canary + `","secured":true}]}`},
		{http.MethodPost, site + "/pipelines", `{"target":{"type":"x"},"variables":[{"key":"K","value":"` + canary + `","secured":true}]}`},
	} {
		assertResponseSilent(t, sent[0]+" "+sent[1], f.send(sent[0], sent[1], sent[2], append(bearer, "Content-Type", "application/json")...))
	}
	assertResponseSilent(t, "unknown credentials", f.get(site+"/pipelines", "Authorization", "Bearer x"+canary))
}

func assertResponseSilent(t *testing.T, of string, a response) {
	t.Helper()
	assert.NotContains(t, a.text, canary, of)
	assert.NotContains(t, a.text, base64.StdEncoding.EncodeToString([]byte(canary)), of)
	assert.NotContains(t, fmt.Sprint(a.Header), canary, of)
}
