package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// store is a campaign in Redis: its spec, the task of each repository, and the result of each repository that is done. The tasks are in an
// asynq queue of the campaign.
//
// A task's ID is random, and the campaign has the ID of the one task of each repository that counts. Whatever else is in the queue, such as
// tasks of a campaign that was forgotten, has no effect.
type store struct {
	rdb      redis.UniversalClient
	campaign string
}

// spec is what all workers of a campaign share.
type spec struct {
	Action   action `json:"action"`
	Quota    quota  `json:"quota"`
	Attempts int    `json:"attempts"` // attempts at a repository before it counts as failed
}

// result is the result of a repository.
type result struct {
	State  string    `json:"state"`
	Reason string    `json:"reason,omitzero"` // why it failed
	Row    []string  `json:"row,omitzero"`
	Worker string    `json:"worker"`
	At     time.Time `json:"at"`
}

const (
	stateChanged   = "changed"
	stateUnchanged = "already so"
	stateRead      = "read"
	stateFailed    = "failed"
	stateLeft      = "left" // of a repository without a result
)

func (s store) queue() string { return "fleet-" + s.campaign }

// key is the key of a part of the campaign. The braces keep all parts, and the queue, on one node of a cluster.
func (s store) key(part string) string { return "fleet:{" + s.queue() + "}:" + part }

// engineKey is the key of a part of the queue.
func (s store) engineKey(part string) string { return "asynq:{" + s.queue() + "}:" + part }

// snapshot is what Redis has of a campaign at one moment.
type snapshot struct {
	spec        *spec // nil: none
	total, done int   // repositories
	tasks       int   // tasks that are or will be processed; those that have no effect count too
	starting    bool  // some tasks are about to be enqueued
}

func (s snapshot) left() int { return s.total - s.done }

// lookScript reads everything at one moment. Only so can it be said that a repository has neither a task nor a result. An active task
// without a message is one whose key was evicted: the engine never ends it.
var lookScript = redis.NewScript(`
local tasks = redis.call("LLEN", KEYS[5]) + redis.call("ZCARD", KEYS[6]) + redis.call("ZCARD", KEYS[7])
for _, id in ipairs(redis.call("LRANGE", KEYS[8], 0, -1)) do
	tasks = tasks + redis.call("HEXISTS", ARGV[1] .. id, "msg")
end
local total, done = redis.call("HLEN", KEYS[2]), redis.call("HLEN", KEYS[3])
if ARGV[2] == "1" and total - done <= tasks then
	redis.call("DEL", KEYS[4])
end
return {redis.call("GET", KEYS[1]), total, done, redis.call("EXISTS", KEYS[4]), tasks}`)

// look reads the state of the campaign, whatever is left of it. After a start, it no longer counts as starting if no task is missing;
// otherwise another start is at work.
func (s store) look(ctx context.Context, afterStart bool) (snapshot, error) {
	var seen snapshot
	keys := []string{s.key("spec"), s.key("tasks"), s.key("results"), s.key("starting")}
	for _, part := range []string{"pending", "scheduled", "retry", "active"} {
		keys = append(keys, s.engineKey(part))
	}
	parts, err := lookScript.Run(ctx, s.rdb, keys, s.engineKey("t:"), afterStart).Slice()
	if err != nil {
		return seen, err
	}
	number := func(i int) int { n, _ := parts[i].(int64); return int(n) }
	seen.total, seen.done, seen.starting, seen.tasks = number(1), number(2), number(3) > 0, number(4)
	if text, ok := parts[0].(string); ok {
		seen.spec = new(spec)
		err = json.Unmarshal([]byte(text), seen.spec)
	}
	return seen, err
}

var (
	// errNoCampaign means that Redis has nothing of the campaign.
	errNoCampaign = errors.New("no such campaign in Redis: it was never started, somebody has forgotten it, or Redis has lost its data")
	// errLost means that Redis has lost a part of the campaign.
	errLost = errors.New("Redis has lost a part of its data") //nolint:staticcheck // a proper name
	// errNameTaken means that a different campaign has the name.
	errNameTaken = errors.New("another campaign has this name")
)

// check reports what is wrong with the campaign in Redis.
func (s snapshot) check() error {
	switch {
	case s.spec == nil && s.total == 0 && s.done == 0:
		return errNoCampaign
	case s.spec == nil || s.total == 0:
		return errLost
	case !s.starting && s.left() > s.tasks:
		return fmt.Errorf("neither a result nor a task has %s: start was interrupted, or %w", outOf(s.left()-s.tasks, s.total), errLost)
	}
	return nil
}

// existing returns the campaign if Redis has all of it.
func (s store) existing(ctx context.Context) (snapshot, error) { return s.checked(s.look(ctx, false)) }

func (s store) checked(seen snapshot, err error) (snapshot, error) {
	if err != nil {
		return seen, err
	}
	if err := seen.check(); err != nil {
		return seen, fmt.Errorf("campaign %s: %w. fleet start with the action and the repositories puts into Redis what is missing", s.campaign, err)
	}
	return seen, nil
}

