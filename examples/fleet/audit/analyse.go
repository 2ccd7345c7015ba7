package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is what an audit found. Its JSON is the output of --json; times are in UTC, and absent where unknown.
type Report struct {
	Workspace    string          `json:"workspace"`
	Since        time.Time       `json:"since"` // of the runs
	Written      time.Time       `json:"written"`
	Incomplete   string          `json:"incomplete"` // why not all was read; empty: all was
	Requests     int             `json:"requests"`   // sent for this report
	BuildSeconds int             `json:"build_seconds"`
	Runs         int             `json:"runs"`
	Repositories []RepositoryRow `json:"repositories"`
	Branches     []BuildRow      `json:"build_seconds_by_branch"`
	Steps        []BuildRow      `json:"build_seconds_by_step"`
	Variables    []VariableRow   `json:"variables"`
	Keys         []KeyRow        `json:"variable_keys"`
	Schedules    []ScheduleRow   `json:"schedules"`
	SSHKeys      []SSHKeyRow     `json:"ssh_keys"`
	KnownHosts   []HostRow       `json:"known_hosts"`
	Runners      []RunnerRow     `json:"runners"`
	Unreadable   []UnreadableRow `json:"unreadable"`
}

// RepositoryRow describes a repository. The most expensive ones come first.
type RepositoryRow struct {
	Repository   string    `json:"repository"`
	UUID         string    `json:"uuid"`
	Gone         time.Time `json:"gone,omitzero"` // when it was no longer on the workspace's list
	BuildSeconds int       `json:"build_seconds"`
	Runs         int       `json:"runs"`
	Unended      int       `json:"unended_runs"` // of Runs; their build time so far counts
	Variables    int       `json:"variables"`    // with those of its environments
	Environments int       `json:"environments"`
	Schedules    int       `json:"schedules"`
	KnownHosts   int       `json:"known_hosts"`
	Runners      int       `json:"runners"`
	RunsAsOf     time.Time `json:"runs_as_of,omitzero"`
	SettingsAsOf time.Time `json:"settings_as_of,omitzero"` // the oldest reading of its settings
}

// BuildRow is the build time on a branch, or of a step. NoStep has what the service counts in a run but in none of its steps, NotRead the runs
// whose steps could not be read, or not yet.
type BuildRow struct {
	Repository   string `json:"repository"`
	Branch       string `json:"branch,omitempty"`
	Step         string `json:"step,omitempty"`
	BuildSeconds int    `json:"build_seconds"`
	Runs         int    `json:"runs"`
}

// What has no name of a step.
const (
	NoStep  = "(in no step)"
	NotRead = "(steps not read)"
)

// VariableRow is a variable in its place. A deployment has the variables of its environment, of the repository and of the workspace; where
// a key is in several, the value of the narrowest scope counts and shadows the others.
type VariableRow struct {
	Scope       string    `json:"scope"` // workspace, repository, environment
	Repository  string    `json:"repository,omitempty"`
	Environment string    `json:"environment,omitempty"`
	Key         string    `json:"key"`
	Secured     bool      `json:"secured"`
	ShadowedBy  []string  `json:"shadowed_by"` // the narrower places that have the key
	Places      int       `json:"places"`      // in the workspace that have the key, this one included
	AsOf        time.Time `json:"as_of,omitzero"`
}

// KeyRow is a key of variables, in all places that have it.
type KeyRow struct {
	Key          string `json:"key"`
	Places       int    `json:"places"`
	Workspace    int    `json:"in_workspace"`
	Repositories int    `json:"in_repositories"`
	Environments int    `json:"in_environments"`
	Secured      int    `json:"secured"` // of Places
	Shadowed     int    `json:"shadowed"`
}

// ScheduleRow is a schedule.
type ScheduleRow struct {
	Repository string    `json:"repository"`
	Target     string    `json:"target"`
	Cron       string    `json:"cron"`
	Enabled    bool      `json:"enabled"`
	AsOf       time.Time `json:"as_of,omitzero"`
}

// SSHKeyRow is the key pair of a repository.
type SSHKeyRow struct {
	Repository   string    `json:"repository"`
	Fingerprint  string    `json:"fingerprint"`
	Repositories int       `json:"repositories"` // that have this key
	AsOf         time.Time `json:"as_of,omitzero"`
}

// HostRow is a key of a known host.
type HostRow struct {
	Host         string   `json:"host"`
	Type         string   `json:"type"`
	Fingerprint  string   `json:"fingerprint"`
	OtherKeys    int      `json:"other_keys"` // of the same type that other repositories have for this host: one may be outdated or forged
	Repositories []string `json:"repositories"`
}

