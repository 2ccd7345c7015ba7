package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// store is a campaign in Redis: the action, its repositories, and the result of each. The tasks are in an asynq queue of the campaign.
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
)

const taskType = "fleet:repository"

// batchSize is the number of members in one command.
const batchSize = 1000

func (s store) queue() string { return "fleet-" + s.campaign }

// taskID identifies the task of a repository, so that enqueueing it twice makes one task.
func (s store) taskID(repo string) string { return s.campaign + ":" + repo }

// key is the key of a part of the campaign. The braces keep all parts on one node of a cluster.
func (s store) key(part string) string { return "fleet:{" + s.campaign + "}:" + part }

// errNameTaken means that a different campaign has the name.
var errNameTaken = errors.New("another campaign has this name")

// declare adds repositories to a campaign, which is created if it doesn't exist. Its action can't be changed later; the quota and the
// number of attempts can.
func (s store) declare(ctx context.Context, wanted spec, repos []string) error {
	there, err := s.spec(ctx)
	switch {
	case err == nil && there.Action != wanted.Action:
		return fmt.Errorf("campaign %s: %w: %s", s.campaign, errNameTaken, there.Action)
	case err != nil && !errors.Is(err, errNoCampaign):
		return err
	}
	text, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(repos, batchSize) {
		if err := s.rdb.SAdd(ctx, s.key("repositories"), some).Err(); err != nil {
			return err
		}
	}
	return s.rdb.Set(ctx, s.key("spec"), text, 0).Err()
}

// errNoCampaign means that the campaign doesn't exist.
var errNoCampaign = errors.New("no such campaign: fleet start creates one")

func (s store) spec(ctx context.Context) (spec, error) {
	var found spec
	text, err := s.rdb.Get(ctx, s.key("spec")).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return found, fmt.Errorf("campaign %s: %w", s.campaign, errNoCampaign)
	case err != nil:
		return found, err
	}
	return found, json.Unmarshal(text, &found)
}

// counts returns the number of repositories and of those that are done.
func (s store) counts(ctx context.Context) (total, done int, err error) {
	pipe := s.rdb.Pipeline()
	all, through := pipe.SCard(ctx, s.key("repositories")), pipe.HLen(ctx, s.key("results"))
	_, err = pipe.Exec(ctx)
	return int(all.Val()), int(through.Val()), err
}

func (s store) isDone(ctx context.Context, repo string) (bool, error) {
	return s.rdb.HExists(ctx, s.key("results"), repo).Result()
}

// record stores the first result of a repository.
func (s store) record(ctx context.Context, repo string, r result) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.rdb.HSetNX(ctx, s.key("results"), repo, text).Err()
}

func (s store) results(ctx context.Context) (map[string]result, error) {
	texts, err := s.rdb.HGetAll(ctx, s.key("results")).Result()
	if err != nil {
		return nil, err
	}
	all := make(map[string]result, len(texts))
	for repo, text := range texts {
		var r result
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("the result of %s: %w", repo, err)
		}
		all[repo] = r
	}
	return all, nil
}

// dropFailed removes the results of failed repositories, so that they are tried again.
func (s store) dropFailed(ctx context.Context) error {
	all, err := s.results(ctx)
	if err != nil {
		return err
	}
	for repo, r := range all {
		if r.State == stateFailed {
			if err := s.rdb.HDel(ctx, s.key("results"), repo).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing returns the repositories without a result.
func (s store) missing(ctx context.Context) ([]string, error) {
	pipe := s.rdb.Pipeline()
	all, done := pipe.SMembers(ctx, s.key("repositories")), pipe.HKeys(ctx, s.key("results"))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	through := make(map[string]bool, len(done.Val()))
	for _, repo := range done.Val() {
		through[repo] = true
	}
	left := slices.DeleteFunc(all.Val(), func(repo string) bool { return through[repo] })
	slices.Sort(left)
	return left, nil
}

// enqueue makes tasks of the repositories that have none, and returns their number. The engine never gives up a task: the workers count
// attempts, and the death of a worker isn't one.
func (s store) enqueue(ctx context.Context, repos []string, each func()) (made int, err error) {
	client := asynq.NewClientFromRedisClient(s.rdb)
	for _, repo := range repos {
		_, err := client.EnqueueContext(ctx, asynq.NewTask(taskType, []byte(repo)),
			asynq.TaskID(s.taskID(repo)), asynq.Queue(s.queue()), asynq.MaxRetry(maxRetry), asynq.Timeout(taskTimeout))
		switch {
		case err == nil:
			made++
		case !errors.Is(err, asynq.ErrTaskIDConflict):
			return made, err
		}
		each()
	}
	return made, nil
}

const (
	maxRetry    = 1 << 30
	taskTimeout = 24 * time.Hour // includes waiting for the quota
)

// workers lists the processes that work on the campaign.
func (s store) workers() ([]string, error) {
	servers, err := asynq.NewInspectorFromRedisClient(s.rdb).Servers()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, server := range servers {
		if _, ours := server.Queues[s.queue()]; ours {
			names = append(names, fmt.Sprintf("%s:%d", server.Host, server.PID))
		}
	}
	slices.Sort(names)
	return names, nil
}

// forget removes all data of the campaign.
func (s store) forget(ctx context.Context) error {
	err := asynq.NewInspectorFromRedisClient(s.rdb).DeleteQueue(s.queue(), true)
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		return err
	}
	return s.rdb.Del(ctx, s.key("spec"), s.key("repositories"), s.key("results")).Err()
}
