package pipelinestest_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestCredentials(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me@example.com:secret"))
	for name, c := range map[string]struct {
		opts          []pipelinestest.ServerOption
		authorization string
		method        string
		path          string
		status        int
	}{
		"any token will do":                          {nil, "Bearer x", "GET", "/pipelines", 200},
		"any password will do":                       {nil, basic, "GET", "/pipelines", 200},
		"no credentials are refused":                 {nil, "", "GET", "/pipelines", 401},
		"an empty token is refused":                  {nil, "Bearer ", "GET", "/pipelines", 401},
		"another scheme is refused":                  {nil, "Digest x", "GET", "/pipelines", 401},
		"a listed token is accepted":                 {tokens("secret"), "Bearer secret", "GET", "/pipelines", 200},
		"a listed password is accepted":              {tokens("secret"), basic, "GET", "/pipelines", 200},
		"one of several listed tokens is accepted":   {append(tokens("other"), tokens("secret")...), "Bearer secret", "GET", "/pipelines", 200},
		"a token that isn't listed is refused":       {tokens("secret"), "Bearer x", "GET", "/pipelines", 401},
		"a token without scopes may do everything":   {tokens("secret"), "Bearer secret", "POST", "/pipelines/1/stopPipeline", 204},
		"a scope allows what it says":                {tokens("secret", "pipeline"), "Bearer secret", "GET", "/pipelines", 200},
		"a writing scope allows reading":             {tokens("secret", "pipeline:write"), "Bearer secret", "GET", "/pipelines", 200},
		"the variables' scope allows reading":        {tokens("secret", "pipeline:variable"), "Bearer secret", "GET", "/pipelines", 200},
		"a reading scope forbids stopping":           {tokens("secret", "pipeline"), "Bearer secret", "POST", "/pipelines/1/stopPipeline", 403},
		"the variables' scope forbids stopping":      {tokens("secret", "pipeline:variable"), "Bearer secret", "POST", "/pipelines/1/stopPipeline", 403},
		"a foreign scope forbids reading":            {tokens("secret", "runner"), "Bearer secret", "GET", "/pipelines", 403},
		"a scope that only begins alike is no match": {tokens("secret", "pipelines"), "Bearer secret", "GET", "/pipelines", 403},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, c.opts...)
			f.repo.AddPipeline(pipelines.Pipeline{State: pipelines.PipelineState{Name: pipelines.StateInProgress}})
			require.Equal(t, c.status, f.send(c.method, site+c.path, "", "Authorization", c.authorization).StatusCode)
		})
	}
}

func tokens(token string, scopes ...string) []pipelinestest.ServerOption {
	return []pipelinestest.ServerOption{pipelinestest.WithToken(token, scopes...)}
}

func TestTheErrorForAMissingScopeNamesIt(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("token", "pipeline", "runner"))
	a := f.send(http.MethodPost, site+"/pipelines/1/stopPipeline", "")
	require.Equal(t, map[string]any{"required": []any{"pipeline:write"}, "granted": []any{"pipeline", "runner"}}, a.At("error.detail"))
	require.Equal(t, "error", a.At("type"))
	require.Equal(t, "pipeline:write", a.Header.Get("X-Accepted-OAuth-Scopes"))
	require.Equal(t, "pipeline, runner", a.Header.Get("X-OAuth-Scopes"))
	require.Equal(t, "pipeline", f.get(site+"/pipelines").Header.Get("X-Accepted-OAuth-Scopes"))
}

func TestResponsesDescribeTheCredentials(t *testing.T) {
	f := setup(t, pipelinestest.WithQuota(10), pipelinestest.WithOAuthConsumer("id", "secret", "pipeline"))
	issued := f.token("grant_type=client_credentials", "id", "secret")
	require.Empty(t, issued.Header.Get("X-OAuth-Scopes"))
	const all = "pipeline, pipeline:write, pipeline:variable, repository, repository:admin, runner, runner:write"
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me@example.com:secret"))
	for name, c := range map[string]struct{ authorization, path, kind, granted, limit string }{
		"an access token":      {"Bearer x", site + "/pipelines", "access_token", all, "10"},
		"a missing repository": {"Bearer x", "/repositories/acme/other/pipelines", "access_token", all, "10"},
		"outside the quota":    {"Bearer x", "/workspaces/acme/pipelines-config/runners", "access_token", all, ""},
		"an API token":         {basic, site + "/pipelines", "api_token", all, ""},
		"an API token refused": {basic, "/users/me/pipelines_config/variables", "api_token", all, ""},
		"an OAuth token":       {"Bearer " + issued.At("access_token").(string), site + "/pipelines", "oauth2", "pipeline", ""},
		"no credentials":       {"", site + "/pipelines", "", "", ""},
	} {
		header := f.get(c.path, "Authorization", c.authorization).Header
		require.Equal(t, c.kind, header.Get("X-Credential-Type"), name)
		require.Equal(t, c.granted, header.Get("X-OAuth-Scopes"), name)
		require.Equal(t, c.limit, header.Get("X-RateLimit-Limit"), name)
		require.Equal(t, c.kind != "", header.Get("X-Accepted-OAuth-Scopes") != "", name)
	}
}

func TestARevokedTokenIsRefusedUntilItIsAddedAgain(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me@example.com:token"))
	for name, opts := range map[string][]pipelinestest.ServerOption{
		"the only token": tokens("token"), "one of two": append(tokens("token"), tokens("other")...), "any token is accepted": nil,
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, opts...)
			ask := func(authorization string) int {
				return f.get(site+"/pipelines", "Authorization", authorization).StatusCode
			}
			others := ask("Bearer other")
			f.srv.RevokeToken("token")
			a := f.get(site + "/pipelines")
			require.Equal(t, http.StatusUnauthorized, a.StatusCode)
			require.Equal(t, "error", a.At("type"))
			require.NotEmpty(t, a.At("error.message"))
			require.Equal(t, http.StatusUnauthorized, ask(basic))
			require.Equal(t, others, ask("Bearer other"), "other tokens are as before")
			_, err := f.srv.Client(pipelines.WithToken("token")).Pipelines.Get(t.Context(), f.repo.Repo(), "1")
			require.ErrorIs(t, err, pipelines.ErrUnauthorized)

			f.srv.AddToken("token", "pipeline")
			require.Equal(t, http.StatusOK, ask("Bearer token"))
			require.Equal(t, http.StatusForbidden, f.send(http.MethodPost, site+"/pipelines/1/stopPipeline", "").StatusCode, "with its new scopes")
			require.Equal(t, others, ask("Bearer other"), "other tokens are as before")
		})
	}
}

func TestATokenCanBeAdded(t *testing.T) {
	f := setup(t, tokens("token")...)
	require.Equal(t, http.StatusUnauthorized, f.get(site+"/pipelines", "Authorization", "Bearer new").StatusCode)
	f.srv.AddToken("new")
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines", "Authorization", "Bearer new").StatusCode)
	require.Panics(t, func() { f.srv.AddToken("") })
	require.Panics(t, func() { f.srv.RevokeToken("") })
	require.Panics(t, func() { f.srv.RevokeToken("tokn") }, "a typo")
}
