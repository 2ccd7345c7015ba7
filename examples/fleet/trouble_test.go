package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// TestARedisThatIsFullOrReadOnlyIsReadAndNamed needs a real one: only that refuses to write.
func TestARedisThatIsFullOrReadOnlyIsReadAndNamed(t *testing.T) {
	newService(t, 1)
	address := startServer(t)
	if address == "" {
		t.Skip("no redis-server is installed")
	}
	t.Setenv("FLEET_REDIS", address)
	rdb := client(t)
	require.Eventually(t, func() bool { return rdb.Ping(t.Context()).Err() == nil }, 10*time.Second, 10*time.Millisecond)
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	check := func(reason string) {
		require.Contains(t, statusNow(t), "left        1; none is done yet\n  workers ")
		require.Contains(t, fleet(t, cli.Trouble, "", "results", "-campaign", "c"), "acme/r0,left")
		out := fleet(t, cli.Trouble, "acme/r0\n", startArgs("report")...)
		require.Regexp(t, "^fleet start: Redis at .*/redis refuses a command: "+reason, out)
		require.NotContains(t, out, "script: ")
	}
	require.NoError(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	check("OOM ")
	require.NoError(t, rdb.ConfigSet(t.Context(), "maxmemory", "0").Err())
	require.NoError(t, rdb.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
	check("READONLY ")
	require.Contains(t, fleet(t, cli.Trouble, "", "forget", "-campaign", "c"), "refuses a command: READONLY ")
	require.NoError(t, rdb.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
}

func TestAResultThatRedisRefusesIsNoFailureOfItsRepository(t *testing.T) {
	worker, _ := workRefusedOnce(t, "fleet:{fleet-c}:results", "acme/r0", "fleet:{fleet-c}:spec")
	inspector := asynq.NewInspectorFromRedisClient(client(t))
	var waiting []*asynq.TaskInfo
	require.Eventually(t, func() bool {
		waiting, _ = inspector.ListRetryTasks("fleet-c")
		return len(waiting) == 1
	}, 10*time.Second, 10*time.Millisecond)
	require.Zero(t, waiting[0].Retried, "attempts at the repository")
	worker.stop()
	require.Contains(t, worker.ends(t, cli.Interrupted), "refuses a command: OOM")
}

func TestACampaignWithAnOverwrittenKeyCanBeForgotten(t *testing.T) {
	newService(t, 1)
	rdb := client(t)
	for _, part := range []string{"fleet:{fleet-c}:spec", "fleet:{fleet-c}:tasks", "fleet:{fleet-c}:results", "asynq:{fleet-c}:pending"} {
		for name, overwrite := range map[string]func(){
			"text": func() { rdb.Set(t.Context(), part, "nonsense", 0) },
			"list": func() { rdb.Del(t.Context(), part); rdb.RPush(t.Context(), part, "nonsense") },
		} {
			fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
			overwrite()
			if part != "asynq:{fleet-c}:pending" || name == "text" { // another list is a lost one
				out := fleet(t, cli.Trouble, "", "status", "-campaign", "c")
				require.Regexp(t, "refuses a command: .*WRONGTYPE|Redis has lost a part of its data", out, "%s: %s", part, name)
			}
			require.Contains(t, fleet(t, cli.Success, "", "forget", "-campaign", "c"), "is no longer in Redis", "%s: %s", part, name)
			require.Empty(t, rdb.Keys(t.Context(), "*fleet-c*").Val())
		}
	}
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	rdb.Set(t.Context(), "fleet:{fleet-c}:spec", "nonsense", 0)
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	work(t)
}

func TestACampaignIsNotForgottenWhileItIsStarted(t *testing.T) {
	newService(t, 1)
	rdb := client(t)
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	require.NoError(t, rdb.Set(t.Context(), "fleet:{fleet-c}:starting", 1, startingFor).Err())
	require.Contains(t, fleet(t, cli.Trouble, "", "forget", "-campaign", "c"), "start is putting repositories into Redis")
	require.Contains(t, statusNow(t), "left        1")
	rdb.Del(t.Context(), "fleet:{fleet-c}:starting")
	fleet(t, cli.Success, "", "forget", "-campaign", "c")
}

// TestAWorkerWhoseClockIsWrongIsRefused: the engine compares the clocks of workers to find dead ones.
func TestAWorkerWhoseClockIsWrongIsRefused(t *testing.T) {
	newService(t, 1)
	redisServer := miniredis.RunT(t)
	t.Setenv("FLEET_REDIS", "redis://"+redisServer.Addr())
	fleet(t, cli.Success, "acme/r0\n", startArgs("report")...)
	redisServer.SetTime(time.Now().Add(time.Hour))
	require.Contains(t, fleet(t, cli.Trouble, "", "work", "-campaign", "c"), "this host's clock is 1h behind that of Redis at ")
	redisServer.SetTime(time.Now().Add(-2 * time.Minute))
	require.Contains(t, fleet(t, cli.Trouble, "", "work", "-campaign", "c"), "this host's clock is 2m ahead of that of Redis at ")
	redisServer.SetTime(time.Time{})
	work(t)
}

// TestTheLimiterLetsThroughNoMoreThanTheQuotaInAnyPeriod asks for as many as it gets, from an idle start, by a clock of its own.
func TestTheLimiterLetsThroughNoMoreThanTheQuotaInAnyPeriod(t *testing.T) {
	for _, q := range []quota{{Requests: 2, Per: time.Second}, {Requests: 99, Per: 3 * time.Second}, {Requests: 250, Per: time.Hour}} {
		redisServer := miniredis.RunT(t)
		t.Setenv("FLEET_REDIS", "redis://"+redisServer.Addr())
		limiter := newLimiter(client(t), q).limiter
		now, through := time.Now(), []time.Time{}
		for len(through) < 2*q.Requests {
			redisServer.SetTime(now)
			answer, err := limiter.Allow(t.Context(), "fleet", q.limit())
			require.NoError(t, err)
			if answer.Allowed > 0 {
				through = append(through, now)
				continue
			}
			now = now.Add(max(answer.RetryAfter, time.Microsecond))
		}
		busiest, first := 0, 0
		for last, at := range through {
			for !through[first].After(at.Add(-q.Per)) {
				first++
			}
			busiest = max(busiest, last-first+1)
		}
		require.LessOrEqual(t, busiest, q.Requests)
		require.Greater(t, busiest, q.Requests-2, "it is used")
	}
}

func TestATaskThatAnEndingWorkerGivesBackIsSoonTakenByAnother(t *testing.T) {
	p := &program{options: options{retryDelay: 10 * time.Second}}
	for delay, errs := range map[time.Duration][]error{
		time.Second:      {context.Canceled, errNameTaken, pipelines.ErrUnauthorized, fmt.Errorf("%w: %w", errStore, context.Canceled)},
		10 * time.Second: {errStore, errQuotaUnknown},
		time.Minute:      {pipelines.ErrRateLimited},
	} {
		for _, err := range errs {
			require.False(t, isFailure(err), err)
			require.Equal(t, delay, p.delay(3, err, nil), err)
		}
	}
}
