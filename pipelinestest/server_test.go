package pipelinestest_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAnUnknownURLIsNotHosted(t *testing.T) {
	f := setup(t)
	for _, path := range []string{"/nothing", "/repositories", site + "/pipelines/1/nothing", "/", "/repositories//site/pipelines"} {
		a := f.get(path)
		require.Equal(t, http.StatusNotFound, a.StatusCode, path)
		require.Equal(t, map[string]any{"type": "error", "error": map[string]any{
			"message": "Resource not found", "detail": "There is no API hosted at this URL",
		}}, a.JSON())
	}
	require.Equal(t, http.StatusMethodNotAllowed, f.send(http.MethodDelete, site+"/pipelines", "").StatusCode)
}

func TestAMissingRepositoryIsAWebPage(t *testing.T) {
	f := setup(t)
	for _, path := range []string{"/repositories/acme/other/pipelines", "/repositories/other/site/pipelines", "/repositories/acme/site%2Fpipelines/pipelines"} {
		a := f.get(path)
		require.Equal(t, http.StatusNotFound, a.StatusCode)
		require.Contains(t, a.Header.Get("Content-Type"), "text/html")
		require.Greater(t, len(a.text), 20_000)
	}
}

func TestARepositoryIsFoundBySlugAndByUUID(t *testing.T) {
	f := setup(t)
	f.started()
	workspace := strings.Split(f.run(mainBranch).Header.Get("Location"), "/")[5]
	for _, path := range []string{site, site + "/", "/repositories/" + workspace + "/" + escape(f.repo.UUID()), "/repositories/acme/" + escape(f.repo.UUID())} {
		path = strings.TrimSuffix(path, "/") + "/pipelines" + map[bool]string{true: "/"}[strings.HasSuffix(path, "/")]
		require.Equal(t, http.StatusOK, f.get(path).StatusCode, path)
	}
	require.Same(t, f.repo, f.srv.AddRepository("acme", "site"))
	other := f.srv.AddRepository("acme", "other")
	require.NotEqual(t, f.repo.UUID(), other.UUID())
	require.Equal(t, pipelines.Repo{Workspace: "acme", Slug: "other"}, other.Repo())
}

func TestAUUIDNeedsItsBraces(t *testing.T) {
	f := setup(t)
	uuid := f.run(mainBranch).At("uuid").(string)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines/"+escape(uuid)).StatusCode)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines/1").StatusCode)
	require.Equal(t, http.StatusBadRequest, f.get(site+"/pipelines/"+strings.Trim(uuid, "{}")).StatusCode)
}

func TestThePathPrefixIsOptional(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(11)
	bare := strings.TrimSuffix(f.srv.URL(), "/2.0")
	a := f.get(bare + site + "/pipelines")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.True(t, strings.HasPrefix(a.At("next").(string), bare+"/repositories/"))
	require.True(t, strings.HasPrefix(a.At("values.0.links.self.href").(string), bare+"/repositories/"))
}

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

func TestAMissingScopeIsToldInTheError(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("token", "pipeline", "runner"))
	a := f.send(http.MethodPost, site+"/pipelines/1/stopPipeline", "")
	require.Equal(t, map[string]any{"required": []any{"pipeline:write"}, "granted": []any{"pipeline", "runner"}}, a.At("error.detail"))
	require.Equal(t, "error", a.At("type"))
	require.Equal(t, "pipeline:write", a.Header.Get("X-Accepted-OAuth-Scopes"))
	require.Equal(t, "pipeline, runner", a.Header.Get("X-OAuth-Scopes"))
	require.Equal(t, "pipeline", f.get(site+"/pipelines").Header.Get("X-Accepted-OAuth-Scopes"))
}

