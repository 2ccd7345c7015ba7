package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// client returns a client of the test's Redis.
func client(t *testing.T) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(os.Getenv("FLEET_REDIS"))
	require.NoError(t, err)
	rdb := redis.NewClient(o)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// command is a command that runs beside the test.
type command struct {
	printed clitest.Buffer
	ended   chan int
	stop    context.CancelFunc
}

// begin starts a command on a terminal, so that it shows its progress. It is interrupted after half a minute, so that one that never ends has a wrong status.
func begin(t *testing.T, stdin string, args ...string) *command {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(stop)
	c := &command{ended: make(chan int, 1), stop: stop}
	once := pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})
	env := cli.Env{Stdin: strings.NewReader(stdin), Stdout: &c.printed, Stderr: &c.printed, Terminal: true, Options: []pipelines.Option{once}}
	go func() { c.ended <- run(ctx, args, env) }()
	return c
}

func (c *command) ends(t *testing.T, status int) string {
	t.Helper()
	require.Equal(t, status, <-c.ended, "%s", &c.printed)
	return c.printed.String()
}

func (c *command) awaitPrinted(t *testing.T, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(c.printed.String(), want) }, 10*time.Second, 10*time.Millisecond)
}

// slowFlags allow one request; the next would be in an hour.
var slowFlags = []string{"start", "-campaign", "c", "-repos", "-", "-quota", "2", "-per", "1h"}

func awaitStatus(t *testing.T, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(statusNow(t), want) }, 10*time.Second, 10*time.Millisecond)
}

// awaitEnd waits for the end of a campaign that slowFlags have slowed down and whose quota was raised: as if the hour had passed.
func awaitEnd(t *testing.T) {
	t.Helper()
	rdb := client(t)
	require.Eventually(t, func() bool {
		rdb.Del(t.Context(), "rate:fleet:default")
		return !strings.Contains(statusNow(t), stateLeft)
	}, 20*time.Second, 50*time.Millisecond)
}

func statusNow(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	run(t.Context(), []string{"status", "-campaign", "c"}, cli.Env{Stdout: &out, Stderr: &out})
	return out.String()
}

func TestAWorkerAndAStatusThatWaitsEndWithStatus2IfRedisLosesItsData(t *testing.T) {
	newService(t, 3)
	rdb := client(t)
	for name, lose := range map[string]func(){
		"everything":       func() { rdb.FlushAll(t.Context()) },
		"the repositories": func() { rdb.Del(t.Context(), keys(t, rdb, "tasks", "repositories")...) },
		"the spec":         func() { rdb.Del(t.Context(), keys(t, rdb, "spec")...) },
		"the results":      func() { rdb.Del(t.Context(), keys(t, rdb, "results")...) },
	} {
		t.Run(name, func(t *testing.T) {
			rdb.FlushAll(t.Context())
			fleet(t, cli.Success, "acme/r0\nacme/r1\nacme/r2\n", append(slices.Clone(slowFlags), "report")...)
			worker := begin(t, "", "work", "-campaign", "c")
			awaitStatus(t, "read        1")
			waiter := begin(t, "", "status", "-wait", "-campaign", "c")
			for _, c := range []*command{worker, waiter} {
				c.awaitPrinted(t, "1 of 3 repositories")
			}
			lose()
			for _, c := range []*command{worker, waiter} {
				out := c.ends(t, cli.Trouble)
				require.Contains(t, out, "Done when last seen: 1 of 3 repositories")
				require.Contains(t, out, "fleet start")
				require.NotContains(t, out, "read   ", "no summary of what isn't there")
			}
		})
	}
}

// keys returns the keys of the campaign's own parts.
func keys(t *testing.T, rdb *redis.Client, parts ...string) []string {
	t.Helper()
	all, err := rdb.Keys(t.Context(), "fleet:*").Result()
	require.NoError(t, err)
	all = slices.DeleteFunc(all, func(key string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return strings.HasSuffix(key, ":"+part) })
	})
	require.Len(t, all, 1)
	return all
}

