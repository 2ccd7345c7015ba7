package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// bot is a program that follows runs with one Follower at a time. It stores what it was told, and for each run the cursor of the last
// event, as text.
type bot struct {
	t       *testing.T
	options pipelines.FollowerOptions

	mu       sync.Mutex
	follower *pipelines.Follower
	runs     []*followed
	byUUID   map[string]*followed
	problems int // failures that were told
	nameless int // events that name no run
}

// followed is what the bot knows of a run.
type followed struct {
	repo   pipelines.Repo
	id     string
	script pipelinestest.Script
	cursor string
	states map[string][]string // by step name; "": of the pipeline
	logs   map[string]string   // by step name
	last   bool                // nothing more comes
	err    error               // with which following ended
	age    time.Duration       // of the end, when it was told
	late   int                 // events after the last one
}

func newBot(t *testing.T, o pipelines.FollowerOptions) *bot {
	t.Helper()
	return &bot{t: t, options: o, byUUID: map[string]*followed{}}
}

// follow adds a run, as the service's webhook makes a program do.
func (b *bot) follow(r *pipelinestest.Repository, script pipelinestest.Script) *followed {
	run := r.AddRun(script, time.Now())
	f := &followed{repo: r.Repo(), id: run.UUID, script: script, states: map[string][]string{}, logs: map[string]string{}}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs = append(b.runs, f)
	b.byUUID[f.id] = f
	if b.follower != nil {
		assert.NoError(b.t, b.follower.Add(f.repo, f.id, pipelines.Cursor{}))
	}
	return f
}

// start makes a Follower that goes on where the bot's cursors say.
func (b *bot) start(client *pipelines.Client) *pipelines.Follower {
	o := b.options
	follower, err := client.NewFollower(&o)
	require.NoError(b.t, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.follower = follower
	for _, f := range b.runs {
		if f.last {
			continue
		}
		var after pipelines.Cursor
		if f.cursor != "" {
			require.NoError(b.t, after.UnmarshalText([]byte(f.cursor)))
		}
		require.NoError(b.t, follower.Add(f.repo, f.id, after))
	}
	return follower
}

// run follows until a time, until all runs have ended if idle says so, or until it is killed after the first event past kill.
func (b *bot) run(client *pipelines.Client, until, kill time.Time, idle func() bool) {
	ctx, cancel := context.WithDeadline(b.t.Context(), until)
	defer cancel()
	for e, err := range b.start(client).Events(ctx) {
		if err != nil {
			assert.ErrorIs(b.t, err, context.DeadlineExceeded)
			return
		}
		b.handle(e)
		if time.Now().After(kill) || idle() {
			return
		}
	}
}

func (b *bot) handle(e *pipelines.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.byUUID[e.PipelineUUID]
	if f == nil {
		b.nameless++
		return
	}
	assert.Equal(b.t, f.repo, e.Repo)
	if f.last {
		f.late++
	}
	switch e.Kind {
	case pipelines.EventPipeline:
		f.states[""] = append(f.states[""], e.Pipeline.State.String())
		if e.Pipeline.State.Done() {
			f.age = time.Since(e.Pipeline.CompletedOn)
		}
	case pipelines.EventStep:
		f.states[e.Step.Name] = append(f.states[e.Step.Name], e.Step.State.String())
	case pipelines.EventLog:
		f.logs[e.Step.Name] += string(e.Log)
	case pipelines.EventProblem:
		b.problems++
		assert.Error(b.t, e.Err)
		f.err = e.Err
	}
	f.last = e.Last
	text, err := e.Cursor.MarshalText()
	assert.NoError(b.t, err)
	f.cursor = string(text)
}

// allEnded reports whether nothing more comes of n runs.
func (b *bot) allEnded(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.runs) == n && !slices.ContainsFunc(b.runs, func(f *followed) bool { return !f.last })
}

// toldStates counts the states of a run that the bot should have been told and wasn't, and those that it was told again. It should have been
// told all ends and, if running is true, that the pipeline and each step ran.
func (f *followed) toldStates(running bool) (lost, repeated int) {
	var run, stepRun []string
	if running {
		run, stepRun = []string{string(pipelines.StageRunning)}, []string{string(pipelines.StateInProgress)}
	}
	result := string(pipelines.ResultSuccessful)
	for _, step := range f.script.Steps {
		end := string(pipelines.ResultNotRun)
		if result == string(pipelines.ResultSuccessful) {
			end = string(pipelines.ResultSuccessful)
			if step.Result != "" {
				end, result = string(step.Result), string(step.Result)
			}
			lost += missing(f.states[step.Name], stepRun)
		}
		lost += missing(f.states[step.Name], []string{end})
	}
	lost += missing(f.states[""], append(run, result))
	for _, states := range f.states {
		repeated += len(states) - len(slices.Compact(slices.Sorted(slices.Values(states))))
	}
	return lost, repeated + f.late
}

func missing(states, wanted []string) int {
	n := 0
	for _, state := range wanted {
		if !slices.Contains(states, state) {
			n++
		}
	}
	return n
}

// describe is for messages about a run that went wrong.
func (f *followed) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: pipeline %v", f.repo, f.id, f.states[""])
	for _, step := range f.script.Steps {
		fmt.Fprintf(&b, ", %s %v", step.Name, f.states[step.Name])
	}
	fmt.Fprintf(&b, ", last %t, late %d, error %v", f.last, f.late, f.err)
	return b.String()
}

// isGone reports whether following a run ended because its repository is gone.
func (f *followed) isGone() bool { return f.last && errors.Is(f.err, pipelines.ErrRepositoryNotFound) }