func TestAnswersTellAboutTheCredentials(t *testing.T) {
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

func TestAnAccessTokenIsToldThatItsQuotaRunsOut(t *testing.T) {
	f := setup(t, pipelinestest.WithQuota(10))
	var near []string
	for range 11 {
		header := f.get(site + "/pipelines").Header
		near = append(near, header.Get("X-RateLimit-NearLimit"))
		require.Equal(t, "api", header.Get("X-RateLimit-Resource"))
	}
	require.Equal(t, strings.Repeat("false ", 8)+"true true true", strings.Join(near, " "), "the last is refused with 429")
	f.clock.Advance(time.Hour)
	require.Equal(t, "false", f.get(site+"/pipelines").Header.Get("X-RateLimit-NearLimit"))
	require.Empty(t, setup(t).get(site+"/pipelines").Header.Get("X-RateLimit-NearLimit"), "without a quota")
}

func (f *fixture) token(form, id, secret string) answer {
	f.t.Helper()
	header := []string{"Content-Type", "application/x-www-form-urlencoded", "Authorization", ""}
	if id != "" {
		header[3] = "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	return f.send(http.MethodPost, strings.TrimSuffix(f.srv.URL(), "/2.0")+"/site/oauth2/access_token", form, header...)
}

func TestTheTokenEndpointIssuesTokensForTwoHours(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("static"), pipelinestest.WithOAuthConsumer("id", "s%cret +", "pipeline"))
	a := f.token("grant_type=client_credentials", "id", "s%25cret+%2B")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, "bearer", a.At("token_type"))
	require.EqualValues(t, 7200, a.At("expires_in"))
	require.Equal(t, "pipeline", a.At("scopes"))

	bearer := "Bearer " + a.At("access_token").(string)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines", "Authorization", bearer).StatusCode)
	require.Equal(t, http.StatusForbidden, f.send(http.MethodPost, site+"/pipelines/1/stopPipeline", "", "Authorization", bearer).StatusCode)

	f.clock.Advance(2*time.Hour - time.Second)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines", "Authorization", bearer).StatusCode)
	f.clock.Advance(time.Second)
	expired := f.get(site+"/pipelines", "Authorization", bearer)
	require.Equal(t, http.StatusUnauthorized, expired.StatusCode)
	require.Equal(t, "Access token expired.", expired.At("error.message"))

	again := f.token("grant_type=refresh_token&refresh_token="+a.At("refresh_token").(string), "id", "s%cret +")
	require.Equal(t, http.StatusOK, again.StatusCode, again.text)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines", "Authorization", "Bearer "+again.At("access_token").(string)).StatusCode)
}

func TestTheTokenEndpointRefuses(t *testing.T) {
	restricted := []pipelinestest.ServerOption{pipelinestest.WithOAuthConsumer("id", "secret")}
	for name, c := range map[string]struct {
		opts             []pipelinestest.ServerOption
		form, id, secret string
		status           int
		code             string
	}{
		"a request without credentials": {nil, "grant_type=client_credentials", "", "", 401, "invalid_client"},
		"an empty secret":               {nil, "grant_type=client_credentials", "id", "", 401, "invalid_client"},
		"an unknown consumer":           {restricted, "grant_type=client_credentials", "other", "secret", 401, "invalid_client"},
		"a wrong secret":                {restricted, "grant_type=client_credentials", "id", "wrong", 401, "invalid_client"},
		"a grant that needs a browser":  {restricted, "grant_type=authorization_code", "id", "secret", 400, "unsupported_grant_type"},
		"an unknown refresh token":      {restricted, "grant_type=refresh_token&refresh_token=x", "id", "secret", 400, "invalid_grant"},
		"a body that is no form":        {restricted, "grant_type=%zz", "id", "secret", 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := setup(t, c.opts...).token(c.form, c.id, c.secret)
			require.Equal(t, c.status, a.StatusCode)
			require.Equal(t, c.code, a.At("error"))
			require.NotEmpty(t, a.At("error_description"))
		})
	}
	require.Equal(t, http.StatusOK, setup(t).token("grant_type=client_credentials", "any", "100%").StatusCode)
	require.Equal(t, http.StatusOK, setup(t, restricted...).token("grant_type=client_credentials", "id", "secret").StatusCode)
}

