package chaos_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const (
	workerCount  = 16
	loadTimeout  = 8 * time.Minute // for the load: it ends a hang, not a slow machine
	closeTimeout = time.Minute     // likewise, for connections and goroutines to end
)

// quickRetries makes a client retry, poll and detect stalls without long waits.
var quickRetries = []pipelines.Option{
	pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 4, MinWait: time.Millisecond, MaxWait: 8 * time.Millisecond}),
	pipelines.WithStallTimeout(250 * time.Millisecond),
	pipelines.WithFollowBudget(1_000_000), // the load follows more runs than a quota allows
}

func TestOnABadNetworkTheServiceHasWhatTheSDKReported(t *testing.T) {
	seed, operations := seed(t), 2000
	if testing.Short() {
		operations = 600
	}
	before := goroutines()
	var late atomic.Int64 // how far the server's clock is ahead
	srv := pipelinestest.NewServer(pipelinestest.WithScheduleLimit(0), pipelinestest.WithClock(func() time.Time {
		return time.Now().Add(time.Duration(late.Load()))
	}))
	defer srv.Close()
	network, requests := newNetwork(), &requestCounter{}
	defer network.stop()
	transport := &http.Transport{DialContext: network.DialContext, MaxIdleConnsPerHost: workerCount}
	client := srv.Client(append(quickRetries, pipelines.WithHTTPClient(&http.Client{Transport: transport}), pipelines.WithLogger(slog.New(requests)))...)

	load := newLoad(t, srv, client, rand.New(rand.NewPCG(seed, workerCount)))
	var workers []*worker
	for n := range workerCount {
		workers = append(workers, newWorker(load, n, seed))
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), loadTimeout)
	defer cancel()
	toxicCtx, stopToxics := context.WithCancel(ctx)
	toxicsDone := make(chan struct{})
	go func() {
		defer close(toxicsDone)
		network.varyToxics(toxicCtx, rand.New(rand.NewPCG(seed, workerCount+1)), transport.CloseIdleConnections)
	}()
	load.run(ctx, workers, operations)
	stopToxics()
	<-toxicsDone
	took := time.Since(start)

	// Proxies and server are still up, so connections that are open now were left open by the client.
	require.True(t, eventually(func() bool {
		client.CloseIdleConnections()
		return network.open.Load() == 0
	}), "%d connections are left open, seed %d", network.open.Load(), seed)
	network.stop()
	srv.Close() // returns when every request has been handled
	left := goroutines()
	eventually(func() bool {
		left = goroutines()
		return len(left) <= len(before)
	})
	late.Store(int64(time.Minute)) // a run that is stopping has stopped by then

	o := outcome{network: network, requests: requests, audit: compare(reported(workers), load.onServer()), workers: workers, took: took, seed: seed}
	t.Log(o.summary())
	require.NoError(t, ctx.Err(), "the load did not end within %v, seed %d", loadTimeout, seed)
	require.LessOrEqual(t, len(left), len(before), "goroutines are left, seed %d:\n%s", seed, strings.Join(left, "\n\n"))
	o.requireCorrect(t)
	o.requireFaults(t, testing.Short())
}

// seed returns the seed of the environment, or a new one.
func seed(t *testing.T) uint64 {
	text, set := os.LookupEnv("CHAOS_SEED")
	if !set {
		return uint64(rand.Uint32())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, "CHAOS_SEED")
	return seed
}

// eventually polls on the real clock, because sockets close asynchronously.
func eventually(holds func() bool) bool {
	for end := time.Now().Add(closeTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return false
}

// goroutines returns the stacks of all goroutines except those of the test and of toxiproxy, which leaks some when it cuts a link.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	for n := runtime.Stack(buf, true); ; n = runtime.Stack(buf, true) {
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	return slices.DeleteFunc(strings.Split(string(buf), "\n\n"), func(stack string) bool {
		return strings.Contains(stack, "testing.") || strings.Contains(stack, "toxiproxy")
	})
}

// onServer returns the states of what the service has, by key.
func (l *load) onServer() map[string][]string {
	all := map[string][]string{}
	add := func(kind, name, state string) { all[kind+" "+name] = append(all[kind+" "+name], state) }
	for _, p := range l.site.Pipelines() {
		state := started
		if p.State.Result != nil && p.State.Result.Name == pipelines.ResultStopped {
			state = stopped
		}
		add("run", p.Variables[0].Value, state)
	}
	for _, v := range l.site.Variables() {
		add("variable", v.Key, v.Value)
	}
	for _, s := range l.site.Schedules() {
		add("schedule", s.Target.RefName, map[bool]string{true: first, false: second}[s.Enabled])
	}
	for _, e := range l.site.Environments() {
		add("environment", e.Name, first)
	}
	for _, h := range l.site.KnownHosts() {
		add("host", h.Hostname, first)
	}
	for _, c := range l.site.Caches() {
		add("cache", c.Name, first)
	}
	return all
}

