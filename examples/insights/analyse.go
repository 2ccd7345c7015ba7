package main

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// Report aggregates the runs of some days. Its JSON is the output of --json: durations in seconds, rates from 0 to 1.
type Report struct {
	Repository string          `json:"repository"`
	Branch     string          `json:"branch,omitzero"` // empty: all
	From       time.Time       `json:"from"`
	To         time.Time       `json:"to"`
	Incomplete string          `json:"incomplete,omitzero"` // the reason; empty: complete
	Undated    int             `json:"undated_runs"`        // left out: the service doesn't say when they were created
	Negative   int             `json:"negative_times"`      // durations and build times, left out
	Requests   int             `json:"requests"`
	StepsRead  int             `json:"runs_with_steps_read"`
	Counts     Counts          `json:"counts"`
	Build      float64         `json:"build_minutes"`
	Duration   Percentiles     `json:"duration"`
	Wait       Percentiles     `json:"wait_before_start"`
	Days       []Day           `json:"days"`
	Pipelines  []PipelineStats `json:"pipelines"`
	Branches   []BranchStats   `json:"branches"`
	Steps      []StepStats     `json:"steps"`
	Flaky      []FlakyTest     `json:"flaky_tests"`
}

// Counts counts runs by result.
type Counts struct {
	Runs       int `json:"runs"`
	Successful int `json:"successful"`
	Failed     int `json:"failed"` // including errors
	Stopped    int `json:"stopped"`
	Unfinished int `json:"unfinished"`
	Unknown    int `json:"unknown_result"`
}

// Judged is the number of runs that ended by themselves.
func (c Counts) Judged() int { return c.Successful + c.Failed }

// Rate is the share of successful runs among those, from 0 to 1; 0 if there are none.
func (c Counts) Rate() float64 { return ratio(c.Successful, c.Judged()) }

func (c *Counts) add(result pipelines.ResultName) {
	c.Runs++
	switch {
	case result == pipelines.ResultSuccessful:
		c.Successful++
	case failed(result):
		c.Failed++
	case result == "":
		c.Unfinished++
	case result == pipelines.ResultStopped:
		c.Stopped++
	default:
		c.Unknown++
	}
}

// Percentiles are of durations in seconds. All are zero if there are no durations.
type Percentiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_seconds"`
	P90   float64 `json:"p90_seconds"`
	P99   float64 `json:"p99_seconds"`
	Max   float64 `json:"max_seconds"`
}

// Day is one day in the time zone of the report.
type Day struct {
	Date   string      `json:"date"` // such as 2026-10-31
	Counts Counts      `json:"counts"`
	Build  float64     `json:"build_minutes"`
	Wait   Percentiles `json:"wait_before_start"`
}

// PipelineStats describes one pipeline of the YAML.
type PipelineStats struct {
	Name     string      `json:"name"`
	Counts   Counts      `json:"counts"`
	Duration Percentiles `json:"duration"`
	Wait     Percentiles `json:"wait_before_start"`
	Build    float64     `json:"build_minutes"`
}

// unnamed reports whether these are the runs without a pipeline.
func (p PipelineStats) unnamed() bool { return p.Name == noPipeline }

// BranchStats describes the runs on one branch or tag.
type BranchStats struct {
	Name   string  `json:"name"`
	Counts Counts  `json:"counts"`
	Build  float64 `json:"build_minutes"`
}

// StepStats describes one step of one pipeline.
type StepStats struct {
	Pipeline string      `json:"pipeline"`
	Name     string      `json:"name"`
	Counts   Counts      `json:"counts"`
	Flaky    int         `json:"flaky_failures"` // failures on commits on which the step was successful in another run
	Duration Percentiles `json:"duration"`
	Build    float64     `json:"build_minutes"`
}

// FailureRate is the share of failed runs among the judged runs of the step, from 0 to 1.
func (s StepStats) FailureRate() float64 { return ratio(s.Counts.Failed, s.Counts.Judged()) }

// FlakyTest failed in one run although the step was successful in another run of the same commit.
type FlakyTest struct {
	Test     string    `json:"test"`
	Steps    []string  `json:"steps"` // steps and pipelines in which it was flaky
	Flaky    int       `json:"flaky_failures"`
	Failures int       `json:"failures"` // all failures, flaky or not
	Commits  int       `json:"commits"`
	LastRun  int       `json:"last_run"`
	LastURL  string    `json:"last_url"`
	Last     time.Time `json:"last"`
}

