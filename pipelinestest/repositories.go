package pipelinestest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

// repositoryRoutes are of the one operation besides those of Pipelines that programs on many repositories begin with.
var repositoryRoutes = []route{
	{http.MethodGet, "/repositories/{workspace}", readRepository, (*call).listRepositories},
}

// listedRepository is a repository as a list shows it.
type listedRepository struct {
	*pipelines.Repository
	Slug      string          `json:"slug"`
	IsPrivate bool            `json:"is_private"`
	Workspace listedWorkspace `json:"workspace"`
}

type listedWorkspace struct {
	Type  string                    `json:"type"`
	UUID  string                    `json:"uuid"`
	Slug  string                    `json:"slug"`
	Name  string                    `json:"name"`
	Links map[string]pipelines.Link `json:"links"`
}

var repositoryOrders = map[string]func(a, b *Repository) int{
	"":           func(_, _ *Repository) int { return 0 }, // they are in the order in which they were made
	"created_on": func(a, b *Repository) int { return a.created.Compare(b.created) },
	"updated_on": func(a, b *Repository) int { return a.created.Compare(b.created) },
	"name":       func(a, b *Repository) int { return cmp.Compare(a.slug, b.slug) },
	"slug":       func(a, b *Repository) int { return cmp.Compare(a.slug, b.slug) },
	"full_name":  func(a, b *Repository) int { return cmp.Compare(a.slug, b.slug) },
}

func (c *call) listRepositories() *reply {
	w, refusal := c.workspace()
	if refusal != nil {
		return refusal
	}
	key, descending := strings.CutPrefix(c.query.Get("sort"), "-")
	compare, ok := repositoryOrders[key]
	if !ok {
		return failure(http.StatusBadRequest, "Invalid sort", "There is no order "+key+".")
	}
	found := slices.DeleteFunc(slices.Clone(c.server.repositories), func(r *Repository) bool { return r.workspace != w })
	slices.SortStableFunc(found, compare)
	if descending {
		slices.Reverse(found)
	}
	return page(c, found, c.listRepository)
}

func (c *call) listRepository(r *Repository) any {
	model := c.linkedRepository(r)
	name := r.Repo().String()
	model.Links.Clone = []pipelines.Link{
		{Name: "https", Href: "https://bitbucket.org/" + name + ".git"}, {Name: "ssh", Href: "git@bitbucket.org:" + name + ".git"},
	}
	model.SCM, model.MainBranch = "git", &pipelines.Ref{Type: "branch", Name: "main"}
	model.CreatedOn, model.UpdatedOn = r.created, r.created
	w := r.workspace
	return listedRepository{model, r.slug, true, listedWorkspace{
		Type: "workspace", UUID: w.uuid, Slug: w.slug, Name: w.slug, Links: map[string]pipelines.Link{
			"self": *c.api("/workspaces/" + w.slug), "html": *web("/" + w.slug + "/"), "avatar": *web("/workspaces/" + w.slug + "/avatar/"),
		},
	}}
}
