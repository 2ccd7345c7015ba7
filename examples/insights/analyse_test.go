package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	passed  = pipelines.ResultSuccessful
	broken  = pipelines.ResultFailed
	stopped = pipelines.ResultStopped
	notRun  = pipelines.ResultNotRun
)

var noon = time.Date(2026, time.October, 20, 12, 0, 0, 0, time.UTC)

// run1 is a run of one step.
func run1(number int, commit string, result pipelines.ResultName, tests ...string) Run {
	step := Step{Name: "Test", Result: result, Failed: tests, Started: noon.Add(time.Second), Duration: time.Minute, Build: time.Minute}
	return Run{Number: number, Pipeline: "default", Branch: "main", Commit: commit, Result: result, Created: noon, StepsRead: true, Steps: []Step{step}}
}

func change(r Run, f func(*Run)) Run {
	f(&r)
	return r
}

func TestPercentilesAreDurationsThatOccurred(t *testing.T) {
	var hundred samples
	for i := 100; i >= 1; i-- {
		hundred = append(hundred, float64(i))
	}
	for name, tt := range map[string]struct {
		in   samples
		want Percentiles
	}{
		"none":    {nil, Percentiles{}},
		"one":     {samples{7}, Percentiles{1, 7, 7, 7, 7}},
		"two":     {samples{9, 1}, Percentiles{2, 1, 9, 9, 9}},
		"three":   {samples{5, 1, 3}, Percentiles{3, 3, 5, 5, 5}},
		"ten":     {samples{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, Percentiles{10, 5, 9, 10, 10}},
		"hundred": {hundred, Percentiles{100, 50, 90, 99, 100}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, tt.in.percentiles()) })
	}
}

func TestStoppedAndRunningRunsAreNotJudged(t *testing.T) {
	for name, tt := range map[string]struct {
		results []pipelines.ResultName
		want    Counts
		rate    float64
	}{
		"nothing":       {nil, Counts{}, 0},
		"all well":      {[]pipelines.ResultName{passed, passed}, Counts{Runs: 2, Successful: 2}, 1},
		"half":          {[]pipelines.ResultName{passed, broken}, Counts{Runs: 2, Successful: 1, Failed: 1}, 0.5},
		"error, expiry": {[]pipelines.ResultName{passed, pipelines.ResultError, pipelines.ResultExpired, passed}, Counts{Runs: 4, Successful: 2, Failed: 2}, 0.5},
		"stopped":       {[]pipelines.ResultName{passed, stopped}, Counts{Runs: 2, Successful: 1, Stopped: 1}, 1},
		"going on":      {[]pipelines.ResultName{passed, ""}, Counts{Runs: 2, Successful: 1, Unfinished: 1}, 1},
		"unknown":       {[]pipelines.ResultName{passed, "VANISHED"}, Counts{Runs: 2, Successful: 1, Unknown: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var runs []Run
			for i, result := range tt.results {
				runs = append(runs, Run{Number: i + 1, Result: result, Created: noon, Duration: time.Minute})
			}
			rep := analyse(runs, noon, noon)
			require.Equal(t, tt.want, rep.Counts)
			require.InDelta(t, tt.rate, rep.Counts.Rate(), 0)
			require.Equal(t, tt.want.Judged(), rep.Duration.Count)
		})
	}
}

