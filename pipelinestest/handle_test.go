package pipelinestest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// echo responds with what it received.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Own", "yes")
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"path":%q,"escaped":%q,"slug":%q,"query":%q,"body":%q}`,
		r.URL.Path, r.URL.EscapedPath(), r.PathValue("repo_slug"), r.URL.RawQuery, body)
}

const pullRequests = "/repositories/{workspace}/{repo_slug}/pullrequests"

func TestATestAddsEndpoints(t *testing.T) {
	f := setup(t)
	f.srv.Handle("POST "+pullRequests, http.HandlerFunc(echo))
	f.srv.Handle("/2.0/user", http.HandlerFunc(echo))
	for path, own := range map[string]string{
		"/repositories/acme/site/pullrequests":                    "site",
		"/repositories/acme/site/pullrequests/":                   "site",
		"/repositories/acme/site/pullrequests?a=b":                "site",
		"/repositories/elsewhere/other/pullrequests":              "other",
		"/repositories/acme/a%2Fb/pullrequests":                   "a/b",
		"/repositories/acme/" + escape(service) + "/pullrequests": service,
	} {
		a := f.send(http.MethodPost, path, `{"title":"x"}`)
		require.Equal(t, http.StatusAccepted, a.StatusCode, path+" "+a.text)
		require.Equal(t, own, a.At("slug"), path)
		require.Equal(t, `{"title":"x"}`, a.At("body"))
		require.True(t, strings.HasPrefix(a.At("path").(string), "/repositories/"), "the path has no prefix")
		require.Equal(t, "yes", a.Header.Get("X-Own"))
		require.NotEmpty(t, a.Header.Get("X-Request-Id"))
		require.Equal(t, "access_token", a.Header.Get("X-Credential-Type"))
	}
	bare := strings.TrimSuffix(f.srv.URL(), "/2.0")
	require.Equal(t, http.StatusNotFound, f.get(bare+"/2.0user").StatusCode, "another element")
	require.Equal(t, "/user", f.get(bare+"/user").At("path"))
	require.Equal(t, "/user", f.send(http.MethodDelete, "/user", "").At("path"))
	require.Equal(t, http.StatusAccepted, f.send(http.MethodHead, "/user", "").StatusCode)

	require.Equal(t, http.StatusMethodNotAllowed, f.get("/repositories/acme/site/pullrequests").StatusCode)
	for _, path := range []string{"/users", "/repositories/acme//site/pullrequests", "/repositories/acme/site/../site/pullrequests", "/"} {
		a := f.get(path)
		require.Equal(t, http.StatusNotFound, a.StatusCode, path)
		require.Equal(t, "There is no API hosted at this URL", a.At("error.detail"))
	}
}

func TestAnAddedEndpointIsTreatedLikeTheServersOwn(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("token", "pipeline"), pipelinestest.WithQuota(4))
	f.srv.Handle("POST "+pullRequests, http.HandlerFunc(echo))
	f.srv.Handle("GET /user", http.HandlerFunc(echo))
	path := site + "/pullrequests"
	require.Equal(t, http.StatusUnauthorized, f.send(http.MethodPost, path, "", "Authorization", "Bearer other").StatusCode)
	require.Equal(t, http.StatusUnauthorized, f.get("/user", "Authorization", "").StatusCode)
	require.Equal(t, http.StatusBadRequest, f.send(http.MethodPost, path, "", "Content-Type", "application/json").StatusCode)
	require.Equal(t, http.StatusAccepted, f.send(http.MethodPost, path, "{}", "Content-Type", "application/json").StatusCode, "no scope is required")
	require.Len(t, f.srv.RequestsTo(http.MethodPost, pullRequests), 3, "recorded")
	require.Equal(t, []byte("{}"), f.srv.RequestsTo(http.MethodPost, path)[2].Body)
	require.Equal(t, 202, f.srv.RequestsTo(http.MethodPost, path)[2].Status)

	f.srv.Inject(pipelinestest.Fault{Path: pullRequests, Times: 1, Status: 503})
	require.Equal(t, 503, f.send(http.MethodPost, path, "").StatusCode)
	f.srv.Inject(pipelinestest.Fault{Path: pullRequests, Times: 1, Cut: true, After: 5})
	resp, err := f.do(t.Context(), http.MethodPost, path, "")
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, text, 5)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusAccepted, f.send(http.MethodPost, path, "").StatusCode)
	require.Equal(t, "true", f.send(http.MethodPost, path, "").Header.Get("X-RateLimit-NearLimit"))
	require.Equal(t, http.StatusTooManyRequests, f.send(http.MethodPost, path, "").StatusCode, "counts against the quota")
	require.Equal(t, http.StatusAccepted, f.get("/user").StatusCode, "only repositories count against the quota")
}

func TestAnAddedEndpointTakesPrecedence(t *testing.T) {
	f := setup(t)
	f.srv.Handle("GET /repositories/{workspace}/{repo_slug}/pipelines/{id}", http.HandlerFunc(echo))
	f.srv.Handle("/", http.HandlerFunc(echo))
	f.srv.Handle("/repositories/{rest...}", http.HandlerFunc(echo))
	f.started()
	require.Equal(t, http.StatusAccepted, f.get(site+"/pipelines/1").StatusCode)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode, "a subtree pattern serves what the server doesn't")
	require.Equal(t, http.StatusAccepted, f.get(site+"/pullrequests").StatusCode)
	require.Equal(t, http.StatusAccepted, f.get("/user/emails").StatusCode)
	require.Equal(t, http.StatusAccepted, f.get("/").StatusCode)
	require.Equal(t, http.StatusAccepted, f.get("").StatusCode, "the base URL itself")
}

func TestAnAddedEndpointMayUseTheServer(t *testing.T) {
	f := setup(t)
	f.srv.Handle("POST /rotate", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.repo.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "new"})
		f.srv.Handle("GET /late", http.HandlerFunc(echo))
		fmt.Fprint(w, len(f.srv.Requests()))
	}))
	a := f.send(http.MethodPost, "/rotate", "")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, "1", a.text)
	require.Equal(t, "new", f.repo.Variables()[0].Value)
	require.Equal(t, http.StatusAccepted, f.get("/late").StatusCode)
}

func TestTheClientReachesAnAddedEndpointInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		srv.Handle("GET /user", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Hour)
			fmt.Fprint(w, `{"display_name":"Ada"}`)
		}))
		var user struct {
			DisplayName string `json:"display_name"`
		}
		client := srv.Client(pipelines.WithStallTimeout(2 * time.Hour))
		require.NoError(t, client.Do(t.Context(), http.MethodGet, "/user", nil, &user))
		require.Equal(t, "Ada", user.DisplayName)
	})
}

func TestAHandlerThatAbortsLosesTheConnection(t *testing.T) {
	f := setup(t)
	f.srv.Handle("/gone", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	_, err := f.do(t.Context(), http.MethodPost, "/gone", "")
	require.Error(t, err)
}

func TestAPatternThatMatchesNoRequestPanics(t *testing.T) {
	f := setup(t)
	f.srv.Handle("GET /user", http.HandlerFunc(echo))
	for _, pattern := range []string{"", "user", "GET user", "api.bitbucket.org/user", "get /user", "GET /user", "GET /2.0/user", "/{", "GET  "} {
		require.Panics(t, func() { f.srv.Handle(pattern, http.HandlerFunc(echo)) }, pattern)
	}
	require.Panics(t, func() { f.srv.Handle("/nil", nil) })
}
