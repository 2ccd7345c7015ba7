package pipelines_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove that no failing call, no option that is refused, no panic and no crash shows a secret.

// assertErrorSilent checks an error and all that it wraps.
func assertErrorSilent(t *testing.T, of string, err error) {
	t.Helper()
	for depth := 0; err != nil; depth++ {
		of = fmt.Sprintf("%s, error %d (%T)", of, depth, err)
		assertSilent(t, of, err)
		assertShowsNot(t, map[string]string{"Error": err.Error()}, secretCanary, of)
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range many.Unwrap() {
				assertErrorSilent(t, of, one)
			}
			return
		}
		err = errors.Unwrap(err)
	}
}

func TestOptionsThatAreRefusedDoNotRepeatTheirSecret(t *testing.T) {
	broken := secretCanary + "\n"
	for name, opt := range map[string]pipelines.Option{
		"token": pipelines.WithToken(broken), "password": pipelines.WithBasicAuth("me", broken), "username": pipelines.WithBasicAuth("me:"+secretCanary, "x"),
		"client secret": pipelines.WithClientCredentials("id", broken), "client ID": pipelines.WithClientCredentials(broken, "x"),
		"base URL": pipelines.WithBaseURL("https://me:" + secretCanary + "@example.com"), "query": pipelines.WithBaseURL("https://example.com?key=" + secretCanary),
		"malformed base URL": pipelines.WithBaseURL("https://me:" + secretCanary + "@%zz"), "scheme": pipelines.WithBaseURL(secretCanary),
		"token URL": pipelines.WithTokenURL("https://me:" + secretCanary + "@example.com"), "user agent": pipelines.WithUserAgent(broken),
	} {
		_, err := pipelines.NewClient(opt)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, name)
		assertErrorSilent(t, name, err)
	}
	c := newClient(t, "http://127.0.0.1:1")
	for name, err := range map[string]error{
		"repo":     second(pipelines.ParseRepo("https://x-token-auth:" + secretCanary + "@bitbucket.org/acme/site")),
		"header":   c.Do(t.Context(), "GET", "/x", nil, nil, pipelines.WithHeader("X-Key", broken)),
		"path":     c.Do(t.Context(), "GET", "/%zz"+secretCanary, nil, nil),
		"body":     c.Do(t.Context(), "PUT", "/x", map[string]any{"a": secretCanary, "b": func() {}}, nil),
		"run":      second(c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{{Value: secretCanary, Secured: new(true)}}})),
		"variable": second(c.Variables.InRepository(repo).Set(t.Context(), pipelines.VariableRequest{Value: secretCanary, Secured: new(true)})),
		"update":   second(c.Variables.InRepository(repo).Update(t.Context(), "..", pipelines.VariableUpdate{Value: new(secretCanary)})),
		"key pair": second(c.SSH.SetKeyPair(t.Context(), repo, pipelines.KeyPair{PrivateKey: secretCanary})),
	} {
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, name)
		assertErrorSilent(t, name, err)
	}
}

// echo repeats everything of the request.
func echo(req *http.Request) string {
	body, _ := io.ReadAll(req.Body)
	_, password, _ := req.BasicAuth()
	return req.Header.Get("Authorization") + " " + password + " " + string(body) + " " + req.URL.RawQuery
}

func echoJSON(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		said := echo(req)
		w.Header().Set("X-Echo", said)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "error", "error": map[string]any{
			"message": said, "detail": said, "id": said, "fields": map[string]any{"value": []string{said}}, "data": map[string]any{"key": said, "more": []any{map[string]any{"x": said}}},
		}})
	}
}

func echoText(status int, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) { serve(status, contentType, echo(req))(w, req) }
}

// tokenServer issues the canary as a token.
func tokenServer(t *testing.T) string {
	return record(t, serveJSON(`{"access_token":"`+secretCanary+`","token_type":"bearer","expires_in":3600}`)).URL + "/token"
}

// assertRequestSilent checks the request of a response that the package returns.
func assertRequestSilent(t *testing.T, resp *http.Response) {
	t.Helper()
	assert.Empty(t, resp.Request.Header.Get("Authorization"))
	texts := map[string]string{}
	resp.Request.Header.Del("Referer") // says no more than the URL does
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		texts["request header by "+verb] = fmt.Sprintf(verb, resp.Request.Header)
		texts["context by "+verb] = fmt.Sprintf(verb, resp.Request.Context())
	}
	assertShowsNot(t, texts, secretCanary, "response")
}