// analyse returns the report on the runs that were created between two times. Days are in the time zone of the times.
func analyse(runs []Run, from, to time.Time) Report {
	rep := Report{From: from, To: to}
	var durations, waits samples
	for _, r := range runs {
		rep.Counts.add(r.Result)
		rep.Build += charged(r.Build)
		durations.addIf(r.Duration, judged(r.Result))
		if r.StepsRead {
			rep.StepsRead++
		}
		waits.addIf(r.waited())
		rep.Negative += r.negative()
	}
	rep.Duration, rep.Wait = durations.percentiles(), waits.percentiles()
	rep.Days = days(runs, from, to)
	rep.Pipelines = pipelinesOf(runs)
	rep.Branches = branches(runs)
	passed := passes(runs)
	rep.Steps = steps(runs, passed)
	rep.Flaky = flakyTests(runs, passed)
	return rep
}

// samples are durations in seconds.
type samples []float64

func (s *samples) addIf(d time.Duration, ok bool) {
	if ok && d >= 0 {
		*s = append(*s, d.Seconds())
	}
}

// percentiles uses the nearest rank, so each percentile is an actual duration.
func (s samples) percentiles() Percentiles {
	if len(s) == 0 {
		return Percentiles{}
	}
	sorted := slices.Sorted(slices.Values(s))
	rank := func(p float64) float64 { return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)] }
	return Percentiles{Count: len(s), P50: rank(0.50), P90: rank(0.90), P99: rank(0.99), Max: sorted[len(sorted)-1]}
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// group collects the runs with one name.
type group struct {
	counts          Counts
	build           float64
	durations, wait samples
}

func (g *group) addRun(r Run) {
	g.counts.add(r.Result)
	g.build += charged(r.Build)
	g.durations.addIf(r.Duration, judged(r.Result))
	g.wait.addIf(r.waited())
}

// groups collects runs by name.
func groups(runs []Run, name func(Run) string) map[string]*group {
	found := map[string]*group{}
	for _, r := range runs {
		at(found, name(r)).addRun(r)
	}
	return found
}

// at returns the value of a key, and creates it if it is missing.
func at[K comparable, V any](m map[K]*V, key K) *V {
	if m[key] == nil {
		m[key] = new(V)
	}
	return m[key]
}

func days(runs []Run, from, to time.Time) []Day {
	today := to.Format(time.DateOnly) // the service's clock may be ahead
	found := groups(runs, func(r Run) string { return min(today, r.Created.In(to.Location()).Format(time.DateOnly)) })
	list := []Day{}
	// Noon exists on every day; midnight may not if clocks change then.
	for noon := time.Date(from.Year(), from.Month(), from.Day(), 12, 0, 0, 0, to.Location()); ; noon = noon.AddDate(0, 0, 1) {
		date := noon.Format(time.DateOnly)
		if date > today {
			return list
		}
		g := at(found, date)
		list = append(list, Day{Date: date, Counts: g.counts, Build: g.build, Wait: g.wait.percentiles()})
	}
}

func pipelinesOf(runs []Run) []PipelineStats {
	list := []PipelineStats{}
	for name, g := range groups(runs, func(r Run) string { return r.Pipeline }) {
		list = append(list, PipelineStats{name, g.counts, g.durations.percentiles(), g.wait.percentiles(), g.build})
	}
	slices.SortFunc(list, func(a, b PipelineStats) int {
		return cmp.Or(cmp.Compare(b.Counts.Runs, a.Counts.Runs), cmp.Compare(a.Name, b.Name))
	})
	return list
}

