package audit

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestRunsThatHaveNotEndedAreReadAgain(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	script := pipelinestest.Script{Steps: []pipelinestest.Step{
		{Name: "Build", Duration: 100 * time.Second}, {Name: "Deploy", Duration: 50 * time.Second, Manual: true},
	}}
	var paused []*pipelines.Pipeline
	for i := range 110 { // more than a page
		paused = append(paused, r.AddRun(script, f.now.Add(-time.Duration(10+i)*time.Hour)))
	}
	for range 110 {
		r.AddRun(pipelinestest.Script{}, f.now.Add(-2*time.Hour))
	}
	require.Equal(t, 110*100, f.audit("").BuildSeconds)

	require.NoError(t, r.Resume(paused[109].UUID))
	f.now = f.now.Add(time.Hour)
	require.Equal(t, 110*100+50, f.audit("").BuildSeconds)
	require.Len(t, f.Requests(), 1+2+2+2+1+1, "a list of the newest runs on 2 pages, a list of the 109 that wait on 2, the run that went on, and its steps")
	require.Equal(t, 110*100+50, f.audit("").BuildSeconds)
	require.Len(t, f.Requests(), 1+2+2+2, "those that wait need no steps again")

	running := pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Hour}}}
	r.AddRun(running, f.now.Add(-10*time.Minute))
	require.Equal(t, 110*100+50+600, f.audit("").BuildSeconds)
	f.now = f.now.Add(20 * time.Minute)
	require.Equal(t, 110*100+50+1800, f.audit("").BuildSeconds)
	f.now = f.now.Add(20 * time.Hour)
	rep := f.audit("")
	require.Equal(t, 110*100+50+3600, rep.BuildSeconds)
	require.Equal(t, 109, rep.Repositories[0].Unended)
}

func TestAnyDateMayBeAuditedAfterAnyOther(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	total := 0 // of the last 50 days
	add := func(daysAgo int) {
		seconds := 10 + daysAgo
		r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: time.Duration(seconds) * time.Second}}}, f.now.Add(-time.Duration(daysAgo)*day-time.Hour))
		total += seconds
	}
	for n := 50; n > 40; n-- {
		add(n)
	}
	since := func(days int) Report {
		return f.audit(fmt.Sprintf("--since %dd", days))
	}
	require.Equal(t, total, since(55).BuildSeconds)
	for n := 40; n > 0; n-- {
		for range 4 { // more than a page
			add(n)
		}
	}
	require.Equal(t, 4*(11+12), since(3).BuildSeconds)
	require.Equal(t, total, since(55).BuildSeconds)
	require.Equal(t, 4*(11+12), since(3).BuildSeconds)
}

func TestStepsThatAreRunAgainAreReadAgain(t *testing.T) {
	f := newFixture(t)
	f.AddRepository("acme", "site")
	seconds := 5
	f.Handle("GET /repositories/acme/site/pipelines", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"size":1,"values":[{"uuid":"{a}","created_on":%q,"state":{"name":"COMPLETED"},"build_seconds_used":%d}]}`,
			f.now.UTC().Format(time.RFC3339), seconds)
	}))
	f.Handle("GET /repositories/acme/site/pipelines/{run}/steps", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"values":[{"uuid":"{s}","name":"Build","build_seconds_used":%d}]}`, seconds)
	}))
	require.Equal(t, 5, f.audit("").BuildSeconds)
	seconds = 8
	rep := f.audit("")
	require.Equal(t, 8, rep.BuildSeconds)
	require.Equal(t, []BuildRow{{Repository: "acme/site", Step: "Build", BuildSeconds: 8, Runs: 1}}, rep.Steps)
}

func TestStepsOfARunThatRunsCountAlthoughTheListTellsNothing(t *testing.T) {
	f := newFixture(t)
	f.AddRepository("acme", "site")
	seconds := 5
	f.Handle("GET /repositories/acme/site/pipelines", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"size":1,"values":[{"uuid":"{a}","created_on":%q,"state":{"name":"IN_PROGRESS","stage":{"name":"RUNNING"}}}]}`, f.now.UTC().Format(time.RFC3339))
	}))
	f.Handle("GET /repositories/acme/site/pipelines/{run}/steps", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"values":[{"uuid":"{s}","name":"Build","build_seconds_used":%d}]}`, seconds)
	}))
	require.Equal(t, 5, f.audit("").BuildSeconds)
	seconds = 8
	require.Equal(t, 8, f.audit("").BuildSeconds)
}

