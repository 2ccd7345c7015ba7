package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/seed-85ed9bfd/pipelines/examples/htmlreport"
)

// summarize prints the most important parts.
func summarize(w io.Writer, rep Report) {
	on := ""
	if rep.Branch != "" {
		on = ", branch " + rep.Branch
	}
	fmt.Fprintf(w, "%s%s: %d runs in %d days, since %s\n", rep.Repository, on, rep.Counts.Runs, len(rep.Days), rep.From.Format(dayFormat))
	for _, left := range leftOut(rep) {
		fmt.Fprintf(w, "  %s\n", left)
	}
	if rep.Counts.Runs == 0 {
		return
	}
	fmt.Fprintf(w, "  success   %s: %s of %s; not counted: %s\n", rateOf(rep.Counts),
		htmlreport.Number(rep.Counts.Successful), htmlreport.Number(rep.Counts.Judged()), notJudged(rep.Counts))
	fmt.Fprintf(w, "  duration  %s\n  waiting   %s\n  build     %s\n", rep.Duration, rep.Wait, htmlreport.Minutes(rep.Build))
	table(w, "Pipeline", "Runs\tSuccess\tp50\tp90\tp99\tBuild time", firstOf(rep.Pipelines, 5), func(p PipelineStats) string {
		d := percentiles(p.Duration)
		return fmt.Sprintf("%s\t%d\t%s\t%s\t%s\t%s\t%s", p.Name, p.Counts.Runs, rateOf(p.Counts), d[0], d[1], d[2], htmlreport.Minutes(p.Build))
	})
	if slices.ContainsFunc(firstOf(rep.Pipelines, 5), PipelineStats.unnamed) {
		fmt.Fprintln(w, noPipelineNote)
	}
	table(w, "Slowest steps", "p50\tp90", slowest(rep.Steps, 5), func(s StepStats) string {
		d := percentiles(s.Duration)
		return fmt.Sprintf("%s\t%s\t%s", s.label(), d[0], d[1])
	})
	table(w, "Most failing steps", "Failed\tOf\tFlaky", mostFailing(rep.Steps, 5), func(s StepStats) string {
		return fmt.Sprintf("%s\t%d\t%d\t%d", s.label(), s.Counts.Failed, s.Counts.Judged(), s.Flaky)
	})
	table(w, "Flaky tests", "Flaky\tFailed\tLast run", firstOf(rep.Flaky, 5), func(t FlakyTest) string {
		return fmt.Sprintf("%s\t%d\t%d\t%s", t.Test, t.Flaky, t.Failures, lastRun(t))
	})
}

// leftOut says what the report leaves out because the service sent something odd.
func leftOut(rep Report) []string {
	var list []string
	switch rep.Undated {
	case 0:
	case 1:
		list = append(list, "1 run is left out: the service doesn't say when it was created.")
	default:
		list = append(list, htmlreport.Number(rep.Undated)+" runs are left out: the service doesn't say when they were created.")
	}
	switch rep.Negative {
	case 0:
	case 1:
		list = append(list, "1 time is left out: the service says that it is negative.")
	default:
		list = append(list, htmlreport.Number(rep.Negative)+" times are left out: the service says that they are negative.")
	}
	return list
}

// notJudged counts the runs that don't count for the success rate.
func notJudged(c Counts) string {
	words := htmlreport.Number(c.Stopped) + " stopped, " + htmlreport.Number(c.Unfinished) + " unfinished"
	if c.Unknown > 0 {
		words += fmt.Sprintf(", %s with an unknown result", htmlreport.Number(c.Unknown))
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

func table[T any](w io.Writer, title, columns string, all []T, line func(T) string) {
	if len(all) == 0 {
		return
	}
	tabs := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tabs, "\n%s\t%s\n", title, columns)
	for _, item := range all {
		fmt.Fprintf(tabs, "  %s\n", line(item))
	}
	_ = tabs.Flush()
}