// startingFor is how long start may take for one of its steps before it counts as dead.
const startingFor = 10 * time.Second

// declare adds repositories to a campaign, which is created if it doesn't exist. Its action can't be changed later; the quota and the
// number of attempts can. Of several that create it at the same time, one does.
func (s store) declare(ctx context.Context, wanted spec, repos []string) error {
	text, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	put := func(tx *redis.Tx) error {
		there, err := s.look(ctx, false)
		if err != nil {
			return err
		}
		if err := s.fits(there, wanted); err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			if there.spec == nil || there.total == 0 { // nobody knows which action the rest is of
				pipe.Del(ctx, s.key("tasks"), s.key("results"))
			}
			pipe.Set(ctx, s.key("spec"), text, 0)
			pipe.Set(ctx, s.key("starting"), 1, startingFor)
			for _, repo := range repos {
				pipe.HSetNX(ctx, s.key("tasks"), repo, rand.Text())
			}
			return nil
		})
		return err
	}
	for {
		err := s.rdb.Watch(ctx, put, s.key("spec"), s.key("tasks"))
		if !errors.Is(err, redis.TxFailedErr) { // else another start was faster
			return err
		}
	}
}

// fits reports whether a campaign is free for an action.
func (s store) fits(there snapshot, wanted spec) error {
	if there.spec != nil && there.spec.Action != wanted.Action {
		return fmt.Errorf("campaign %s: %w: %s", s.campaign, errNameTaken, there.spec.Action)
	}
	return nil
}

// claim reads what a worker has to know before it processes a task: the campaign's action, and whether the task still counts.
func (s store) claim(ctx context.Context, repo, id string) (agreed action, valid bool, err error) {
	pipe := s.rdb.TxPipeline()
	text, current, done := pipe.Get(ctx, s.key("spec")), pipe.HGet(ctx, s.key("tasks"), repo), pipe.HExists(ctx, s.key("results"), repo)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return action{}, false, err
	}
	if errors.Is(text.Err(), redis.Nil) {
		return action{}, false, errNoCampaign
	}
	var found spec
	err = json.Unmarshal([]byte(text.Val()), &found)
	return found.Action, current.Val() == id && !done.Val(), err
}

var recordScript = redis.NewScript(`
if redis.call("EXISTS", KEYS[1]) == 0 or redis.call("HGET", KEYS[2], ARGV[1]) ~= ARGV[2] then
	return 0
end
return redis.call("HSETNX", KEYS[3], ARGV[1], ARGV[3])`)

// record stores the first result of a task, and reports whether it did: a task that doesn't count has none.
func (s store) record(ctx context.Context, repo, id string, r result) (bool, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	return recordScript.Run(ctx, s.rdb, []string{s.key("spec"), s.key("tasks"), s.key("results")}, repo, id, text).Bool()
}

// repository is what Redis has of one.
type repository struct{ name, task, result string }

// repositories returns all repositories of the campaign, sorted by name.
func (s store) repositories(ctx context.Context) ([]repository, error) {
	pipe := s.rdb.TxPipeline()
	tasks, results := pipe.HGetAll(ctx, s.key("tasks")), pipe.HGetAll(ctx, s.key("results"))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	all := make([]repository, 0, len(tasks.Val()))
	for name, task := range tasks.Val() {
		all = append(all, repository{name: name, task: task, result: results.Val()[name]})
	}
	slices.SortFunc(all, func(a, b repository) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// decode returns the result of a repository; its State is stateLeft if there is none.
func (r repository) decode() (result, error) {
	if r.result == "" {
		return result{State: stateLeft}, nil
	}
	var found result
	if err := json.Unmarshal([]byte(r.result), &found); err != nil {
		return found, fmt.Errorf("the result of %s in Redis: %w", r.name, err)
	}
	return found, nil
}

// renewScript does nothing if the repository has changed meanwhile.
var renewScript = redis.NewScript(`
if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] or (redis.call("HGET", KEYS[2], ARGV[1]) or "") ~= ARGV[3] then
	return 0
end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[4])
redis.call("HDEL", KEYS[2], ARGV[1])
redis.call("SET", KEYS[3], 1, "PX", ARGV[5])
return 1`)

// renew gives a repository a new task, which is yet to be enqueued, and removes its result. The old task has no effect from now on, even if
// a worker is processing it.
func (s store) renew(ctx context.Context, r repository) error {
	keys := []string{s.key("tasks"), s.key("results"), s.key("starting")}
	return renewScript.Run(ctx, s.rdb, keys, r.name, r.task, r.result, rand.Text(), startingFor.Milliseconds()).Err()
}

// retryFailed makes failed repositories unfinished ones.
func (s store) retryFailed(ctx context.Context) error {
	all, err := s.repositories(ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		found, err := r.decode()
		if err == nil && found.State == stateFailed {
			err = s.renew(ctx, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unfinished returns the repositories without a result.
func (s store) unfinished(ctx context.Context) ([]repository, error) {
	all, err := s.repositories(ctx)
	return slices.DeleteFunc(all, func(r repository) bool { return r.result != "" }), err
}