func branches(runs []Run) []BranchStats {
	list := []BranchStats{}
	for name, g := range groups(runs, func(r Run) string { return r.Branch }) {
		list = append(list, BranchStats{name, g.counts, g.build})
	}
	slices.SortFunc(list, func(a, b BranchStats) int {
		return cmp.Or(cmp.Compare(b.Build, a.Build), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// stepKey identifies a step: the same name in another pipeline is another step.
type stepKey struct{ pipeline, step string }

// commitKey identifies a step on a commit.
type commitKey struct {
	stepKey
	commit string
}

// passSet holds the places of the runs in which a step was successful on a commit.
type passSet map[commitKey][]int

func passes(runs []Run) passSet {
	set := passSet{}
	for i, r := range runs {
		for _, s := range r.Steps {
			if s.Result == pipelines.ResultSuccessful {
				key := commitKey{stepKey{r.Pipeline, s.Name}, r.Commit}
				set[key] = append(set[key], i)
			}
		}
	}
	return set
}

// flaky reports whether a step that failed in the i-th run was successful in another run of the commit.
func (p passSet) flaky(i int, r Run, s Step) bool {
	return r.Commit != "" && failed(s.Result) &&
		slices.ContainsFunc(p[commitKey{stepKey{r.Pipeline, s.Name}, r.Commit}], func(passed int) bool { return passed != i })
}

func steps(runs []Run, passed passSet) []StepStats {
	type stats struct {
		group
		flaky int
	}
	found := map[stepKey]*stats{}
	for i, r := range runs {
		for _, s := range r.Steps {
			if s.Result == pipelines.ResultNotRun {
				continue
			}
			st := at(found, stepKey{r.Pipeline, s.Name})
			st.counts.add(s.Result)
			st.build += charged(s.Build)
			st.durations.addIf(s.Duration, judged(s.Result))
			if passed.flaky(i, r, s) {
				st.flaky++
			}
		}
	}
	list := []StepStats{}
	for key, st := range found {
		list = append(list, StepStats{key.pipeline, key.step, st.counts, st.flaky, st.durations.percentiles(), st.build})
	}
	slices.SortFunc(list, func(a, b StepStats) int {
		return cmp.Or(cmp.Compare(b.Build, a.Build), cmp.Compare(a.Pipeline, b.Pipeline), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// slowest returns the n steps with the largest 90th percentile.
func slowest(all []StepStats, n int) []StepStats {
	return top(all, n, func(s StepStats) float64 { return s.Duration.P90 })
}

// mostFailing returns the n steps that failed most often.
func mostFailing(all []StepStats, n int) []StepStats {
	return top(all, n, func(s StepStats) float64 { return float64(s.Counts.Failed) + s.FailureRate()/2 })
}

// top returns the n items with the largest scores, in descending order, without those whose score is zero.
func top[T any](all []T, n int, score func(T) float64) []T {
	some := slices.DeleteFunc(slices.Clone(all), func(item T) bool { return score(item) == 0 })
	slices.SortStableFunc(some, func(a, b T) int { return cmp.Compare(score(b), score(a)) })
	return some[:min(n, len(some))]
}

// flakyTests finds flaky tests by name, in all steps.
func flakyTests(runs []Run, passed passSet) []FlakyTest {
	found, commits := map[string]*FlakyTest{}, map[string]map[string]bool{}
	for i, r := range runs {
		for _, s := range r.Steps {
			flaky := passed.flaky(i, r, s)
			for _, test := range s.Failed {
				t := at(found, test)
				t.Test = test
				t.Failures++
				if flaky {
					t.add(r, s)
					if commits[test] == nil {
						commits[test] = map[string]bool{}
					}
					commits[test][r.Commit] = true
				}
			}
		}
	}
	list := []FlakyTest{}
	for name, t := range found {
		if t.Flaky > 0 {
			t.Commits = len(commits[name])
			slices.Sort(t.Steps)
			list = append(list, *t)
		}
	}
	slices.SortFunc(list, func(a, b FlakyTest) int {
		return cmp.Or(cmp.Compare(b.Flaky, a.Flaky), cmp.Compare(b.Failures, a.Failures), cmp.Compare(a.Test, b.Test))
	})
	return list
}

// add counts a failure in a step of a run.
func (t *FlakyTest) add(r Run, s Step) {
	t.Flaky++
	if name := label(s.Name, r.Pipeline); !slices.Contains(t.Steps, name) {
		t.Steps = append(t.Steps, name)
	}
	if r.Created.After(t.Last) {
		t.LastRun, t.LastURL, t.Last = r.Number, r.URL, r.Created
	}
}

// label is the name of a step and its pipeline.
func label(step, pipeline string) string { return step + " · " + pipeline }
