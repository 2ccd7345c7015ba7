package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

// readRepos reads repositories, one a line, from a file or, for "-", from Stdin. Empty lines and those that begin with # don't count,
// nor does one that was there before.
func readRepos(name string, stdin io.Reader) ([]string, error) {
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // the user's own file
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // it was only read
		stdin = f
	}
	var list repoList
	lines := bufio.NewScanner(stdin)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		repo, err := pipelines.ParseRepo(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of the repositories: %w", n, err)
		}
		list.add(repo.String())
	}
	return list.names, lines.Err()
}

// repoList is repositories in order, each once.
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

// listRepos asks the service for the repositories of a workspace, a hundred at a time.
func listRepos(ctx context.Context, client *pipelines.Client, workspace string) ([]string, error) {
	if workspace == "." || workspace == ".." || workspace == "" {
		return nil, fmt.Errorf("%q is no workspace", workspace)
	}
	var list repoList
	path := "/repositories/" + url.PathEscape(workspace) + "?fields=next,size,values.full_name&sort=created_on" // new ones come last and shift no page
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
