package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// The polling tests measure the requests and the delay of polling with a fake clock and the fake service, so that the figures are the same
// on every machine and in every run. With BENCH_ROWS they measure more and append their rows to that file. A missed target then doesn't
// fail the test.

// rowsFile is the file for the rows; empty: none.
var rowsFile = os.Getenv("BENCH_ROWS")

// report writes a row. It fails the test if the figure is more than most; 0: no limit.
func report(t *testing.T, task, measure string, figure, most float64) {
	t.Helper()
	r := row{task: task, measure: measure, figures: []string{number(figure), "-", "-"}}
	if most > 0 {
		r.target, r.met = "≤ "+number(most), figure <= most
	}
	writeRow(t, r)
}

// reportNone writes a row about what must not happen. It fails the test if it did.
func reportNone(t *testing.T, task, measure string, n int) {
	t.Helper()
	writeRow(t, row{task: task, measure: measure, figures: []string{number(float64(n)), "-", "-"}, target: "0", met: n == 0})
}

func writeRow(t *testing.T, r row) {
	t.Helper()
	t.Log(r)
	if rowsFile == "" {
		assert.True(t, r.target == "" || r.met, "a missed target: %s", r)
		return
	}
	f, err := os.OpenFile(rowsFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = fmt.Fprintln(f, r)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// polling runs a test with a fake clock.
func polling(t *testing.T, test func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		test(t, srv, srv.AddRepository("acme", "site"))
	})
}

func startRun(t *testing.T, c *pipelines.Client) *pipelines.Pipeline {
	t.Helper()
	p, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err)
	return p
}

// kinds counts requests by kind.
func kinds(srv *pipelinestest.Server) map[string]int {
	n := map[string]int{}
	for _, req := range srv.Requests() {
		switch {
		case req.Storage:
			n["storage"]++
			continue // has no quota
		case strings.HasSuffix(req.Path, "/log"):
			n["logs"]++
		case strings.HasSuffix(strings.TrimSuffix(req.Path, "/"), "/steps"):
			n["step list"]++
		default:
			n["pipeline"]++
		}
		n["all"]++
	}
	return n
}

// byteCounter is a transport that counts the bytes of response bodies.
type byteCounter struct {
	inner http.RoundTripper
	bytes atomic.Int64
}

func (w *byteCounter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.inner.RoundTrip(req)
	if err == nil {
		resp.Body = &countedBody{resp.Body, &w.bytes}
	}
	return resp, err
}

type countedBody struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (w *countedBody) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.bytes.Add(int64(n))
	return n, err
}

// logText is a log with a number of lines of the same length.
func logText(lines, length int) string {
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "%-*d\n", length-1, i)
	}
	return b.String()
}

func TestPollingFollowsAGrowingLogInOnePass(t *testing.T) {
	size := 8 << 20
	if rowsFile != "" {
		size = 64 << 20
	}
	polling(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository) {
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 10 * time.Minute, Log: logText(size>>12, 1<<12)}}})
		scale := &byteCounter{inner: srv.Transport()}
		c := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: scale}))
		p := startRun(t, c)
		step, err := c.Steps.List(t.Context(), repo, p.UUID, nil).First()
		require.NoError(t, err)
		srv.ClearRequests()
		scale.bytes.Store(0)
		begin := time.Now()
		log, err := c.Steps.FollowLog(t.Context(), repo, p.UUID, step.UUID, nil)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, log)
		require.NoError(t, err)
		require.NoError(t, log.Close())
		require.EqualValues(t, size, n)

		title := fmt.Sprintf("follow a log that grows to %d MiB in 10 minutes", size>>20)
		report(t, title, "bytes transferred / size", float64(scale.bytes.Load())/float64(size), 1.01)
		report(t, title, "requests", float64(kinds(srv)["all"]), 0)
		report(t, title, "requests per poll while it grows", mostPerPoll(srv, begin.Add(10*time.Minute)), 1)
	})
}

// mostPerPoll is the largest number of requests in one poll between the one that finds the log and the end of the step. The polls at both
// ends request step and log together.
func mostPerPoll(srv *pipelinestest.Server, end time.Time) float64 {
	sent := map[time.Time]int{}
	var there time.Time
	for _, req := range srv.Requests() {
		switch {
		case there.IsZero() && strings.HasSuffix(req.Path, "/log") && req.Status < 300:
			there = req.Time
		case !there.IsZero() && req.Time.After(there) && req.Time.Before(end):
			sent[req.Time]++
		}
	}
	most := 0
	for _, n := range sent {
		most = max(most, n)
	}
	return float64(most)
}

const (
	longStep  = 450 * time.Second // eight of them take an hour
	longLines = 450
)

// hourLong is a run of an hour, in which a number of steps run in parallel. Each writes a line a second.
func hourLong(parallel int) pipelinestest.Script {
	var script pipelinestest.Script
	for i := range 7 + parallel {
		script.Steps = append(script.Steps, pipelinestest.Step{
			Name: fmt.Sprint("step ", i+1), Duration: longStep, Log: logText(longLines, 80), Parallel: i > 3 && i < 3+parallel,
		})
	}
	return script
}

func TestPollingWatchesALongRun(t *testing.T) {
	watchAnHour(t, 3, 300)
	if rowsFile == "" {
		return
	}
	for _, parallel := range []int{1, 10} {
		watchAnHour(t, parallel, 300)
	}
}

