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
	kept

	dir  string    // empty: only in memory
	lock io.Closer // of the directory

	Format    int            `json:"format"`
	Workspace string         `json:"workspace"`
	Audit     int            `json:"audit"`     // the number of the latest audit
	Complete  bool           `json:"complete"`  // it has read everything
	Listed    int            `json:"listed"`    // the last audit that has listed the repositories
	Count     int            `json:"count"`     // of the repositories, each of which has a file
	Variables part[variable] `json:"variables"` // of the workspace
	Runners   part[runner]   `json:"runners"`   // of the workspace
	Requests  map[int64]int  `json:"requests"`  // of the last hour, by minute
	repos     []*repository
}

// kept is what has a file of its own.
type kept struct {
	mu    sync.Mutex
	dirty bool // to be stored
}

// change changes what is kept. It is stored within a second.
func (k *kept) change(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	k.dirty = true
}

// repository is what is known of a repository.
type repository struct {
	kept

	lost string // why nothing can be read in it now

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

// open reads the state of a workspace, or begins one. Until it is closed, no other audit can open it.
func open(dir, workspace string) (*state, error) {
	s := &state{dir: dir}
	if dir == "" {
		s.begin(workspace)
		return s, nil
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("--state: %s is a file; it has to be a directory", dir)
	}
	err := s.load(workspace)
	if err == nil {
		err = s.store() // tells now whether it can be written
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("--state: %w", err)
	}
	return s, nil
}

func (s *state) begin(workspace string) {
	s.Format, s.Workspace, s.Requests, s.dirty = format, workspace, map[int64]int{}, true
}

// close lets other audits open the state.
func (s *state) close() {
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

func (s *state) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

func (s *state) load(workspace string) (err error) {
	if err := os.MkdirAll(s.path("repositories"), 0o700); err != nil {
		return err
	}
	if s.lock, err = cli.Lock(s.path("lock")); err != nil {
		return fmt.Errorf("%s: %w", s.dir, err)
	}
	name := s.path("workspace.json")
	switch err := readJSON(name, s, func() bool { return s.Format != 0 && s.Requests != nil }, "name another directory"); {
	case errors.Is(err, fs.ErrNotExist):
		s.begin(workspace)
		return nil
	case err != nil:
		return err
	case s.Format != format:
		return fmt.Errorf("%s has format %d; this program reads and writes format %d", name, s.Format, format)
	case s.Workspace != workspace && s.Listed == 0 && s.Count == 0: // nothing was read: its name may have been misspelt
		s.Workspace, s.dirty = workspace, true
		return nil
	case s.Workspace != workspace:
		return fmt.Errorf("%s is the state of workspace %s: use a directory for each workspace", s.dir, cli.Clean(s.Workspace))
	}
	if err := s.loadRepositories(); err != nil {
		return err
	}
	if len(s.repos) != s.Count && s.Listed == s.Audit { // a file was removed: the repository has to be found again
		s.Listed--
	}
	return nil
}

func (s *state) loadRepositories() error {
	files, err := os.ReadDir(s.path("repositories"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".json" { // what a killed process has left
			continue
		}
		r := newRepository("")
		if err := readJSON(s.path("repositories", f.Name()), r, r.isWhole, "if it may be lost, remove it, and its repository is read anew"); err != nil {
			return err
		}
		if f.Name() == fileName(r) { // else somebody's copy
			s.repos = append(s.repos, r)
		}
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

// isWhole reports whether a file had what this program writes.
func (r *repository) isWhole() bool {
	whole := r.UUID != "" && r.Of != nil && r.Runs != nil
	for _, p := range r.Of {
		whole = whole && p != nil
	}
	for _, run := range r.Runs {
		whole = whole && run != nil
	}
	return whole
}

// readJSON reads a file. Where it isn't whole, the error says what can be done, and nothing of the file.
func readJSON(name string, to any, isWhole func() bool, advice string) error {
	text, err := os.ReadFile(name) //nolint:gosec // named by the user
	if err != nil {
		return err
	}
	if json.Unmarshal(text, to) != nil || !isWhole() {
		return fmt.Errorf("%s is damaged, or no file of this program: %s", name, advice)
	}
	return nil
}

// store writes what has changed. If that fails, the next call writes it.
func (s *state) store() error {
	if s.dir == "" {
		return nil
	}
	workspace, err := s.changed(s) // first, but written last: if the program is killed meanwhile, it doesn't tell of more than there is
	for _, r := range s.all() {
		if err != nil {
			break
		}
		var text []byte
		if text, err = r.changed(r); err == nil {
			err = s.write(&r.kept, text, "repositories", fileName(r))
		}
	}
	if err != nil {
		s.change(func() {})
		return err
	}
	return s.write(&s.kept, workspace, "workspace.json")
}

// all returns the repositories, also those that are gone.
func (s *state) all() []*repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.repos)
}

// fileName outlives a change of the repository's name, and is a safe name whatever the service sends.
func fileName(r *repository) string { return url.QueryEscape(strings.Trim(r.UUID, "{}")) + ".json" }

// changed returns the text of a file, or nothing if it hasn't changed since the last call.
func (k *kept) changed(what any) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.dirty {
		return nil, nil
	}
	k.dirty = false
	return json.Marshal(what)
}

func (s *state) write(k *kept, text []byte, elements ...string) error {
	if text == nil {
		return nil
	}
	err := cli.WriteFile(s.path(elements...), 0o600, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		k.change(func() {})
	}
	return err
}
