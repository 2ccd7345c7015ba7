package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// TestMain makes the test binary the program, for tests that start processes.
func TestMain(m *testing.M) {
	if os.Getenv("FLEET_IS_THE_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// startRedis starts a redis-server for the test, or miniredis if none is installed. Both listen on a port.
func startRedis(t *testing.T) (address string, rdb *redis.Client) {
	t.Helper()
	address = startServer(t)
	if address == "" {
		t.Log("Redis: no redis-server is installed; using miniredis")
		address = "redis://" + miniredis.RunT(t).Addr()
	}
	o, err := redis.ParseURL(address)
	require.NoError(t, err)
	rdb = redis.NewClient(o)
	t.Cleanup(func() { rdb.Close() })
	require.Eventually(t, func() bool { return rdb.Ping(t.Context()).Err() == nil }, 10*time.Second, 10*time.Millisecond)
	return address, rdb
}

func startServer(t *testing.T) (address string) {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return ""
	}
	dir, err := os.MkdirTemp("", "fleet") //nolint:usetesting // t.TempDir is too long for a socket's path
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis")
	server := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	t.Logf("Redis: %s", binary)
	return "unix://" + socket
}

// process is a worker in its own process.
type process struct {
	*exec.Cmd

	errs  bytes.Buffer // read after the end
	ended chan error
}

func startWorker(t *testing.T) *process {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	p := &process{ended: make(chan error, 1)}
	p.Cmd = exec.Command(binary, "work", "-campaign", "rollout", "-concurrency", "4")
	p.Env = append(os.Environ(), "FLEET_IS_THE_PROGRAM=1")
	p.Stderr = &p.errs
	require.NoError(t, p.Start())
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { p.Process.Kill() })
	return p
}

const (
	fleetSize  = 2000
	hourlyRate = 1000
	// hour is the length of an hour for the test's service. Two requests for each repository take four of
	// them.
	hour   = 3 * time.Second
	faster = 1200
)

func TestEveryRepositoryIsChangedOnceWithinTheQuotaAlthoughAWorkerIsKilled(t *testing.T) {
	begin := time.Now()
	srv := pipelinestest.NewServer(pipelinestest.WithQuota(hourlyRate), pipelinestest.WithToken("a-token"),
		pipelinestest.WithClock(func() time.Time { return begin.Add(faster * time.Since(begin)) }))
	t.Cleanup(srv.Close)
	var list strings.Builder
	repos := map[string]*pipelinestest.Repository{}
	for i := range fleetSize {
		slug := fmt.Sprintf("service-%04d", i)
		repos["acme/"+slug] = srv.AddRepository("acme", slug)
		fmt.Fprintln(&list, "acme/"+slug)
	}
	address, rdb := startRedis(t)
	setEnvironment(t, address, srv.URL())
	s := store{rdb: rdb, campaign: "rollout"}

	// 30 requests are reserved for those that pass the limiter and arrive late, at most one for each of 16
	// goroutines.
	start := []string{"start", "-campaign", "rollout", "-repos", "-", "-quota", "970", "-per", hour.String(), "variable", "GREETING", "hello"}
	out := fleet(t, cli.Success, list.String(), start...)
	require.Contains(t, out, "2000 were put into Redis, 0 wait there already, 0 of 2000 are through.")

	var workers []*process
	for range 4 {
		workers = append(workers, startWorker(t))
	}
	progress := func() int {
		_, done, err := s.counts(t.Context())
		require.NoError(t, err)
		return done
	}
	require.Eventually(t, func() bool { return progress() >= fleetSize/3 }, time.Minute, 20*time.Millisecond)
	victim := workers[1]
	require.NoError(t, victim.Process.Kill())
	require.Error(t, <-victim.ended)
	require.Less(t, progress(), fleetSize*2/3, "it was to be killed midway")
	fleet(t, cli.Success, list.String(), start...) // waiting tasks aren't enqueued again, finished ones aren't repeated

	orphans := awaitOrphans(t, s)
	require.NotEmpty(t, orphans, "the killed worker had tasks")
	require.LessOrEqual(t, len(orphans), 4)
	expire(t, s, orphans)
	workers[1] = startWorker(t)
	for _, w := range workers {
		require.NoError(t, <-w.ended, "%s", &w.errs)
	}

	out = fleet(t, cli.Success, "", "status", "-campaign", "rollout")
	t.Logf("%s", out)
	for name, repo := range repos {
		variables := repo.Variables()
		require.Len(t, variables, 1, name)
		require.Equal(t, "hello", variables[0].Value, name)
	}
	requireOneChangeEach(t, srv, fleetSize)
	requireQuotaUsedAndKept(t, srv)
	t.Logf("%d requests in %s; %d tasks of the killed worker were done by another", len(srv.Requests()), time.Since(begin).Round(time.Millisecond), len(orphans))
}

