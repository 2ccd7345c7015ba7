package pipelinestest

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // commit hashes are SHA-1
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// Repository is a repository of a [Server]. A test adds resources to it and reads them. It is safe for concurrent use.
type Repository struct {
	variableSet
	runnerSet

	server    *Server
	workspace *Workspace
	slug      string
	uuid      string
	created   time.Time

	branches, tags map[string]string // commit by name
	scripts        map[selector]Script
	runs           []*run // in the order of their addition
	latest         int    // highest build number
	next           int    // build number of the next run; 0: latest+1
	enabled        *bool  // nil: never enabled

	environments collection[*Environment]
	deployments  collection[*deployment] // added by the test, not made by runs
	schedules    collection[*schedule]
	caches       collection[*cache]
	knownHosts   collection[*knownHost]
	keyPair      *pipelines.KeyPair // nil: none
}

// AddRepository adds a repository with the branch main, in which Pipelines is enabled, and its workspace. If the repository exists, it is
// returned unchanged.
func (s *Server) AddRepository(workspace, slug string) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.findRepository(workspace, slug); r != nil {
		return r
	}
	enabled := true
	r := &Repository{
		variableSet: variableSet{server: s}, runnerSet: runnerSet{server: s},
		server: s, workspace: s.addWorkspace(workspace), slug: slug, uuid: s.newUUID(), created: s.now(), enabled: &enabled,
		branches: map[string]string{"main": commitHash("main")}, tags: map[string]string{}, scripts: map[selector]Script{},
	}
	s.repositories = append(s.repositories, r)
	return r
}

// findRepository finds a repository. Both workspace and slug may be a slug or a UUID.
func (s *Server) findRepository(workspace, slug string) *Repository {
	for _, r := range s.repositories {
		if r.workspace.hasName(workspace) && (slug == r.slug || slug == r.uuid) {
			return r
		}
	}
	return nil
}

// goneName is a slug or a UUID that a repository no longer has.
type goneName struct {
	workspace *Workspace
	name      string
}

func (s *Server) isGone(workspace, name string) bool {
	return slices.ContainsFunc(s.gone, func(g goneName) bool { return g.workspace.hasName(workspace) && g.name == name })
}

// Delete deletes the repository, as a person would in the browser. Responses to requests below its slug or UUID are then an
// [pipelines.ErrRepositoryNotFound]; links to the storage that were served before stay valid. The methods of the Repository still change
// and return what it had. [Server.AddRepository] adds another repository of that name, with a UUID of its own. Delete panics if the
// repository has been deleted.
func (r *Repository) Delete() {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mustExist()
	s.repositories = slices.DeleteFunc(s.repositories, func(other *Repository) bool { return other == r })
	s.gone = append(s.gone, goneName{r.workspace, r.slug}, goneName{r.workspace, r.uuid})
}

// Rename changes the repository's slug, as a person would in the browser. Everything in it stays, and runs continue. Its UUID and the new
// slug name it from now on; responses to requests below the old slug are an [pipelines.ErrRepositoryNotFound]. Rename panics if the slug is
// empty or taken in the workspace, or if the repository has been deleted.
func (r *Repository) Rename(slug string) {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mustExist()
	if other := s.findRepository(r.workspace.slug, slug); slug == "" || other != nil && other != r {
		panic(fmt.Sprintf("pipelinestest: %s can't be renamed to %q, which is empty or taken", r.repo(), slug))
	}
	s.gone = append(s.gone, goneName{r.workspace, r.slug})
	r.slug = slug
}

// mustExist panics if the repository has been deleted.
func (r *Repository) mustExist() {
	if !slices.Contains(r.server.repositories, r) {
		panic(fmt.Sprintf("pipelinestest: %s has been deleted", r.repo()))
	}
}

// commitHash makes up the commit hash of a branch or tag.
func commitHash(name string) string {
	return fmt.Sprintf("%x", sha1.Sum([]byte(name))) //nolint:gosec // as in Git
}