func assertAttemptSilent(t *testing.T, a pipelines.Attempt) {
	t.Helper()
	if a.Err != nil {
		assertErrorSilent(t, "observed", a.Err)
	}
	if a.Response != nil {
		assertRequestSilent(t, a.Response)
	}
}

// failingCalls calls what carries secrets, each in its way, and returns the errors there were.
func failingCalls(t *testing.T, c *pipelines.Client) map[string]error {
	secured := pipelines.VariableRequest{Key: "K", Value: secretCanary, Secured: new(true)}
	run := pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{secured}}
	variables := c.Variables.InRepository(repo)
	var resp *http.Response
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	all := map[string]error{
		"get":       second(c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithResponse(&resp))),
		"run":       second(c.Pipelines.Run(t.Context(), repo, run)),
		"on demand": second(c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: run, YAML: []byte("x")})),
		"list":      second(variables.List(t.Context(), nil).Collect()),
		"create":    second(variables.Create(t.Context(), secured)),
		"update":    second(variables.Update(t.Context(), "{v}", pipelines.VariableUpdate{Value: new(secretCanary)})),
		"set":       second(variables.Set(t.Context(), secured)),
		"key pair":  second(c.SSH.SetKeyPair(t.Context(), repo, pipelines.KeyPair{PrivateKey: secretCanary, PublicKey: "p"})),
		"log":       second(c.Steps.GetLog(t.Context(), repo, "1", "{s}", nil)),
		"do":        c.Do(t.Context(), http.MethodPut, "/x", secured, new(int)),
		"ended":     second(c.Pipelines.Run(ended, repo, run)),
		"wait":      second(c.Pipelines.Wait(ended, repo, "1", nil)),
		"stop":      c.Pipelines.Stop(ended, repo, "1"),
	}
	if resp != nil {
		assertRequestSilent(t, resp)
	}
	maps.DeleteFunc(all, func(_ string, err error) bool { return err == nil })
	return all
}

func TestNoFailingCallShowsASecret(t *testing.T) {
	foreign := record(t, func(w http.ResponseWriter, req *http.Request) { echoJSON(http.StatusForbidden)(w, req) })
	for failure, handle := range map[string]http.HandlerFunc{
		"401 that echoes":           echoJSON(http.StatusUnauthorized),
		"400 that echoes":           echoJSON(http.StatusBadRequest),
		"500 that echoes":           echoJSON(http.StatusInternalServerError),
		"400 that echoes as text":   echoText(http.StatusBadRequest, "text/plain"),
		"502 that echoes as a page": echoText(http.StatusBadGateway, "text/html"),
		"429 that echoes":           echoText(http.StatusTooManyRequests, "text/plain"),
		"200 that echoes as text":   echoText(http.StatusOK, "application/json"),
		"200 of another shape":      func(w http.ResponseWriter, req *http.Request) { serveJSON(fmt.Sprintf(`[%q]`, echo(req)))(w, req) },
		"dropped connection":        drop,
		"redirect to another host": func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, foreign.URL+"/x?sig="+secretCanary, http.StatusFound)
		},
		"redirect without end": func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "/?sig="+secretCanary, http.StatusFound)
		},
		"redirect that is malformed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://["+secretCanary)
			w.WriteHeader(http.StatusFound)
		},
		"redirect to another scheme": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "ftp://me:"+secretCanary+"@x/")
			w.WriteHeader(http.StatusFound)
		},
		"redirect to nowhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://me:"+secretCanary+"@127.0.0.1:1/?"+secretCanary)
			w.WriteHeader(http.StatusFound)
		},
		"401 that echoes in the names": func(w http.ResponseWriter, req *http.Request) {
			serve(401, "application/json", fmt.Sprintf(`{"error":{"message":"m","fields":{%[1]q:["bad"]},"data":{"a":{%[1]q:1}}}}`, echo(req)))(w, req)
		},
		"500 that echoes in the request's ID": func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("X-Request-Id", echo(req))
			serve(500, "text/plain", "")(w, req)
		},
		"malformed response that echoes": func(w http.ResponseWriter, req *http.Request) {
			said := strings.ReplaceAll(echo(req), "\n", " ")
			conn, _, err := http.NewResponseController(w).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nsecret "+said+"\r\n\r\n")
		},
		"next page on another origin": func(w http.ResponseWriter, req *http.Request) {
			serveJSON(fmt.Sprintf(`{"values":[{}],"next":"http://%s@x/"}`, secretCanary))(w, req)
		},
		"next page that is malformed": func(w http.ResponseWriter, req *http.Request) {
			serveJSON(fmt.Sprintf(`{"values":[{}],"next":"http://[%s"}`, secretCanary))(w, req)
		},
	} {
		t.Run(failure, func(t *testing.T) {
			for name, opts := range credentials(t) {
				var logs strings.Builder
				srv := record(t, handle)
				opts = append(opts, pipelines.WithTokenURL(tokenServer(t)), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 2, MinWait: 1, MaxWait: 1, MaxQuotaWait: 1}),
					pipelines.WithLogger(slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))),
					pipelines.WithObserver(func(a pipelines.Attempt) { assertAttemptSilent(t, a) }))
				failing := failingCalls(t, newClient(t, srv.base(), opts...))
				for call, err := range failing {
					assertErrorSilent(t, name+": "+call, err)
				}
				assertShowsNot(t, map[string]string{"log": logs.String()}, secretCanary, name)
				require.NotEmpty(t, logs.String())
				require.GreaterOrEqual(t, len(failing), 2, "failures")
			}
		})
	}
}