// TestNoLossOfASingleKeyIsTakenForTheEnd evicts a key from a campaign with one repository done, one to be tried again and two waiting. Then
// a worker either does everything or says that something is missing, and start mends it.
func TestNoLossOfASingleKeyIsTakenForTheEnd(t *testing.T) {
	srv, repos := newService(t, 4)
	rdb := client(t)
	for name, c := range map[string]struct {
		evicted string
		noticed bool
	}{
		"the spec":                 {"fleet:{fleet-NAME}:spec", true},
		"the repositories":         {"fleet:{fleet-NAME}:tasks", true},
		"the results":              {"fleet:{fleet-NAME}:results", true},
		"the waiting list":         {"asynq:{fleet-NAME}:pending", true},
		"the list of retries":      {"asynq:{fleet-NAME}:retry", true},
		"a task that waits":        {"asynq:{fleet-NAME}:t:WAITS", true},
		"a task to be tried again": {"asynq:{fleet-NAME}:t:RETRY", true},
		"the list of queues":       {"asynq:queues", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			campaign := strings.ToLower(strings.ReplaceAll(name, " ", "-"))
			key := strings.ToUpper(strings.ReplaceAll(name, " ", "_"))
			start := []string{"start", "-campaign", campaign, "-repos", "-", "-quota", "1000", "-per", "1s", "variable", key, "v"}
			evicted := halfDone(t, srv, rdb, campaign, start, c.evicted)
			require.EqualValues(t, 1, rdb.Del(t.Context(), evicted).Val(), evicted)
			worker := begin(t, "", "work", "-campaign", campaign, "-retry-delay", "10ms")
			if c.noticed {
				require.Contains(t, worker.ends(t, cli.Trouble), "fleet start")
				require.Contains(t, fleet(t, cli.Trouble, "", "status", "-wait", "-campaign", campaign), "fleet start")
				fleet(t, cli.Success, fourRepos, start...)
				worker = begin(t, "", "work", "-campaign", campaign)
			}
			worker.ends(t, cli.Success)
			require.Contains(t, fleet(t, cli.Success, "", "status", "-campaign", campaign), "in 4 repositories")
			for _, repo := range repos {
				require.True(t, slices.ContainsFunc(repo.Variables(), func(v pipelines.Variable) bool { return v.Key == key }))
			}
			fleet(t, cli.Success, "", "forget", "-campaign", campaign)
			require.Empty(t, rdb.Keys(t.Context(), "*-"+campaign+"}*").Val())
		})
	}
}

const fourRepos = "acme/r0\nacme/r1\nacme/r2\nacme/r3\n"

// halfDone makes the campaign, and returns the key with the IDs of its tasks in it.
func halfDone(t *testing.T, srv *pipelinestest.Server, rdb *redis.Client, campaign string, start []string, key string) string {
	t.Helper()
	s := store{rdb: rdb, campaign: campaign}
	fleet(t, cli.Success, "acme/r0\nacme/r1\n", start...)
	wanted := start[len(start)-2]
	srv.Inject(pipelinestest.Fault{
		Method: http.MethodPost, Path: "/repositories/acme/r1/pipelines_config/variables", Status: http.StatusInternalServerError, Times: 1,
		Match: func(r *http.Request) bool { return strings.Contains(body(t, r), wanted) },
	})
	worker := begin(t, "", "work", "-campaign", campaign, "-retry-delay", "10m")
	retries := s.engineKey("retry")
	require.Eventually(t, func() bool {
		seen, err := s.look(t.Context(), false)
		return err == nil && seen.done == 1 && rdb.ZCard(t.Context(), retries).Val() == 1
	}, 10*time.Second, 10*time.Millisecond)
	worker.stop()
	worker.ends(t, cli.Interrupted)
	fleet(t, cli.Success, fourRepos, start...)
	all, err := s.repositories(t.Context())
	require.NoError(t, err)
	require.NoError(t, rdb.ZAdd(t.Context(), retries, redis.Z{Member: all[1].task}).Err()) // the time for it has come
	return strings.NewReplacer("NAME", campaign, "WAITS", all[2].task, "RETRY", all[1].task).Replace(key)
}

// body reads the body of a request, and leaves it there.
func body(t *testing.T, r *http.Request) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	r.Body = io.NopCloser(bytes.NewReader(text))
	return string(text)
}

// workRefusedOnce works on one repository with one attempt. Redis refuses the first command with some words, as one without memory does.
func workRefusedOnce(t *testing.T, words ...string) (worker *command, refused *atomic.Bool) {
	t.Helper()
	newService(t, 1)
	redisServer := miniredis.RunT(t)
	t.Setenv("FLEET_REDIS", "redis://"+redisServer.Addr())
	fleet(t, cli.Success, "acme/r0\n", append(startArgs("-attempts", "1"), "report")...)
	refused = new(atomic.Bool)
	redisServer.Server().SetPreHook(func(peer *server.Peer, _ string, args ...string) bool {
		if slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(args, word) }) || refused.Swap(true) {
			return false
		}
		peer.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
		return true
	})
	return begin(t, "", "work", "-campaign", "c"), refused
}

// TestRedisTroubleIsNoFailureOfARepository refuses the question whether the quota allows a request.
func TestRedisTroubleIsNoFailureOfARepository(t *testing.T) {
	worker, refused := workRefusedOnce(t, "rate:fleet:default")
	rdb := client(t)
	require.Eventually(t, func() bool {
		return refused.Load() && rdb.LLen(t.Context(), "asynq:{fleet-c}:active").Val() == 0
	}, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, statusNow(t), "left        1; none is done yet\n")
	worker.stop()
	require.Contains(t, worker.ends(t, cli.Interrupted), "Redis at "+rdb.Options().Addr+" refuses a command: OOM command not allowed when used memory > 'maxmemory'. The work goes on")
}
