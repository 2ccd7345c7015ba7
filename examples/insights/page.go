package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/htmlreport"
)

// mostRows is the maximum number of rows in tables. The list of flaky tests has three times as many.
const mostRows = 10

const dayFormat = "2 January 2006"

// htmlPage is the report as a page.
func htmlPage(rep Report) htmlreport.Page {
	page := htmlreport.Page{
		Title:   rep.Repository + ": pipelines of " + cli.Count(len(rep.Days), "day", "days"),
		Heading: rep.Repository,
		Intro: fmt.Sprintf("Pipelines%s from %s to %s: %s. Read with %s; steps of %s.", ofBranch(rep), rep.From.Format(dayFormat),
			rep.To.Format(dayFormat+", 15:04 MST"), cli.Count(len(rep.Days), "day", "days"),
			cli.Count(rep.Requests, "request", "requests"), cli.Count(rep.StepsRead, "run", "runs")),
	}
	if rep.Incomplete != "" {
		page.Notes = append(page.Notes, htmlreport.Note{
			Title: "This report is not complete:",
			Text: fmt.Sprintf("%s. It is on what was read by then, the newest runs first. What is said of steps, tests and waiting comes from %s of %s.",
				rep.Incomplete, htmlreport.Number(rep.StepsRead), cli.Count(rep.Counts.Runs, "run", "runs")),
		})
	}
	for _, left := range leftOut(rep) {
		page.Notes = append(page.Notes, htmlreport.Note{Text: left})
	}
	if rep.Counts.Runs == 0 {
		page.Sections = []htmlreport.Section{{Heading: "Runs", Text: "There are no runs in these days."}}
		return page
	}
	page.Facts = facts(rep)
	page.Sections = []htmlreport.Section{daySection(rep.Days), durationSection(rep.Pipelines), branchSection(rep.Branches)}
	if len(rep.Steps) > 0 {
		page.Sections = append(page.Sections, minutesSection(rep.Steps), slowSection(rep.Steps), failingSection(rep.Steps), flakySection(rep.Flaky))
	}
	page.Sections = append(page.Sections, waitSection(rep))
	return page
}

func ofBranch(rep Report) string {
	if rep.Branch == "" {
		return ""
	}
	return " of branch " + rep.Branch
}

func facts(rep Report) []htmlreport.Fact {
	return []htmlreport.Fact{
		{Name: "Runs", Value: htmlreport.Number(rep.Counts.Runs), Note: notJudged(rep.Counts)},
		{Name: "Success rate", Value: rateOf(rep.Counts), Note: htmlreport.Number(rep.Counts.Successful) + " of " + htmlreport.Number(rep.Counts.Judged())},
		percentileFact("Median duration", rep.Duration),
		percentileFact("Median wait", rep.Wait),
		{Name: "Build time", Value: htmlreport.Minutes(rep.Build), Note: "summed over the steps"},
		{Name: "Flaky tests", Value: htmlreport.Number(len(rep.Flaky)), Note: "failed and passed on the same commit"},
	}
}

func percentileFact(name string, p Percentiles) htmlreport.Fact {
	if p.Count == 0 {
		return htmlreport.Fact{Name: name, Value: none}
	}
	return htmlreport.Fact{
		Name: name, Value: htmlreport.Duration(p.P50),
		Note: fmt.Sprintf("p90 %s, p99 %s", htmlreport.Duration(p.P90), htmlreport.Duration(p.P99)),
	}
}

