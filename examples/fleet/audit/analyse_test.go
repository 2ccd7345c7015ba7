package audit

import (
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAVariableIsShadowedByNarrowerScopesOfItsOwnRepository(t *testing.T) {
	f := newFixture(t)
	f.AddWorkspace("acme").AddVariable(pipelines.Variable{Key: "K"})
	for _, slug := range []string{"a", "b"} {
		r := f.AddRepository("acme", slug)
		r.AddVariable(pipelines.Variable{Key: "K"})
		r.AddVariable(pipelines.Variable{Key: "L"})
	}
	for _, name := range []string{"Staging", "Production"} {
		f.AddRepository("acme", "a").AddEnvironment(name, pipelines.EnvironmentTest).AddVariable(pipelines.Variable{Key: "K", Secured: true})
	}
	rep := f.audit("")
	got := map[string][]string{}
	for _, v := range rep.Variables {
		got[strings.Join([]string{v.Scope, v.Repository, v.Environment, v.Key}, " ")] = v.ShadowedBy
	}
	require.Equal(t, map[string][]string{
		"workspace   K":                   {"acme/a", "acme/a Staging", "acme/a Production", "acme/b"},
		"repository acme/a  K":            {"acme/a Staging", "acme/a Production"},
		"repository acme/b  K":            {},
		"repository acme/a  L":            {},
		"repository acme/b  L":            {},
		"environment acme/a Staging K":    {},
		"environment acme/a Production K": {},
	}, got)
	require.Equal(t, []KeyRow{
		{Key: "K", Places: 5, Workspace: 1, Repositories: 2, Environments: 2, Secured: 2, Shadowed: 2}, {Key: "L", Places: 2, Repositories: 2},
	}, rep.Keys)
}

func TestKeysHostsRunnersAndSchedules(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	for i, slug := range []string{"a", "b", "c"} {
		r := f.AddRepository("acme", slug)
		r.SetKeyPair(pipelines.KeyPair{PublicKey: "ssh-ed25519 " + hostKeys[min(1, i)] + " of " + slug})
		r.AddKnownHost(pipelines.KnownHost{Hostname: "host", PublicKey: &pipelines.SSHPublicKey{KeyType: "ssh-ed25519", Key: hostKeys[i/2]}})
	}
	f.AddRepository("acme", "none")
	a := f.AddRepository("acme", "a")
	a.AddSchedule(pipelines.Schedule{CronPattern: "0 0 1 * * ? *", Enabled: true, Target: pipelines.BranchTarget("main")})
	for name, state := range map[string]pipelines.RunnerState{
		"lost": {Status: pipelines.RunnerOffline, UpdatedOn: now.Add(-8 * day)}, "never": {Status: pipelines.RunnerUnregistered, UpdatedOn: now.Add(-8 * day)},
		"away": {Status: pipelines.RunnerOffline, UpdatedOn: now.Add(-6 * day)}, "online": {Status: pipelines.RunnerOnline, UpdatedOn: now.Add(-80 * day)},
		"off": {Status: pipelines.RunnerDisabled, UpdatedOn: now.Add(-80 * day)},
	} {
		a.AddRunner(pipelines.Runner{Name: name, State: state})
	}
	rep := f.audit("")
	require.Len(t, rep.SSHKeys, 3)
	require.Equal(t, []int{1, 2, 2}, []int{rep.SSHKeys[0].Repositories, rep.SSHKeys[1].Repositories, rep.SSHKeys[2].Repositories})
	require.Len(t, rep.KnownHosts, 2)
	for _, h := range rep.KnownHosts {
		require.Equal(t, 1, h.OtherKeys)
		require.Regexp(t, `^SHA256:\S{43}$`, h.Fingerprint)
	}
	stale := map[string]bool{}
	for _, r := range rep.Runners {
		stale[r.Name] = r.Stale
	}
	require.Equal(t, map[string]bool{"lost": true, "never": true, "away": false, "online": false, "off": false}, stale)
	require.Equal(t, "0 0 1 * * ? *", rep.Schedules[0].Cron)
	require.True(t, rep.Schedules[0].Enabled)
}

func TestFilesAreSafeForSpreadsheetsAndBrowsers(t *testing.T) {
	f := newFixture(t)
	r := f.AddRepository("acme", "site")
	const formula, markup = "=HYPERLINK(1)", "<script>alert(1)</script>\x1b[31m\n"
	r.AddRunner(pipelines.Runner{Name: formula, Labels: []string{markup}})
	r.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "@" + markup, Duration: time.Second}}}, f.now.Add(-time.Hour))
	page, dir := filepath.Join(f.dir, "page.html"), filepath.Join(f.dir, "csv")
	f.audit("--html " + page + " --csv " + dir)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.NotContains(t, string(text), "<script")
	require.NotContains(t, string(text), "\x1b")
	require.Contains(t, string(text), "&lt;script&gt;")
	require.NotRegexp(t, `(src|href)="http`, string(text), "the page needs nothing else")
	for name, want := range map[string]string{"runners.csv": "'" + formula, "steps.csv": "'@<script>alert(1)</script>[31m"} {
		file, err := os.Open(filepath.Join(dir, name))
		require.NoError(t, err)
		lines, err := csv.NewReader(file).ReadAll()
		require.NoError(t, err)
		require.NoError(t, file.Close())
		require.Contains(t, lines[1], want)
	}
	require.NotContains(t, f.Out.String(), "\x1b")
}

func TestAPageSpeaksOfOneThingAsOfOne(t *testing.T) {
	rep := Report{Repositories: []RepositoryRow{{Gone: time.Now()}}, Branches: make([]BuildRow, mostRows+1)}
	var page strings.Builder
	require.NoError(t, writeHTML(&page, rep))
	require.Contains(t, page.String(), "1 more is gone")
	require.Contains(t, page.String(), "1 more is in the files of --csv and --json.")
}

func TestAFullDiskIsNamedOnce(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, errors.Join(reader.Close(), writer.Close()))
	err = Report{}.repositories().writeCSV(writer)
	require.Equal(t, 1, strings.Count(err.Error(), "already closed"), err)
}

func TestAPageOfAnAuditThatWasInterruptedSaysSo(t *testing.T) {
	f := newFixture(t)
	f.AddRepository("acme", "site")
	f.Inject(pipelinestest.Fault{Skip: 3, Status: 401})
	page := filepath.Join(f.dir, "page.html")
	f.Run(f.args("--html " + page))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "This report is not complete.")
	require.Contains(t, string(text), "acme/site")
}

func TestKeysThatAreNotUnderstoodAreNotTakenForOne(t *testing.T) {
	f := newFixture(t)
	for _, slug := range []string{"a", "b"} {
		f.AddRepository("acme", slug).SetKeyPair(pipelines.KeyPair{PublicKey: "key of " + slug})
	}
	for _, k := range f.audit("").SSHKeys {
		require.Equal(t, 1, k.Repositories)
	}
}

func TestTheReportSaysFromWhenRunsCount(t *testing.T) {
	for since, want := range map[string]string{"2026-11-01": "1 November 2026", "2026-11-01T06:30:00+02:00": "1 Nov 2026, 04:30"} {
		from, err := parseSince(since, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), false)
		require.NoError(t, err)
		require.Equal(t, want, Report{Since: from}.since())
	}
}
