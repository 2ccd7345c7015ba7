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

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// TestMain makes the test binary the program, for tests that start processes.
func TestMain(m *testing.M) {
	pace.progress, pace.tasks, pace.retries = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
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

	token string // identifies its requests
	errs  clitest.Buffer
	ended chan error
}

func startWorker(t *testing.T, token string, more ...string) *process {
	t.Helper()
	env := append(os.Environ(), "FLEET_IS_THE_PROGRAM=1", "BITBUCKET_TOKEN="+token)
	env = append(env, more...)
	p := startProcess(t, env, "work", "-campaign", "rollout", "-concurrency", "4")
	p.token = token
	return p
}

func startProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	p := &process{Cmd: exec.Command(binary, args...), ended: make(chan error, 1)}
	p.Env, p.Stderr = env, &p.errs
	require.NoError(t, p.Start())
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { p.Process.Kill() })
	return p
}

// kill kills a worker, as the loss of its host does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Process.Kill())
	require.Error(t, <-p.ended)
}

// sent reports whether this worker sent a request.
func (p *process) sent(r pipelinestest.Request) bool {
	return r.Header.Get("Authorization") == "Bearer "+p.token
}

// requests returns the methods and statuses of this worker's requests.
func (p *process) requests(srv *pipelinestest.Server) []string {
	var all []string
	for _, r := range srv.Requests() {
		if p.sent(r) {
			all = append(all, methodAndStatus(r))
		}
	}
	return all
}

func methodAndStatus(r pipelinestest.Request) string { return fmt.Sprint(r.Method, " ", r.Status) }

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
	tokens := []string{"token-0", "token-1", "token-2", "token-3", "token-of-the-next"}
	options := []pipelinestest.ServerOption{
		pipelinestest.WithQuota(hourlyRate), pipelinestest.WithClock(func() time.Time { return begin.Add(faster * time.Since(begin)) }),
	}
	for _, token := range tokens {
		options = append(options, pipelinestest.WithToken(token))
	}
	srv := pipelinestest.NewServer(options...)
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
	require.Contains(t, out, "Put into Redis: 2,000 repositories. Waiting there already: 0. Through: 0 of 2,000.")

	var workers []*process
	for _, token := range tokens[:4] {
		workers = append(workers, startWorker(t, token))
	}
	progress := func() int {
		seen, err := s.look(t.Context(), false)
		require.NoError(t, err)
		return seen.done
	}
	require.Eventually(t, func() bool { return progress() >= fleetSize/3 }, time.Minute, 20*time.Millisecond)
	victim := workers[1]
	victim.kill(t)
	require.Less(t, progress(), fleetSize*2/3, "it was to be killed midway")
	fleet(t, cli.Success, list.String(), start...) // waiting tasks aren't enqueued again, finished ones aren't repeated

	orphans := awaitOrphans(t, s)
	require.NotEmpty(t, orphans, "the killed worker had tasks")
	require.LessOrEqual(t, len(orphans), 4)
	expire(t, s, orphans)
	workers[1] = startWorker(t, tokens[4])
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
	requireOneChangeEach(t, srv, fleetSize, victim)
	requireQuotaUsedAndKept(t, srv)
	t.Logf("%d requests in %s; %d tasks of the killed worker were done by another", len(srv.Requests()), time.Since(begin).Round(time.Millisecond), len(orphans))
}