// awaitOrphans waits until only the tasks of the killed worker are left, and returns their IDs.
func awaitOrphans(t *testing.T, s store) []string {
	t.Helper()
	inspector := asynq.NewInspectorFromRedisClient(s.rdb)
	var before []string
	require.Eventually(t, func() bool {
		queue, err := inspector.GetQueueInfo(s.queue())
		require.NoError(t, err)
		active, err := inspector.ListActiveTasks(s.queue(), asynq.PageSize(100))
		require.NoError(t, err)
		var ids []string
		for _, task := range active {
			ids = append(ids, task.ID)
		}
		slices.Sort(ids)
		same := slices.Equal(ids, before)
		before = ids
		return queue.Pending+queue.Retry+queue.Scheduled == 0 && same
	}, time.Minute, time.Second)
	return before
}

// expire advances the clock by the minute after which the engine considers a silent worker dead.
func expire(t *testing.T, s store, tasks []string) {
	t.Helper()
	leases := "asynq:{" + s.queue() + "}:lease"
	for _, id := range tasks {
		past := redis.Z{Score: float64(time.Now().Add(-time.Minute).Unix()), Member: id}
		changed, err := s.rdb.ZAddArgs(t.Context(), leases, redis.ZAddArgs{XX: true, Ch: true, Members: []redis.Z{past}}).Result()
		require.NoError(t, err)
		require.EqualValues(t, 1, changed, "lease of %s", id)
	}
}

// requireOneChangeEach checks the changes that the service has received.
func requireOneChangeEach(t *testing.T, srv *pipelinestest.Server, want int) {
	t.Helper()
	changes := map[string][]string{}
	for _, r := range srv.Requests() {
		if r.Method != http.MethodGet && r.Status != 0 { // status 0: the worker was killed before the effect
			changes[r.Path] = append(changes[r.Path], fmt.Sprint(r.Method, " ", r.Status))
		}
	}
	require.Len(t, changes, want)
	for path, sent := range changes {
		require.Equal(t, []string{"POST 201"}, sent, path)
	}
}

// requireQuotaUsedAndKept checks the service's requests against the quota: none was refused, no hour exceeds the quota, and the busiest
// hour shows that the quota limited the workers.
func requireQuotaUsedAndKept(t *testing.T, srv *pipelinestest.Server) {
	t.Helper()
	requests := srv.Requests()
	busiest, first := 0, 0
	for last, r := range requests {
		require.NotEqual(t, http.StatusTooManyRequests, r.Status)
		for !requests[first].Time.After(r.Time.Add(-time.Hour)) {
			first++
		}
		busiest = max(busiest, last-first+1)
	}
	t.Logf("the busiest hour has %d requests", busiest)
	require.LessOrEqual(t, busiest, hourlyRate)
	require.Greater(t, busiest, hourlyRate/2)
}

// setEnvironment sets Redis and credentials in the environment of the test and its processes.
func setEnvironment(t *testing.T, address, service string) {
	t.Helper()
	clitest.SetCredentials(t, "a-token")
	t.Setenv("FLEET_REDIS", address)
	t.Setenv("BITBUCKET_BASE_URL", service)
}

// fleet runs the program in the test's process and returns its Stdout.
func fleet(t *testing.T, status int, stdin string, args ...string) string {
	t.Helper()
	out, errs := fleetBoth(t, status, stdin, args...)
	return out + errs
}

func fleetBoth(t *testing.T, status int, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	got := run(t.Context(), args, cli.Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs})
	require.Equal(t, status, got, "%s%s", &out, &errs)
	return out.String(), errs.String()
}
