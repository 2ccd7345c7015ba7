// Command supersede stops runs that a newer run of the same branch or pull request has made pointless. See its -h.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"slices"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const program = "supersede"

func main() { cli.Main(run) }

// options are the parsed flags.
type options struct {
	rules

	repos       values
	watch, demo bool
	quota       int // requests an hour
}

var help = cli.Help{
	Intro: `
supersede stops runs that a newer run has made pointless: one of the same branch or pull request, and of the same pipeline (the section
of the YAML and its pattern).

It never stops the newest run, nor one that deploys, has deployed or will deploy to an environment that isn't named by --environment. A run
that ends before it is stopped counts as done. The service can't stop a run that waits for a manual step; such runs are reported.`,
	Usage: []cli.Item{
		{"supersede plan --repo WORKSPACE/SLUG", "shows what apply would do"},
		{"supersede apply --repo WORKSPACE/SLUG", "does it"},
		{"supersede apply --repo WORKSPACE/SLUG --watch", "does it again and again, as runs come"},
		{"supersede plan --demo", "a demo on a fake service; so are apply --demo and apply --watch --demo"},
	},
	Groups: []cli.Group{
		{"Which runs", "repo", "branch", "except"},
		{"What may be stopped besides", "environment", "custom"},
		{"How", "watch", "quota", "demo"},
	},
	Notes: `
All flags but --watch, --quota and --demo may be repeated. A * in a PATTERN or in the NAME of --custom stands for any text.

A newer run supersedes if it is pending, going on or paused, or has been successful or failed; not if it was stopped, or couldn't run. Runs on
tags, commits and merge queues, and those that another run has started or somebody has started again, are always left. So are runs of custom
pipelines, unless --custom names them: they may have different variables, which the service doesn't show. Nor does it show which run has started
another, so a run may be stopped while one that it has started deploys: --except leaves such branches out.

Before a run is stopped more than 15 seconds after the program has looked, it looks again; only a watch that has used up its quota sends the next
request up to 7,200 s / --quota later. A watch looks at each of N repositories every N × 28,800 s / --quota: at one every 29 seconds, at ten
every 5 minutes. While that fails, or a run can't be stopped, it looks less often, down to a quarter.`,
	Credentials: cli.DemoRuns,
	Scopes:      "Scopes: pipeline for a plan, and pipeline:write to stop (API token: read:pipeline:bitbucket, write:pipeline:bitbucket).",
	Statuses: []cli.Item{
		{"0", "plan: there is nothing to stop; apply: every run that may be stopped was asked to, or had ended"},
		{"1", "plan: there are runs to stop"},
		{"2", "wrong usage, or an error on the way: apply may have done a part, and the next one does the rest"},
		cli.InterruptedStatus,
	},
}

func newFlags(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.Var(&o.repos, "repo", "the repository, as `WORKSPACE/SLUG`")
	flags.Var(&o.environments, "environment", "runs that deploy to the environment with this `NAME` or UUID")
	flags.Var(&o.custom, "custom", "runs of the custom pipeline with this `NAME`")
	flags.Var(&o.branches, "branch", "only runs on branches like this `PATTERN`, or of pull requests of such branches")
	flags.Var(&o.except, "except", "no runs on branches like this `PATTERN`, nor of pull requests of such branches")
	flags.BoolVar(&o.watch, "watch", false, "with apply: go on until interrupted")
	flags.IntVar(&o.quota, "quota", defaultQuota,
		"with --watch: send at most this many `REQUESTS` an hour; the service allows 1,000, for others with the same credentials too")
	cli.DemoFlag(flags, &o.demo)
	help.Set(flags)
	return flags
}

// commands are the possible first arguments.
var commands = []string{"plan", "apply"}

func (o *options) check(command string, flags *flag.FlagSet) error {
	if err := cli.CheckGiven(flags); err != nil {
		return err
	}
	for _, name := range []string{"repo", "environment", "custom", "branch", "except"} {
		if err := cli.CheckReal(name, flags.Lookup(name).Value.String(), o.demo); err != nil {
			return err
		}
	}
	switch given := cli.Given(flags)["quota"]; {
	case o.watch && command != "apply":
		return errors.New("--watch goes with apply: there is nothing to watch for a plan")
	case given && !o.watch:
		return errors.New("--quota goes with --watch: without it, a few requests are enough")
	}
	return cli.CheckQuota(o.quota, leastQuota)
}

// parseRepos returns the repositories that the flags name, each once.
func (o *options) parseRepos() ([]pipelines.Repo, error) {
	if len(o.repos) == 0 {
		repo, err := cli.Repo("repo", "", o.demo, cli.DemoRepo)
		return []pipelines.Repo{repo}, err
	}
	var repos []pipelines.Repo
	for _, name := range o.repos {
		repo, err := cli.Repo("repo", name, o.demo, cli.DemoRepo)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(repos, repo) {
			repos = append(repos, repo)
		}
	}
	return repos, nil
}

func run(ctx context.Context, args []string, env cli.Env) int {
	command := ""
	if len(args) > 0 && slices.Contains(commands, args[0]) {
		command, args = args[0], args[1:]
	}
	var o options
	flags := newFlags(&o)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	if command == "" {
		return env.Usage(program, errors.New("the first argument is the command, plan or apply"))
	}
	repos, err := o.parseRepos()
	if err = cmp.Or(o.check(command, flags), err); err != nil {
		return env.Usage(program, err)
	}
	if cli.IsDemo(o.demo) && !cli.Given(flags)["quota"] {
		o.quota = demoQuota
	}
	return o.do(ctx, command, repos, env)
}

// do runs a command on repositories.
func (o *options) do(ctx context.Context, command string, repos []pipelines.Repo, env cli.Env) int {
	var d demo
	client, isDemo, end, err := o.limited(env).Connect(program, o.demo, d.seed)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	if isDemo && o.watch {
		var stop func()
		ctx, stop = d.play(ctx)
		defer stop()
	}
	w := &work{env: env, options: o}
	if err := w.prepare(ctx, client, repos); err != nil {
		return env.Fail(ctx, program, err)
	}
	switch {
	case o.watch:
		return w.watchRepositories(ctx)
	case command == "plan":
		return w.each(ctx, w.plan)
	}
	return w.each(ctx, w.apply)
}
