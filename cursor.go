package pipelines

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
)

// Cursor says what the events of one run have told so far. A program that stores the [Event].Cursor of the last event that it has
// handled, and gives it to [Follower.Add] or [WatchOptions].After later, also in another process, misses no event and gets none
// twice. Its text holds states, UUIDs and lengths of logs, no secret, and can be stored anywhere. The zero Cursor has told nothing.
type Cursor struct{ told *toldRun } // which never changes

// toldRun is what was told about a run.
type toldRun struct {
	Version     int                 `json:"v"`
	Repo        Repo                `json:"repo"`
	UUID        string              `json:"run"`
	BuildNumber int                 `json:"build,omitempty"`
	State       *string             `json:"state,omitempty"`  // nil: no state was told
	Paused      []string            `json:"paused,omitempty"` // UUIDs of the steps that were paused when the run's pause was told
	Steps       map[string]toldStep `json:"steps,omitempty"`  // by UUID
}

// toldStep is what was told about a run of a step.
type toldStep struct {
	RunNumber int    `json:"n,omitempty"`
	State     string `json:"state,omitempty"` // empty: none
	Log       int64  `json:"log,omitempty"`   // bytes
}

const cursorVersion = 1

// IsZero reports whether c has told nothing.
func (c Cursor) IsZero() bool { return c.told == nil }

// Repo returns the repository of the run, or the zero Repo for the zero Cursor.
func (c Cursor) Repo() Repo {
	if c.told == nil {
		return Repo{}
	}
	return c.told.Repo
}

// PipelineUUID returns the UUID of the run. It is empty for the zero Cursor.
func (c Cursor) PipelineUUID() string {
	if c.told == nil {
		return ""
	}
	return c.told.UUID
}

// String returns the text of [Cursor.MarshalText].
func (c Cursor) String() string {
	text, _ := c.MarshalText()
	return string(text)
}

// MarshalText implements [encoding.TextMarshaler]. The text of the zero Cursor is empty.
func (c Cursor) MarshalText() ([]byte, error) {
	if c.told == nil {
		return []byte{}, nil
	}
	return json.Marshal(c.told)
}

// UnmarshalText implements [encoding.TextUnmarshaler]. A text that no Cursor has is an [ErrInvalidArgument].
func (c *Cursor) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = Cursor{}
		return nil
	}
	told := new(toldRun)
	if err := json.Unmarshal(text, told); err != nil {
		return invalidArgument("cursor is not the text of one: %w", err)
	}
	if err := told.check(); err != nil {
		return err
	}
	*c = Cursor{told}
	return nil
}

func (t *toldRun) check() error {
	if t.Version != cursorVersion {
		return invalidArgument("cursor has version %d, which this version of the package can't read", t.Version)
	}
	if t.UUID == "" && t.BuildNumber == 0 {
		return invalidArgument("cursor names no pipeline")
	}
	for _, step := range t.Steps {
		if step.Log < 0 {
			return invalidArgument("cursor has a negative length of a log")
		}
	}
	return nil
}

// checkFor refuses a cursor of another run.
func (c Cursor) checkFor(repo Repo, id string) error {
	if c.told == nil {
		return nil
	}
	if c.told.UUID != "" && strings.EqualFold(c.told.UUID, braced(id)) { // also if the repository was renamed
		return nil
	}
	if strconv.Itoa(c.told.BuildNumber) != id {
		return invalidArgument("cursor belongs to pipeline %s, not to %s", c.told.UUID, id)
	}
	if c.told.Repo != repo {
		return invalidArgument("cursor belongs to a pipeline of %v, not of %v", c.told.Repo, repo)
	}
	return nil
}

// clone returns a copy that may be changed. Of nil it is one that has told nothing.
func (t *toldRun) clone() *toldRun {
	told := toldRun{Version: cursorVersion}
	if t != nil {
		told = *t
		told.Steps = maps.Clone(t.Steps)
	}
	if told.Steps == nil {
		told.Steps = map[string]toldStep{}
	}
	return &told
}

// is reports whether a state was told.
func (t *toldRun) is(state string) bool { return t.State != nil && *t.State == state }

// step returns what was told about this run of a step.
func (t *toldRun) step(step *Step) toldStep {
	told := t.Steps[step.UUID]
	if told.RunNumber != step.RunNumber {
		return toldStep{RunNumber: step.RunNumber}
	}
	return told
}
