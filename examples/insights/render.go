package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/htmlreport"
)

// summarize prints the most important parts.
func summarize(w io.Writer, rep Report) {
	on := ""
	if rep.Branch != "" {
		on = ", branch " + rep.Branch
	}
	fmt.Fprintf(w, "%s%s: %s in %s, since %s\n", rep.Repository, on, cli.Count(rep.Counts.Runs, "run", "runs"), cli.Count(len(rep.Days), "day", "days"), rep.From.Format(dayFormat))
	if rep.Counts.Runs == 0 {
		return
	}
	fmt.Fprintf(w, "  success   %s: %d of %d; %d stopped and %d unfinished don't count\n",
		rateOf(rep.Counts), rep.Counts.Successful, rep.Counts.Judged(), rep.Counts.Stopped, rep.Counts.Unfinished)
	fmt.Fprintf(w, "  duration  %s\n  waiting   %s\n  build     %s\n", rep.Duration, rep.Wait, htmlreport.Minutes(rep.Build))
	table(w, []string{"Pipeline", "Runs", "Success", "p50", "p90", "p99", "Build time"}, firstOf(rep.Pipelines, 5), func(p PipelineStats) []string {
		d := percentiles(p.Duration)
		return []string{p.Name, strconv.Itoa(p.Counts.Runs), rateOf(p.Counts), d[0], d[1], d[2], htmlreport.Minutes(p.Build)}
	})
	table(w, []string{"Slowest steps", "p50", "p90"}, slowest(rep.Steps, 5), func(s StepStats) []string {
		d := percentiles(s.Duration)
		return []string{s.label(), d[0], d[1]}
	})
	table(w, []string{"Most failing steps", "Failed", "Of", "Flaky"}, mostFailing(rep.Steps, 5), func(s StepStats) []string {
		return []string{s.label(), strconv.Itoa(s.Counts.Failed), strconv.Itoa(s.Counts.Judged()), strconv.Itoa(s.Flaky)}
	})
	table(w, []string{"Flaky tests", "Flaky", "Failed", "Last run"}, firstOf(rep.Flaky, 5), func(t FlakyTest) []string {
		return []string{t.Test, strconv.Itoa(t.Flaky), strconv.Itoa(t.Failures), fmt.Sprintf("#%d", t.LastRun)}
	})
}

// String returns all percentiles.
func (p Percentiles) String() string {
	if p.Count == 0 {
		return "unknown"
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

func table[T any](w io.Writer, header []string, all []T, cells func(T) []string) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, item := range all {
		rows = append(rows, cells(item))
	}
	fmt.Fprintln(w)
	cli.PrintTable(w, "None.", header, rows)
}