func TestATestIsFlakyIfAnotherRunOfTheCommitPassed(t *testing.T) {
	second := func(r Run) Run { // with a second step of the same name, as in a matrix, that passed
		return change(r, func(r *Run) { r.Steps = append(r.Steps, run1(0, "", passed).Steps...) })
	}
	for name, tt := range map[string]struct {
		runs         []Run
		flaky, total int // of test A; 0, 0: not listed
		commits      int
		last         int
	}{
		"failed, then passed":             {[]Run{run1(2, "c", passed), run1(1, "c", broken, "A")}, 1, 1, 1, 1},
		"passed, then failed":             {[]Run{run1(2, "c", broken, "A"), run1(1, "c", passed)}, 1, 1, 1, 2},
		"failed twice, then passed":       {[]Run{run1(3, "c", passed), run1(2, "c", broken, "A"), run1(1, "c", broken, "A")}, 2, 2, 1, 2},
		"on two commits":                  {[]Run{run1(4, "d", passed), run1(3, "d", broken, "A"), run1(2, "c", passed), run1(1, "c", broken, "A")}, 2, 2, 2, 3},
		"and really broken elsewhere":     {[]Run{run1(3, "d", broken, "A"), run1(2, "c", passed), run1(1, "c", broken, "A")}, 1, 2, 1, 1},
		"passed on another commit":        {[]Run{run1(2, "d", passed), run1(1, "c", broken, "A")}, 0, 0, 0, 0},
		"failed only":                     {[]Run{run1(2, "c", broken, "A"), run1(1, "c", broken, "A")}, 0, 0, 0, 0},
		"another run was stopped":         {[]Run{run1(2, "c", stopped), run1(1, "c", broken, "A")}, 0, 0, 0, 0},
		"no commit is known":              {[]Run{run1(2, "", passed), run1(1, "", broken, "A")}, 0, 0, 0, 0},
		"passed in the same run only":     {[]Run{second(run1(1, "c", broken, "A"))}, 0, 0, 0, 0},
		"passed in another pipeline":      {[]Run{change(run1(2, "c", passed), func(r *Run) { r.Pipeline = "custom: x" }), run1(1, "c", broken, "A")}, 0, 0, 0, 0},
		"another step passed":             {[]Run{change(run1(2, "c", passed), func(r *Run) { r.Steps[0].Name = "Lint" }), run1(1, "c", broken, "A")}, 0, 0, 0, 0},
		"the step passed, the run didn't": {[]Run{change(run1(2, "c", passed), func(r *Run) { r.Result = broken }), run1(1, "c", broken, "A")}, 1, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			rep := analyse(tt.runs, noon, noon)
			if tt.total == 0 {
				require.Empty(t, rep.Flaky)
				return
			}
			require.Len(t, rep.Flaky, 1)
			got := rep.Flaky[0]
			require.Equal(t, []int{tt.flaky, tt.total, tt.commits, tt.last}, []int{got.Flaky, got.Failures, got.Commits, got.LastRun})
			require.Equal(t, tt.flaky, rep.Steps[0].Flaky)
		})
	}
}

func TestAFlakyTestIsFoundAcrossSteps(t *testing.T) {
	nightly := func(r Run) Run { return change(r, func(r *Run) { r.Pipeline = "custom: nightly" }) }
	rep := analyse([]Run{
		run1(6, "c", passed), run1(5, "c", broken, "A", "B"),
		nightly(run1(4, "c", passed)), nightly(run1(3, "c", broken, "A")),
		run1(2, "d", passed), run1(1, "d", broken, "B"),
	}, noon, noon)
	require.Equal(t, []FlakyTest{
		{Test: "A", Steps: []string{"Test · custom: nightly", "Test · default"}, Flaky: 2, Failures: 2, Commits: 1, LastRun: 5, Last: noon},
		{Test: "B", Steps: []string{"Test · default"}, Flaky: 2, Failures: 2, Commits: 2, LastRun: 5, Last: noon},
	}, rep.Flaky)
}

func TestWaitingEndsWhenTheFirstStepStarts(t *testing.T) {
	at := noon.Add
	for name, tt := range map[string]struct {
		steps []Step
		want  time.Duration
		ok    bool
	}{
		"no steps":              {nil, 0, false},
		"none started":          {[]Step{{}}, 0, false},
		"one":                   {[]Step{{Started: at(9 * time.Second)}}, 9 * time.Second, true},
		"the second came first": {[]Step{{Started: at(9 * time.Second)}, {Started: at(5 * time.Second)}}, 5 * time.Second, true},
		"a person started it":   {[]Step{{Started: at(time.Hour), Manual: true}}, 0, false},
		"a person came later":   {[]Step{{Started: at(time.Second)}, {Started: at(time.Hour), Manual: true}}, time.Second, true},
		"clocks that differ":    {[]Step{{Started: at(-time.Second)}}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Run{Created: noon, Steps: tt.steps}.waited()
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.ok, ok)
		})
	}
}

