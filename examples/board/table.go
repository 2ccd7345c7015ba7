package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// show puts a run on the board. Of the runs that have ended the newest of each branch stays.
func (r *repository) show(p *pipelines.Pipeline) {
	r.runs[p.UUID] = p
	if p.CreatedOn.After(r.newest) {
		r.newest = p.CreatedOn
	}
	if other := r.branches[branch(p)]; other == nil || other.BuildNumber <= p.BuildNumber {
		r.branches[branch(p)] = p
	}
	maps.DeleteFunc(r.runs, func(_ string, p *pipelines.Pipeline) bool { return p.State.Done() && r.branches[branch(p)] != p })
}

// branch is the branch or tag of a run, or the branch of its pull request.
func branch(p *pipelines.Pipeline) string { return cmp.Or(p.Target.RefName, p.Target.Source) }

// describe names a run.
func describe(repo pipelines.Repo, p *pipelines.Pipeline) string {
	if branch(p) == "" {
		return fmt.Sprintf("build %d of %s", p.BuildNumber, repo)
	}
	return fmt.Sprintf("build %d of %s on %s", p.BuildNumber, repo, branch(p))
}

// duration is how long a run has taken until now.
func duration(p *pipelines.Pipeline, now time.Time) time.Duration {
	switch {
	case p.DurationInSeconds > 0 && p.State.Done():
		return time.Duration(p.DurationInSeconds) * time.Second
	case p.State.Done():
		now = p.CompletedOn
	}
	return max(0, now.Sub(p.CreatedOn))
}

// row is a run in the table.
type row struct {
	repo pipelines.Repo
	*pipelines.Pipeline
}

// rows returns the runs to show: first those that haven't ended, each group with the latest first.
func (b *board) rows() []row {
	var rows []row
	for _, r := range b.repos {
		for _, p := range r.runs {
			rows = append(rows, row{r.repo, p})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.State.Done() != b.State.Done() {
			if b.State.Done() {
				return -1
			}
			return 1
		}
		return cmp.Or(b.changed().Compare(a.changed()), strings.Compare(a.repo.String(), b.repo.String()), b.BuildNumber-a.BuildNumber)
	})
	return rows
}

func (r row) changed() time.Time {
	if r.State.Done() {
		return r.CompletedOn
	}
	return r.CreatedOn
}

func (r row) cells(now time.Time) []string {
	by, ended := "", ""
	if r.Creator != nil {
		by = r.Creator.DisplayName
	}
	if r.State.Done() && !r.CompletedOn.IsZero() {
		ended = humanize.RelTime(r.CompletedOn, later(now, r.CompletedOn), "ago", "")
	}
	cells := []string{r.repo.String(), branch(r.Pipeline), fmt.Sprint(r.BuildNumber), r.State.String(), cli.Clock(duration(r.Pipeline, now)), ended, by}
	for i := range cells {
		cells[i] = cli.Clean(cells[i])
	}
	return cells
}

// The columns of the table.
const (
	repoColumn = iota
	branchColumn
	buildColumn
	stateColumn
	timeColumn
	endedColumn
	byColumn
)

// later returns the later of two times: the service's clock may be ahead.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

var (
	header = []string{"REPOSITORY", "BRANCH", "BUILD", "STATE", "TIME", "ENDED", "BY"}

	// Where the terminal is narrow, names are shortened. If that isn't enough, these columns are left out, one after the other.
	names   = []int{repoColumn, branchColumn, byColumn}
	leftOut = []int{byColumn, endedColumn, timeColumn, buildColumn, branchColumn}
)

const (
	shortestName = 12
	gap          = 2 // between columns
)

// fitted returns the widths of the columns on a terminal, 0 for those that are left out.
func fitted(natural []int, columns int) []int {
	for _, next := range leftOut {
		if widths, ok := shortened(natural, columns); ok {
			return widths
		}
		natural[next] = 0
	}
	natural[repoColumn] = max(1, min(natural[repoColumn], columns-gap-natural[stateColumn]))
	return natural
}

// shortened returns the widths with shorter names; ok is false if they don't fit.
func shortened(natural []int, columns int) (widths []int, ok bool) {
	widths = slices.Clone(natural)
	total := -gap
	for _, width := range widths {
		if width > 0 {
			total += gap + width
		}
	}
	for ; total > columns; total-- {
		longest := slices.MaxFunc(names, func(a, b int) int { return cmp.Compare(widths[a], widths[b]) })
		if widths[longest] <= shortestName {
			return nil, false
		}
		widths[longest]--
	}
	return widths, true
}

// table returns the lines of the table for a terminal of that size.
func (b *board) table(columns, height int) []string {
	now := time.Now()
	problems, rows := b.problems(), b.rows()
	if most := max(1, (height-3)/2); len(problems) > most {
		problems = append(problems[:most-1], fmt.Sprintf("%d more problems", len(problems)-most+1))
	}
	room := max(1, height-len(problems)-3) // header, summary, and the cursor's line
	hidden := ""
	if len(rows) > room {
		hidden = fmt.Sprintf("no room for %s; ", cli.Count(len(rows)-room, "run", "runs"))
		rows = rows[:room]
	}
	cells := [][]string{header}
	for _, r := range rows {
		cells = append(cells, r.cells(now))
	}
	lines := b.screen.layOut(cells, columns)
	if len(rows) == 0 {
		lines = []string{cli.Fit("There are no runs yet.", columns)}
	}
	for _, text := range problems {
		lines = append(lines, b.screen.colours.Paint(cli.Yellow, cli.Fit(text, columns)))
	}
	return append(lines, b.screen.colours.Paint(cli.Dim, cli.Fit(hidden+b.summary(), columns)))
}

// problems describes the problems, one line for all repositories with the same.
func (b *board) problems() []string {
	since, names := map[string]time.Time{}, map[string][]string{}
	for _, r := range b.repos {
		if p := r.problem; p != nil {
			if first, ok := since[p.text]; !ok || p.since.Before(first) {
				since[p.text] = p.since
			}
			names[p.text] = append(names[p.text], r.repo.String())
		}
	}
	var lines []string
	for _, text := range slices.Sorted(maps.Keys(names)) {
		of := strings.Join(names[text], ", ")
		if n := len(names[text]); n > 3 {
			of = fmt.Sprintf("%s and %d others", strings.Join(names[text][:2], ", "), n-2)
		}
		lines = append(lines, cli.Clean(fmt.Sprintf("%s since %s: %s", text, since[text].Local().Format(time.TimeOnly), of)))
	}
	return lines
}

// summary describes the board and its quota.
func (b *board) summary() string {
	q := b.client.Quota()
	text := ""
	switch {
	case !q.HeldUntil.IsZero():
		text = "quota used up: waiting until " + q.HeldUntil.Local().Format(time.TimeOnly) + "; "
	case q.NearLimit:
		text = "quota nearly used up; "
	}
	text += fmt.Sprintf("%s, each read about every %s; %s followed; at most %s an hour",
		cli.Count(len(b.repos), "repository", "repositories"), b.interval().Round(time.Second), cli.Count(b.follower.Len(), "run", "runs"), cli.Count(b.options.quota, "request", "requests"))
	if q.Limit > 0 {
		text += fmt.Sprintf(" of the service's %s", humanize.Comma(int64(q.Limit)))
	}
	return text
}
