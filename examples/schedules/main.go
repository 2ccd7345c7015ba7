// Command schedules shows when the schedules of a repository run next, pauses and resumes them, and copies them to another repository. See
// its -h.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // for systems without time zones

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const program = "schedules"

var help = cli.Help{
	Intro: "schedules shows when the schedules of a repository run next, pauses and resumes them, and copies them to another repository.",
	Usage: []cli.Item{
		{"schedules --repo WORKSPACE/SLUG", "the table"},
		{"schedules --repo WORKSPACE/SLUG --pause", "disables all that are enabled"},
		{"schedules --repo WORKSPACE/SLUG --resume", "enables all that are disabled"},
		{"schedules --repo WORKSPACE/SLUG --copy-to WORKSPACE/OTHER", "creates those that the other repository lacks"},
		{"schedules --demo", "a demo on a fake service"},
	},
	Groups: []cli.Group{
		{"Which schedules", "repo", "id"},
		{"What is shown", "next", "zone"},
		{"What is changed", "pause", "resume", "copy-to", "dry-run"},
	},
	Notes: "--pause prints the command that resumes what it paused. A copy is enabled if the original is. A schedule with the same target and " +
		"pattern isn't copied again, so an interrupted copy can be repeated. What can't be paused or copied is explained, and the others are.",
	Credentials: cli.DemoRuns,
	Scopes: "Scopes: pipeline to look (API token: read:pipeline:bitbucket), pipeline:write to pause, resume and copy " +
		"(write:pipeline:bitbucket), for both repositories.",
	Statuses: []cli.Item{{"0", "done"}, {"2", "wrong usage, an error on the way, or some can't be changed"}, cli.InterruptedStatus},
}

func main() { cli.Main(run) }

// options are the parsed flags.
type options struct {
	repo, copyTo  string
	ids           ids
	pause, resume bool
	dryRun, demo  bool
	next          int
	zone          string
}

// ids is a repeatable flag.
type ids []string

func (i *ids) String() string { return strings.Join(*i, ",") }

func (i *ids) Set(text string) error {
	for id := range strings.SplitSeq(text, ",") {
		if id = strings.TrimSpace(id); cli.BareUUID(id) == "" {
			return errors.New("an ID is empty")
		}
		*i = append(*i, id)
	}
	return nil
}

func newFlags(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.repo, "repo", "", "the repository, as `WORKSPACE/SLUG`")
	flags.Var(&o.ids, "id", "only the schedule with this `UUID`; may be repeated, or several with commas between them")
	flags.BoolVar(&o.pause, "pause", false, "disable the schedules")
	flags.BoolVar(&o.resume, "resume", false, "enable the schedules")
	flags.StringVar(&o.copyTo, "copy-to", "", "copy the schedules to this repository, as `WORKSPACE/SLUG`")
	flags.BoolVar(&o.dryRun, "dry-run", false, "with --pause, --resume and --copy-to: only print what would be done")
	flags.IntVar(&o.next, "next", 1, "how many of the next times to show: `N` from 1 to 10")
	flags.StringVar(&o.zone, "zone", "", "the time `ZONE` to show times in, such as UTC or Europe/Berlin; by default the one of this machine")
	flags.BoolVar(&o.demo, "demo", false, "work on a fake service even if there are credentials (with acme/site and acme/shop)")
	help.Set(flags)
	return flags
}

func (o *options) check(flags *flag.FlagSet) error {
	if err := cli.CheckGiven(flags); err != nil {
		return err
	}
	actions := 0
	for _, given := range []bool{o.pause, o.resume, o.copyTo != ""} {
		if given {
			actions++
		}
	}
	switch {
	case actions > 1:
		return errors.New("--pause, --resume and --copy-to exclude each other")
	case o.dryRun && actions == 0:
		return errors.New("--dry-run goes with --pause, --resume or --copy-to: without them nothing is changed")
	case o.next < 1 || o.next > 10:
		return errors.New("--next is not from 1 to 10")
	}
	return nil
}

// job is one run of the program.
type job struct {
	options
	env    cli.Env
	client *pipelines.Client
	repo   pipelines.Repo
	to     pipelines.Repo
	zone   *time.Location
}

