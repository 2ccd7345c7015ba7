package main

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

//go:embed report.gohtml
var files embed.FS

var page = template.Must(template.New("report.gohtml").Funcs(template.FuncMap{
	"percent": percent, "duration": duration, "minutes": minutes, "day": func(t time.Time) string { return t.Format("2 January 2006") },
	"stamp": func(t time.Time) string { return t.Format("2 January 2006, 15:04 MST") },
}).ParseFS(files, "report.gohtml"))

// mostRows is the maximum number of rows in charts and their tables.
const mostRows = 10

// view is a report with its charts.
type view struct {
	Report

	RunsChart, SuccessChart, WaitChart, DurationChart              *chart
	BranchChart, MinutesChart, SlowChart, FailingChart             *chart
	TopPipelines                                                   []PipelineStats
	TopBranches                                                    []BranchStats
	Expensive, Slow, Failing                                       []StepStats
	TopFlaky                                                       []FlakyTest
	MorePipelines, MoreBranches, MoreSteps, MoreFailing, MoreFlaky int
}

func newView(rep Report) view {
	v := view{Report: rep, Expensive: rep.Steps[:min(mostRows, len(rep.Steps))], Slow: slowest(rep.Steps, mostRows), Failing: mostFailing(rep.Steps, mostRows)}
	v.TopPipelines, v.MorePipelines = head(rep.Pipelines, mostRows)
	v.TopBranches, v.MoreBranches = head(rep.Branches, mostRows)
	v.TopFlaky, v.MoreFlaky = head(rep.Flaky, 3*mostRows)
	v.MoreSteps = len(rep.Steps) - len(v.Expensive)
	v.MoreFailing = len(mostFailing(rep.Steps, len(rep.Steps))) - len(v.Failing)
	v.RunsChart, v.SuccessChart, v.WaitChart = new(runsByDay(rep.Days)), new(successByDay(rep.Days)), new(waitByDay(rep.Days))
	v.DurationChart = new(durationChart(v.TopPipelines))
	v.BranchChart = new(bars("branches", "Build minutes by branch", "A bar for each branch.", "p50", rows(v.TopBranches, func(b BranchStats) bar {
		return bar{b.Name, minutes(b.Build), fmt.Sprintf("%s: %s in %s", b.Name, minutes(b.Build), cli.Count(b.Counts.Runs, "run", "runs")), b.Build}
	})))
	v.MinutesChart = new(bars("minutes", "Build minutes by step", "A bar for each step.", "p50", rows(v.Expensive, func(s StepStats) bar {
		return bar{s.label(), minutes(s.Build), fmt.Sprintf("%s: %s in %s", s.label(), minutes(s.Build), cli.Count(s.Counts.Runs, "run", "runs")), s.Build}
	})))
	v.SlowChart = new(bars("slow", "The slowest steps", "A bar for each step: the 90th percentile of how long it takes.", "p90", rows(v.Slow, func(s StepStats) bar {
		return bar{s.label(), duration(s.Duration.P90), fmt.Sprintf("%s: p90 %s", s.label(), duration(s.Duration.P90)), s.Duration.P90}
	})))
	v.FailingChart = new(bars("failing", "The steps that fail most often", "A bar for each step: how often it failed.", "bad", rows(v.Failing, func(s StepStats) bar {
		value := fmt.Sprintf("%d (%s)", s.Counts.Failed, percent(s.FailureRate()))
		return bar{s.label(), value, s.label() + ": " + value, float64(s.Counts.Failed)}
	})))
	return v
}

// label is the name of the step and its pipeline.
func (s StepStats) label() string { return label(s.Name, s.Pipeline) }

func durationChart(all []PipelineStats) chart {
	var names []string
	var values []Percentiles
	for _, p := range all {
		if p.Duration.Count > 0 {
			names, values = append(names, p.Name), append(values, p.Duration)
		}
	}
	return ranges("duration", "Duration by pipeline", "A line for each pipeline, from the median by the 90th to the 99th percentile.", names, values)
}

// head returns the first items and the number of the others.
func head[T any](all []T, n int) ([]T, int) {
	n = min(n, len(all))
	return all[:n], len(all) - n
}

func rows[T any](all []T, row func(T) bar) []bar {
	list := make([]bar, 0, len(all))
	for _, item := range all {
		list = append(list, row(item))
	}
	return list
}

func writeHTML(w io.Writer, rep Report) error { return page.Execute(w, newView(rep)) }

// shortDate formats a date without the year.
func shortDate(date string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return t.Format("2 Jan")
}

// summarize prints the most important parts.
func summarize(w io.Writer, rep Report) {
	on := ""
	if rep.Branch != "" {
		on = ", branch " + rep.Branch
	}
	fmt.Fprintf(w, "%s%s: %s in %s, since %s\n", rep.Repository, on, cli.Count(rep.Counts.Runs, "run", "runs"), cli.Count(len(rep.Days), "day", "days"), rep.From.Format("2 January 2006"))
	if rep.Counts.Runs == 0 {
		return
	}
	fmt.Fprintf(w, "  success   %s: %d of %d; %d stopped and %d unfinished don't count\n",
		percent(rep.Counts.Rate()), rep.Counts.Successful, rep.Counts.Judged(), rep.Counts.Stopped, rep.Counts.Unfinished)
	fmt.Fprintf(w, "  duration  %s\n  waiting   %s\n  build     %s\n", rep.Duration, rep.Wait, minutes(rep.Build))
	table(w, "Pipeline", []string{"Runs", "Success", "p50", "p90", "p99", "Minutes"}, firstOf(rep.Pipelines, 5), func(p PipelineStats) []string {
		return []string{p.Name, strconv.Itoa(p.Counts.Runs), rateOf(p.Counts), duration(p.Duration.P50), duration(p.Duration.P90), duration(p.Duration.P99), fmt.Sprintf("%.0f", p.Build)}
	})
	table(w, "Slowest steps", []string{"p50", "p90"}, slowest(rep.Steps, 5), func(s StepStats) []string {
		return []string{s.label(), duration(s.Duration.P50), duration(s.Duration.P90)}
	})
	table(w, "Most failing steps", []string{"Failed", "Of", "Flaky"}, mostFailing(rep.Steps, 5), func(s StepStats) []string {
		return []string{s.label(), strconv.Itoa(s.Counts.Failed), strconv.Itoa(s.Counts.Judged()), strconv.Itoa(s.Flaky)}
	})
	table(w, "Flaky tests", []string{"Flaky", "Failed", "Last run"}, firstOf(rep.Flaky, 5), func(t FlakyTest) []string {
		return []string{t.Test, strconv.Itoa(t.Flaky), strconv.Itoa(t.Failures), fmt.Sprintf("#%d", t.LastRun)}
	})
}

// String returns all percentiles.
func (p Percentiles) String() string {
	if p.Count == 0 {
		return "unknown"
	}
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s", duration(p.P50), duration(p.P90), duration(p.P99))
}

func rateOf(c Counts) string {
	if c.Judged() == 0 {
		return "-"
	}
	return percent(c.Rate())
}

func firstOf[T any](all []T, n int) []T { return all[:min(n, len(all))] }

func table[T any](w io.Writer, title string, columns []string, all []T, cells func(T) []string) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, item := range all {
		rows = append(rows, cells(item))
	}
	fmt.Fprintln(w)
	cli.PrintTable(w, "None.", append([]string{title}, columns...), rows)
}
