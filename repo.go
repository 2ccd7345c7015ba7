package pipelines

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// Repo names a repository. Each part is a slug, or a UUID with or without braces.
type Repo struct {
	Workspace, Slug string
}

// ParseRepo parses "workspace/slug". Anything else, such as a clone URL, is an [ErrInvalidArgument].
func ParseRepo(s string) (Repo, error) {
	workspace, slug, ok := strings.Cut(s, "/")
	if !ok || redact.Printable(s) != s || strings.ContainsFunc(s, notInRepo) || checkElement(workspace) != nil || checkElement(slug) != nil || strings.Contains(slug, "/") {
		return Repo{}, fmt.Errorf("pipelines: %w", invalidArgument("repository %sis not of the form workspace/slug", quotedRepo(s)))
	}
	return Repo{Workspace: workspace, Slug: slug}, nil
}

// notInRepo reports whether a character, such as one of a URL, is in no slug and no UUID.
func notInRepo(r rune) bool { return r <= ' ' || strings.ContainsRune(`@:?#%\`, r) }

// quotedRepo quotes an invalid repository, unless it may be a clone URL that contains a token.
func quotedRepo(s string) string {
	if strings.ContainsAny(s, "@:%") {
		return ""
	}
	return strconv.Quote(s) + " "
}

// RepoFromEnv returns the repository of the step that the program runs in. Bitbucket Pipelines sets it as BITBUCKET_REPO_FULL_NAME.
// If that is not set, or not of the form workspace/slug, the error is an [ErrInvalidArgument].
func RepoFromEnv() (Repo, error) {
	const name = "BITBUCKET_REPO_FULL_NAME"
	text, ok := os.LookupEnv(name)
	if !ok {
		return Repo{}, fmt.Errorf("pipelines: %w", invalidArgument("%s is not set: the program does not run in a step of Bitbucket Pipelines", name))
	}
	repo, err := ParseRepo(text)
	if err != nil {
		return Repo{}, fmt.Errorf("%w (from %s)", err, name)
	}
	return repo, nil
}

// String returns "workspace/slug", the format that [ParseRepo] parses.
func (r Repo) String() string { return r.Workspace + "/" + r.Slug }

// MarshalText implements [encoding.TextMarshaler] in the format of [Repo.String], so that a Repo may be a key of a map in JSON. The
// zero Repo is an empty text.
func (r Repo) MarshalText() ([]byte, error) {
	if r == (Repo{}) {
		return nil, nil
	}
	return []byte(r.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseRepo]. An empty text becomes the zero Repo. Note that package flag
// prints an invalid value, which may be a clone URL that contains a token.
func (r *Repo) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Repo{}
		return nil
	}
	repo, err := ParseRepo(string(text))
	if err == nil {
		*r = repo
	}
	return err
}

var bareUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// braced puts braces around a bare UUID, as the service requires. It returns anything else unchanged.
func braced(id string) string {
	if len(id) == 36 && bareUUID.MatchString(id) {
		return "{" + id + "}"
	}
	return id
}
