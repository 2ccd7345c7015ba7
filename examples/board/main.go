// Command board shows the newest runs of many repositories, live, and tells the end of each run once, also across restarts. See its -h.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const program = "board"

var help = cli.Help{
	Intro: "board shows the newest runs of many repositories, live: as a table on a terminal, as lines elsewhere. It prints a line when a run " +
		"ends or waits for a person. With --state it remembers what it has told: stop it and start it again, and it tells what happened " +
		"meanwhile, and nothing twice.",
	Usage: []cli.Item{
		{"board [flags] WORKSPACE/SLUG...", "these repositories"},
		{"board --workspace WORKSPACE --state board.json", "all of a workspace"},
		{"board --demo [--tail LINES]", "a demo on a fake service"},
	},
	Groups: []cli.Group{{"Which repositories", "repos", "workspace"}, {"How to show them", "state", "tail", "quota"}},
	Notes:  "The board runs until it is interrupted. On a terminal, Enter looks at all runs now, and the table has colours, unless NO_COLOR is set.",

	Credentials: cli.DemoRuns,
	Scopes:      "Scopes: pipeline; repository for --workspace. API token: read:pipeline:bitbucket, read:repository:bitbucket.",
	Statuses:    []cli.Item{{"0", "interrupted, by Ctrl-C or SIGTERM; or the demo is over"}, cli.TroubleStatus},
}

func main() { cli.Main(run) }

// options are the parsed flags.
type options struct {
	names     []string // of repositories
	repos     string
	workspace string
	state     string
	tail      int
	quota     int // requests an hour
	demo      bool
}

// leastQuota is what it takes to follow anything.
const leastQuota = 100

func newFlags(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.repos, "repos", "", "the repositories of this `FILE`, one WORKSPACE/SLUG a line; - is the standard input")
	flags.StringVar(&o.workspace, "workspace", "", "all repositories that this `WORKSPACE` has now")
	flags.StringVar(&o.state, "state", "", "the `FILE` that remembers what was told; one board at a time")
	flags.IntVar(&o.tail, "tail", 0, "print the last `LINES` of the logs of failed steps too, which takes more requests")
	flags.IntVar(&o.quota, "quota", 1000, "send at most this many `REQUESTS` an hour; the service allows 1,000, for others with the same credentials too")
	cli.DemoFlag(flags, &o.demo)
	help.Set(flags)
	return flags
}

func (o *options) check(flags *flag.FlagSet) error {
	o.names = flags.Args()
	if o.tail < 0 {
		return errors.New("--tail is negative")
	}
	return cmp.Or(cli.CheckQuota(o.quota, leastQuota), cli.CheckEmpty(flags), o.checkMode(cli.Given(flags)), checkNames(o.names))
}

// named reports whether repositories are named in any way.
func (o *options) named() bool { return len(o.names) > 0 || o.repos != "" || o.workspace != "" }

// checkMode prevents mistaking a demo for the real thing.
func (o *options) checkMode(given map[string]bool) error {
	switch {
	case o.demo && (given["state"] || given["quota"]):
		return errors.New("the demo has a quota of its own, and nothing to remember: --demo goes with neither --quota nor --state")
	case o.demo:
		return o.checkDemo()
	case (o.named() || given["state"] || given["quota"]) && !cli.HasCredentials():
		return cli.ErrNoCredentials
	case !o.named() && !cli.IsDemo(o.demo):
		return errors.New("name repositories as WORKSPACE/SLUG, or with --repos or --workspace")
	}
	return nil
}

// checkDemo rejects names that the demo doesn't have.
func (o *options) checkDemo() error {
	for _, name := range o.names {
		if own := demoNames(); !slices.Contains(own, name) {
			return cli.NotInDemo(name, own...)
		}
	}
	return cli.CheckReal("workspace", o.workspace, o.demo, demoWorkspace)
}

func checkNames(names []string) error {
	for _, name := range names {
		if strings.HasPrefix(name, "-") {
			return errors.New("flags go before the repositories")
		}
		if _, err := pipelines.ParseRepo(name); err != nil {
			return errors.New(cli.Clean(cli.Message(err)))
		}
	}
	return nil
}

func run(ctx context.Context, args []string, env cli.Env) int {
	var o options
	flags := newFlags(&o)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	if err := o.check(flags); err != nil {
		return env.Usage(program, err)
	}
	if cli.IsDemo(o.demo) {
		o.quota = demoQuota
	}
	var d demo
	client, isDemo, end, err := env.With(pipelines.WithFollowBudget(o.budget())).Connect(program, o.demo, d.seed, pipelinestest.WithQuota(demoQuota))
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	if isDemo {
		if !o.named() {
			o.names = demoNames()
		}
		defer d.play(&ctx)()
	}
	err = o.show(ctx, client, env)
	if err != nil && ctx.Err() == nil {
		return env.Fail(ctx, program, err)
	}
	if isDemo && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		fmt.Fprintln(env.Stderr, "The demo is over.")
	}
	return cli.Success
}

// show shows the board until ctx ends, or something fails for good.
func (o *options) show(ctx context.Context, client *pipelines.Client, env cli.Env) error {
	repos, err := o.findRepos(ctx, client, env)
	if err != nil {
		return err
	}
	memories, err := remember(o.state)
	if err != nil {
		return err
	}
	defer memories.close()
	b, err := newBoard(client, repos, memories, o, env)
	if err != nil {
		return err
	}
	return b.run(ctx)
}

// findRepos returns the repositories that are named in any way, each once.
func (o *options) findRepos(ctx context.Context, client *pipelines.Client, env cli.Env) ([]pipelines.Repo, error) {
	names := o.names
	if o.repos != "" {
		more, err := cli.ReadRepos(o.repos, env.Stdin)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	if o.workspace != "" {
		more, err := cli.ListRepos(ctx, client, o.workspace)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	var repos []pipelines.Repo
	seen := map[pipelines.Repo]bool{}
	for _, name := range names {
		repo, err := pipelines.ParseRepo(name)
		if err != nil {
			return nil, err
		}
		if !seen[repo] {
			seen[repo] = true
			repos = append(repos, repo)
		}
	}
	if len(repos) == 0 {
		return nil, errors.New("there are no repositories")
	}
	return repos, nil
}
