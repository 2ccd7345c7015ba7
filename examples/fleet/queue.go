package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	taskType    = "fleet:repository"
	maxRetry    = 1 << 30
	taskTimeout = 24 * time.Hour // includes waiting for the quota
)

// enqueue makes tasks of the unfinished repositories that have none, and returns their number. The engine never gives up a task: the workers
// count attempts, and the death of a worker isn't one.
func (s store) enqueue(ctx context.Context, unfinished []repository, each func()) (made int, err error) {
	client := asynq.NewClientFromRedisClient(s.rdb)
	var there []repository
	extended := time.Now()
	for _, r := range unfinished {
		if time.Since(extended) > time.Second {
			extended = time.Now()
			if err := s.rdb.Set(ctx, s.key("starting"), 1, startingFor).Err(); err != nil {
				return made, err
			}
		}
		_, err := client.EnqueueContext(ctx, asynq.NewTask(taskType, []byte(r.name)),
			asynq.TaskID(r.task), asynq.Queue(s.queue()), asynq.MaxRetry(maxRetry), asynq.Timeout(taskTimeout))
		switch {
		case err == nil:
			made++
		case errors.Is(err, asynq.ErrTaskIDConflict):
			there = append(there, r)
		default:
			return made, err
		}
		each()
	}
	if len(there) == 0 {
		return made, nil
	}
	again, err := s.renewDead(ctx, there)
	if err != nil || len(again) == 0 {
		return made, err
	}
	more, err := s.enqueue(ctx, again, func() {})
	return made + more, err
}

// tasksScript returns the IDs of the tasks that are or will be processed.
var tasksScript = redis.NewScript(`
local ids = redis.call("LRANGE", KEYS[1], 0, -1)
for i = 2, 3 do
	for _, id in ipairs(redis.call("ZRANGE", KEYS[i], 0, -1)) do
		table.insert(ids, id)
	end
end
for _, id in ipairs(redis.call("LRANGE", KEYS[4], 0, -1)) do
	table.insert(ids, id)
end
local alive = {}
for _, id in ipairs(ids) do
	if redis.call("HEXISTS", ARGV[1] .. id, "msg") == 1 then
		table.insert(alive, id)
	end
end
return alive`)

// renewDead gives those repositories a new task whose task exists in Redis but will never be processed, because a list that it was on was
// evicted or somebody archived it. It returns them.
func (s store) renewDead(ctx context.Context, there []repository) ([]repository, error) {
	keys := []string{s.engineKey("pending"), s.engineKey("scheduled"), s.engineKey("retry"), s.engineKey("active")}
	ids, err := tasksScript.Run(ctx, s.rdb, keys, s.engineKey("t:")).StringSlice()
	if err != nil {
		return nil, err
	}
	alive := make(map[string]bool, len(ids))
	for _, id := range ids {
		alive[id] = true
	}
	dead := map[string]bool{}
	for _, r := range there {
		if alive[r.task] {
			continue
		}
		dead[r.name] = true
		if err := s.renew(ctx, r); err != nil {
			return nil, err
		}
	}
	unfinished, err := s.unfinished(ctx)
	return slices.DeleteFunc(unfinished, func(r repository) bool { return !dead[r.name] }), err
}

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

// forget removes all data of the campaign, and reports whether there was any. The engine's own removal refuses to while a dead worker's
// tasks are there, and doesn't find a task whose list was evicted.
func (s store) forget(ctx context.Context) (found bool, err error) {
	var keys []string
	scan := s.rdb.Scan(ctx, 0, "*:{"+s.queue()+"}:*", 1000).Iterator()
	for scan.Next(ctx) {
		keys = append(keys, scan.Val())
	}
	if err := scan.Err(); err != nil {
		return false, err
	}
	// The spec goes first, so that nothing is recorded any more.
	removed, err := s.rdb.Del(ctx, s.key("spec")).Result()
	if err != nil {
		return false, err
	}
	found = removed > 0 || len(keys) > 0
	for some := range slices.Chunk(keys, 1000) {
		if err := s.rdb.Del(ctx, some...).Err(); err != nil {
			return found, err
		}
	}
	return found, s.rdb.SRem(ctx, "asynq:queues", s.queue()).Err()
}
