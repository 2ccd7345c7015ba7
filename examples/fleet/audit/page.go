package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/htmlreport"
)

// mostRows is the maximum number of rows of a table on the page. The files have all.
const mostRows = 50

const (
	dayFormat  = "2 January 2006"
	timeFormat = "2 Jan 2006, 15:04"
)

func writeHTML(w io.Writer, rep Report) error {
	p := htmlreport.Page{
		Title: "Audit of " + rep.Workspace, Heading: rep.Workspace, Facts: rep.facts(), Sections: rep.sections(),
		Intro: fmt.Sprintf("Audit of %s. Build time since %s. All times are in UTC.", rep.Written.Format(timeFormat), rep.since()),
	}
	if rep.Incomplete != "" {
		p.Notes = append(p.Notes, htmlreport.Note{Title: "This report is not complete.", Text: rep.Incomplete})
	}
	if n := len(rep.Unreadable); n > 0 {
		p.Notes = append(p.Notes, htmlreport.Note{Title: "Some things could not be read.", Text: "They are listed at the end, with the reasons."})
	}
	return p.Write(w)
}

// since is a day, or a time where the runs begin within one.
func (rep Report) since() string {
	if rep.Since.Equal(rep.Since.Truncate(day)) {
		return rep.Since.Format(dayFormat)
	}
	return rep.Since.Format(timeFormat)
}

func (rep Report) facts() []htmlreport.Fact {
	n := rep.counts()
	gone := ""
	if n.gone > 0 {
		gone = cli.Count(n.gone, "more is gone", "more are gone")
	}
	return []htmlreport.Fact{
		{Name: "Build time", Value: buildTime(rep.BuildSeconds), Note: cli.Count(rep.Runs, "run", "runs")},
		{Name: "Repositories", Value: htmlreport.Number(n.repositories), Note: gone},
		{Name: "Variables", Value: htmlreport.Number(len(rep.Variables)), Note: fmt.Sprintf("%s secured, %s shadowed", htmlreport.Number(n.secured), htmlreport.Number(n.shadowed))},
		{Name: "Schedules", Value: htmlreport.Number(len(rep.Schedules)), Note: htmlreport.Number(n.enabled) + " enabled"},
		{Name: "Runners", Value: htmlreport.Number(len(rep.Runners)), Note: htmlreport.Number(n.stale) + " stale"},
	}
}

// counts are the numbers of the summary.
type counts struct{ repositories, gone, secured, shadowed, enabled, stale int }

func (rep Report) counts() (n counts) {
	for _, r := range rep.Repositories {
		if r.Gone.IsZero() {
			n.repositories++
		} else {
			n.gone++
		}
	}
	n.secured = count(rep.Variables, func(v VariableRow) bool { return v.Secured })
	n.shadowed = count(rep.Variables, VariableRow.isShadowed)
	n.enabled = count(rep.Schedules, func(s ScheduleRow) bool { return s.Enabled })
	n.stale = count(rep.Runners, func(r RunnerRow) bool { return r.Stale })
	return n
}

func (v VariableRow) isShadowed() bool { return len(v.ShadowedBy) > 0 }

func count[T any](list []T, match func(T) bool) (n int) {
	for _, item := range list {
		if match(item) {
			n++
		}
	}
	return n
}

func (rep Report) sections() []htmlreport.Section {
	shadowed := rep
	shadowed.Variables = slices.DeleteFunc(slices.Clone(rep.Variables), func(v VariableRow) bool { return !v.isShadowed() })
	all := rep.variables().onPage("No variables.")
	all.Folded = "All variables"
	sections := []htmlreport.Section{
		{Heading: "Build time by repository", Tables: []htmlreport.Table{rep.repositories().onPage("No repositories.")}},
		{Heading: "Build time by branch", Tables: []htmlreport.Table{rep.branches().onPage("No runs.")}},
		{Heading: "Build time by step", Tables: []htmlreport.Table{rep.steps().onPage("No runs.")}},
		{
			Heading: "Shadowed variables",
			Text:    "A deployment gets the value of its environment, or else of the repository, or else of the workspace.",
			Tables:  []htmlreport.Table{shadowed.variables().onPage("No variable is shadowed by one of a narrower scope."), all},
		},
		{Heading: "Keys of variables", Tables: []htmlreport.Table{rep.keys().onPage("No variables.")}},
		{Heading: "Schedules", Tables: []htmlreport.Table{rep.schedules().onPage("No schedules.")}},
		{Heading: "SSH keys", Tables: []htmlreport.Table{rep.sshKeys().onPage("No repository has an SSH key pair.")}},
		{
			Heading: "Known hosts", Text: "Other keys are keys of the same type that other repositories have for the host: outdated, or forged.",
			Tables: []htmlreport.Table{rep.knownHosts().onPage("No known hosts.")},
		},
		{Heading: "Runners", Tables: []htmlreport.Table{rep.runners().onPage("No runners.")}},
	}
	if len(rep.Unreadable) > 0 {
		sections = append(sections, htmlreport.Section{
			Heading: "Not readable", Text: "The report has what was known before.", Tables: []htmlreport.Table{rep.unreadable().onPage("")},
		})
	}
	return sections
}

