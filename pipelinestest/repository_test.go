package pipelinestest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheResponseForARepositoryThatNeverExistedIsHTML(t *testing.T) {
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

func TestADeletedRepositoryIsMissing(t *testing.T) {
	f := setup(t)
	params := f.everything()
	link := f.get(fill(site+"/pipelines/{pipeline_uuid}/steps/{step_uuid}/log", params)).Header.Get("Location")
	f.repo.Delete()
	below := 0
	for _, o := range operations(t) {
		if !strings.HasPrefix(o.template, "/repositories/") {
			continue
		}
		below++
		for _, slug := range []string{"site", f.repo.UUID()} {
			params["repo_slug"] = slug
			a := f.send(o.method, fill(o.template, params), bodies[o.id])
			require.Equal(t, http.StatusNotFound, a.StatusCode, o.id)
			require.Contains(t, a.At("error.message"), "no longer exists", o.id)
		}
	}
	require.Equal(t, 53, below)
	require.Empty(t, f.get("/repositories/acme").Values("slug"))
	require.Equal(t, http.StatusOK, f.get(link, "Authorization", "").StatusCode, "a link of the storage is valid until it expires")
	_, err := f.srv.Client().Pipelines.Get(t.Context(), f.repo.Repo(), "1")
	require.ErrorIs(t, err, pipelines.ErrRepositoryNotFound)

	require.NotEmpty(t, f.repo.Pipelines(), "a test may still inspect it")
	require.PanicsWithValue(t, "pipelinestest: acme/site has been deleted", f.repo.Delete)
	require.Panics(t, func() { f.repo.Rename("other") })
	another := f.srv.AddRepository("acme", "site")
	require.NotEqual(t, f.repo.UUID(), another.UUID())
	require.Empty(t, f.get(site+"/pipelines").Values("uuid"))
}

func TestARenamedRepositoryHasItsNewSlug(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Minute}}})
	f.repo.AddVariable(pipelines.Variable{Key: "TOKEN"})
	run := f.run(mainBranch).At("uuid").(string)
	f.srv.AddRepository("acme", "taken")
	f.srv.AddRepository("elsewhere", "web")
	f.repo.Rename("web")

	require.Equal(t, pipelines.Repo{Workspace: "acme", Slug: "web"}, f.repo.Repo())
	old := f.get(site + "/pipelines")
	require.Equal(t, http.StatusNotFound, old.StatusCode)
	require.Contains(t, old.At("error.message"), "no longer exists")
	for _, slug := range []string{"web", escape(f.repo.UUID())} {
		path := "/repositories/acme/" + slug
		require.Equal(t, "IN_PROGRESS RUNNING", f.state(path+"/pipelines/"+escape(run)))
		require.Equal(t, []any{"TOKEN"}, f.get(path+"/pipelines_config/variables").Values("key"))
	}
	a := f.get("/repositories/acme/web/pipelines/1")
	require.Equal(t, "acme/web", a.At("repository.full_name"))
	require.Equal(t, f.srv.URL()+"/repositories/acme/web", a.At("repository.links.self.href"))
	require.Equal(t, []any{"web", "taken"}, f.get("/repositories/acme").Values("slug"))
	f.clock.Advance(time.Minute)
	require.Equal(t, "COMPLETED SUCCESSFUL", f.state("/repositories/acme/web/pipelines/1"))

	require.Panics(t, func() { f.repo.Rename("") })
	require.PanicsWithValue(t, `pipelinestest: acme/web can't be renamed to "taken", which is empty or taken`, func() { f.repo.Rename("taken") })
	require.NotPanics(t, func() { f.repo.Rename("web") })
	require.NotEqual(t, f.repo.UUID(), f.srv.AddRepository("acme", "site").UUID(), "the old slug is free")
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode)
}

func TestARepositoryMayBeRenamedDuringRequests(t *testing.T) {
	f := setup(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { f.repo.Rename(fmt.Sprint("site-", i)) })
		wg.Go(func() { assert.NotEmpty(t, f.repo.Repo().Slug) })
		wg.Go(func() {
			resp, err := f.do(t.Context(), http.MethodGet, "/repositories/acme", "")
			if assert.NoError(t, err) {
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
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