func watchAnHour(t *testing.T, parallel int, most float64) {
	t.Helper()
	polling(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository) {
		r.Script("", hourLong(parallel))
		c := srv.Client()
		id := startRun(t, c).UUID
		srv.ClearRequests()
		lines := map[string]int{}
		var ages []time.Duration
		for e, err := range c.Pipelines.Watch(t.Context(), repo, id, nil) {
			require.NoError(t, err)
			if e.Kind != pipelines.EventLog {
				continue
			}
			for range bytes.Count(e.Log, []byte("\n")) {
				lines[e.Step.UUID]++
				written := e.Step.StartedOn.Add(longStep * time.Duration(lines[e.Step.UUID]) / longLines)
				ages = append(ages, time.Since(written))
			}
		}
		require.Len(t, ages, (7+parallel)*longLines)
		n := kinds(srv)
		title := fmt.Sprintf("watch a 60-minute run of %d steps, %d parallel, logs growing", 7+parallel, parallel)
		report(t, title, "requests", float64(n["all"]), most)
		for _, kind := range []string{"pipeline", "step list", "logs"} {
			report(t, title, "requests: "+kind, float64(n[kind]), 0)
		}
		report(t, title, "age of a log line, s: median", median(ages).Seconds(), 0)
		report(t, title, "age of a log line, s: maximum", slices.Max(ages).Seconds(), 0)
	})
}

// TestPollingWatchesAShortRun varies when the steps end, because the delay of a poll depends on it.
func TestPollingWatchesAShortRun(t *testing.T) {
	const variants = 12
	var ages []time.Duration
	var sent []int
	for v := range variants {
		polling(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository) {
			script := pipelinestest.Script{Parsing: 3 * time.Second, Pending: 5 * time.Second}
			for i := range 4 {
				script.Steps = append(script.Steps, pipelinestest.Step{
					Name: fmt.Sprint(i), Duration: 28*time.Second + time.Duration((v*(i+3)*631)%2000-1000)*time.Millisecond, Log: logText(300, 80),
				})
			}
			r.Script("", script)
			c := srv.Client()
			p := startRun(t, c)
			srv.ClearRequests()
			changes := 0
			for e, err := range c.Pipelines.Watch(t.Context(), repo, p.UUID, nil) {
				require.NoError(t, err)
				if since, ok := changed(e, p.CreatedOn, script); ok {
					changes++
					ages = append(ages, time.Since(since))
				}
			}
			require.Equal(t, 11, changes, "three changes of the pipeline, two of each step")
			sent = append(sent, kinds(srv)["all"])
		})
	}
	const title = "watch a 2-minute run of 4 steps"
	report(t, title, "age of a state change, s: median", median(ages).Seconds(), 2)
	report(t, title, "age of a state change, s: maximum", slices.Max(ages).Seconds(), 5)
	report(t, title, "requests", float64(median(sent)), 0)
}

// changed returns when the state in an event began. It returns false for states from before the watch.
func changed(e *pipelines.Event, created time.Time, script pipelinestest.Script) (time.Time, bool) {
	switch e.Kind {
	case pipelines.EventLog, pipelines.EventProblem:
	case pipelines.EventPipeline:
		switch e.Pipeline.State.String() {
		case "PENDING":
			return created.Add(script.Parsing), true
		case "RUNNING":
			return created.Add(script.Parsing + script.Pending), true
		}
		return e.Pipeline.CompletedOn, e.Pipeline.State.Done()
	case pipelines.EventStep:
		if e.Step.State.Done() {
			return e.Step.CompletedOn, true
		}
		return e.Step.StartedOn, e.Step.State.Name == pipelines.StateInProgress
	}
	return time.Time{}, false
}

func TestPollingWaitsForALongRun(t *testing.T) {
	polling(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository) {
		r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Hour}}})
		c := srv.Client()
		id := startRun(t, c).UUID
		srv.ClearRequests()
		p, err := c.Pipelines.Wait(t.Context(), repo, id, nil)
		require.NoError(t, err)
		require.True(t, p.State.Succeeded())
		report(t, "wait for a 60-minute run", "requests", float64(kinds(srv)["all"]), 150)
		report(t, "wait for a 60-minute run", "age of the end, s", time.Since(p.CompletedOn).Seconds(), 0)
	})
}

func TestPollingWaitsForManyRunsAtOnce(t *testing.T) {
	waitForAll(t, 20, 200)
	if rowsFile == "" {
		return
	}
	for _, runs := range []int{5, 100} {
		waitForAll(t, runs, 0)
	}
}

func waitForAll(t *testing.T, runs int, most float64) {
	t.Helper()
	polling(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository) {
		c := srv.Client()
		var ids []string
		for i := range runs { // they end one after the other within the last two minutes of the hour
			r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Hour - time.Duration(i)*2*time.Minute/time.Duration(runs)}}})
			ids = append(ids, startRun(t, c).UUID)
		}
		srv.ClearRequests()
		all, err := c.Pipelines.WaitAll(t.Context(), repo, ids, nil)
		require.NoError(t, err)
		require.Len(t, all, runs)
		for i, p := range all {
			require.Equal(t, ids[i], p.UUID)
			require.True(t, p.State.Succeeded())
		}
		report(t, fmt.Sprintf("wait for %d such runs of one repository", runs), "requests", float64(kinds(srv)["all"]), most)
	})
}

func median[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}