func TestDaysAreInTheTimeZoneOfTheReport(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	from := time.Date(2026, time.October, 24, 0, 0, 0, 0, berlin)
	to := time.Date(2026, time.October, 26, 8, 0, 0, 0, berlin) // clocks change on the 25th
	rep := analyse([]Run{
		{Number: 1, Result: passed, Created: time.Date(2026, time.October, 23, 22, 30, 0, 0, time.UTC), Build: 90 * time.Second}, // 0:30 on the 24th
		{Number: 2, Result: broken, Created: time.Date(2026, time.October, 25, 22, 59, 0, 0, time.UTC)},
		{Number: 3, Result: passed, Created: time.Date(2026, time.October, 25, 23, 0, 0, 0, time.UTC)}, // the 26th
	}, from, to)
	var dates []string
	var runs []int
	for _, d := range rep.Days {
		dates, runs = append(dates, d.Date), append(runs, d.Counts.Runs)
	}
	require.Equal(t, []string{"2026-10-24", "2026-10-25", "2026-10-26"}, dates)
	require.Equal(t, []int{1, 1, 1}, runs)
	require.InDelta(t, 1.5, rep.Days[0].Build, 0)
}

func TestGroupsOfRunsAndSteps(t *testing.T) {
	rep := analyse([]Run{
		{Number: 1, Pipeline: "default", Branch: "main", Result: passed, Duration: 60 * time.Second, Build: 2 * time.Minute, Created: noon, Steps: []Step{
			{Name: "Build", Result: passed, Duration: 10 * time.Second, Build: time.Minute}, {Name: "Test", Result: passed, Duration: 50 * time.Second, Build: time.Minute},
		}},
		{Number: 2, Pipeline: "default", Branch: "fix", Result: broken, Duration: 20 * time.Second, Build: time.Minute, Created: noon, Steps: []Step{
			{Name: "Build", Result: broken, Duration: 20 * time.Second, Build: time.Minute}, {Name: "Test", Result: notRun},
		}},
		{Number: 3, Pipeline: "custom: nightly", Branch: "main", Result: stopped, Duration: time.Hour, Build: time.Hour, Created: noon, Steps: []Step{
			{Name: "Build", Result: stopped, Duration: time.Hour, Build: time.Hour},
		}},
	}, noon, noon)
	require.Equal(t, []BranchStats{
		{"main", Counts{Runs: 2, Successful: 1, Stopped: 1}, 62},
		{"fix", Counts{Runs: 1, Failed: 1}, 1},
	}, rep.Branches)
	require.Equal(t, []PipelineStats{
		{"default", Counts{Runs: 2, Successful: 1, Failed: 1}, Percentiles{2, 20, 60, 60, 60}, Percentiles{}, 3},
		{"custom: nightly", Counts{Runs: 1, Stopped: 1}, Percentiles{}, Percentiles{}, 60},
	}, rep.Pipelines)
	require.Equal(t, []StepStats{
		{"custom: nightly", "Build", Counts{Runs: 1, Stopped: 1}, 0, Percentiles{}, 60},
		{"default", "Build", Counts{Runs: 2, Successful: 1, Failed: 1}, 0, Percentiles{2, 10, 20, 20, 20}, 2},
		{"default", "Test", Counts{Runs: 1, Successful: 1}, 0, Percentiles{1, 50, 50, 50, 50}, 1},
	}, rep.Steps)

	names := func(steps []StepStats) (list []string) {
		for _, s := range steps {
			list = append(list, s.label())
		}
		return list
	}
	require.Equal(t, []string{"Test · default", "Build · default"}, names(slowest(rep.Steps, 5)))
	require.Equal(t, []string{"Test · default"}, names(slowest(rep.Steps, 1)))
	require.Equal(t, []string{"Build · default"}, names(mostFailing(rep.Steps, 5)))
}