func reported(workers []*worker) ledger {
	var all ledger
	for _, w := range workers {
		all = append(all, w.ledger...)
	}
	return all
}

// requestCounter is a log handler that counts the SDK's requests. A followed redirect is a request too.
type requestCounter struct{ all, failed, repeated atomic.Int64 }

func (c *requestCounter) Enabled(context.Context, slog.Level) bool { return true }
func (c *requestCounter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *requestCounter) WithGroup(string) slog.Handler            { return c }

func (c *requestCounter) Handle(_ context.Context, r slog.Record) error {
	c.all.Add(1)
	r.Attrs(func(a slog.Attr) bool {
		switch {
		case a.Key == "error":
			c.failed.Add(1)
		case a.Key == "attempt" && a.Value.Int64() > 1:
			c.repeated.Add(1)
		}
		return true
	})
	return nil
}

// outcome is the result of a run.
type outcome struct {
	network  *network
	requests *requestCounter
	audit    audit
	workers  []*worker
	took     time.Duration
	seed     uint64
}

// requireCorrect checks the SDK's promises.
func (o outcome) requireCorrect(t *testing.T) {
	t.Helper()
	require.Empty(t, o.audit.duplicates, "created more than once, seed %d", o.seed)
	require.Empty(t, o.audit.lost, "reported as created but missing, seed %d", o.seed)
	require.Empty(t, o.audit.denied, "reported as not created but present, seed %d", o.seed)
	require.Empty(t, o.audit.stale, "in a state that was not reported, seed %d", o.seed)
	require.Empty(t, o.audit.unexpected, "present but never created, seed %d", o.seed)
	for _, w := range o.workers {
		require.Empty(t, w.findings, "seed %d", o.seed)
	}
}

// requireFaults fails a run that proves nothing because nothing failed, or nothing succeeded.
func (o outcome) requireFaults(t *testing.T, short bool) {
	t.Helper()
	all, byKind := o.network.stats()
	require.Positive(t, all.broken, "no connection broke")
	require.Positive(t, o.requests.repeated.Load(), "no request was retried")
	require.Positive(t, o.audit.happened+o.audit.didNot, "no outcome was unknown")
	if short {
		return
	}
	for _, newToxic := range toxicKinds {
		kind := newToxic(rand.New(rand.NewPCG(0, 0))).name()
		require.Positive(t, byKind[kind].opened, "no connection had the toxic %s", kind)
	}
	done, _ := o.operations()
	for _, kind := range kinds() {
		require.Positive(t, done[kind], "no %s succeeded", kind)
	}
}

// operations returns how many operations of each kind succeeded and failed.
func (o outcome) operations() (done, failed map[string]int) {
	done, failed = map[string]int{}, map[string]int{}
	for _, w := range o.workers {
		for kind, n := range w.done {
			done[kind] += n
		}
		for kind, n := range w.failed {
			failed[kind] += n
		}
	}
	return done, failed
}

func kinds() []string { return append(slices.Sorted(maps.Keys(mix)), followToEnd) }

func (o outcome) summary() string {
	var b strings.Builder
	done, failed := o.operations()
	total, errors, read := 0, 0, int64(0)
	for _, w := range o.workers {
		read += w.read
	}
	b.WriteString("operations (of which with an error):\n")
	for _, kind := range kinds() {
		total, errors = total+done[kind]+failed[kind], errors+failed[kind]
		fmt.Fprintf(&b, "  %-26s %4d (%d)\n", kind, done[kind]+failed[kind], failed[kind])
	}
	all, byKind := o.network.stats()
	b.WriteString("toxics:\n")
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		h := byKind[kind]
		fmt.Fprintf(&b, "  %-26s %4d times, on %d connections, of which %d broke\n", kind, h.phases, h.opened, h.broken)
	}
	a := o.audit
	fmt.Fprintf(&b, "seed %d: %d operations (%d with an error) in %.1f s; %d connections, %d broken; %d requests, %d failed, %d of them retries; ",
		o.seed, total, errors, o.took.Seconds(), all.opened, all.broken, o.requests.all.Load(), o.requests.failed.Load(), o.requests.repeated.Load())
	fmt.Fprintf(&b, "%d effects there, %d unknown outcomes (%d took effect); %d duplicates, %d lost, %d denied, %d stale; %d bytes of logs and caches read",
		a.effects, a.happened+a.didNot, a.happened, len(a.duplicates), len(a.lost), len(a.denied), len(a.stale), read)
	return b.String()
}
