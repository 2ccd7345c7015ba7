package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

// ReadRepos reads repositories, one a line, from a file or, for "-", from Stdin. It ignores empty lines, lines that begin with #, and
// duplicates.
func ReadRepos(name string, stdin io.Reader) ([]string, error) {
	text, err := ReadText(name, stdin)
	if err != nil {
		return nil, err
	}
	var list repoList
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		repo, err := pipelines.ParseRepo(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of the repositories: %w", n, err)
		}
		list.add(repo.String())
	}
	return list.names, nil
}

// repoList holds repositories in order, without duplicates.
type repoList struct {
	names []string
	seen  map[string]bool
}

func (l *repoList) add(name string) {
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	if !l.seen[name] {
		l.seen[name] = true
		l.names = append(l.names, name)
	}
}

var bareUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// ReposPath is the path of the list of a workspace's repositories. The service knows the workspace by a UUID only in braces.
func ReposPath(workspace string) string {
	if bareUUID.MatchString(workspace) {
		workspace = "{" + workspace + "}"
	}
	return "/repositories/" + url.PathEscape(workspace)
}

// ListRepos lists the repositories of a workspace, a hundred a page.
func ListRepos(ctx context.Context, client *pipelines.Client, workspace string) ([]string, error) {
	if workspace == "." || workspace == ".." || workspace == "" {
		return nil, fmt.Errorf("%q is no workspace", workspace)
	}
	var list repoList
	path := ReposPath(workspace) + "?fields=next,size,values.full_name&sort=created_on" // new repositories come last and don't shift pages
	for r, err := range pipelines.List[pipelines.Repository](ctx, client, path).All() {
		if err != nil {
			return nil, fmt.Errorf("listing the repositories of %s: %w", workspace, err)
		}
		repo, err := pipelines.ParseRepo(r.FullName)
		if err != nil {
			return nil, fmt.Errorf("listing the repositories of %s: %w", workspace, err)
		}
		list.add(repo.String())
	}
	return list.names, nil
}