func TestTheQuotaIsARollingHour(t *testing.T) {
	f := setup(t, pipelinestest.WithQuota(2))
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode)
	f.clock.Advance(30 * time.Minute)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode)

	a := f.get(site + "/pipelines")
	require.Equal(t, http.StatusTooManyRequests, a.StatusCode)
	require.Equal(t, "Rate limit for this resource has been exceeded", a.text)
	require.Equal(t, "text/plain", a.Header.Get("Content-Type"))
	require.Empty(t, a.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, f.token("grant_type=client_credentials", "id", "secret").StatusCode, "other paths don't count")

	f.clock.Advance(30 * time.Minute)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode, "the first request is an hour ago")
	require.Equal(t, http.StatusTooManyRequests, f.get(site+"/pipelines").StatusCode)
}

func TestPages(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(25)
	a := f.get(site + "/pipelines?target.branch=main")
	require.EqualValues(t, 1, a.At("page"))
	require.EqualValues(t, 10, a.At("pagelen"))
	require.EqualValues(t, 25, a.At("size"))
	require.Len(t, a.At("values"), 10)
	require.Nil(t, a.At("previous"))
	require.Equal(t, f.srv.URL()+site+"/pipelines?page=2&pagelen=10&target.branch=main", a.At("next"))

	last := f.get(f.get(a.At("next").(string)).At("next").(string))
	require.Equal(t, []any{21.0, 22.0, 23.0, 24.0, 25.0}, last.Values("build_number"))
	require.Nil(t, last.At("next"))
	require.Equal(t, f.srv.URL()+site+"/pipelines?page=2&pagelen=10&target.branch=main", last.At("previous"))

	past := f.get(site + "/pipelines?page=2147483647&pagelen=100")
	require.Equal(t, http.StatusOK, past.StatusCode)
	require.Equal(t, []any{}, past.At("values"))
	require.Nil(t, past.At("next"))
	require.Len(t, f.get(site+"/pipelines?pagelen=100").At("values"), 25)

	for _, query := range []string{"pagelen=101", "pagelen=0", "pagelen=x", "page=0", "page=-1", "page=2147483648"} {
		require.Equal(t, http.StatusBadRequest, f.get(site+"/pipelines?"+query).StatusCode, query)
	}
}

func TestNextLinksCanBeLeftOut(t *testing.T) {
	f := setup(t, pipelinestest.WithoutNextLinks())
	f.repo.AddPipelines(25)
	a := f.get(site + "/pipelines?page=2")
	require.Len(t, a.At("values"), 10)
	require.EqualValues(t, 25, a.At("size"))
	require.NotContains(t, a.JSON(), "next")
	require.NotContains(t, a.JSON(), "previous")
}

func TestPartialResponses(t *testing.T) {
	f := setup(t)
	f.repo.AddPipelines(11)
	for fields, want := range map[string]string{
		"size":                               `{"size":11}`,
		"values.build_number,size":           `{"size":11,"values":[{"build_number":1}]}`,
		"values.state.result.name":           `{"values":[{"state":{"result":{"name":"SUCCESSFUL"}}}]}`,
		"values.state.*.name":                `{"values":[{"state":{"result":{"name":"SUCCESSFUL"}}}]}`,
		"values.trigger,values.trigger.name": `{"values":[{"trigger":{"name":"MANUAL","type":"pipeline_trigger_manual"}}]}`,
		"size,%2Bvalues.run_number":          `{"size":11,"values":[{"run_number":1}]}`,
		"nothing":                            `{}`,
	} {
		require.JSONEq(t, want, f.get(site+"/pipelines?pagelen=1&fields="+fields).text, fields)
	}
	whole := f.get(site + "/pipelines?pagelen=1")
	require.NotNil(t, whole.At("values.0.state"))
	without := f.get(site + "/pipelines?pagelen=1&fields=-values.state,-values.*.type,-next")
	require.Nil(t, without.At("values.0.state"))
	require.Nil(t, without.At("values.0.trigger.type"))
	require.Nil(t, without.At("next"))
	require.Equal(t, whole.At("values.0.uuid"), without.At("values.0.uuid"))
	require.JSONEq(t, f.get(site+"/pipelines/1").text, f.get(site+"/pipelines/1?fields=+target.commit.message").text)
}

