package pipelinestest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestVariablesOfAllOwners(t *testing.T) {
	f := setup(t)
	environment := f.repo.AddEnvironment("Test", pipelines.EnvironmentTest)
	workspace, team, user := f.srv.AddWorkspace("acme"), f.srv.AddTeam("devs"), f.srv.AddUser("ada")
	require.Same(t, workspace, f.srv.AddWorkspace("acme"))
	require.Same(t, team, f.srv.AddTeam("devs"))
	for path, variables := range map[string]func() []pipelines.Variable{
		site + "/pipelines_config/variables":                                                   f.repo.Variables,
		"/workspaces/acme/pipelines-config/variables":                                          workspace.Variables,
		"/workspaces/" + escape(workspace.UUID()) + "/pipelines-config/variables":              workspace.Variables,
		"/teams/devs/pipelines_config/variables":                                               team.Variables,
		"/teams/" + escape(team.UUID()) + "/pipelines_config/variables":                        team.Variables,
		"/users/ada/pipelines_config/variables":                                                user.Variables,
		site + "/deployments_config/environments/" + escape(environment.UUID()) + "/variables": environment.Variables,
	} {
		a := f.send(http.MethodPost, path, `{"key":"REGION","value":"eu","secured":false,"type":""}`)
		require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
		require.Equal(t, "eu", a.At("value"))
		require.Equal(t, false, a.At("secured"))
		one := path + "/" + escape(a.At("uuid").(string))
		for _, key := range []string{"REGION", "Region"} {
			duplicate := f.send(http.MethodPost, path, `{"key":"`+key+`","value":"us","secured":true}`)
			require.Equal(t, http.StatusConflict, duplicate.StatusCode)
			require.Equal(t, "Conflict", duplicate.At("error.message"))
			require.Equal(t, "variable-service.variable.duplicate", duplicate.At("error.data.key"))
		}

		changed := f.send(http.MethodPut, one, `{"secured":true}`)
		require.Equal(t, http.StatusOK, changed.StatusCode, changed.text)
		require.NotContains(t, changed.JSON(), "value")
		require.Equal(t, []pipelines.Variable{{Type: changed.At("type").(string), UUID: a.At("uuid").(string), Key: "REGION", Value: "eu", Secured: true}}, variables())
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", variables(), variables(), variables()), "eu")
		require.Equal(t, http.StatusNoContent, f.send(http.MethodDelete, one, "").StatusCode)
		require.Empty(t, variables())
		missing := f.send(http.MethodPut, one, `{"value":"us"}`)
		require.Equal(t, http.StatusNotFound, missing.StatusCode)
		require.Equal(t, "variable-service.variable.not-found", missing.At("error.data.key"))
	}
}

func TestInvalidVariablesAreRefused(t *testing.T) {
	f := setup(t)
	f.repo.AddVariable(pipelines.Variable{Key: "OTHER"})
	path := site + "/pipelines_config/variables"
	one := path + "/" + escape(f.repo.AddVariable(pipelines.Variable{Key: "TOKEN", Value: secret, Secured: true}).UUID)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", path, `{"key":"A","value":1,"secured":false}`, 400},
		{"POST", path, `{"key":"A","value":"x","secured":"false"}`, 400},
		{"PUT", one, `{"key":""}`, 400},
		{"PUT", one, `{"key":"OTHER"}`, 409},
		{"PUT", one, `{"key":"other"}`, 409},
		{"PUT", one, `{"secured":false}`, 400},
	} {
		a := f.send(c.method, c.path, c.body)
		require.Equal(t, c.status, a.StatusCode, c.body)
		require.NotEmpty(t, a.At("error.data.key"), c.body)
		require.NotContains(t, a.JSON(), "type")
	}
	require.Len(t, f.repo.Variables(), 2)
	require.Equal(t, "new", f.send(http.MethodPut, one, `{"secured":false,"value":"new","key":"TOKEN"}`).At("value"))
	require.Equal(t, http.StatusOK, f.send(http.MethodPut, one, `{}`).StatusCode)
	require.Equal(t, "token", f.send(http.MethodPut, one, `{"key":"token"}`).At("key"), "its own key in another case")
}

