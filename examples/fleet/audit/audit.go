// Package audit reports on a whole workspace: the variables, schedules, SSH keys, known hosts and runners of its repositories, and the
// build time that their runs took. It is the command "fleet audit".
//
//	state.go     what is known, in a directory
//	collect.go   brings it up to date: settings.go, runs.go, within quota.go
//	analyse.go   makes a report of it: variables.go
//	tables.go    the report as tables, and these as CSV
//	page.go      the report as a page, and the summary
package audit

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const program = "fleet audit"

var help = cli.Help{
	Intro: `
fleet audit reads what the repositories of a workspace have, and how much build time their runs took: variables by scope (keys, whether
they are secured, and which are shadowed by a narrower scope; never a value), schedules, SSH keys and known hosts by fingerprint, runners
that are stale, and the build time by repository, branch and step. It needs no Redis.`,
	Usage: []cli.Item{
		{"fleet audit --workspace WORKSPACE --state DIRECTORY [flags]", ""}, {"fleet audit --demo [flags]", ""},
	},
	Groups: []cli.Group{
		{"What is read", "workspace", "since", "stale", "demo"}, {"The report, beside a summary", "html", "csv", "json"},
		{"How much is read again", "state", "recheck", "quota"},
	},
	Notes: `
The first audit takes seven requests for each repository, one for each environment, one for each run, for its steps, and one for each
hundred runs more. If it is interrupted, the same command continues it. With --state, a later audit takes one request for each repository, to find new
runs, and one for each of these and of those that hadn't ended. Settings are read again only in repositories that were pushed to or
renamed (the service's updated_on), that had a new run, or whose settings were last read --recheck ago: the service doesn't tell when a setting is changed. So a change in a
repository in which nothing else happens is seen up to --recheck later; the report tells as of when it knows. Runs that ended are never
read again, but for those on the newest page of the list; steps that are run again in an older run are not seen.

Build time is the build_seconds_used of the service: what it counts in a run but in no step is "(in no step)". Runs that haven't ended
count with what they have used so far. Repositories that are gone keep their build time.

A part that can't be read is in the report, with the reason and what was known before, and the exit status is 1. The state has neither
values of variables nor private keys; it does have the names of everything else.`,
	Credentials: cli.DemoRuns,
	Scopes:      "Scopes: repository, pipeline, runner. API token: read:repository:bitbucket, read:pipeline:bitbucket, read:runner:bitbucket.",
	Statuses: []cli.Item{
		{"0", "everything was read"}, {"1", "a part could not be read; the report names it"},
		{"2", "wrong usage, or an error; the report has what was read until then"}, {"130", "interrupted; likewise"},
	},
}

// options are the parsed flags.
type options struct {
	workspace       string
	since           string
	state           string
	html, csv, json string
	stale           cli.Age
	recheck         recheck
	quota           int
	demo            bool

	from time.Time // of since
}

// recheck is an age, or 0.
type recheck struct{ cli.Age }

// String implements [flag.Value].
func (r *recheck) String() string { return cmp.Or(r.Age.String(), "0") }

// Set implements [flag.Value].
func (r *recheck) Set(text string) error {
	if text == "0" {
		r.Age = 0
		return nil
	}
	return r.Age.Set(text)
}

const day = 24 * time.Hour

func newFlags(o *options) *flag.FlagSet {
	o.stale, o.recheck = cli.Age(7*day), recheck{cli.Age(7 * day)}
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.workspace, "workspace", "", "the `WORKSPACE`")
	flags.StringVar(&o.since, "since", "", "count the runs created since this `DATE`, such as 2026-11-01, or time, in UTC, or for an age such as 30d (default the first of this month)")
	flags.StringVar(&o.state, "state", "", "the `DIRECTORY` that remembers what was read, which is made if need be; one for each workspace, and one audit at a time")
	flags.StringVar(&o.html, "html", "", "write the report as a page into this `FILE`")
	flags.StringVar(&o.csv, "csv", "", "write the report as CSV into this `DIRECTORY`, a file for each table")
	flags.StringVar(&o.json, "json", "", "write the report as JSON into this `FILE`; - is the standard output, and the summary is on the standard error then")
	flags.Var(&o.stale, "stale", "a runner is stale if it has been offline, or has never connected, for this `AGE`, such as 36h")
	flags.Var(&o.recheck, "recheck", "read the settings of a repository again after this `AGE` although nothing has happened in it; 0: each time")
	flags.IntVar(&o.quota, "quota", 1000, "send at most this many `REQUESTS` in any hour; the service allows 1,000, for others with the same credentials too")
	cli.DemoFlag(flags, &o.demo)
	help.Set(flags)
	return flags
}

func (o *options) check(flags *flag.FlagSet, now time.Time) (err error) {
	if err := cli.CheckGiven(flags); err != nil {
		return err
	}
	demo := cli.IsDemo(o.demo)
	switch {
	case o.workspace == "" && !demo:
		return errors.New("--workspace is missing")
	case o.workspace == "." || o.workspace == "..":
		return fmt.Errorf("--workspace: %q is no workspace", o.workspace)
	case o.demo && o.state != "":
		return errors.New("--state goes with a workspace of the service: the demo has nothing to remember")
	}
	if err := cli.CheckQuota(o.quota, 1); err != nil {
		return err
	}
	for name, value := range map[string]string{"workspace": o.workspace, "state": o.state} {
		if err := cli.CheckReal(name, value, o.demo, demoWorkspace); err != nil {
			return err
		}
	}
	if o.from, err = parseSince(o.since, now, demo); err != nil {
		return err
	}
	return o.checkOutputs()
}