func run(ctx context.Context, args []string, env cli.Env) int {
	j := job{env: env, zone: time.Local}
	flags := newFlags(&j.options)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	if err := j.prepare(flags); err != nil {
		return env.Usage(program, err)
	}
	client, _, end, err := env.Connect(program, j.demo, seed)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	j.client = client
	if err := j.do(ctx); err != nil {
		return env.Fail(ctx, program, err)
	}
	return cli.Success
}

func (j *job) prepare(flags *flag.FlagSet) (err error) {
	if err = j.check(flags); err != nil {
		return err
	}
	if j.repo, err = cli.Repo("repo", j.options.repo, j.demo, cli.DemoRepo, demoShop); err != nil {
		return err
	}
	if j.copyTo != "" {
		if j.to, err = cli.Repo("copy-to", j.copyTo, j.demo, cli.DemoRepo, demoShop); err != nil {
			return err
		}
		if j.to == j.repo {
			return errors.New("--copy-to is the repository itself")
		}
	}
	if j.options.zone != "" {
		if j.zone, err = cli.Zone(j.options.zone); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) do(ctx context.Context) error {
	schedules, err := j.client.Schedules.List(ctx, j.repo, nil).Collect()
	if err == nil && len(j.ids) > 0 {
		schedules, err = pick(schedules, j.ids)
	}
	switch {
	case err != nil:
		return err
	case len(schedules) == 0:
		fmt.Fprintf(j.env.Stdout, "%s has no schedules.\n", j.repo)
		return nil
	case j.pause || j.resume:
		return j.setEnabled(ctx, schedules, j.resume)
	case j.copyTo != "":
		return j.copy(ctx, schedules)
	}
	j.show(schedules, time.Now())
	return nil
}

// pick returns the schedules with the IDs. A missing one is an error, because the user relies on it.
func pick(schedules []*pipelines.Schedule, wanted ids) ([]*pipelines.Schedule, error) {
	var picked []*pipelines.Schedule
	for _, id := range wanted {
		i := slices.IndexFunc(schedules, func(s *pipelines.Schedule) bool { return cli.BareUUID(s.UUID) == cli.BareUUID(id) })
		if i < 0 {
			return nil, fmt.Errorf("there is no schedule %s", id)
		}
		if !slices.Contains(picked, schedules[i]) {
			picked = append(picked, schedules[i])
		}
	}
	return picked, nil
}

// show prints the table, ordered by the next run.
func (j *job) show(schedules []*pipelines.Schedule, now time.Time) {
	type line struct {
		due   time.Time
		cells []string
	}
	var lines []line
	paused := 0
	for _, s := range schedules {
		due, when := j.times(s, now)
		if !s.Enabled {
			paused++
		}
		lines = append(lines, line{due, []string{describe(s.Target), s.CronPattern, when[0], when[1], s.UUID}})
		for rest := when[2:]; len(rest) > 0; rest = rest[2:] {
			lines = append(lines, line{due, []string{"", "", rest[0], rest[1]}})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		if a.due.IsZero() != b.due.IsZero() {
			return cmp.Compare(b.due.Unix(), a.due.Unix())
		}
		return a.due.Compare(b.due)
	})
	var rows [][]string
	for _, l := range lines {
		rows = append(rows, l.cells)
	}
	cli.PrintTable(j.env.Stdout, "There are no schedules.", []string{"RUNS", "PATTERN (UTC)", "NEXT", "LOCAL TIME", "ID"}, rows)
	fmt.Fprintf(j.env.Stdout, "\n%s, %d paused. Now it is %s.\n", count(len(schedules)), paused, j.local(now))
}

func (j *job) local(t time.Time) string { return t.In(j.zone).Format("Mon 2006-01-02 15:04 MST") }

// times returns when a schedule runs next, and cells with the times in words and as timestamps.
func (j *job) times(s *pipelines.Schedule, now time.Time) (time.Time, []string) {
	if !s.Enabled {
		return time.Time{}, []string{"paused", "-"}
	}
	c, err := parseCron(s.CronPattern)
	if err != nil {
		return time.Time{}, []string{"unknown: " + err.Error(), "-"}
	}
	var first time.Time
	var cells []string
	at, ok := c.next(now)
	for ; ok && len(cells) < 2*j.next; at, ok = c.next(at) {
		if first.IsZero() {
			first = at
		}
		cells = append(cells, words(at, now), j.local(at))
	}
	if first.IsZero() {
		return first, []string{"never", "-"}
	}
	return first, cells
}

// words describes how far off a time is.
func words(at, now time.Time) string {
	d := at.Sub(now).Round(time.Minute)
	minutes, hours, days := int(d/time.Minute)%60, int(d/time.Hour)%24, int(d/(24*time.Hour))
	switch {
	case d < time.Minute:
		return "within a minute"
	case d < time.Hour:
		return "in " + cli.Count(minutes, "minute", "minutes")
	case days == 0 && minutes == 0:
		return "in " + cli.Count(hours, "hour", "hours")
	case days == 0:
		return "in " + cli.Count(hours, "hour", "hours") + " " + cli.Count(minutes, "minute", "minutes")
	case days < 7 && hours > 0:
		return "in " + cli.Count(days, "day", "days") + " " + cli.Count(hours, "hour", "hours")
	}
	return "in " + cli.Count(days, "day", "days")
}

func count(n int) string { return cli.Count(n, "schedule", "schedules") }

// describe describes what a schedule runs.
func describe(t pipelines.Target) string {
	selector := t.Selector
	t.Selector = nil
	text := cmp.Or(t.RefName, t.String(), "?")
	switch {
	case selector == nil:
	case selector.Type == pipelines.SelectorCustom:
		return cmp.Or(selector.Pattern, "?") + " on " + text
	case selector.Type == pipelines.SelectorDefault:
		return "default on " + text
	}
	return text
}

// whole describes a schedule.
func whole(s *pipelines.Schedule) string {
	return describe(s.Target) + ", " + cmp.Or(s.CronPattern, "no pattern")
}

// setEnabled pauses or resumes the schedules that aren't yet.
func (j *job) setEnabled(ctx context.Context, schedules []*pipelines.Schedule, enabled bool) error {
	change := map[bool]string{true: "resumed", false: "paused"}[enabled]
	verb := change
	if j.dryRun {
		verb = "would be " + change
	}
	var done ids
	var err error
	refused := 0
	for _, s := range schedules {
		if s.Enabled == enabled {
			continue
		}
		if s.UUID == "" {
			j.env.Say("can't be %s: %s: the service sent no ID of it", change, whole(s))
			refused++
			continue
		}
		err = j.update(ctx, s.UUID, enabled)
		if errors.Is(err, pipelines.ErrInvalidRequest) || errors.Is(err, pipelines.ErrNotFound) { // somebody may have deleted it meanwhile
			j.env.Say("can't be %s: %s: %s", change, whole(s), cli.Message(err))
			refused, err = refused+1, nil
			continue
		}
		if err != nil {
			break
		}
		done = append(done, cli.BareUUID(s.UUID))
		j.env.Say("%s %s: %s", verb, s.UUID, whole(s))
	}
	fmt.Fprintf(j.env.Stdout, "%s of %d %s\n", count(len(done)), len(schedules), verb)
	if !enabled && !j.dryRun && len(done) > 0 {
		j.env.Say("To resume what was paused: schedules --repo %s --resume --id %s", j.repo, done.String())
	}
	return cmp.Or(err, unable(refused, change))
}

// update enables or disables a schedule, unless it is a dry run.
func (j *job) update(ctx context.Context, id string, enabled bool) error {
	if j.dryRun {
		return nil
	}
	updated, err := j.client.Schedules.Update(ctx, j.repo, id, pipelines.ScheduleUpdate{Enabled: &enabled})
	if err == nil && !enabled && updated.Enabled {
		err = fmt.Errorf("schedule %s: the service accepted the change and left it enabled", id)
	}
	return err
}

var demoShop = pipelines.Repo{Workspace: "acme", Slug: "shop"}

// seed adds resources to the demo's service.
func seed(srv *pipelinestest.Server) {
	srv.AddRepository(demoShop.Workspace, demoShop.Slug)
	repo := srv.AddRepository(cli.DemoRepo.Workspace, cli.DemoRepo.Slug)
	main := pipelines.BranchTarget("main")
	nightly, release := main.With(pipelines.CustomSelector("nightly")), pipelines.BranchTarget("release/2.1")
	for _, s := range []pipelines.Schedule{
		{Target: main, CronPattern: "0 0/30 8-17 ? * MON-FRI *", Enabled: true},
		{Target: nightly, CronPattern: "0 15 2 * * ? *", Enabled: true},
		{Target: nightly, CronPattern: "0 0 6 L * ? *", Enabled: true},
		{Target: release, CronPattern: "0 0 12 ? * MON#1 *"},
	} {
		repo.AddSchedule(s)
	}
}
