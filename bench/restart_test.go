package main

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const restarts = 6

// resumption is what following 30 runs of about an hour shows.
type resumption struct {
	observed
	lost, repeated          int
	told, written, received int64 // bytes of logs
	afterStart              int   // most requests in the five minutes after a restart
}

// followRestarted follows 30 runs with a program that is restarted at random times. Every other time it is killed between two events of one
// poll.
func followRestarted(t *testing.T, seed uint64, restarts int) resumption {
	t.Helper()
	const runs = 30
	var seen resumption
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithQuota(hourlyQuota))
		defer srv.Close()
		random := rand.New(rand.NewPCG(seed, runs))
		b := newBot(t, pipelines.FollowerOptions{Logs: pipelines.LogsAll})
		for i := range runs {
			r := srv.AddRepository("acme", crowd{}.slug(i))
			delay, script := time.Duration(random.Int64N(int64(10*time.Minute))), crowd{steps: 4, logs: true}.script(random)
			time.AfterFunc(delay, func() { b.follow(r, script) })
		}
		scale := &logCounter{byteCounter{inner: srv.Transport()}}
		begin, end := time.Now(), time.Now().Add(3*time.Hour)
		var starts []time.Time
		for i := range restarts + 1 {
			until, kill := end, end
			if at := begin.Add(10*time.Minute + time.Duration(i)*8*time.Minute + time.Duration(random.Int64N(int64(5*time.Minute)))); i < restarts {
				until, kill = at, at
			}
			if i%2 == 0 {
				until = end
			}
			starts = append(starts, time.Now())
			client := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: scale}))
			b.run(client, until, kill, func() bool { return b.allEnded(runs) })
		}
		require.True(t, b.allEnded(runs), "all runs were followed to their ends")
		for _, f := range b.runs {
			lost, repeated := f.toldStates(true)
			seen.lost, seen.repeated = seen.lost+lost, seen.repeated+repeated
			if lost+repeated > 0 {
				t.Logf("seed %d: %d states lost, %d repeated: %s", seed, lost, repeated, f.describe())
			}
			seen.ages = append(seen.ages, f.age)
			for _, step := range f.script.Steps {
				seen.written += int64(len(step.Log))
				seen.told += int64(len(f.logs[step.Name]))
				if f.logs[step.Name] != step.Log { // both are long
					assert.Fail(t, "a log isn't whole or not in order", "%s of %s", step.Name, f.id)
				}
			}
		}
		seen.received = scale.bytes.Load()
		requests := srv.Requests()
		seen.count(requests)
		for _, start := range starts[1:] {
			n := 0
			for _, r := range requests {
				if !r.Storage && !r.Time.Before(start) && r.Time.Sub(start) < 5*time.Minute {
					n++
				}
			}
			seen.afterStart = max(seen.afterStart, n)
		}
	})
	return seen
}

// logCounter is a transport that counts the bytes of logs.
type logCounter struct{ byteCounter }

func (l *logCounter) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/log") || strings.HasPrefix(req.URL.Host, "storage.") {
		return l.byteCounter.RoundTrip(req)
	}
	return l.inner.RoundTrip(req)
}

func TestPollingSurvivesRestarts(t *testing.T) {
	const title = "follow 30 runs of an hour with their logs, restarted six times"
	var all, undisturbed resumption
	for seed := range seeds() {
		seen := followRestarted(t, seed, restarts)
		t.Logf("seed %d: %d requests, %d in the busiest hour, %d refused, at most %d in the five minutes after a restart", seed,
			seen.requests, seen.busiest, seen.refused, seen.afterStart)
		all.sum(seen)
		undisturbed.sum(followRestarted(t, seed, 0))
	}
	reportNone(t, title, "state events lost", all.lost)
	reportNone(t, title, "state events repeated", all.repeated)
	report(t, title, "bytes of logs told / written", float64(all.told)/float64(all.written), 1)
	report(t, title, "bytes of logs received / written", float64(all.received)/float64(all.written), 1.01)
	reportNone(t, title, "refused requests", all.refused)
	report(t, title, "requests in the busiest hour / without restarts", float64(all.busiest)/float64(undisturbed.busiest), 1.1)
	report(t, title, "requests in the five minutes after a restart", float64(all.afterStart), 2*hourlyQuota/12)
	report(t, title, "age of the end, s: median", median(all.ages).Seconds(), 0)
	report(t, title, "age of the end, s: maximum", slices.Max(all.ages).Seconds(), 0)
}

// sum adds what another simulation has shown.
func (r *resumption) sum(other resumption) {
	r.add(other.observed)
	r.lost, r.repeated = r.lost+other.lost, r.repeated+other.repeated
	r.told, r.written, r.received = r.told+other.told, r.written+other.written, r.received+other.received
	r.afterStart = max(r.afterStart, other.afterStart)
}
