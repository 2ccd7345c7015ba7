package pipelines_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// someCursor is the cursor of an event in the middle of a run.
func someCursor(t *testing.T, c *pipelines.Client, id string) (cursor pipelines.Cursor) {
	t.Helper()
	for e, err := range c.Pipelines.Watch(t.Context(), repo, id, nil) {
		require.NoError(t, err)
		if cursor = e.Cursor; e.Kind == pipelines.EventLog {
			break
		}
	}
	return cursor
}

func TestACursorIsAText(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		id := startAt(t, c, r, fourSteps())
		cursor := someCursor(t, c, id)
		require.False(t, cursor.IsZero())
		require.Equal(t, repo, cursor.Repo())
		require.Equal(t, id, cursor.PipelineUUID())
		require.Zero(t, pipelines.Cursor{}.Repo())
		require.Empty(t, pipelines.Cursor{}.PipelineUUID())
		stored, err := json.Marshal(map[string]pipelines.Cursor{"run": cursor, "none": {}})
		require.NoError(t, err)
		var read map[string]pipelines.Cursor
		require.NoError(t, json.Unmarshal(stored, &read))
		require.Equal(t, cursor, read["run"])
		require.True(t, read["none"].IsZero())
		require.Less(t, len(cursor.String()), 1000)
		require.NotContains(t, cursor.String(), "\n")
	})
}

func TestACursorIsNotChangedByLaterEvents(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		texts := map[string]bool{}
		var cursors []pipelines.Cursor
		var then []string
		for e, err := range c.Pipelines.Watch(t.Context(), repo, startAt(t, c, r, fourSteps()), nil) {
			require.NoError(t, err)
			cursors, then = append(cursors, e.Cursor), append(then, e.Cursor.String())
			texts[e.Cursor.String()] = true
		}
		for i, cursor := range cursors {
			require.Equal(t, then[i], cursor.String())
		}
		require.Len(t, texts, len(cursors), "each tells more")
	})
}

func TestATextThatNoCursorHasIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":            "yesterday",
		"cut off":            `{"v":1,"repo":"acme/site","run":"{1}","st`,
		"an array":           `[]`,
		"a later version":    `{"v":2,"repo":"acme/site","run":"{1}"}`,
		"no version":         `{"repo":"acme/site","run":"{1}"}`,
		"no run":             `{"v":1,"repo":"acme/site"}`,
		"no repository":      `{"v":1,"repo":"acme","run":"{1}"}`,
		"a negative length":  `{"v":1,"repo":"acme/site","run":"{1}","steps":{"{2}":{"log":-1}}}`,
		"a length too large": `{"v":1,"repo":"acme/site","run":"{1}","steps":{"{2}":{"log":9223372036854775808}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var cursor pipelines.Cursor
			require.ErrorIs(t, cursor.UnmarshalText([]byte(text)), pipelines.ErrInvalidArgument)
			require.True(t, cursor.IsZero())
		})
	}
}

func TestACursorOfAnotherRunIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		id, other := startAt(t, c, r, fourSteps()), startAt(t, c, r, fourSteps())
		shop := srv.AddRepository("acme", "shop")
		cursor := someCursor(t, c, id)
		srv.ClearRequests()
		f := newFollower(t, c, nil)
		for _, e := range []error{
			f.Add(repo, other, cursor), f.Add(repo, "2", cursor), f.Add(shop.Repo(), "1", cursor),
		} {
			require.ErrorIs(t, e, pipelines.ErrInvalidArgument)
		}
		for e, err := range c.Pipelines.Watch(t.Context(), repo, other, &pipelines.WatchOptions{After: cursor}) {
			require.Nil(t, e)
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		}
		require.Empty(t, srv.Requests())
		require.NoError(t, f.Add(repo, "1", cursor))
		require.NoError(t, f.Add(repo, strings.Trim(id, "{}"), cursor))
	})
}

func TestACursorGoesOnInARepositoryThatWasRenamed(t *testing.T) {
	bubble(t, func(t *testing.T, _ *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		id := startAt(t, c, r, fourSteps())
		told, f := newChronicle(), newFollower(t, c, nil)
		following(t, f, repo, id)
		var cursor pipelines.Cursor
		followAll(t, f, func(e *pipelines.Event) bool {
			told.add(t, e)
			cursor = e.Cursor
			return e.Kind == pipelines.EventLog
		})
		r.Rename("page")
		f = newFollower(t, c, nil)
		require.NoError(t, f.Add(r.Repo(), id, cursor))
		followAll(t, f, func(e *pipelines.Event) bool {
			require.Equal(t, r.Repo(), e.Repo)
			told.add(t, e)
			return false
		})
		told.requireStates(t, id, fourSteps())
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(`{"v":1,"repo":"acme/site","run":"{1}","build":7,"state":"RUNNING","paused":["{2}"],"steps":{"{2}":{"n":1,"state":"RUNNING","log":12}}}`)
	f.Add("")
	f.Add("null")
	f.Fuzz(func(t *testing.T, text string) {
		var cursor, again pipelines.Cursor
		if cursor.UnmarshalText([]byte(text)) != nil {
			return
		}
		require.NoError(t, again.UnmarshalText([]byte(cursor.String())))
		require.Equal(t, cursor.String(), again.String())
	})
}