func daySection(days []Day) htmlreport.Section {
	results := htmlreport.Chart{Title: "Runs by day", Stacked: true, Scale: htmlreport.Counts, Labels: dates(days), Series: []htmlreport.Series{
		{Name: "successful", Colour: htmlreport.Good, Values: values(days, func(d Day) float64 { return float64(d.Counts.Successful) })},
		{Name: "failed", Colour: htmlreport.Bad, Values: values(days, func(d Day) float64 { return float64(d.Counts.Failed) })},
		{Name: "others", Colour: htmlreport.Other, Values: values(days, func(d Day) float64 { return float64(d.Counts.Runs - d.Counts.Judged()) })},
	}}
	rate := htmlreport.Chart{Title: "Success rate by day", Scale: htmlreport.Shares, Labels: dates(days), Series: []htmlreport.Series{
		{Name: "successful", Colour: htmlreport.Good, Values: values(days, func(d Day) float64 {
			return valueIf(d.Counts.Judged() > 0, d.Counts.Rate())
		})},
	}}
	table := htmlreport.Table{
		Folded:  "The days as a table",
		Columns: columns("Day", "Runs", "Successful", "Failed", "Others", "Success", "Build time", "Wait p50", "Wait p90"),
	}
	for _, d := range days {
		wait := percentiles(d.Wait)
		table.Rows = append(table.Rows, htmlreport.Cells(d.Date, htmlreport.Number(d.Counts.Runs), htmlreport.Number(d.Counts.Successful),
			htmlreport.Number(d.Counts.Failed), htmlreport.Number(d.Counts.Runs-d.Counts.Judged()),
			rateOf(d.Counts), htmlreport.Minutes(d.Build), wait[0], wait[1]))
	}
	return htmlreport.Section{
		Heading: "Runs and success by day", Text: "Others were stopped, have not ended, or have no result that is known. They don't count for the success rate.",
		Charts: []htmlreport.Chart{results, rate}, Tables: []htmlreport.Table{table},
	}
}

func durationSection(all []PipelineStats) htmlreport.Section {
	table := htmlreport.Table{Columns: append(
		[]htmlreport.Column{{Name: "Pipeline"}, {Draw: percentileColours}, {Name: "Runs"}, {Name: "Success"}}, percentileColumns("Build time")...)}
	some := firstOf(all, mostRows)
	for _, p := range some {
		row := append(htmlreport.Cells(p.Name, "", htmlreport.Number(p.Counts.Runs), rateOf(p.Counts)), htmlreport.Cells(percentiles(p.Duration)...)...)
		row[1].Sizes = sizes(p.Duration)
		table.Rows = append(table.Rows, append(row, htmlreport.Cell{Text: htmlreport.Minutes(p.Build)}))
	}
	table.After = more(len(all)-len(some), "pipeline", "pipelines")
	if slices.ContainsFunc(some, PipelineStats.unnamed) {
		table.After = strings.TrimSpace(noPipelineNote + " " + table.After)
	}
	return htmlreport.Section{
		Heading: "Duration by pipeline", Text: "From creation to end, of runs that ended by themselves. p90: nine of ten are as fast or faster.",
		Tables: []htmlreport.Table{table},
	}
}

func branchSection(all []BranchStats) htmlreport.Section {
	table := htmlreport.Table{Columns: []htmlreport.Column{{Name: "Branch"}, {Draw: []htmlreport.Colour{htmlreport.First}}, {Name: "Build time"}, {Name: "Runs"}, {Name: "Success"}}}
	some := firstOf(all, mostRows)
	for _, b := range some {
		row := htmlreport.Cells(b.Name, "", htmlreport.Minutes(b.Build), htmlreport.Number(b.Counts.Runs), rateOf(b.Counts))
		row[1].Sizes = []float64{b.Build}
		table.Rows = append(table.Rows, row)
	}
	table.After = more(len(all)-len(some), "branch", "branches")
	return htmlreport.Section{Heading: "Build time by branch", Tables: []htmlreport.Table{table}}
}

func minutesSection(all []StepStats) htmlreport.Section {
	some := firstOf(all, mostRows)
	table := stepTable(some, htmlreport.First, "Build time", func(s StepStats) (float64, string) { return s.Build, htmlreport.Minutes(s.Build) })
	table.After = more(len(all)-len(some), "step", "steps")
	return htmlreport.Section{Heading: "Build time by step", Tables: []htmlreport.Table{table}}
}