// Repo returns the repository's name, as the client's methods take it.
func (r *Repository) Repo() pipelines.Repo {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.repo()
}

// repo is [Repository.Repo] with the server's lock held.
func (r *Repository) repo() pipelines.Repo {
	return pipelines.Repo{Workspace: r.workspace.slug, Slug: r.slug}
}

// model is the repository within other resources.
func (r *Repository) model() *pipelines.Repository {
	return &pipelines.Repository{Type: "repository", UUID: r.uuid, Name: r.slug, FullName: r.repo().String()}
}

// UUID returns the repository's UUID, in braces.
func (r *Repository) UUID() string { return r.uuid }

// AddBranch adds a branch, or moves it to another commit.
func (r *Repository) AddBranch(name, hash string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.branches[name] = hash
}

// AddTag adds a tag, or moves it to another commit.
func (r *Repository) AddTag(name, hash string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.tags[name] = hash
}

// repositoryRoutes are not part of Pipelines. Programs that work on many repositories list them first.
var repositoryRoutes = []route{
	{http.MethodGet, "/repositories/{workspace}", readRepository, (*call).listRepositories},
}

// repositoryJSON is the JSON of a repository in a list.
type repositoryJSON struct {
	*pipelines.Repository
	Slug      string        `json:"slug"`
	IsPrivate bool          `json:"is_private"`
	Workspace workspaceJSON `json:"workspace"`
}

type workspaceJSON struct {
	Type  string                    `json:"type"`
	UUID  string                    `json:"uuid"`
	Slug  string                    `json:"slug"`
	Name  string                    `json:"name"`
	Links map[string]pipelines.Link `json:"links"`
}

var repositoryOrders = map[string]func(a, b *Repository) int{
	"":           func(_, _ *Repository) int { return 0 }, // the order in which they were created
	"created_on": func(a, b *Repository) int { return a.created.Compare(b.created) },
	"updated_on": func(a, b *Repository) int { return a.created.Compare(b.created) },
	"name":       func(a, b *Repository) int { return cmp.Compare(a.slug, b.slug) },
	"slug":       func(a, b *Repository) int { return cmp.Compare(a.slug, b.slug) },
	"full_name":  func(a, b *Repository) int { return cmp.Compare(a.slug, b.slug) },
}

func (c *call) listRepositories() *response {
	w, errResp := c.workspace()
	if errResp != nil {
		return errResp
	}
	key, descending := strings.CutPrefix(c.query.Get("sort"), "-")
	compare, ok := repositoryOrders[key]
	if !ok {
		return errorResponse(http.StatusBadRequest, "Invalid sort", "Unknown sort order "+key+".")
	}
	found := slices.DeleteFunc(slices.Clone(c.server.repositories), func(r *Repository) bool { return r.workspace != w })
	slices.SortStableFunc(found, compare)
	if descending {
		slices.Reverse(found)
	}
	return page(c, found, c.encodeRepository)
}

func (c *call) encodeRepository(r *Repository) any {
	model := c.linkedRepository(r)
	name := r.repo().String()
	model.Links.Clone = []pipelines.Link{
		{Name: "https", Href: "https://bitbucket.org/" + name + ".git"}, {Name: "ssh", Href: "git@bitbucket.org:" + name + ".git"},
	}
	model.SCM, model.MainBranch = "git", &pipelines.Ref{Type: "branch", Name: "main"}
	model.CreatedOn, model.UpdatedOn = r.created, r.created
	w := r.workspace
	return repositoryJSON{model, r.slug, true, workspaceJSON{
		Type: "workspace", UUID: w.uuid, Slug: w.slug, Name: w.slug, Links: map[string]pipelines.Link{
			"self": *c.apiLink("/workspaces/" + w.slug), "html": *webLink("/" + w.slug + "/"), "avatar": *webLink("/workspaces/" + w.slug + "/avatar/"),
		},
	}}
}
