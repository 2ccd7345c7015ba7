package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/htmlreport"
)

// summarize prints the most important parts.
func summarize(w io.Writer, rep Report) {
	on := rep.Repository
	if rep.Branch != "" {
		on += ", branch " + rep.Branch
	}
	fmt.Fprintf(w, "%s: %s in %s, since %s\n", on,
		cli.Count(rep.Counts.Runs, "run", "runs"), cli.Count(len(rep.Days), "day", "days"), rep.From.Format(dayFormat))
	for _, left := range leftOut(rep) {
		fmt.Fprintf(w, "  %s\n", left)
	}
	if rep.Counts.Runs == 0 {
		return
	}
	fmt.Fprintf(w, "  success   %s: %s of %s; not counted: %s\n", rateOf(rep.Counts),
		htmlreport.Number(rep.Counts.Successful), htmlreport.Number(rep.Counts.Judged()), notJudged(rep.Counts))
	fmt.Fprintf(w, "  duration  %s\n  waiting   %s\n  build     %s\n", rep.Duration, rep.Wait, htmlreport.Minutes(rep.Build))
	table(w, []string{"Pipeline", "Runs", "Success", "p50", "p90", "p99", "Build time"}, rep.Pipelines, func(p PipelineStats) []string {
		return append(append([]string{p.Name, htmlreport.Number(p.Counts.Runs), rateOf(p.Counts)}, percentiles(p.Duration)...), htmlreport.Minutes(p.Build))
	})
	if slices.ContainsFunc(firstOf(rep.Pipelines, summaryRows), PipelineStats.unnamed) {
		fmt.Fprintln(w, noPipelineNote)
	}
	table(w, []string{"Slowest steps", "p50", "p90"}, slowest(rep.Steps, summaryRows), func(s StepStats) []string {
		return append([]string{s.label()}, percentiles(s.Duration)[:2]...)
	})
	table(w, []string{"Most failing steps", "Failed", "Of", "Flaky"}, mostFailing(rep.Steps, summaryRows), func(s StepStats) []string {
		return []string{s.label(), htmlreport.Number(s.Counts.Failed), htmlreport.Number(s.Counts.Judged()), htmlreport.Number(s.Flaky)}
	})
	table(w, []string{"Flaky tests", "Flaky", "Failed", "Last run"}, rep.Flaky, func(t FlakyTest) []string {
		return []string{t.Test, htmlreport.Number(t.Flaky), htmlreport.Number(t.Failures), lastRun(t)}
	})
}

// leftOut says what the report leaves out because the service sent something odd.
func leftOut(rep Report) []string {
	var list []string
	if rep.Undated > 0 {
		list = append(list, cli.Count(rep.Undated, "run is left out: the service doesn't say when it was", "runs are left out: the service doesn't say when they were")+" created.")
	}
	if rep.Negative > 0 {
		list = append(list, cli.Count(rep.Negative, "time is left out: the service says that it is", "times are left out: the service says that they are")+" negative.")
	}
	return list
}

// notJudged counts the runs that don't count for the success rate.
func notJudged(c Counts) string {
	words := htmlreport.Number(c.Stopped) + " stopped, " + htmlreport.Number(c.Unfinished) + " unfinished"
	if c.Unknown > 0 {
		words += ", " + htmlreport.Number(c.Unknown) + " with an unknown result"
	}
	return words
}

// String returns all percentiles.
func (p Percentiles) String() string {
	if p.Count == 0 {
		return "none"
	}
	d := percentiles(p)
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s", d[0], d[1], d[2])
}

// label is the name of the step and its pipeline.
func (s StepStats) label() string { return label(s.Name, s.Pipeline) }

func rateOf(c Counts) string {
	if c.Judged() == 0 {
		return none
	}
	return htmlreport.Percent(c.Rate())
}

func firstOf[T any](all []T, n int) []T { return all[:min(n, len(all))] }

const (
	mostColumns = 64 // width of names on a terminal
	summaryRows = 5
)

// table prints the first rows of a table, whose first column is of names, if there are any.
func table[T any](w io.Writer, header []string, all []T, cells func(T) []string) {
	if len(all) == 0 {
		return
	}
	rows := make([][]string, 0, len(all))
	for _, item := range firstOf(all, summaryRows) {
		row := cells(item)
		row[0] = cli.Fit(row[0], mostColumns)
		rows = append(rows, row)
	}
	fmt.Fprintln(w)
	cli.PrintTable(w, "", header, rows)
	if hidden := len(all) - len(rows); hidden > 0 {
		fmt.Fprintf(w, "and %s more\n", htmlreport.Number(hidden))
	}
}