// RunnerRow is a self-hosted runner.
type RunnerRow struct {
	Scope      string    `json:"scope"` // workspace, repository
	Repository string    `json:"repository,omitempty"`
	Name       string    `json:"name"`
	UUID       string    `json:"uuid"`
	Status     string    `json:"status"`
	Since      time.Time `json:"since,omitzero"`
	Stale      bool      `json:"stale"`
	Labels     []string  `json:"labels"`
	AsOf       time.Time `json:"as_of,omitzero"`
}

// UnreadableRow is what could not be read, and why. What was known of it before is in the report.
type UnreadableRow struct {
	Repository string    `json:"repository,omitempty"` // empty: the workspace
	Parts      []string  `json:"parts"`
	Reason     string    `json:"reason"`
	AsOf       time.Time `json:"as_of,omitzero"` // when the oldest part was last read; zero: one never was
}

// analyse makes the report of a state.
func analyse(s *state, since, now time.Time, stale time.Duration) Report {
	rep := Report{
		Workspace: s.Workspace, Since: since.UTC(), Written: now.UTC(), Repositories: []RepositoryRow{}, Branches: []BuildRow{}, Steps: []BuildRow{},
	}
	rep.addSettings(s, now, stale)
	for _, r := range s.repos {
		rep.addRuns(r, since)
	}
	slices.SortStableFunc(rep.Repositories, func(a, b RepositoryRow) int { return cmp.Compare(b.BuildSeconds, a.BuildSeconds) })
	for _, rows := range [][]BuildRow{rep.Branches, rep.Steps} {
		slices.SortStableFunc(rows, func(a, b BuildRow) int { return cmp.Compare(b.BuildSeconds, a.BuildSeconds) })
	}
	rep.Unreadable = unreadable(s, since)
	return rep
}

