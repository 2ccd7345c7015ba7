// Command supersede stops runs that a newer run of the same branch or pull request has made pointless. See its -h.
package main

import (
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

	repos, environments values
	watch, demo         bool
	quota               int // requests an hour
}

func newFlags(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.Var(&o.repos, "repo", "the repository, as `WORKSPACE/SLUG`; may be repeated, as all flags with a value but --quota")
	flags.Var(&o.environments, "environment", "runs that deploy to the environment with this `NAME` or UUID may be stopped too")
	flags.Var(&o.custom, "custom", "runs of the custom pipeline with this `NAME` may be stopped too: they don't differ by variables")
	flags.Var(&o.branches, "branch", "only runs on branches like this `PATTERN`, or of pull requests of such branches; * is any text")
	flags.Var(&o.except, "except", "no runs on branches like this `PATTERN`, nor of pull requests of such branches")
	flags.BoolVar(&o.watch, "watch", false, "with apply: go on, as runs come, until interrupted")
	flags.IntVar(&o.quota, "quota", 0, "with --watch: send at most this many `REQUESTS` an hour (default 1000); the service allows 1,000, for others with the same credentials too")
	flags.BoolVar(&o.demo, "demo", false, "work on a fake service even if there are credentials")
	return flags
}

// commands are the possible first arguments.
var commands = []string{"plan", "apply"}

func (o *options) check(command string, flags *flag.FlagSet) error {
	if err := cli.CheckGiven(flags); err != nil {
		return err
	}
	switch given := isGiven(flags, "quota"); {
	case o.watch && command != "apply":
		return errors.New("--watch goes with apply: there is nothing to watch for a plan")
	case given && !o.watch:
		return errors.New("--quota goes with --watch: without it, one look needs few requests")
	case given && o.quota < 100:
		return errors.New("--quota is below 100, which is too little to watch anything")
	}
	return nil
}

func isGiven(flags *flag.FlagSet, name string) (given bool) {
	flags.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// parseRepos returns the repositories that the flags name, each once.
func (o *options) parseRepos() ([]pipelines.Repo, error) {
	if len(o.repos) == 0 {
		repo, err := cli.Repo("repo", "", o.demo, demoRepo)
		return []pipelines.Repo{repo}, err
	}
	var repos []pipelines.Repo
	for _, name := range o.repos {
		repo, err := cli.Repo("repo", name, o.demo, demoRepo)
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
	if err = errors.Join(o.check(command, flags), err); err != nil {
		return env.Usage(program, err)
	}
	o.limit(&env)
	var d demo
	client, isDemo, end, err := env.Connect(program, o.demo, d.seed)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	if isDemo && o.watch {
		var stop func()
		ctx, stop = d.play(ctx)
		defer stop()
	}
	j := &work{env: env, options: &o}
	if err := j.prepare(ctx, client, repos); err != nil {
		return env.Fail(ctx, program, err)
	}
	switch {
	case o.watch:
		return j.watchRepositories(ctx)
	case command == "plan":
		return j.each(ctx, j.plan)
	}
	return j.each(ctx, j.apply)
}