// parseSince returns the beginning of a day, a time, or what is an age ago.
func parseSince(text string, now time.Time, demo bool) (time.Time, error) {
	now = now.UTC()
	switch {
	case text == "" && demo:
		return now.Add(-30 * day).Truncate(day), nil
	case text == "":
		return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC), nil
	}
	var age cli.Age
	if age.Set(text) == nil {
		return now.Add(-time.Duration(age)), nil
	}
	from, err := time.Parse(time.DateOnly, text)
	if err != nil {
		from, err = time.Parse(time.RFC3339, text)
	}
	switch {
	case err != nil:
		return from, errors.New("--since is no date such as 2026-11-01, no time such as 2026-11-01T06:00:00Z and no age such as 30d")
	case from.After(now):
		return from, errors.New("--since is in the future")
	}
	return from.UTC(), nil
}

// checkOutputs notices now what would be noticed only once all is read.
func (o *options) checkOutputs() error {
	switch {
	case o.html == "-":
		return errors.New("--html needs a file: only the JSON can be on standard output, by --json -")
	case o.csv == "-":
		return errors.New("--csv needs a directory: only the JSON can be on standard output, by --json -")
	case o.html != "" && o.json != "" && filepath.Clean(o.html) == filepath.Clean(o.json):
		return errors.New("--html and --json name the same file")
	}
	if o.csv != "" {
		absolute, err := filepath.Abs(o.csv)
		if o.csv = absolute; err == nil {
			err = os.MkdirAll(o.csv, 0o755) //nolint:gosec // reports are for others too
		}
		if err != nil {
			return fmt.Errorf("--csv: %w", err)
		}
	}
	for _, output := range []struct{ flag, file string }{
		{"html", o.html}, {"json", o.jsonFile()}, {"csv", o.csvFile("repositories")},
	} {
		if output.file == "" {
			continue
		}
		if err := cli.CheckFile(output.file); err != nil {
			return fmt.Errorf("--%s: %w", output.flag, err)
		}
	}
	return nil
}

// jsonFile returns the file of the JSON, if that is to be in one.
func (o *options) jsonFile() string {
	if o.json == "-" {
		return ""
	}
	return o.json
}

// csvFile returns the file of a table, if there is to be one.
func (o *options) csvFile(table string) string {
	if o.csv == "" {
		return ""
	}
	return filepath.Join(o.csv, table+".csv")
}

// Run runs the command with its arguments, and returns its exit status.
func Run(ctx context.Context, args []string, env cli.Env) int {
	var o options
	flags := newFlags(&o)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	if err := o.check(flags, time.Now()); err != nil {
		return env.Usage(program, err)
	}
	if o.workspace == "" {
		o.workspace = demoWorkspace
	}
	known, err := open(o.state, o.workspace)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer known.close()
	return o.audit(ctx, known, env)
}

// audit brings the state up to date and reports on it, also if only a part could be read.
func (o *options) audit(ctx context.Context, known *state, env cli.Env) int {
	limit := &quota{state: known, limit: o.quota}
	client, _, end, err := env.With(pipelines.WithLimiter(limit)).Connect("fleet", o.demo, seed)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	c := &collector{client: client, state: known, quota: limit, env: env, since: o.from, recheck: time.Duration(o.recheck.Age)}
	failure := c.collect(ctx)
	rep := analyse(known, o.from, time.Now(), time.Duration(o.stale))
	rep.Requests, _ = limit.used()
	switch {
	case failure != nil && ctx.Err() != nil:
		rep.Incomplete = "interrupted"
	case failure != nil:
		rep.Incomplete = cli.Clean(cli.Message(failure))
	}
	if known.Listed > 0 {
		if err := o.write(rep, env); err != nil {
			return env.Fail(ctx, program, errors.Join(failure, err))
		}
	}
	switch {
	case failure != nil:
		status := env.Fail(ctx, program, failure)
		if o.state != "" && known.Listed > 0 {
			fmt.Fprintln(env.Stderr, "The same command continues where it has ended.")
		}
		return status
	case len(rep.Unreadable) > 0:
		return cli.Failure
	}
	return cli.Success
}

// write writes the report in all forms that are asked for.
func (o *options) write(rep Report, env cli.Env) error {
	summary := env.Stdout
	if o.json == "-" {
		summary = env.Stderr
		if err := cli.WriteJSON(env.Stdout, rep); err != nil {
			return err
		}
	}
	summarize(summary, rep)
	fmt.Fprintln(summary)
	if file := o.jsonFile(); file != "" {
		if err := cli.WriteReport(summary, "As JSON", file, func(w io.Writer) error { return cli.WriteJSON(w, rep) }); err != nil {
			return err
		}
	}
	if o.csv != "" {
		for _, t := range rep.tables() { // also empty ones: a file of an audit before would be mistaken for one of this
			if err := cli.WriteReport(io.Discard, "", o.csvFile(t.name), t.writeCSV); err != nil {
				return err
			}
		}
		fmt.Fprintf(summary, "As CSV: %d files in %s\n", len(rep.tables()), o.csv)
	}
	if o.html == "" {
		return nil
	}
	return cli.WriteReport(summary, "The page", o.html, func(w io.Writer) error { return writeHTML(w, rep) })
}