func TestRunsAsTheServiceMaySendThem(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	for i := range 3 { // no steps, or none that tell
		r.AddPipeline(pipelines.Pipeline{CreatedOn: f.now.Add(-time.Duration(i) * time.Hour), DurationInSeconds: 30, BuildSecondsUsed: 70})
	}
	f.Handle("GET /repositories/acme/odd/pipelines", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"size":3,"values":[
			{"uuid":"{a}","build_number":3,"state":{"name":"COMPLETED"},"target":{"ref_name":"main"}},
			{"uuid":"{b}","build_number":2,"created_on":%q,"state":{"name":"COMPLETED"},"target":{"source":"topic"},"build_seconds_used":"7"},
			{"uuid":"{c}","build_number":1,"created_on":"2019-01-01T00:00:00Z","state":{"name":"COMPLETED"}}]}`, f.now.Add(-time.Hour).UTC().Format(time.RFC3339))
	}))
	f.Handle("GET /repositories/acme/odd/pipelines/{run}/steps", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"values":[{"uuid":"{s}","build_seconds_used":5},{"uuid":"{t}","name":"Test"}]}`)
	}))
	f.AddRepository("acme", "odd")
	rep := f.audit("")
	require.Equal(t, 3*70+5+7, rep.BuildSeconds)
	require.Equal(t, 5, rep.Runs, "the run without a time counts, the one of 2019 doesn't")
	require.Contains(t, rep.Steps, BuildRow{Repository: "acme/site", Step: NoStep, BuildSeconds: 210, Runs: 3})
	require.Contains(t, rep.Steps, BuildRow{Repository: "acme/odd", Step: "step 1", BuildSeconds: 10, Runs: 2})
	require.Contains(t, rep.Branches, BuildRow{Repository: "acme/odd", Branch: "topic", BuildSeconds: 7, Runs: 1})
}

func TestARunOfTheFarFutureHidesNoOther(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	add := func(at time.Time) { r.AddPipeline(pipelines.Pipeline{CreatedOn: at, BuildSecondsUsed: 10}) }
	add(f.now.AddDate(500, 0, 0))
	require.Equal(t, 10, f.audit("").BuildSeconds)
	for i := range 150 { // more than a page
		add(f.now.Add(-time.Duration(i) * time.Second))
	}
	require.Equal(t, 1510, f.audit("").BuildSeconds)
}

// secrets are in the service, and nowhere in the output or the state.
var secrets = []string{"plain-value-3141", "secured-value-2718", "of-an-environment-1618", "of-the-workspace-1414", "PRIVATE", "of-a-runner-1732", "a-token"}

func TestARunBeforeTheDateMakesNothingUnreadable(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	run := r.AddRun(pipelinestest.Script{}, f.now.Add(-3*day))
	f.Inject(pipelinestest.Fault{Path: path("site", "pipelines/"+run.UUID+"/steps"), Status: http.StatusForbidden})
	require.Equal(t, cli.Failure, f.Run(f.args("")))
	require.Len(t, f.report().Unreadable, 1)
	require.Empty(t, f.audit("--since 2d").Unreadable)
}

func TestARunThatIsNotFoundForAMomentKeepsItsPlace(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	run := r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Duration: 4 * time.Hour}}}, f.now.Add(-3*time.Hour))
	for range 110 { // more than a page
		r.AddRun(pipelinestest.Script{}, f.now.Add(-2*time.Hour))
	}
	r.AddRun(pipelinestest.Script{}, f.now)
	require.Equal(t, 3*3600, f.audit("").BuildSeconds)
	f.now = f.now.Add(5 * time.Hour)
	f.Inject(pipelinestest.Fault{Path: path("site", "pipelines/"+run.UUID), Status: http.StatusNotFound})
	require.Equal(t, 3*3600+3600, f.audit("").BuildSeconds, "its steps tell")
	f.ClearFaults()
	rep := f.audit("")
	require.Equal(t, 4*3600, rep.BuildSeconds)
	require.Zero(t, rep.Repositories[0].Unended)
}