// TestTheNextWorkerChecksTheEffectOfAKilledWorkersRequest kills a worker during its only write, and checks that the requests of the next
// worker agree with the effect of that write.
func TestTheNextWorkerChecksTheEffectOfAKilledWorkersRequest(t *testing.T) {
	clitest.SetCredentials(t, "a-token")
	t.Setenv("THE_VALUE", "hello")
	plain := []string{"variable", "GREETING", "hello"}
	for name, c := range map[string]struct {
		action []string
		fault  pipelinestest.Fault // of the killed worker's write
		status int                 // of that write; 0: it has no effect
		late   bool                // it takes effect after the next worker's GET
		want   []string            // requests of the next worker
		state  string
	}{
		"it has no effect": {
			action: plain, fault: pipelinestest.Fault{Latency: time.Hour},
			want: []string{"GET 200", "POST 201"}, state: stateChanged,
		},
		"it has an effect, and the response is lost": {
			action: plain, fault: pipelinestest.Fault{Stall: true}, status: http.StatusCreated,
			want: []string{"GET 200"}, state: stateUnchanged,
		},
		"it has created a secured variable": {
			action: []string{"-secured", "-value-env", "THE_VALUE", "variable", "GREETING"},
			fault:  pipelinestest.Fault{Stall: true}, status: http.StatusCreated,
			want: []string{"GET 200", "PUT 200"}, state: stateChanged,
		},
		"it takes effect after the GET": {
			action: plain, fault: pipelinestest.Fault{Latency: time.Hour}, late: true,
			want: []string{"GET 200", "POST 409", "GET 200"}, state: stateChanged,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, repo, s, env := newCampaign(t, c.action)
			c.fault.Method, c.fault.Times = http.MethodPost, 1
			srv.Inject(c.fault)
			victim := startWorker(t, "token-of-the-killed", env...)
			awaitWrite(t, srv, c.status)
			victim.kill(t)
			if c.late {
				srv.Inject(pipelinestest.Fault{Method: http.MethodPost, Match: func(*http.Request) bool {
					repo.AddVariable(pipelines.Variable{Key: "GREETING", Value: "hello"})
					return true
				}})
			}
			expire(t, s, []string{only(t, s).task})
			next := startWorker(t, "token-of-the-next", env...)
			require.NoError(t, <-next.ended, "%s", &next.errs)

			require.Equal(t, c.status, srv.RequestsTo(http.MethodPost, "")[0].Status, "of the killed worker's write")
			require.Equal(t, c.want, next.requests(srv))
			require.Len(t, repo.Variables(), 1)
			require.Equal(t, "hello", repo.Variables()[0].Value)
			found, err := only(t, s).decode()
			require.NoError(t, err)
			require.Equal(t, c.state, found.State)
		})
	}
}

// only returns the only repository of a campaign.
func only(t *testing.T, s store) repository {
	t.Helper()
	all, err := s.repositories(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

// newCampaign starts a campaign in one repository, for workers in their own processes with the environment that it returns.
func newCampaign(t *testing.T, action []string) (*pipelinestest.Server, *pipelinestest.Repository, store, []string) {
	t.Helper()
	srv := pipelinestest.NewServer(pipelinestest.WithToken("token-of-the-killed"), pipelinestest.WithToken("token-of-the-next"))
	t.Cleanup(srv.Close)
	repo := srv.AddRepository("acme", "r")
	address, rdb := startRedis(t)
	fleet(t, cli.Success, "acme/r\n", append([]string{"start", "-redis", address, "-campaign", "rollout", "-repos", "-"}, action...)...)
	return srv, repo, store{rdb: rdb, campaign: "rollout"}, []string{"FLEET_REDIS=" + address, "BITBUCKET_BASE_URL=" + srv.URL()}
}

// awaitWrite waits until a write with a status has arrived.
func awaitWrite(t *testing.T, srv *pipelinestest.Server, status int) {
	t.Helper()
	require.Eventually(t, func() bool {
		writes := srv.RequestsTo(http.MethodPost, "")
		return len(writes) == 1 && writes[0].Status == status
	}, time.Minute, 10*time.Millisecond)
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
	}, time.Minute, 500*time.Millisecond)
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

// requireOneChangeEach checks the writes that the service has received: one to each path, with status 201. If the killed worker died during a
// write without an effect, another worker's may follow. A write without a status had no effect, because without a fault the service records
// the status of each write that has one.
func requireOneChangeEach(t *testing.T, srv *pipelinestest.Server, want int, killed *process) {
	t.Helper()
	writes := map[string][]pipelinestest.Request{}
	for _, r := range srv.Requests() {
		if r.Method != http.MethodGet {
			writes[r.Path] = append(writes[r.Path], r)
		}
	}
	require.Len(t, writes, want)
	for path, sent := range writes {
		if len(sent) == 2 && sent[0].Status == 0 && killed.sent(sent[0]) && !killed.sent(sent[1]) {
			t.Logf("the killed worker died with a request that had no effect: %s", sent)
			sent = sent[1:]
		}
		require.Len(t, sent, 1, "%s: %s", path, sent)
		require.Equal(t, "POST 201", methodAndStatus(sent[0]), path)
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
