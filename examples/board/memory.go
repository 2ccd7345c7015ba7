package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// settling is how long a run is remembered by itself. A list may show a new run later than one that was started after it, but not that late.
const settling = time.Hour

// memory is what the board remembers of a repository: which runs are no news, and what was told of the others.
type memory struct {
	Settled int              `json:"settled"` // no run up to this build number is news
	Runs    map[string]*told `json:"runs"`    // by UUID: newer ones, and those whose end wasn't told
}

// told is what was told of a run.
type told struct {
	BuildNumber int              `json:"build"`
	CreatedOn   time.Time        `json:"created"`
	Ended       bool             `json:"ended,omitempty"` // its end was told
	Cursor      pipelines.Cursor `json:"cursor,omitzero"`
}

// newMemory begins with a list of the newest runs. Those that have ended, and those that aren't on the list, are no news.
func newMemory(runs []*pipelines.Pipeline) *memory {
	m := &memory{Runs: map[string]*told{}}
	for i, p := range runs {
		m.add(p).Ended = p.State.Done()
		if i == 0 || p.BuildNumber <= m.Settled {
			m.Settled = p.BuildNumber - 1
		}
	}
	return m
}

func (m *memory) add(p *pipelines.Pipeline) *told {
	t := &told{BuildNumber: p.BuildNumber, CreatedOn: p.CreatedOn}
	m.Runs[p.UUID] = t
	return t
}

// isNews reports whether nothing is remembered of a run.
func (m *memory) isNews(p *pipelines.Pipeline) bool {
	return p.BuildNumber > m.Settled && m.Runs[p.UUID] == nil
}

// settle forgets what needn't be remembered by itself, once a list has shown all runs that are news.
func (m *memory) settle(now time.Time) {
	for uuid, t := range m.Runs {
		if now.Sub(t.CreatedOn) < settling {
			continue
		}
		m.Settled = max(m.Settled, t.BuildNumber)
		if t.Ended {
			delete(m.Runs, uuid)
		}
	}
}

// memories are those of all repositories, in a file unless its name is empty.
type memories struct {
	file   string
	lock   io.Closer // of the file
	all    map[pipelines.Repo]*memory
	stored []byte
}

// remember reads the file, and keeps other boards from it until it is closed. If there is none yet, nothing is remembered.
func remember(file string) (m *memories, err error) {
	m = &memories{file: file, all: map[pipelines.Repo]*memory{}}
	if file == "" {
		return m, nil
	}
	m.lock, err = cli.Lock(file + ".lock")
	switch {
	case errors.Is(err, cli.ErrInUse):
		return nil, fmt.Errorf("--state: %s: %w", file, err)
	case err != nil:
		return nil, cannotStore(err)
	}
	if err = m.read(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// close lets other boards use the file.
func (m *memories) close() {
	if m.lock != nil {
		_ = m.lock.Close()
	}
}

func (m *memories) read() error {
	text, err := cli.ReadText(m.file, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return m.store() // tells now whether it can be written
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &m.all); err != nil || m.all == nil {
		return fmt.Errorf("--state: %s is not a file of this program", m.file)
	}
	for repo, memory := range m.all {
		if memory == nil || memory.Runs == nil || slices.Contains(slices.Collect(maps.Values(memory.Runs)), nil) {
			return fmt.Errorf("--state: %s is not a file of this program: nothing of %s", m.file, repo)
		}
	}
	return nil
}

func cannotStore(err error) error { return fmt.Errorf("what was told can't be stored: %w", err) }

// store writes the file if it would change.
func (m *memories) store() error {
	if m.file == "" {
		return nil
	}
	text, err := json.Marshal(m.all)
	if err != nil || bytes.Equal(text, m.stored) {
		return err
	}
	err = cli.WriteFile(m.file, 0o600, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return cannotStore(err)
	}
	m.stored = text
	return nil
}
