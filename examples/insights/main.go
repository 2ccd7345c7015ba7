// Command insights reports on the pipelines of a repository in the last days: how often they succeed, how long they take and wait, what
// they cost, and which steps and tests fail.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const usage = `insights reads the runs of the last days of a repository, their steps and the tests that failed in them, and
reports on them: runs and success by day, durations, build minutes, slow and failing steps, flaky tests and
waiting. The report is one self-contained HTML file; a summary is printed.

    go -C examples run ./insights -repo WORKSPACE/SLUG [flags]
    go -C examples run ./insights -demo       a demo against a fake service of its own

Credentials come from the environment: BITBUCKET_TOKEN (an access token), or BITBUCKET_EMAIL and
BITBUCKET_API_TOKEN, or BITBUCKET_CLIENT_ID and BITBUCKET_CLIENT_SECRET (an OAuth consumer). Without
any of them the demo runs. Scope: pipeline (API tokens: read:pipeline:bitbucket).

  -repo WORKSPACE/SLUG  the repository
  -days N               how many days, today included; default 30
  -branch NAME          only runs on this branch
  -zone NAME            the time zone of days, such as UTC or Europe/Berlin; default: the local one
  -o FILE               the HTML file; default insights.html; "": none
  -json FILE            the same as JSON, too; -: on standard output, with the summary on standard error
  -max-requests N       maximum number of requests, including retries; default 900, because the service
                        allows 1,000 an hour. One is needed for each hundred runs, one for each run and one
                        for each failed step. When they are used up, the report covers what was read so far:
                        the newest runs first
  -parallel N           how many requests at once; default 6
  -demo                 run on the built-in fake service even if there are credentials
  -h                    print this text

Exit status ("go run" turns all but 0 into 1):
    0  the report is complete
    2  wrong usage, an error, or an incomplete report, which says so
  130  interrupted
`

type options struct {
	repo, branch, zone, out, json string
	days, maxRequests, parallel   int
	demo                          bool
}

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, env cli.Env) int {
	o := options{}
	flags := flag.NewFlagSet("insights", flag.ContinueOnError)
	flags.StringVar(&o.repo, "repo", "", "")
	flags.IntVar(&o.days, "days", 30, "")
	flags.StringVar(&o.branch, "branch", "", "")
	flags.StringVar(&o.zone, "zone", "Local", "")
	flags.StringVar(&o.out, "o", "insights.html", "")
	flags.StringVar(&o.json, "json", "", "")
	flags.IntVar(&o.maxRequests, "max-requests", 900, "")
	flags.IntVar(&o.parallel, "parallel", 6, "")
	flags.BoolVar(&o.demo, "demo", false, "")
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	zone, err := o.check(flags)
	if err == nil {
		var rep Report
		if rep, err = o.report(ctx, env, zone); err == nil {
			err = o.write(rep, env)
		}
		if err == nil && rep.Incomplete != "" {
			fmt.Fprintf(env.Stderr, "insights: the report is not complete: %s\n", rep.Incomplete)
			return cli.Trouble
		}
	}
	if err != nil {
		return env.Fail(ctx, "insights", err)
	}
	return cli.Success
}

// check rejects invalid flags.
func (o options) check(flags *flag.FlagSet) (*time.Location, error) {
	if err := o.checkRepo(); err != nil {
		return nil, err
	}
	var empty string // often from an unset shell variable
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "o" && strings.TrimSpace(f.Value.String()) == "" {
			empty = f.Name
		}
	})
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%s too many: all is said by flags", cli.Count(flags.NArg(), "argument", "arguments"))
	case empty != "":
		return nil, fmt.Errorf("-%s is empty", empty)
	case o.days < 1 || o.days > 3660:
		return nil, errors.New("-days is not between 1 and 3660")
	case o.maxRequests < 1:
		return nil, errors.New("-max-requests is below 1")
	case o.parallel < 1 || o.parallel > 50:
		return nil, errors.New("-parallel is not between 1 and 50")
	}
	zone, err := time.LoadLocation(o.zone)
	if err != nil {
		return nil, fmt.Errorf("-zone: %w", err)
	}
	return zone, nil
}

// checkRepo prevents mistaking a demo for a real report.
func (o options) checkRepo() error {
	demo := o.demo || !cli.HasCredentials()
	switch {
	case o.demo && o.repo != "":
		return errors.New("-demo and -repo exclude each other: the demo has a repository of its own")
	case demo && o.repo != "":
		return errors.New("-repo needs credentials, and there are none in the environment: set BITBUCKET_TOKEN, or another of those that -h names")
	case !demo && o.repo == "":
		return errors.New("-repo is missing: name the repository as WORKSPACE/SLUG")
	}
	return nil
}

// report reads the runs and analyses them. If only some could be read, the report is on those.
func (o options) report(ctx context.Context, env cli.Env, zone *time.Location) (Report, error) {
	requests := &budget{limit: int64(o.maxRequests)}
	env.Options = append([]pipelines.Option{pipelines.WithLimiter(requests)}, env.Options...)
	past := newHistory()
	client, demo, end, err := env.Connect("insights", o.demo, past.seed, past.serverOption())
	if err != nil {
		return Report{}, err
	}
	defer end()
	repo := demoRepo
	if !demo {
		if repo, err = pipelines.ParseRepo(o.repo); err != nil {
			return Report{}, err
		}
	}
	now := time.Now().In(zone)
	since := time.Date(now.Year(), now.Month(), now.Day()-o.days+1, 0, 0, 0, 0, zone)
	r := reader{client: client, repo: repo, branch: o.branch, parallel: o.parallel, env: env}
	runs, err := r.read(ctx, since)
	if err != nil && (ctx.Err() != nil || len(runs) == 0) {
		return Report{}, err
	}
	rep := analyse(runs, since, now)
	rep.Repository, rep.Branch, rep.Requests = cli.Clean(repo.String()), cli.Clean(o.branch), requests.used()
	switch {
	case errors.Is(err, errBudget):
		rep.Incomplete = errBudget.Error()
	case err != nil:
		rep.Incomplete = cli.Clean(cli.Message(err))
	}
	return rep, nil
}

// write writes the report in all requested formats.
func (o options) write(rep Report, env cli.Env) error {
	summary := env.Stdout
	if o.json == "-" {
		summary = env.Stderr
		if err := writeJSON(env.Stdout, rep); err != nil {
			return err
		}
	} else if o.json != "" {
		if err := cli.WriteFile(o.json, 0o644, func(w io.Writer) error { return writeJSON(w, rep) }); err != nil {
			return err
		}
	}
	if o.out != "" {
		if err := cli.WriteFile(o.out, 0o644, func(w io.Writer) error { return htmlPage(rep).Write(w) }); err != nil {
			return err
		}
	}
	summarize(summary, rep)
	if o.out != "" {
		fmt.Fprintf(summary, "\nThe whole report: %s\n", o.out)
	}
	return nil
}

func writeJSON(w io.Writer, rep Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rep)
}