func TestNoHalfOfASecretIsLeftWhereATextIsCut(t *testing.T) {
	for length := 470; length < 500; length++ {
		e := apiError(t, 401, http.Header{"Content-Type": {"text/plain"}}, strings.Repeat("x", length)+" Bearer "+secretCanary, pipelines.WithToken(secretCanary))
		require.NotContains(t, e.Error(), secretCanary[:4])
	}
}

// What the user's own code panics with comes out as it is, and nothing of the package's is added.
func TestPanicsOfTheUsersCodeShowNoSecret(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	for name, opt := range map[string]pipelines.Option{
		"transport": pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("mine") })}),
		"observer":  pipelines.WithObserver(func(pipelines.Attempt) { panic("mine") }),
		"limiter":   pipelines.WithLimiter(limiterFunc(func(context.Context) error { panic("mine") })),
	} {
		for with, opts := range credentials(t) {
			c := newClient(t, srv.base(), append(opts, pipelines.WithTokenURL(tokenServer(t)), opt)...)
			if name == "transport" && with == "client credentials" {
				continue // the token is asked for in a goroutine of its own: see below
			}
			require.PanicsWithValue(t, "mine", func() { _ = second(c.Pipelines.Get(t.Context(), repo, "1")) }, "%s with %s", name, with)
		}
	}
}

// crashes are programs that end by a panic whose text, and whose goroutines' stacks, go to standard error.
var crashes = map[string]func(t *testing.T){
	"variable": func(*testing.T) { panic(pipelines.Variable{Key: "K", Value: secretCanary, Secured: true}) },
	"key pair": func(*testing.T) { panic(&pipelines.KeyPair{PrivateKey: secretCanary}) },
	"error": func(t *testing.T) {
		srv := record(t, echoJSON(http.StatusBadRequest))
		_, err := newClient(t, srv.base(), pipelines.WithToken(secretCanary)).Pipelines.Get(t.Context(), repo, "1")
		panic(err)
	},
	"token source": func(t *testing.T) {
		srv := record(t, serveJSON(`{}`))
		source := tokenSource(func() (*oauth2.Token, error) { panic("mine") })
		c := newClient(t, srv.base(), pipelines.WithTokenSource(source))
		_, err := c.Variables.InRepository(repo).Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: secretCanary, Secured: new(true)})
		t.Log(err)
	},
}

func TestACrashShowsNoSecret(t *testing.T) {
	const which = "PIPELINES_TEST_CRASH"
	if crash := crashes[os.Getenv(which)]; crash != nil {
		crash(t)
		return
	}
	for name := range crashes {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), which+"="+name, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		require.Error(t, err, name)
		require.Contains(t, string(out), "panic: ", name)
		assertShowsNot(t, map[string]string{"standard error": string(out)}, secretCanary, name)
	}
}

func TestAProxyWhosePasswordIsMalformedIsNotShown(t *testing.T) {
	hc := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		_, err := url.Parse(strings.Join([]string{"http://me:", secretCanary, "%zz@proxy.example"}, ""))
		return nil, fmt.Errorf("invalid proxy address: %w", err)
	}}}
	_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "proxy")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), secretCanary)
	require.NotErrorAs(t, err, new(*url.Error))
}