// onPage is the beginning of a table for the page, with bars for build times.
func (t table) onPage(empty string) htmlreport.Table {
	shown := htmlreport.Table{Empty: empty}
	for i, c := range t.columns {
		if c.heading == "" {
			continue
		}
		shown.Columns = append(shown.Columns, htmlreport.Column{Name: c.heading, Words: len(t.rows) > 0 && isWords(t.rows[0][i])})
		if c == secondsColumn {
			shown.Columns = append(shown.Columns, htmlreport.Column{Draw: []htmlreport.Colour{htmlreport.First}})
		}
	}
	for _, row := range t.rows[:min(mostRows, len(t.rows))] {
		var cells []htmlreport.Cell
		for i, value := range row {
			if t.columns[i].heading != "" {
				cells = append(cells, cellOf(value))
			}
			if s, ok := value.(seconds); ok {
				cells = append(cells, htmlreport.Cell{Sizes: []float64{float64(s)}})
			}
		}
		shown.Rows = append(shown.Rows, cells)
	}
	if more := len(t.rows) - mostRows; more > 0 {
		shown.After = cli.Count(more, "more is", "more are") + " in the files of --csv and --json."
	}
	return shown
}

func isWords(value any) bool {
	switch value.(type) {
	case string, []string, remarked:
		return true
	}
	return false
}

// cellOf formats a value for people.
func cellOf(value any) htmlreport.Cell {
	const mostNames = 2
	switch v := value.(type) {
	case remarked:
		return htmlreport.Cell{Text: v.text, Notes: notes(v.remark)}
	case seconds:
		return htmlreport.Cell{Text: buildTime(int(v))}
	case int:
		return htmlreport.Cell{Text: htmlreport.Number(v)}
	case bool:
		return htmlreport.Cell{Text: map[bool]string{true: "yes", false: "no"}[v]}
	case time.Time:
		if v.IsZero() {
			return htmlreport.Cell{}
		}
		return htmlreport.Cell{Text: strings.ReplaceAll(v.UTC().Format(timeFormat), " ", "\u00a0")} // on one line
	case []string:
		text := strings.Join(v[:min(mostNames, len(v))], ", ")
		if more := len(v) - mostNames; more > 0 {
			text += fmt.Sprintf(" and %s more", htmlreport.Number(more))
		}
		return htmlreport.Cell{Text: text}
	}
	return htmlreport.Cell{Text: fmt.Sprint(value)}
}

// notes are a note, unless it is empty.
func notes(note string) []string {
	if note == "" {
		return nil
	}
	return []string{note}
}

func buildTime(seconds int) string { return htmlreport.Minutes(float64(seconds) / 60) }

// summarize prints what matters most.
func summarize(w io.Writer, rep Report) {
	const most = 10
	n := rep.counts()
	if rep.Incomplete != "" {
		fmt.Fprintf(w, "This report is not complete: %s\n\n", rep.Incomplete)
	}
	fmt.Fprintf(w, "%s since %s: %s of build time (%s) in %s of %s\n", rep.Workspace, rep.since(), buildTime(rep.BuildSeconds),
		cli.Count(rep.BuildSeconds, "second", "seconds"), cli.Count(rep.Runs, "run", "runs"), cli.Count(len(rep.Repositories), "repository", "repositories"))
	fmt.Fprintf(w, "  variables  %s, %s secured, %s shadowed by a narrower scope\n  schedules  %s, %s enabled\n  runners    %s, %s stale\n",
		htmlreport.Number(len(rep.Variables)), htmlreport.Number(n.secured), htmlreport.Number(n.shadowed),
		htmlreport.Number(len(rep.Schedules)), htmlreport.Number(n.enabled), htmlreport.Number(len(rep.Runners)), htmlreport.Number(n.stale))
	printTop(w, "REPOSITORY", rep.Repositories, most, func(r RepositoryRow) []string {
		return []string{r.Repository, buildTime(r.BuildSeconds), htmlreport.Number(r.Runs)}
	})
	printTop(w, "BRANCH", rep.Branches, most, func(b BuildRow) []string {
		return []string{b.Repository + " " + b.Branch, buildTime(b.BuildSeconds), htmlreport.Number(b.Runs)}
	})
	printTop(w, "STEP", rep.Steps, most, func(b BuildRow) []string {
		return []string{b.Repository + " " + b.Step, buildTime(b.BuildSeconds), htmlreport.Number(b.Runs)}
	})
	if len(rep.Unreadable) == 0 {
		return
	}
	fmt.Fprintln(w)
	cli.PrintTable(w, "", []string{"NOT READABLE", "WHAT", "WHY"}, rowsOf(rep.Unreadable, func(u UnreadableRow) []string {
		return []string{cmp.Or(u.Repository, rep.Workspace), strings.Join(u.Parts, ", "), u.Reason}
	}))
}

func printTop[T any](w io.Writer, heading string, list []T, most int, row func(T) []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w)
	cli.PrintTable(w, "", []string{heading, "BUILD TIME", "RUNS"}, rowsOf(list[:min(most, len(list))], row))
	if more := len(list) - most; more > 0 {
		fmt.Fprintf(w, "and %s more\n", htmlreport.Number(more))
	}
}
