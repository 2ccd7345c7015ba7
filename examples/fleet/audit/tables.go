package audit

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// table is a part of the report as rows: a file of --csv, and a table of the page.
type table struct {
	name    string // of the file
	columns []column
	rows    [][]any // texts, counts, seconds, flags, times, lists of texts, and remarked
}

// column has a name for the file and a heading for the page. Where one is empty, the column isn't there.
type column struct{ name, heading string }

// seconds is a build time.
type seconds int

// exact is a text that is not broken into lines.
type exact string

// remarked is a text with a remark for the page, where that has no column of its own.
type remarked struct{ text, remark string }

func (r RepositoryRow) remark() string {
	if r.Gone.IsZero() {
		return ""
	}
	return "gone since " + r.Gone.Format(dayFormat)
}

func rowsOf[T, R any](list []T, row func(T) R) []R {
	rows := make([]R, 0, len(list))
	for _, item := range list {
		rows = append(rows, row(item))
	}
	return rows
}

var (
	repositoryColumn = column{"repository", "Repository"}
	secondsColumn    = column{"build_seconds", "Build time"}
	runsColumn       = column{"runs", "Runs"}
	placeColumn      = column{"", "Place"}
	placesColumn     = column{"places", "Places"}
	securedColumn    = column{"secured", "Secured"}
	asOfColumn       = column{"as_of", "As of"}
)

func (rep Report) repositories() table {
	return table{"repositories", []column{
		repositoryColumn, secondsColumn, runsColumn, {"unended_runs", "Not ended"}, {"variables", "Variables"}, {"environments", "Environments"},
		{"schedules", "Schedules"}, {"known_hosts", "Hosts"}, {"runners", "Runners"}, {"gone", ""}, {"runs_as_of", ""},
		{"settings_as_of", "Settings as of"}, {"uuid", ""},
	}, rowsOf(rep.Repositories, func(r RepositoryRow) []any {
		return []any{
			remarked{r.Repository, r.remark()}, seconds(r.BuildSeconds), r.Runs, r.Unended, r.Variables, r.Environments, r.Schedules, r.KnownHosts, r.Runners,
			r.Gone, r.RunsAsOf, r.SettingsAsOf, r.UUID,
		}
	})}
}

func (rep Report) branches() table {
	return table{"branches", []column{repositoryColumn, {"branch", "Branch"}, secondsColumn, runsColumn}, rowsOf(rep.Branches, func(b BuildRow) []any {
		return []any{b.Repository, b.Branch, seconds(b.BuildSeconds), b.Runs}
	})}
}

func (rep Report) steps() table {
	return table{"steps", []column{repositoryColumn, {"step", "Step"}, secondsColumn, runsColumn}, rowsOf(rep.Steps, func(b BuildRow) []any {
		return []any{b.Repository, b.Step, seconds(b.BuildSeconds), b.Runs}
	})}
}

func (rep Report) variables() table {
	return table{"variables", []column{
		{"key", "Key"}, placeColumn, {"scope", ""}, {"repository", ""}, {"environment", ""}, securedColumn, {"shadowed_by", "Shadowed by"},
		placesColumn, asOfColumn,
	}, rowsOf(rep.Variables, func(v VariableRow) []any {
		return []any{v.Key, place{v.Scope, v.Repository, v.Environment}.String(), v.Scope, v.Repository, v.Environment, v.Secured, v.ShadowedBy, v.Places, v.AsOf}
	})}
}

func (rep Report) keys() table {
	return table{"variable-keys", []column{
		{"key", "Key"}, placesColumn, {"in_workspace", "Workspace"}, {"in_repositories", "Repositories"}, {"in_environments", "Environments"},
		securedColumn, {"shadowed", "Shadowed"},
	}, rowsOf(rep.Keys, func(k KeyRow) []any {
		return []any{k.Key, k.Places, k.Workspace, k.Repositories, k.Environments, k.Secured, k.Shadowed}
	})}
}

func (rep Report) schedules() table {
	return table{"schedules", []column{
		repositoryColumn, {"target", "Target"}, {"cron", "Cron pattern"}, {"enabled", "Enabled"}, asOfColumn,
	}, rowsOf(rep.Schedules, func(s ScheduleRow) []any { return []any{s.Repository, s.Target, exact(s.Cron), s.Enabled, s.AsOf} })}
}

func (rep Report) sshKeys() table {
	return table{"ssh-keys", []column{
		repositoryColumn, {"fingerprint", "Fingerprint"}, {"repositories", "Repositories with it"}, asOfColumn,
	}, rowsOf(rep.SSHKeys, func(k SSHKeyRow) []any { return []any{k.Repository, exact(k.Fingerprint), k.Repositories, k.AsOf} })}
}

func (rep Report) knownHosts() table {
	return table{"known-hosts", []column{
		{"host", "Host"}, {"type", "Type"}, {"fingerprint", "Fingerprint"}, {"other_keys", "Other keys"}, {"repositories", "Repositories"},
	}, rowsOf(rep.KnownHosts, func(h HostRow) []any {
		return []any{h.Host, exact(h.Type), exact(h.Fingerprint), h.OtherKeys, h.Repositories}
	})}
}

func (rep Report) runners() table {
	return table{"runners", []column{
		{"name", "Runner"}, placeColumn, {"scope", ""}, {"repository", ""}, {"labels", "Labels"}, {"status", "Status"}, {"since", "Since"},
		{"stale", "Stale"}, asOfColumn, {"uuid", ""},
	}, rowsOf(rep.Runners, func(r RunnerRow) []any {
		return []any{
			r.Name, place{r.Scope, r.Repository, ""}.String(), r.Scope, r.Repository, r.Labels, exact(r.Status), r.Since, r.Stale, r.AsOf, r.UUID,
		}
	})}
}

func (rep Report) unreadable() table {
	return table{"unreadable", []column{
		repositoryColumn, {"parts", "Parts"}, {"reason", "Reason"}, asOfColumn,
	}, rowsOf(rep.Unreadable, func(u UnreadableRow) []any { return []any{u.Repository, u.Parts, u.Reason, u.AsOf} })}
}

func (rep Report) tables() []table {
	return []table{
		rep.repositories(), rep.branches(), rep.steps(), rep.variables(), rep.keys(), rep.schedules(), rep.sshKeys(), rep.knownHosts(),
		rep.runners(), rep.unreadable(),
	}
}

func (t table) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	lines := make([][]string, 1+len(t.rows))
	for i, c := range t.columns {
		if c.name == "" {
			continue
		}
		lines[0] = append(lines[0], c.name)
		for n, row := range t.rows {
			lines[1+n] = append(lines[1+n], cli.Cell(plain(row[i])))
		}
	}
	return out.WriteAll(lines)
}

// plain is a value for programs.
func plain(value any) string {
	switch v := value.(type) {
	case remarked:
		return v.text
	case seconds:
		return strconv.Itoa(int(v))
	case []string:
		return strings.Join(v, "; ")
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(value)
}
