// Command insights reports on the pipelines of a repository in the last days: how often they succeed, how long they take and wait, what
// they cost, and which steps and tests fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"
	_ "time/tzdata" // for systems without time zones

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const program = "insights"

var help = cli.Help{
	Intro: "insights reads the runs of the last days of a repository, their steps and the tests that failed in them, and reports on them: runs and " +
		"success by day, durations, build time, slow and failing steps, flaky tests and waiting. The report is one self-contained HTML file; a " +
		"summary is printed.",
	Usage: []cli.Item{
		{"insights --repo WORKSPACE/SLUG", "a report on the last 30 days"},
		{"insights --demo", "a report on a made-up history, from a fake service within the program"},
	},
	Groups: []cli.Group{
		{"What the report is on", "repo", "days", "branch", "zone", "demo"},
		{"Where it goes", "o", "json"},
		{"How it is read", "max-requests", "parallel"},
	},
	Notes: "One request is needed for each hundred runs, one for each run and one for each failed step; the service allows 1,000 an hour. When " +
		"those that --max-requests allows are used up, or the service fails, the report covers what was read so far: the newest runs first.",
	Credentials: cli.DemoRuns,
	Scopes:      "Scope: pipeline (API token: read:pipeline:bitbucket).",
	Statuses: []cli.Item{
		{"0", "the report is complete"}, {"2", "wrong usage, an error, or a report that is not complete and says so"}, cli.InterruptedStatus,
	},
}

type options struct {
	repo, branch, zone, out, json string
	days, maxRequests, parallel   int
	demo                          bool
}

func newFlags(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.repo, "repo", "", "the repository, as `WORKSPACE/SLUG`")
	flags.IntVar(&o.days, "days", 30, "the `NUMBER` of days, today included")
	flags.StringVar(&o.branch, "branch", "", "only runs on the branch with this `NAME`")
	flags.StringVar(&o.zone, "zone", "Local", "the time `ZONE` of the days, such as UTC or Europe/Berlin; by default the one of this machine")
	flags.StringVar(&o.out, "o", "insights.html", "the HTML `FILE`; \"\": none")
	flags.StringVar(&o.json, "json", "", "a `FILE` for the report as JSON; -: on standard output, with the summary on standard error")
	flags.IntVar(&o.maxRequests, "max-requests", 900, "at most this `NUMBER` of requests, retries included")
	flags.IntVar(&o.parallel, "parallel", 6, "how many requests at once")
	cli.DemoFlag(flags, &o.demo)
	help.Set(flags)
	return flags
}

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, env cli.Env) int {
	o := options{}
	flags := newFlags(&o)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	repo, zone, err := o.check(flags)
	if err != nil {
		return env.Usage(program, err)
	}
	rep, err := o.report(ctx, env, repo, zone)
	if err == nil {
		err = o.write(rep, env)
	}
	switch {
	case err != nil:
		return env.Fail(ctx, program, err)
	case rep.Incomplete != "":
		fmt.Fprintf(env.Stderr, "insights: the report is not complete: %s\n", rep.Incomplete)
		return cli.Trouble
	}
	return cli.Success
}

// check rejects invalid flags, and returns the repository and the time zone.
func (o options) check(flags *flag.FlagSet) (pipelines.Repo, *time.Location, error) {
	zone, zoneErr := cli.Zone(o.zone)
	err := cli.CheckGiven(flags, "o")
	switch {
	case err != nil:
	case o.days < 1 || o.days > 3660:
		err = errors.New("--days is not between 1 and 3,660")
	case o.maxRequests < 1:
		err = errors.New("--max-requests is below 1")
	case o.parallel < 1 || o.parallel > 50:
		err = errors.New("--parallel is not between 1 and 50")
	case zoneErr != nil:
		err = zoneErr
	default:
		err = o.checkFiles()
	}
	if err != nil {
		return pipelines.Repo{}, nil, err
	}
	repo, err := cli.Repo("repo", o.repo, o.demo, cli.DemoRepo)
	return repo, zone, err
}

func (o options) checkFiles() error {
	switch {
	case o.out == "-":
		return errors.New("--o needs a file: only the JSON can be on standard output, by --json -")
	case o.out != "" && o.json != "" && filepath.Clean(o.out) == filepath.Clean(o.json):
		return errors.New("--o and --json name the same file")
	}
	for flag, file := range map[string]string{"o": o.out, "json": o.json} {
		if file == "" || file == "-" {
			continue
		}
		if err := cli.CheckFile(file); err != nil { // now, not after hundreds of requests
			return fmt.Errorf("--%s: %w", flag, err)
		}
	}
	return nil
}

// startOfDay returns when the first of some days began, given a time on the last. Where clocks change at midnight, a day has no 0:00.
func startOfDay(now time.Time, days int) time.Time {
	midnight := time.Date(now.Year(), now.Month(), now.Day()-days+1, 0, 0, 0, 0, now.Location())
	noon := time.Date(now.Year(), now.Month(), now.Day()-days+1, 12, 0, 0, 0, now.Location())
	if midnight.Day() != noon.Day() {
		_, midnight = midnight.ZoneBounds()
	}
	return midnight
}

// report reads the runs and analyses them. If only some could be read, the report is on those.
func (o options) report(ctx context.Context, env cli.Env, repo pipelines.Repo, zone *time.Location) (Report, error) {
	requests := &budget{limit: int64(o.maxRequests)}
	env.Options = append([]pipelines.Option{pipelines.WithLimiter(requests)}, env.Options...)
	past := newHistory()
	client, _, end, err := env.Connect(program, o.demo, past.seed, past.serverOption())
	if err != nil {
		return Report{}, err
	}
	defer end()
	now := time.Now().In(zone)
	since := startOfDay(now, o.days)
	r := reader{client: client, repo: repo, branch: o.branch, parallel: o.parallel, env: env}
	runs, err := r.read(ctx, since)
	if err != nil && (ctx.Err() != nil || len(runs) == 0) {
		return Report{}, err
	}
	rep := analyse(runs, since, now)
	rep.Repository, rep.Branch, rep.Requests, rep.Undated = cli.Clean(repo.String()), cli.Clean(o.branch), requests.used(), r.undated
	switch {
	case errors.Is(err, errBudget):
		rep.Incomplete = errBudget.Error()
	case err != nil:
		rep.Incomplete = cli.Clean(cli.Message(err))
	}
	return rep, nil
}

// write writes the report in all requested formats, even if it can't write one of them.
func (o options) write(rep Report, env cli.Env) error {
	summary := env.Stdout
	var jsonErr error
	if o.json == "-" {
		summary, jsonErr = env.Stderr, cli.WriteJSON(env.Stdout, rep)
	}
	summarize(summary, rep)
	fmt.Fprintln(summary)
	if o.json != "" && o.json != "-" {
		jsonErr = cli.WriteReport(summary, "As JSON", o.json, func(w io.Writer) error { return cli.WriteJSON(w, rep) })
	}
	if o.out == "" {
		return jsonErr
	}
	return errors.Join(jsonErr, cli.WriteReport(summary, "The whole report", o.out, htmlPage(rep).Write))
}