func slowSection(all []StepStats) htmlreport.Section {
	some := slowest(all, mostRows)
	table := stepTable(some, htmlreport.Second, "p90", func(s StepStats) (float64, string) { return s.Duration.P90, htmlreport.Duration(s.Duration.P90) })
	table.Empty = "No step ended by itself."
	table.After = more(len(slowest(all, len(all)))-len(some), "step", "steps")
	return htmlreport.Section{Heading: "The slowest steps", Text: "By the 90th percentile.", Tables: []htmlreport.Table{table}}
}

func failingSection(all []StepStats) htmlreport.Section {
	some := mostFailing(all, mostRows)
	table := stepTable(some, htmlreport.Bad, "Failed", func(s StepStats) (float64, string) {
		return float64(s.Counts.Failed), fmt.Sprintf("%s (%s)", htmlreport.Number(s.Counts.Failed), htmlreport.Percent(s.FailureRate()))
	})
	table.Empty = "None failed."
	table.After = more(len(mostFailing(all, len(all)))-len(some), "step that failed", "steps that failed")
	return htmlreport.Section{
		Heading: "The steps that fail most often", Text: "Flaky: failures on a commit on which the step was successful in another run.",
		Tables: []htmlreport.Table{table},
	}
}

// stepTable shows steps with a bar for a value, which comes first of the columns.
func stepTable(steps []StepStats, colour htmlreport.Colour, name string, value func(StepStats) (size float64, text string)) htmlreport.Table {
	columns := []htmlreport.Column{{Name: "Step"}, {Draw: []htmlreport.Colour{colour}}, {Name: name}}
	others := []struct {
		name string
		text func(StepStats) string
	}{
		{"Runs", func(s StepStats) string { return htmlreport.Number(s.Counts.Runs) }},
		{"Failed", func(s StepStats) string { return htmlreport.Number(s.Counts.Failed) }},
		{"Flaky", func(s StepStats) string { return htmlreport.Number(s.Flaky) }},
		{"p50", func(s StepStats) string { return percentiles(s.Duration)[0] }},
		{"p90", func(s StepStats) string { return percentiles(s.Duration)[1] }},
		{"p99", func(s StepStats) string { return percentiles(s.Duration)[2] }},
		{"Build time", func(s StepStats) string { return htmlreport.Minutes(s.Build) }},
	}
	table := htmlreport.Table{Columns: columns}
	for _, other := range others {
		if other.name != name {
			table.Columns = append(table.Columns, htmlreport.Column{Name: other.name})
		}
	}
	for _, s := range steps {
		size, text := value(s)
		row := []htmlreport.Cell{{Text: s.Name, Notes: []string{s.Pipeline}}, {Sizes: []float64{size}}, {Text: text}}
		for _, other := range others {
			if other.name != name {
				row = append(row, htmlreport.Cell{Text: other.text(s)})
			}
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}

func flakySection(all []FlakyTest) htmlreport.Section {
	table := htmlreport.Table{
		Columns: columns("Test", "Flaky failures", "All failures", "Commits", "Last in run", "Last on"),
		Empty:   "None was found.",
	}
	some := firstOf(all, 3*mostRows)
	for _, t := range some {
		row := htmlreport.Cells(t.Test, htmlreport.Number(t.Flaky), htmlreport.Number(t.Failures), htmlreport.Number(t.Commits),
			lastRun(t), t.Last.Format(time.DateOnly))
		row[0].Notes, row[4].URL = someSteps(t.Steps), t.LastURL
		table.Rows = append(table.Rows, row)
	}
	table.After = more(len(all)-len(some), "test", "tests")
	return htmlreport.Section{
		Heading: "Flaky tests", Text: "A test is flaky if it failed in one run and its step was successful in another run of the same commit.",
		Tables: []htmlreport.Table{table},
	}
}

// someSteps returns the first of many steps and the number of the others.
func someSteps(steps []string) []string {
	const most = 5
	if len(steps) <= most+1 {
		return steps
	}
	return append(slices.Clone(steps[:most]), fmt.Sprintf("and %s more steps", htmlreport.Number(len(steps)-most)))
}

func waitSection(rep Report) htmlreport.Section {
	chart := htmlreport.Chart{Title: "Waiting by day", Scale: htmlreport.Seconds, Labels: dates(rep.Days), Series: []htmlreport.Series{
		{Name: "p50", Colour: htmlreport.First, Values: values(rep.Days, func(d Day) float64 { return valueIf(d.Wait.Count > 0, d.Wait.P50) })},
		{Name: "p90", Colour: htmlreport.Second, Values: values(rep.Days, func(d Day) float64 { return valueIf(d.Wait.Count > 0, d.Wait.P90) })},
	}}
	table := htmlreport.Table{
		Columns: append([]htmlreport.Column{{Name: "Pipeline"}, {Draw: percentileColours}, {Name: "Runs"}}, percentileColumns("Longest")...),
		Empty:   "No run has started a step.",
	}
	waited := slices.DeleteFunc(slices.Clone(rep.Pipelines), func(p PipelineStats) bool { return p.Wait.Count == 0 })
	some := firstOf(waited, mostRows)
	table.After = more(len(waited)-len(some), "pipeline", "pipelines")
	for _, p := range some {
		row := append(htmlreport.Cells(p.Name, "", htmlreport.Number(p.Wait.Count)), htmlreport.Cells(percentiles(p.Wait)...)...)
		row[1].Sizes = sizes(p.Wait)
		table.Rows = append(table.Rows, append(row, htmlreport.Cell{Text: htmlreport.Duration(p.Wait.Max)}))
	}
	return htmlreport.Section{
		Heading: "Waiting before start", Text: "From the creation of a run to the start of its first step, unless a person started that.",
		Charts: []htmlreport.Chart{chart}, Tables: []htmlreport.Table{table},
	}
}

// lastRun is the number of the newest run in which a test was flaky, if it has one.
func lastRun(t FlakyTest) string {
	if t.LastRun == 0 {
		return none
	}
	return fmt.Sprintf("#%d", t.LastRun)
}

// none stands in the place of a value that there isn't.
const none = "–"

var percentileColours = []htmlreport.Colour{htmlreport.First, htmlreport.Second, htmlreport.Third}

func percentileColumns(last string) []htmlreport.Column {
	return []htmlreport.Column{{Name: "p50", Colour: htmlreport.First}, {Name: "p90", Colour: htmlreport.Second}, {Name: "p99", Colour: htmlreport.Third}, {Name: last}}
}

func percentiles(p Percentiles) []string {
	if p.Count == 0 {
		return []string{none, none, none}
	}
	return []string{htmlreport.Duration(p.P50), htmlreport.Duration(p.P90), htmlreport.Duration(p.P99)}
}

func sizes(p Percentiles) []float64 {
	if p.Count == 0 {
		return nil
	}
	return []float64{p.P50, p.P90, p.P99}
}

func columns(names ...string) []htmlreport.Column {
	list := make([]htmlreport.Column, len(names))
	for i, name := range names {
		list[i].Name = name
	}
	return list
}

func more(n int, one, many string) string {
	if n == 0 {
		return ""
	}
	return "The JSON has " + cli.Count(n, "more "+one, "more "+many) + "."
}

func dates(days []Day) []string {
	format := "2 Jan"
	if len(days) > 365 {
		format = "2 Jan 2006"
	}
	list := make([]string, len(days))
	for i, d := range days {
		day, _ := time.Parse(time.DateOnly, d.Date) // always valid
		list[i] = day.Format(format)
	}
	return list
}

func values(days []Day, value func(Day) float64) []float64 {
	list := make([]float64, len(days))
	for i, d := range days {
		list[i] = value(d)
	}
	return list
}

// valueIf returns the value, or none.
func valueIf(ok bool, v float64) float64 {
	if ok {
		return v
	}
	return math.NaN()
}
