package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// The tests in this file follow many runs with one client and the quota that the service gives it.

const hourlyQuota = 1000

// seeds is how many simulations a figure comes from.
func seeds() uint64 {
	if rowsFile != "" {
		return 20
	}
	return 1
}

// crowd is a number of runs that one client starts within an hour and watches side by side. Each takes 55 to 65 minutes. Once a minute the
// client sends another request.
type crowd struct {
	runs          int
	steps         int  // of each run, one after the other
	logs          bool // of a line a second
	oneRepository bool
}

// observed is what watching a crowd shows.
type observed struct {
	ages     []time.Duration // of the ends of runs, when they were reported
	requests int             // to the API
	busiest  int             // requests in the busiest hour
	refused  int
}

func (c crowd) script(r *rand.Rand) pipelinestest.Script {
	length := 55*time.Minute + time.Duration(r.Int64N(int64(10*time.Minute)))
	var script pipelinestest.Script
	for i := range c.steps {
		step := pipelinestest.Step{Name: fmt.Sprint("step ", i+1), Duration: length / time.Duration(c.steps)}
		if c.logs {
			step.Log = logText(int(step.Duration/time.Second), 80)
		}
		script.Steps = append(script.Steps, step)
	}
	return script
}

// watch simulates the crowd. Only with an even seed does the service tell the quota.
func (c crowd) watch(t *testing.T, seed uint64) observed {
	t.Helper()
	var seen observed
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithQuota(hourlyQuota))
		defer srv.Close()
		random := rand.New(rand.NewPCG(seed, uint64(c.runs)))
		var opts []pipelines.Option
		if seed%2 == 1 {
			opts = append(opts, pipelines.WithBasicAuth("me@example.com", "secret"))
		}
		client := srv.Client(opts...)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go othersEveryMinute(ctx, t, client, srv.AddRepository("acme", "other").Repo())
		ends := make(chan time.Duration, c.runs)
		var watching sync.WaitGroup
		for i := range c.runs {
			r := srv.AddRepository("acme", c.slug(i))
			delay, script := time.Duration(random.Int64N(int64(time.Hour))), c.script(random)
			watching.Go(func() {
				time.Sleep(delay)
				r.Script("", script) // of this run, which starts before any time passes
				ends <- c.watchOne(t, client, r.Repo())
			})
		}
		watching.Wait()
		cancel()
		synctest.Wait()
		close(ends)
		for age := range ends {
			seen.ages = append(seen.ages, age)
		}
		seen.count(srv.Requests())
	})
	return seen
}

func (c crowd) slug(i int) string {
	if c.oneRepository {
		return "site"
	}
	return fmt.Sprint("site-", i)
}

// watchOne starts a run, watches it, and returns how long after its end the end was reported.
func (c crowd) watchOne(t *testing.T, client *pipelines.Client, repo pipelines.Repo) time.Duration {
	run, err := startAnyway(t.Context(), client, repo)
	if !assert.NoError(t, err) {
		return 0
	}
	var last *pipelines.Pipeline
	for e, err := range client.Pipelines.Watch(t.Context(), repo, run.UUID, &pipelines.WatchOptions{Logs: c.selection()}) {
		if !assert.NoError(t, err) {
			return 0
		}
		if e.Kind == pipelines.EventPipeline {
			last = e.Pipeline
		}
	}
	if !assert.True(t, last.State.Succeeded(), last.State) {
		return 0
	}
	return time.Since(last.CompletedOn)
}

// startAnyway starts a run, later if the quota is used up: refused requests are counted.
func startAnyway(ctx context.Context, client *pipelines.Client, repo pipelines.Repo) (*pipelines.Pipeline, error) {
	for {
		run, err := client.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
		if !errors.Is(err, pipelines.ErrRateLimited) {
			return run, err
		}
		time.Sleep(time.Minute)
	}
}

func (c crowd) selection() pipelines.LogSelection {
	if c.logs {
		return pipelines.LogsAll
	}
	return pipelines.LogsNone
}

// othersEveryMinute sends a request a minute until ctx ends.
func othersEveryMinute(ctx context.Context, t *testing.T, client *pipelines.Client, repo pipelines.Repo) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
		_, err := client.Pipelines.List(ctx, repo, &pipelines.ListPipelinesOptions{PageLen: 1}).Collect()
		if ctx.Err() == nil && !errors.Is(err, pipelines.ErrRateLimited) { // refused requests are counted
			assert.NoError(t, err, "of the other calls")
		}
	}
}

// count adds the requests that have a quota. They are in the order of their arrival.
func (o *observed) count(requests []pipelinestest.Request) {
	requests = slices.DeleteFunc(requests, func(r pipelinestest.Request) bool { return !strings.HasPrefix(r.Path, "/2.0/repositories/") })
	o.requests += len(requests)
	first := 0
	for last, r := range requests {
		if r.Status == http.StatusTooManyRequests {
			o.refused++
		}
		for r.Time.Sub(requests[first].Time) >= time.Hour {
			first++
		}
		o.busiest = max(o.busiest, last-first+1)
	}
}

// add adds what another simulation has shown.
func (o *observed) add(other observed) {
	o.ages = append(o.ages, other.ages...)
	o.requests += other.requests
	o.refused += other.refused
	o.busiest = max(o.busiest, other.busiest)
}

// follow simulates a crowd with each seed and reports the figures. Targets are in seconds; 0: none.
func (c crowd) follow(t *testing.T, title string, mostMedian, most float64) {
	t.Helper()
	var all observed
	for seed := range seeds() {
		seen := c.watch(t, seed)
		t.Logf("seed %d: age of the end %s, at most %s; %d requests, %d in the busiest hour, %d refused",
			seed, median(seen.ages).Round(time.Second), slices.Max(seen.ages).Round(time.Second), seen.requests, seen.busiest, seen.refused)
		all.add(seen)
	}
	require.Len(t, all.ages, c.runs*int(seeds()))
	report(t, title, "age of the end, s: median", median(all.ages).Seconds(), mostMedian)
	report(t, title, "age of the end, s: maximum", slices.Max(all.ages).Seconds(), most)
	report(t, title, "requests in the busiest hour", float64(all.busiest), 0)
	reportNone(t, title, "refused requests", all.refused)
}

func TestPollingWatchesManyRunsOfOneClient(t *testing.T) {
	for _, c := range []struct {
		runs            int
		median, maximum float64
	}{{3, 8, 15}, {10, 25, 50}, {30, 75, 150}, {100, 360, 720}} {
		if c.runs > 30 && underRace {
			continue
		}
		title := fmt.Sprintf("watch %d runs of 55 to 65 minutes, without logs", c.runs)
		crowd{runs: c.runs, steps: 1}.follow(t, title, c.median, c.maximum)
	}
	crowd{runs: 30, steps: 1, oneRepository: true}.follow(t, "watch 30 such runs of one repository", 10, 30)
}

func TestPollingWatchesManyRunsWithTheirLogs(t *testing.T) {
	for _, runs := range []int{3, 10, 30, 100} {
		if runs > 3 && underRace || runs > 10 && rowsFile == "" {
			return
		}
		crowd{runs: runs, steps: 8, logs: true}.follow(t, fmt.Sprintf("watch %d runs of 55 to 65 minutes, eight steps with logs", runs), 0, 0)
	}
}
