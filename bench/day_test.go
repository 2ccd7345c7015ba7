package main

import (
	"math"
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

const (
	fleet     = 60 // repositories
	mostRuns  = 30 // at a time
	tailLines = 20
)

// trouble is a time in which nothing can be told.
type trouble struct{ at, length time.Duration }

// isNear reports whether an end at that time may be told late because of the trouble. A Fault begins with the first request, so it may end a
// little later than it should.
func (t trouble) isNear(end time.Duration) bool {
	return end >= t.at-10*time.Minute && end < t.at+t.length+5*time.Minute
}

// dayLength is that of a day, which is shorter where no rows are written.
func dayLength() time.Duration {
	if rowsFile != "" {
		return 24 * time.Hour
	}
	return 8 * time.Hour
}

func outage() trouble     { return trouble{dayLength() / 4, time.Hour} }            // 503
func revocation() trouble { return trouble{dayLength() * 3 / 8, 10 * time.Minute} } // of the token, without another
func refusal() trouble    { return trouble{dayLength() / 2, time.Hour} }            // 429

func deletionAt() time.Duration { return dayLength() * 2 / 3 }

// day is a bot's day: it follows the runs that people start, at most 30 at a time, while the service and they do what happens in days.
type day struct {
	t       *testing.T
	srv     *pipelinestest.Server
	random  *rand.Rand
	begin   time.Time
	bot     *bot
	repos   []*pipelinestest.Repository
	all     []dayRun
	deleted pipelines.Repo
}

// lived is what a day shows.
type lived struct {
	observed                             // ages without those of ends near a trouble
	delayed              []time.Duration // how long after a trouble the ends near it were told
	runs, gone, problems int
	lost, repeated       int
	inOutage, inRefusal  int // requests in the hours of 503 and 429
	refusedElsewhere     int
	nameless             int // events that don't say of which run
}

func live(t *testing.T, seed uint64) lived {
	t.Helper()
	var seen lived
	synctest.Test(t, func(t *testing.T) {
		d := &day{
			t: t, random: rand.New(rand.NewPCG(seed, fleet)), begin: time.Now(),
			srv: pipelinestest.NewServer(
				pipelinestest.WithQuota(hourlyQuota), pipelinestest.WithToken("another"), pipelinestest.WithOAuthConsumer("bot", "secret"),
			),
			bot: newBot(t, pipelines.FollowerOptions{Logs: pipelines.LogsTail(tailLines)}),
		}
		defer d.srv.Close()
		for i := range fleet {
			d.repos = append(d.repos, d.srv.AddRepository("acme", crowd{}.slug(i)))
		}
		var world sync.WaitGroup
		world.Go(d.happens)
		client := d.srv.Client(pipelines.WithClientCredentials("bot", "secret"))
		evening := d.begin.Add(dayLength() + 3*time.Hour)
		d.bot.run(client, evening, evening, func() bool {
			return time.Since(d.begin) > dayLength() && d.bot.allEnded(len(d.bot.runs))
		})
		world.Wait()
		require.True(t, d.bot.allEnded(len(d.bot.runs)), "all runs were followed to their ends")
		d.judge(seed, &seen)
		d.countRequests(&seen)
	})
	return seen
}

// dayRun is a run that was started on a day.
type dayRun struct {
	*followed

	end time.Time
}

// happens is what people and the service do.
func (d *day) happens() {
	events := map[time.Duration]func(){
		outage().at:     func() { d.everything(http.StatusServiceUnavailable, outage().length) },
		refusal().at:    func() { d.everything(http.StatusTooManyRequests, refusal().length) },
		revocation().at: d.revokeToken,
		deletionAt():    d.deleteRepository,
	}
	for at := time.Duration(0); at < dayLength(); at += time.Minute {
		if event := events[at]; event != nil {
			event()
		}
		d.startRuns()
		time.Sleep(time.Minute)
	}
}

// startRuns starts as many runs as the hour of the day asks for: one at the beginning, thirty in the middle.
func (d *day) startRuns() {
	now, active := time.Now(), 0
	for _, run := range d.all {
		if run.end.After(now) {
			active++
		}
	}
	wanted := 1 + int((mostRuns-1)*math.Pow(math.Sin(math.Pi*now.Sub(d.begin).Hours()/dayLength().Hours()), 2))
	for ; active < wanted; active++ {
		r := d.repos[d.random.IntN(len(d.repos))]
		script := d.script()
		length := time.Duration(0)
		for _, step := range script.Steps {
			length += step.Duration
		}
		d.all = append(d.all, dayRun{d.bot.follow(r, script), now.Add(length)})
	}
}

// script is one to four steps of half a minute to 15 minutes. One run of seven fails.
func (d *day) script() pipelinestest.Script {
	var script pipelinestest.Script
	for i := range 1 + d.random.IntN(4) {
		length := 30*time.Second + time.Duration(d.random.Int64N(int64(15*time.Minute)))
		script.Steps = append(script.Steps, pipelinestest.Step{
			Name: string(rune('A' + i)), Duration: length, Log: logText(int(length/time.Second), 80),
		})
	}
	if d.random.IntN(7) == 0 {
		script.Steps[len(script.Steps)-1].Result = pipelines.ResultFailed
	}
	return script
}

// everything makes the API respond with a status.
func (d *day) everything(status int, length time.Duration) {
	d.srv.Inject(pipelinestest.Fault{
		Status: status, Body: http.StatusText(status), For: length,
		Match: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/2.0/repositories/") },
	})
}

// revokeToken revokes the bot's token, and keeps the token endpoint from issuing another for a while.
func (d *day) revokeToken() {
	requests := d.srv.Requests()
	for i := len(requests) - 1; ; i-- {
		if token, ok := strings.CutPrefix(requests[i].Header.Get("Authorization"), "Bearer "); ok {
			d.srv.RevokeToken(token)
			break
		}
	}
	d.srv.Inject(pipelinestest.Fault{Path: "/site/oauth2/access_token", Status: http.StatusServiceUnavailable, For: revocation().length})
}

// deleteRepository deletes a repository in which a run is active.
func (d *day) deleteRepository() {
	i := slices.IndexFunc(d.all, func(run dayRun) bool { return run.end.After(time.Now().Add(5 * time.Minute)) })
	j := slices.IndexFunc(d.repos, func(r *pipelinestest.Repository) bool { return r.Repo() == d.all[i].repo })
	d.deleted = d.all[i].repo
	d.repos[j].Delete()
	d.repos = slices.Delete(d.repos, j, j+1)
}

// judge compares what the bot was told with what has happened.
func (d *day) judge(seed uint64, seen *lived) {
	seen.runs, seen.problems = len(d.bot.runs), d.bot.problems
	seen.nameless = d.bot.nameless
	for _, f := range d.all {
		lost, repeated := f.toldStates(false)
		if f.isGone() {
			assert.Equal(d.t, d.deleted, f.repo)
			seen.gone++
			lost = 0 // its end is unknown
		} else {
			d.checkTails(f.followed)
			d.judgeAge(f, seen)
		}
		if lost+repeated > 0 {
			d.t.Logf("seed %d: %d states lost, %d repeated: %s", seed, lost, repeated, f.describe())
		}
		seen.lost, seen.repeated = seen.lost+lost, seen.repeated+repeated
	}
	assert.Positive(d.t, seen.gone, "a run in the deleted repository")
}

func (d *day) judgeAge(f dayRun, seen *lived) {
	end := f.end.Sub(d.begin)
	for _, bad := range []trouble{outage(), revocation(), refusal()} {
		if bad.isNear(end) {
			seen.delayed = append(seen.delayed, f.age-(bad.at+bad.length-end))
			return
		}
	}
	seen.ages = append(seen.ages, f.age)
}

// countRequests counts the requests, and those in the hours of 503 and 429.
func (d *day) countRequests(seen *lived) {
	requests := d.srv.Requests()
	for _, r := range requests {
		at := r.Time.Sub(d.begin)
		switch {
		case r.Storage:
		case at >= outage().at && at < outage().at+outage().length:
			seen.inOutage++
		case at >= refusal().at && at < refusal().at+refusal().length:
			seen.inRefusal++
		case r.Status == http.StatusTooManyRequests && !refusal().isNear(at):
			seen.refusedElsewhere++
		}
	}
	seen.count(requests)
}

// checkTails checks that the bot has the last lines of failed steps, and no others.
func (d *day) checkTails(f *followed) {
	for _, step := range f.script.Steps {
		want := ""
		if step.Result == pipelines.ResultFailed {
			lines := strings.SplitAfter(strings.TrimSuffix(step.Log, "\n"), "\n")
			want = strings.Join(lines[max(0, len(lines)-tailLines):], "") + "\n"
		}
		assert.Equal(d.t, want, f.logs[step.Name], "the log of %s of %s", step.Name, f.id)
	}
}

func TestPollingFollowsADay(t *testing.T) {
	const title = "follow a day of 60 repositories, 1 to 30 runs at a time"
	var all lived
	for seed := range (seeds() + 1) / 2 {
		seen := live(t, seed)
		t.Logf("seed %d: %d runs, %d of them gone, %d problems; %d requests, %d in the hour of 503, %d in that of 429, %d refused in others",
			seed, seen.runs, seen.gone, seen.problems, seen.requests, seen.inOutage, seen.inRefusal, seen.refusedElsewhere)
		all.sum(seen)
	}
	reportNone(t, title, "state events lost", all.lost)
	reportNone(t, title, "state events repeated", all.repeated)
	reportNone(t, title, "events that name no run", all.nameless)
	report(t, title, "age of the end, s: median", median(all.ages).Seconds(), 0)
	report(t, title, "age of the end, s: maximum", slices.Max(all.ages).Seconds(), 0)
	report(t, title, "ends before or while everything fails, told after that, s: maximum", slices.Max(all.delayed).Seconds(), 0)
	report(t, title, "requests in the busiest hour", float64(all.busiest), hourlyQuota)
	report(t, title, "requests in an hour of 503", float64(all.inOutage), 0)
	report(t, title, "requests in an hour of 429", float64(all.inRefusal), 0)
	reportNone(t, title, "refused requests in the other hours", all.refusedElsewhere)
}

// sum adds what another day has shown. Of counts in an hour it keeps the larger one.
func (l *lived) sum(other lived) {
	l.add(other.observed)
	l.delayed = append(l.delayed, other.delayed...)
	l.lost, l.repeated, l.refusedElsewhere = l.lost+other.lost, l.repeated+other.repeated, l.refusedElsewhere+other.refusedElsewhere
	l.nameless += other.nameless
	l.inOutage, l.inRefusal = max(l.inOutage, other.inOutage), max(l.inRefusal, other.inRefusal)
}
