package pipelinestest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheResponseForAMissingRepositoryIsHTML(t *testing.T) {
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

func TestTheRepositoriesOfAWorkspace(t *testing.T) {
	f := setup(t)
	f.clock.Advance(time.Minute)
	for i := range 11 {
		f.srv.AddRepository("acme", fmt.Sprintf("r%02d", i))
	}
	f.srv.AddRepository("other", "site")
	workspace := f.srv.AddWorkspace("acme").UUID()
	a := f.get("/repositories/acme")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.EqualValues(t, 12, a.At("size"))
	require.Len(t, a.Values("full_name"), 10)
	require.Equal(t, "acme/site", a.Values("full_name")[0], "in the order of creation")
	require.Equal(t, f.srv.URL()+"/repositories/acme?page=2&pagelen=10", a.At("next"))
	require.Equal(t, []any{"r09", "r10"}, f.get(a.At("next").(string)).Values("slug"))

	one := a.At("values.0").(map[string]any)
	require.Equal(t, map[string]any{
		"type": "repository", "uuid": f.repo.UUID(), "name": "site", "slug": "site", "full_name": "acme/site", "scm": "git", "is_private": true,
		"created_on": "2026-03-01T12:00:00Z", "updated_on": "2026-03-01T12:00:00Z", "links": one["links"],
		"mainbranch": map[string]any{"type": "branch", "name": "main"},
		"workspace": map[string]any{"type": "workspace", "uuid": workspace, "slug": "acme", "name": "acme", "links": map[string]any{
			"self": map[string]any{"href": f.srv.URL() + "/workspaces/acme"}, "html": map[string]any{"href": "https://bitbucket.org/acme/"},
			"avatar": map[string]any{"href": "https://bitbucket.org/workspaces/acme/avatar/"},
		}},
	}, one)
	require.Equal(t, f.srv.URL()+site, at(one, "links.self.href"))
	require.Equal(t, "https://bitbucket.org/acme/site", at(one, "links.html.href"))
	require.NotEmpty(t, at(one, "links.avatar.href"))
	require.Equal(t, "https", at(one, "links.clone.0.name"))
	require.Equal(t, "https://bitbucket.org/acme/site.git", at(one, "links.clone.0.href"))
	require.Equal(t, "git@bitbucket.org:acme/site.git", at(one, "links.clone.1.href"))

	require.Equal(t, a.JSON()["size"], f.get("/repositories/"+escape(workspace)+"/").At("size"))
	require.Equal(t, map[string]any{"values": []any{map[string]any{"full_name": "other/site"}}}, f.get("/repositories/other?fields=values.full_name").JSON())
	for sort, want := range map[string]string{"": "site", "created_on": "site", "-created_on": "r10", "full_name": "r00", "-slug": "site", "-name": "site"} {
		require.Equal(t, want, f.get("/repositories/acme?sort=" + sort).Values("slug")[0], sort)
	}
	require.Equal(t, http.StatusBadRequest, f.get("/repositories/acme?sort=moon").StatusCode)
	missing := f.get("/repositories/nobody")
	require.Equal(t, http.StatusNotFound, missing.StatusCode)
	require.Equal(t, "No workspace with identifier 'nobody'.", missing.At("error.message"))
	require.Equal(t, http.StatusMethodNotAllowed, f.send(http.MethodPost, "/repositories/acme", "{}").StatusCode)
}

func TestTheListOfRepositoriesNeedsItsScopeAndCountsAgainstTheQuota(t *testing.T) {
	for scope, status := range map[string]int{"repository": 200, "repository:write": 200, "repository:admin": 403, "pipeline:write": 403} {
		f := setup(t, pipelinestest.WithToken("token", scope))
		require.Equal(t, status, f.get("/repositories/acme").StatusCode, scope)
	}
	f := setup(t, pipelinestest.WithQuota(1))
	require.Equal(t, http.StatusOK, f.get("/repositories/acme").StatusCode)
	require.Equal(t, http.StatusTooManyRequests, f.get("/repositories/acme").StatusCode)
}

func TestTheClientListsTheRepositoriesOfAWorkspace(t *testing.T) {
	f := setup(t)
	var page struct {
		Values []*pipelines.Repository `json:"values"`
	}
	require.NoError(t, f.srv.Client().Do(t.Context(), http.MethodGet, "/repositories/acme?pagelen=100", nil, &page))
	require.Equal(t, "acme/site", page.Values[0].FullName)
	require.Equal(t, "main", page.Values[0].MainBranch.Name)
}