// addRuns adds a repository and the build time of its runs. That of a repository that is gone was used, and counts.
func (rep *Report) addRuns(r *repository, since time.Time) {
	row := RepositoryRow{Repository: r.Name, UUID: r.UUID, RunsAsOf: r.Listing.At}
	row.addSettings(r)
	branches, steps := map[string]*BuildRow{}, map[string]*BuildRow{}
	for _, run := range r.Runs {
		if run.Created.Before(since) {
			continue
		}
		row.Runs++
		row.BuildSeconds += run.total()
		if !run.Ended {
			row.Unended++
		}
		addTo(branches, run.Branch, run.total(), true)
		if rest := run.total() - run.inSteps(); rest > 0 {
			addTo(steps, run.restName(), rest, true)
		}
		counted := map[string]bool{}
		for _, s := range run.Steps {
			addTo(steps, s.Name, s.Seconds, !counted[s.Name])
			counted[s.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(branches)) {
		b := *branches[name]
		b.Repository, b.Branch = r.Name, name
		rep.Branches = append(rep.Branches, b)
	}
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		b := *steps[name]
		b.Repository, b.Step = r.Name, name
		rep.Steps = append(rep.Steps, b)
	}
	rep.Runs += row.Runs
	rep.BuildSeconds += row.BuildSeconds
	rep.Repositories = append(rep.Repositories, row)
}

func (r *run) restName() string {
	if r.Read.At.IsZero() {
		return NotRead
	}
	return NoStep
}

func addTo(rows map[string]*BuildRow, name string, seconds int, run bool) {
	if rows[name] == nil {
		rows[name] = &BuildRow{}
	}
	rows[name].BuildSeconds += seconds
	if run {
		rows[name].Runs++
	}
}

// addSettings adds how much is set up in a repository. In one that is gone nothing is.
func (row *RepositoryRow) addSettings(r *repository) {
	if r.Gone != nil {
		row.Gone = *r.Gone
		return
	}
	row.Variables, row.Environments, row.Schedules = len(r.Variables.Items), len(r.Environments.Items), len(r.Schedules.Items)
	row.KnownHosts, row.Runners = len(r.Hosts.Items), len(r.Runners.Items)
	for _, p := range r.Of {
		row.Variables += len(p.Items)
	}
	row.SettingsAsOf = oldest(r.settings())
}

// oldest returns when the oldest reading was; zero if one never was.
func oldest(readings map[string]reading) time.Time {
	var first time.Time
	for _, p := range readings {
		if p.At.IsZero() {
			return time.Time{}
		}
		if first.IsZero() || p.At.Before(first) {
			first = p.At
		}
	}
	return first
}

// settings returns the readings of a repository's settings by the name of the part.
func (r *repository) settings() map[string]reading {
	all := map[string]reading{
		partVariables: r.Variables.reading, partEnvironments: r.Environments.reading, partSchedules: r.Schedules.reading,
		partKeys: r.Keys.reading, partHosts: r.Hosts.reading, partRunners: r.Runners.reading,
	}
	for _, e := range r.Environments.Items {
		variables := reading{} // never read
		if p := r.Of[e.UUID]; p != nil {
			variables = p.reading
		}
		all["variables of "+e.Name] = variables
	}
	return all
}

// addSettings adds what is set up in the workspace and in its repositories.
func (rep *Report) addSettings(s *state, now time.Time, stale time.Duration) {
	rep.Variables, rep.Keys = variablesOf(s)
	rep.Schedules, rep.SSHKeys, rep.Runners = []ScheduleRow{}, []SSHKeyRow{}, []RunnerRow{}
	addRunner := func(scope, repository string, r runner, asOf time.Time) {
		rep.Runners = append(rep.Runners, RunnerRow{scope, repository, r.Name, r.UUID, r.Status, r.Changed, r.isStale(stale, now), r.Labels, asOf})
	}
	for _, r := range s.Runners.Items {
		addRunner(scopeWorkspace, "", r, s.Runners.At)
	}
	keys, hosts := map[string]int{}, hostRows{}
	for _, r := range s.present() {
		for _, x := range r.Schedules.Items {
			rep.Schedules = append(rep.Schedules, ScheduleRow{r.Name, x.Target, x.Cron, x.Enabled, r.Schedules.At})
		}
		for _, k := range r.Keys.Items {
			keys[idOf(k.Fingerprint)]++
			rep.SSHKeys = append(rep.SSHKeys, SSHKeyRow{r.Name, k.Fingerprint, 0, r.Keys.At})
		}
		for _, h := range r.Hosts.Items {
			hosts.add(h, r.Name)
		}
		for _, x := range r.Runners.Items {
			addRunner(scopeRepository, r.Name, x, r.Runners.At)
		}
	}
	for i, k := range rep.SSHKeys {
		rep.SSHKeys[i].Repositories = 1
		if id := idOf(k.Fingerprint); strings.HasPrefix(id, "SHA256:") { // others are not understood, so not known to be the same
			rep.SSHKeys[i].Repositories = keys[id]
		}
	}
	rep.KnownHosts = hosts.sorted()
}

// idOf is a key's fingerprint without the type and the comment, which differs between copies of one key.
func idOf(fingerprint string) string {
	id, _, _ := strings.Cut(fingerprint, " ")
	return id
}

// present returns the repositories that the workspace has now.
func (s *state) present() []*repository {
	return slices.DeleteFunc(slices.Clone(s.repos), func(r *repository) bool { return r.Gone != nil })
}

// hostRows are the keys of known hosts.
type hostRows map[host]*HostRow

func (rows hostRows) add(h host, repository string) {
	if rows[h] == nil {
		rows[h] = &HostRow{Host: h.Name, Type: h.Type, Fingerprint: h.Fingerprint}
	}
	rows[h].Repositories = append(rows[h].Repositories, repository)
}

func (rows hostRows) sorted() []HostRow {
	list := make([]HostRow, 0, len(rows))
	keys := map[[2]string]int{}
	for h := range rows {
		keys[[2]string{h.Name, h.Type}]++
	}
	for h, row := range rows {
		row.OtherKeys = keys[[2]string{h.Name, h.Type}] - 1
		list = append(list, *row)
	}
	slices.SortFunc(list, func(a, b HostRow) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return list
}

// unreadable collects what could not be read: a line for each reason. For the steps of runs, that is the reason of the newest run.
func unreadable(s *state, since time.Time) []UnreadableRow {
	list := collectUnreadable("", map[string]reading{partWorkspaceVariables: s.Variables.reading, partWorkspaceRunners: s.Runners.reading})
	for _, r := range s.present() {
		parts := r.settings()
		parts[partRuns] = r.Listing
		for _, uuid := range r.newestFirst() {
			if run := r.Runs[uuid]; run.Read.Problem != "" && !run.Created.Before(since) {
				parts[partSteps] = run.Read
				break
			}
		}
		list = append(list, collectUnreadable(r.Name, parts)...)
	}
	return list
}

func collectUnreadable(repository string, parts map[string]reading) []UnreadableRow {
	list := []UnreadableRow{}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		if p.Problem == "" {
			continue
		}
		i := slices.IndexFunc(list, func(row UnreadableRow) bool { return row.Reason == p.Problem })
		if i < 0 {
			list = append(list, UnreadableRow{Repository: repository, Reason: p.Problem, AsOf: p.At})
			i = len(list) - 1
		}
		list[i].Parts = append(list[i].Parts, name)
		if p.At.Before(list[i].AsOf) {
			list[i].AsOf = p.At
		}
	}
	return list
}