func TestRequestsAreRecorded(t *testing.T) {
	f := setup(t)
	f.send(http.MethodPost, site+"/pipelines?secret=query", `{"target":`+mainBranch+`,"variables":[{"key":"K","value":"hidden"}]}`, "Content-Type", "application/json")
	f.get("/nothing%2Fhere")
	requests := f.srv.Requests()
	require.Len(t, requests, 2)
	r := requests[0]
	require.Equal(t, http.MethodPost, r.Method)
	require.Equal(t, "/2.0"+site+"/pipelines", r.Path)
	require.Equal(t, "query", r.Query.Get("secret"))
	require.Equal(t, "Bearer token", r.Header.Get("Authorization"))
	require.Contains(t, string(r.Body), "hidden")
	require.Equal(t, http.StatusCreated, r.Status)
	require.Equal(t, f.clock.Now(), r.Time)
	require.NotEmpty(t, r.Host)
	require.Equal(t, "/2.0/nothing%2Fhere", requests[1].Path)

	r.Header.Set("Authorization", "changed")
	require.Equal(t, "Bearer token", f.srv.Requests()[0].Header.Get("Authorization"), "what is returned is a copy")
	f.srv.ResetRequests()
	require.Empty(t, f.srv.Requests())
}

func TestPrintedRequestsHideWhatTheyCarry(t *testing.T) {
	f := setup(t)
	f.get(site+"/pipelines?key=concealed", "Authorization", "Bearer concealed")
	requests := f.srv.Requests()
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("arrived", "request", requests[0])
	texts := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, requests), fmt.Sprintf(verb, requests[0]), fmt.Sprintf(verb, &requests[0]))
	}
	for _, text := range texts {
		require.NotContains(t, text, "concealed")
		require.Contains(t, text, "/2.0"+site+"/pipelines")
	}
	require.Equal(t, "GET /x 200 (storage)", pipelinestest.Request{Method: "GET", Path: "/x", Status: 200, Storage: true}.String())
}

func TestEveryAnswerHasItsOwnRequestID(t *testing.T) {
	f := setup(t)
	first, second := f.get("/nothing").Header.Get("X-Request-Id"), f.get("/nothing").Header.Get("X-Request-Id")
	require.NotEmpty(t, first)
	require.NotEqual(t, first, second)
}

func TestTheHandlerWorksInAServerOfOnesOwn(t *testing.T) {
	f := setup(t)
	own := httptest.NewServer(f.srv.Handler())
	defer own.Close()
	path := f.started()
	f.clock.Advance(time.Minute)
	a := f.get(own.URL + "/2.0" + path + "?x=y")
	require.True(t, strings.HasPrefix(a.At("links.self.href").(string), own.URL+"/2.0/"))
	log := f.get(own.URL + "/2.0" + f.step(path, 0) + "/log")
	require.Equal(t, http.StatusTemporaryRedirect, log.StatusCode)
	require.Equal(t, http.StatusOK, f.get(log.Header.Get("Location"), "Authorization", "").StatusCode)
}

func TestAClosedServerStaysClosed(t *testing.T) {
	opened, neverOpened := pipelinestest.NewServer(nil), pipelinestest.NewServer()
	first := opened.URL()
	require.Equal(t, first, opened.URL())
	for _, srv := range []*pipelinestest.Server{opened, neverOpened} {
		srv.Close()
		srv.Close()
		url := srv.URL()
		require.Equal(t, url, srv.URL())
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		require.Error(t, err)
	}
	require.Equal(t, first, opened.URL())
}

func TestInProcessAndInABubbleThereIsNoSocket(t *testing.T) {
	require.Equal(t, "http://api.bitbucket.test/2.0", pipelinestest.NewServer(pipelinestest.InProcess()).URL())
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, "http://api.bitbucket.test/2.0", pipelinestest.NewServer().URL())
	})
}

func TestInvalidClientOptionsPanic(t *testing.T) {
	require.PanicsWithValue(t, "pipelinestest: invalid options for Server.Client: pipelines: "+pipelines.ErrInvalidArgument.Error()+": limiter is nil", func() {
		pipelinestest.NewServer(pipelinestest.InProcess()).Client(pipelines.WithLimiter(nil))
	})
}
