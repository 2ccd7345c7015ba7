package pipelinestest

import (
	"crypto/md5" //nolint:gosec // a picture's URL is no secret
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

// bare returns a UUID without its braces.
func bare(uuid string) string { return strings.Trim(uuid, "{}") }

// escaped returns a UUID with its braces escaped for a path.
func escaped(uuid string) string { return url.PathEscape(uuid) }

// webLink is a link to a page of the service.
func webLink(path string) *pipelines.Link {
	return &pipelines.Link{Href: "https://bitbucket.org" + path}
}

// apiLink is a link to a resource of the API, as the client addresses it.
func (c *call) apiLink(path string) *pipelines.Link { return &pipelines.Link{Href: c.base() + path} }

// pipelineURL is the URL of a pipeline. Like the service's links, it has UUIDs only.
func (c *call) pipelineURL(uuid string) string {
	return c.base() + "/repositories/" + escaped(c.repo.workspace.uuid) + "/" + escaped(c.repo.uuid) + "/pipelines/" + escaped(uuid)
}

// linkedRepository is the repository within other resources, with its links.
func (c *call) linkedRepository(r *Repository) *pipelines.Repository {
	model := r.model()
	name := "/" + r.repo().String()
	model.Links = &pipelines.Links{
		Self: c.apiLink("/repositories" + name), HTML: webLink(name),
		Avatar: &pipelines.Link{Href: "https://bytebucket.org/ravatar/" + escaped(r.uuid) + "?ts=default"},
	}
	return model
}

func (c *call) linkedCommit(commit *pipelines.Commit) *pipelines.Commit {
	linked := *commit
	name := "/" + c.repo.repo().String()
	linked.Type = "commit"
	linked.Links = &pipelines.Links{
		Self: c.apiLink("/repositories" + name + "/commit/" + commit.Hash), HTML: webLink(name + "/commits/" + commit.Hash),
	}
	return &linked
}

// linkedAccount adds links to an account, unless the test has set some.
func (c *call) linkedAccount(a *pipelines.Account) *pipelines.Account {
	if a == nil || a.Links != nil || a.UUID == "" {
		return a
	}
	linked := *a
	linked.Links = &pipelines.Links{
		Self: c.apiLink("/users/" + escaped(a.UUID)), HTML: webLink("/" + escaped(a.UUID) + "/"),
		Avatar: &pipelines.Link{Href: fmt.Sprintf("https://secure.gravatar.com/avatar/%x", md5.Sum([]byte(a.UUID)))}, //nolint:gosec // see above
	}
	return &linked
}

func (c *call) linkedPullRequest(pr *pipelines.PullRequest) *pullRequestJSON {
	if pr == nil {
		return nil
	}
	linked := *pr
	name, id := "/"+c.repo.repo().String(), strconv.Itoa(pr.ID)
	linked.Links = &pipelines.Links{
		Self: c.apiLink("/repositories" + name + "/pullrequests/" + id), HTML: webLink(name + "/pull-requests/" + id),
	}
	return &pullRequestJSON{linked, pr.Draft, pr.Queued}
}
