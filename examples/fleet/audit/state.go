package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// format is the version of the files in a state directory.
const format = 1

// state is what is known of a workspace. It has neither a variable's value nor a private key: what is not kept can't leak. It is a directory
// with a file for the workspace and one for each repository, so that reading one repository rewrites one small file.
type state struct {
	dir string // empty: only in memory

	mu    sync.Mutex
	dirty bool

	Format    int            `json:"format"`
	Workspace string         `json:"workspace"`
	Audit     int            `json:"audit"`     // the number of the latest audit
	Complete  bool           `json:"complete"`  // it has read everything
	Listed    int            `json:"listed"`    // the last audit that has listed the repositories
	Variables part[variable] `json:"variables"` // of the workspace
	Runners   part[runner]   `json:"runners"`   // of the workspace
	Requests  map[int64]int  `json:"requests"`  // of the last hour, by minute
	repos     []*repository
}

// repository is what is known of a repository.
type repository struct {
	mu    sync.Mutex
	dirty bool
	lost  string // why nothing can be read in it now

	UUID    string     `json:"uuid"`
	Name    string     `json:"name"`    // workspace/slug
	Updated time.Time  `json:"updated"` // the service's updated_on
	Gone    *time.Time `json:"gone,omitempty"`
	Newest  int        `json:"newest"` // the highest build number

	Variables    part[variable]             `json:"variables"`
	Environments part[environment]          `json:"environments"`
	Of           map[string]*part[variable] `json:"variables_of_environments"` // by the environment's UUID
	Schedules    part[schedule]             `json:"schedules"`
	Keys         part[key]                  `json:"keys"` // none or one
	Hosts        part[host]                 `json:"known_hosts"`
	Runners      part[runner]               `json:"runners"`

	Listing    reading         `json:"listing"`     // of the runs
	KnownSince time.Time       `json:"known_since"` // all runs from here ...
	KnownUntil time.Time       `json:"known_until"` // ... to here are in Runs
	Runs       map[string]*run `json:"runs"`        // by UUID
}

// reading is when and why something was read.
type reading struct {
	Audit   int       `json:"audit"`             // the last audit that has asked for it
	At      time.Time `json:"at"`                // when it was last read with success; zero: never
	Mark    string    `json:"mark,omitempty"`    // of the repository at that time
	Problem string    `json:"problem,omitempty"` // why it couldn't be read since
}

// part is one list of the service.
type part[T any] struct {
	reading

	Items []T `json:"items"`
}

type (
	variable struct {
		Key     string `json:"key"`
		Secured bool   `json:"secured"`
	}
	environment struct {
		UUID string `json:"uuid"`
		Name string `json:"name"`
		Type string `json:"type"`
	}
	schedule struct {
		Target  string `json:"target"`
		Cron    string `json:"cron"`
		Enabled bool   `json:"enabled"`
	}
	key struct {
		Fingerprint string `json:"fingerprint"`
	}
	host struct {
		Name        string `json:"name"`
		Type        string `json:"type"`
		Fingerprint string `json:"fingerprint"`
	}
	runner struct {
		Name    string    `json:"name"`
		UUID    string    `json:"uuid"`
		Status  string    `json:"status"`
		Changed time.Time `json:"changed"`
		Labels  []string  `json:"labels"`
	}
	run struct {
		Number  int       `json:"number"`
		Created time.Time `json:"created"`
		Branch  string    `json:"branch"`
		State   string    `json:"state"`
		Ended   bool      `json:"ended"`
		Paused  bool      `json:"paused,omitempty"` // waits for a person
		Seconds int       `json:"seconds"`          // build seconds, by the list of runs
		Mark    string    `json:"mark"`             // changes with the run
		Steps   []step    `json:"steps"`
		Read    reading   `json:"read"` // of the steps
	}
	step struct {
		Name    string `json:"name"`
		Seconds int    `json:"seconds"`
	}
)

// mark changes where the repository may have been changed: pushed to, set up differently, or run.
func (r *repository) mark() string {
	if r == nil {
		return "" // the workspace
	}
	return fmt.Sprintf("%s #%d", r.Updated.UTC().Format(time.RFC3339Nano), r.Newest)
}

// repo returns the name for requests.
func (r *repository) repo() pipelines.Repo {
	workspace, slug, _ := strings.Cut(r.Name, "/")
	return pipelines.Repo{Workspace: workspace, Slug: slug}
}

// change changes the repository. It is stored within a second.
func (r *repository) change(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.dirty = true
}

// change changes what concerns the whole workspace.
func (s *state) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.dirty = true
}

// open reads the state of a workspace, or begins one.
func open(dir, workspace string) (*state, error) {
	s := &state{dir: dir, Format: format, Workspace: workspace, Requests: map[int64]int{}}
	if dir == "" {
		return s, nil
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("--state: %s is a file; it has to be a directory", dir)
	}
	if err := os.MkdirAll(s.path("repositories"), 0o700); err != nil {
		return nil, fmt.Errorf("--state: %w", err)
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("--state: %w", err)
	}
	if s.Workspace != workspace {
		return nil, fmt.Errorf("--state: %s is the state of workspace %s: use a directory for each workspace", dir, cli.Clean(s.Workspace))
	}
	return s, s.store() // tells now whether it can be written
}

func (s *state) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

func (s *state) load() error {
	switch err := readJSON(s.path("workspace.json"), s); {
	case errors.Is(err, fs.ErrNotExist):
		s.dirty = true
		return nil
	case err != nil:
		return err
	}
	files, err := os.ReadDir(s.path("repositories"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".json" { // what a killed process has left
			continue
		}
		r := newRepository("")
		if err := readJSON(s.path("repositories", f.Name()), r); err != nil {
			return err
		}
		s.repos = append(s.repos, r)
	}
	s.repos = sorted(s.repos)
	return nil
}

// sorted sorts repositories by name.
func sorted(repos []*repository) []*repository {
	slices.SortFunc(repos, func(a, b *repository) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.UUID, b.UUID))
	})
	return repos
}

func newRepository(uuid string) *repository {
	return &repository{UUID: uuid, Of: map[string]*part[variable]{}, Runs: map[string]*run{}}
}

func readJSON(name string, to any) error {
	text, err := os.ReadFile(name) //nolint:gosec // named by the user
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s is no file of this program: %w", name, err)
	}
	if s, ok := to.(*state); ok && s.Format != format {
		return fmt.Errorf("%s has format %d; this program reads and writes format %d", name, s.Format, format)
	}
	return nil
}

// store writes what has changed.
func (s *state) store() error {
	if s.dir == "" {
		return nil
	}
	for _, r := range s.all() {
		if err := s.storeIf(&r.mu, &r.dirty, r, "repositories", fileName(r)); err != nil {
			return err
		}
	}
	return s.storeIf(&s.mu, &s.dirty, s, "workspace.json")
}

// all returns the repositories, also those that are gone.
func (s *state) all() []*repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.repos)
}

// fileName outlives a change of the repository's name, and is a safe name whatever the service sends.
func fileName(r *repository) string { return url.QueryEscape(strings.Trim(r.UUID, "{}")) + ".json" }

// storeIf writes what is dirty. If that fails, it stays dirty.
func (s *state) storeIf(mu *sync.Mutex, dirty *bool, what any, elements ...string) error {
	mu.Lock()
	defer mu.Unlock()
	if !*dirty {
		return nil
	}
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	err = cli.WriteFile(s.path(elements...), 0o600, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	*dirty = err != nil
	return err
}