// The response for a creation without secured is one of the service.
func TestTheErrorOfACreationNamesTheMissingProperties(t *testing.T) {
	f := setup(t)
	environment := f.repo.AddEnvironment("Test", pipelines.EnvironmentTest)
	f.srv.AddTeam("devs")
	f.srv.AddUser("ada")
	for _, path := range []string{
		site + "/pipelines_config/variables", "/workspaces/acme/pipelines-config/variables", "/teams/devs/pipelines_config/variables",
		"/users/ada/pipelines_config/variables", site + "/deployments_config/environments/" + escape(environment.UUID()) + "/variables",
	} {
		for body, lacks := range map[string][]string{
			`{"key":"A","value":"b"}`:                 {"secured"},
			`{"key":"A","value":"b","secured":null}`:  {"secured"},
			`{"type":"","key":"A","value":"b"}`:       {"secured"},
			`{"value":"b","secured":false}`:           {"key"},
			`{"key":"","value":"b","secured":false}`:  {"key"},
			`{"key":"A","secured":true}`:              {"value"},
			`{"key":"A","value":null,"secured":true}`: {"value"},
			`{}`: {"key", "value", "secured"},
		} {
			arguments := map[string]any{}
			for _, name := range lacks {
				arguments[name+"-required"] = "Property " + name + " is required"
			}
			a := f.send(http.MethodPost, path, body)
			require.Equal(t, http.StatusBadRequest, a.StatusCode, path+" "+body)
			require.Equal(t, map[string]any{"error": map[string]any{
				"message": "Bad request", "detail": "The request body contains invalid properties",
				"data": map[string]any{"key": "variable-service.request.validation-error", "arguments": arguments},
			}}, a.JSON(), path+" "+body)
		}
	}
	require.Empty(t, f.repo.Variables())
}

func TestAnEnvironmentListsItsVariablesLate(t *testing.T) {
	f := setup(t)
	environment := f.repo.AddEnvironment("Test", pipelines.EnvironmentTest)
	environment.AddVariable(pipelines.Variable{Key: "SEEDED", Value: "x"})
	path := site + "/deployments_config/environments/" + escape(environment.UUID()) + "/variables"
	a := f.send(http.MethodPost, path, `{"key":"A","value":"b","secured":false}`)
	require.Equal(t, http.StatusCreated, a.StatusCode)
	require.NotContains(t, a.JSON(), "type")
	require.Equal(t, []any{"SEEDED"}, f.get(path).Values("key"))
	require.Len(t, environment.Variables(), 2)
	require.Equal(t, http.StatusConflict, f.send(http.MethodPost, path, `{"key":"A","value":"b","secured":false}`).StatusCode)
	one := path + "/" + escape(a.At("uuid").(string))
	require.Equal(t, http.StatusMethodNotAllowed, f.get(one).StatusCode)
	require.Equal(t, http.StatusOK, f.send(http.MethodPut, one, `{"value":"c"}`).StatusCode)

	f.clock.Advance(5 * time.Second)
	require.Equal(t, []any{"SEEDED", "A"}, f.get(path).Values("key"))
	require.Equal(t, []any{"pipeline_variable", "pipeline_variable"}, f.get(path).Values("type"))
}

func TestWithLateVariablesOfZero(t *testing.T) {
	f := setup(t, pipelinestest.WithLateVariables(0))
	environment := f.repo.AddEnvironment("Test", pipelines.EnvironmentTest)
	path := site + "/deployments_config/environments/" + escape(environment.UUID()) + "/variables"
	f.send(http.MethodPost, path, `{"key":"A","value":"b","secured":false}`)
	require.Equal(t, []any{"A"}, f.get(path).Values("key"))
}

func TestAddVariableReplacesTheVariableWithTheKey(t *testing.T) {
	f := setup(t)
	first := f.repo.AddVariable(pipelines.Variable{Key: "A", Value: "1"})
	second := f.repo.AddVariable(pipelines.Variable{Key: "A", Value: "2", Secured: true})
	require.Equal(t, first.UUID, second.UUID)
	require.Equal(t, []pipelines.Variable{*second}, f.repo.Variables())
}

func TestTheClientSetsVariables(t *testing.T) {
	f := setup(t)
	client, repo := f.srv.Client(), f.repo.Repo()
	environment := f.repo.AddEnvironment("Test", pipelines.EnvironmentTest)
	f.srv.AddTeam("devs")
	f.srv.AddUser("ada")
	for _, set := range []*pipelines.VariableSet{
		client.Variables.InRepository(repo), client.Variables.InWorkspace("acme"), client.Variables.InEnvironment(repo, environment.UUID()),
		client.Variables.InTeam("devs"), client.Variables.InUser("ada"), //nolint:staticcheck // deprecated, but supported
	} {
		for _, value := range []string{"one", "two", ""} {
			v, err := set.Set(t.Context(), pipelines.VariableRequest{Key: "A", Value: value})
			require.NoError(t, err)
			require.Equal(t, value, v.Value)
		}
		_, err := set.Create(t.Context(), pipelines.VariableRequest{Key: "A", Value: "x"})
		require.ErrorIs(t, err, pipelines.ErrConflict)
		f.clock.Advance(time.Minute)
		v, err := set.GetByKey(t.Context(), "A")
		require.NoError(t, err)
		same, err := set.Get(t.Context(), v.UUID)
		require.NoError(t, err)
		require.Equal(t, v, same)
		require.NoError(t, set.Delete(t.Context(), v.UUID))
		require.ErrorIs(t, set.Delete(t.Context(), v.UUID), pipelines.ErrNotFound)
		_, err = set.Get(t.Context(), v.UUID)
		require.ErrorIs(t, err, pipelines.ErrNotFound)
	}
}
