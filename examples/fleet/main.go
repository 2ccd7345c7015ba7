// Fleet makes one change to thousands of repositories, or reads one row of a report from each, with any number of workers on any number of
// hosts that share one quota.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func main() { cli.Main(run) }

const usage = `fleet makes one change to thousands of repositories, or reads one row of a report from each. The work waits in Redis (asynq's
queues); any number of workers on any number of hosts do it and share one quota. An interrupted campaign can be continued.

  fleet plan    -campaign NAME -workspace W|-repos FILE ACTION   what start would do, and how long it would take
  fleet start   -campaign NAME -workspace W|-repos FILE ACTION   put the repositories into Redis; again: the missing ones
  fleet work    -campaign NAME                                   work on them until none is left
  fleet status  -campaign NAME [-wait]                           progress; failures, and why
  fleet results -campaign NAME                                   one line of CSV for each repository
  fleet forget  -campaign NAME                                   remove it from Redis
  fleet run     [start's and work's flags] [ACTION]              start, work and status in one; without -redis in memory only

ACTION is one of
  variable KEY VALUE      set a repository variable; with -value-env NAME the workers' environment has the value (required by
                          -secured); a secured variable stays secured
  pipelines on|off        switch Pipelines on or off
  schedules on|off        switch all schedules of each repository on or off
  report                  read each repository's last run

fleet COMMAND -h explains the command's flags. The credentials come from the environment: BITBUCKET_TOKEN, or BITBUCKET_EMAIL and
BITBUCKET_API_TOKEN, or BITBUCKET_CLIENT_ID and BITBUCKET_CLIENT_SECRET. Scopes: repository for -workspace; pipeline:variable for
variable; repository:admin for pipelines; pipeline:write for schedules; pipeline for report. Only plan and start with -workspace, work and
run need them; run without credentials uses a fake service.

Exit status: 0 all repositories are done; 1 some have failed; 2 an error, or the campaign isn't done; 130 interrupted. start ends with 0 once
the work is queued, work once none is left.
`

// options are the flags of all commands.
type options struct {
	campaign, redisURL     string
	workspace, repos       string
	valueEnv               string
	secured, again, dryRun bool
	quota                  quota
	attempts               int
	concurrency            int
	retryDelay             time.Duration
	wait, demo             bool
	poll                   time.Duration // interval at which progress is read
	flags                  *flag.FlagSet
	campaignGiven          bool
}

// program is one command and its dependencies.
type program struct {
	options
	env   cli.Env
	store store
}

var commands = map[string]func(p *program, ctx context.Context) (int, error){
	"plan": (*program).plan, "start": (*program).start, "work": (*program).work, "status": (*program).status,
	"results": (*program).printResults, "forget": (*program).forget, "run": (*program).runAll,
}

var campaignName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func run(ctx context.Context, args []string, env cli.Env) int {
	if len(args) == 0 || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help" {
		if len(args) == 0 {
			fmt.Fprint(env.Stderr, usage)
			return cli.Trouble
		}
		fmt.Fprint(env.Stdout, usage)
		return cli.Success
	}
	name := "fleet " + args[0]
	command := commands[args[0]]
	if command == nil {
		fmt.Fprintf(env.Stderr, "fleet: no such command: %q\nThe flag -h explains the flags.\n", args[0])
		return cli.Trouble
	}
	p := &program{env: env}
	p.define(args[0])
	if status, ok := env.Parse(p.flags, args[1:]); !ok {
		return status
	}
	p.flags.Visit(func(f *flag.Flag) {
		p.campaignGiven = p.campaignGiven || f.Name == "campaign"
	})
	if err := p.check(args[0]); err != nil {
		fmt.Fprintf(env.Stderr, "%s: %v\nThe flag -h explains the flags.\n", name, err)
		return cli.Trouble
	}
	end, err := p.connectRedis(args[0])
	if err != nil {
		return env.Fail(ctx, name, err)
	}
	defer end()
	status, err := command(p, ctx)
	if err != nil {
		return env.Fail(ctx, name, err)
	}
	return status
}

// define defines the flags of a command.
func (o *options) define(command string) {
	o.flags = flag.NewFlagSet("fleet "+command, flag.ContinueOnError)
	o.flags.StringVar(&o.campaign, "campaign", "", "the campaign's `name`: small letters, digits, dots, hyphens and underscores")
	o.flags.StringVar(&o.redisURL, "redis", os.Getenv("FLEET_REDIS"), "`URL` of Redis, such as redis://:password@host:6379/0, rediss://... or unix:///socket (default $FLEET_REDIS, or else redis://127.0.0.1:6379/0)")
	switch command {
	case "plan", "start":
		o.startFlags()
	case "work":
		o.workFlags()
	case "status":
		o.flags.BoolVar(&o.wait, "wait", false, "wait for the end of the campaign")
	case "run":
		o.startFlags()
		o.workFlags()
		o.flags.BoolVar(&o.demo, "demo", false, "work on a fake service even if there are credentials")
	}
	o.poll = 250 * time.Millisecond
	defaults := o.flags.PrintDefaults
	o.flags.Usage = func() {
		fmt.Fprintf(o.flags.Output(), "Usage of fleet %s (fleet -h describes it, with actions, scopes and exit statuses):\n", command)
		defaults()
	}
	if o.redisURL != "" {
		o.flags.Lookup("redis").DefValue = "" // may contain a password
	}
}

func (o *options) startFlags() {
	f := o.flags
	f.StringVar(&o.workspace, "workspace", "", "all repositories of this `workspace`")
	f.StringVar(&o.repos, "repos", "", "the repositories of this `file`, one workspace/slug a line; - is the standard input")
	f.StringVar(&o.valueEnv, "value-env", "", "`name` of the workers' environment variable that has the value; Redis doesn't get to see it")
	f.BoolVar(&o.secured, "secured", false, "make the variable a secured one")
	f.BoolVar(&o.again, "retry-failed", false, "try those again that have failed")
	f.BoolVar(&o.dryRun, "dry-run", false, "only tell what would be done, as plan does")
	f.IntVar(&o.quota.Requests, "quota", 900, "`requests` in -per that all workers together send at most; the service allows 1,000 an hour, for others too")
	f.DurationVar(&o.quota.Per, "per", time.Hour, "the stretch of `time` that -quota is for")
	f.StringVar(&o.quota.Share, "share", "default", "`name` of the quota: campaigns with one name share it; use one for each account or access token")
	f.IntVar(&o.attempts, "attempts", 5, "how `often` a repository is tried before it counts as failed")
}

func (o *options) workFlags() {
	o.flags.IntVar(&o.concurrency, "concurrency", 4, "how `many` repositories this worker works on at once")
	o.flags.DurationVar(&o.retryDelay, "retry-delay", 10*time.Second, "`time` before a repository is tried again, doubled each time")
}

func (o *options) check(command string) error {
	if command == "run" {
		o.demo = o.demo || !cli.HasCredentials()
		if !o.campaignGiven {
			o.campaign = "run"
		}
	}
	switch {
	case !campaignName.MatchString(o.campaign):
		return errors.New("-campaign has to be a name of small letters, digits, dots, hyphens and underscores")
	case o.flags.Lookup("concurrency") != nil && (o.concurrency < 1 || o.retryDelay < 0):
		return errors.New("-concurrency has to be at least 1, and -retry-delay no less than 0")
	case o.flags.Lookup("quota") != nil:
		return o.checkStart()
	case o.flags.NArg() > 0:
		return fmt.Errorf("what is %q?", o.flags.Arg(0))
	}
	return nil
}

func (o *options) checkStart() error {
	switch {
	case o.quota.Requests < 2:
		return errors.New("-quota has to be at least 2")
	case o.quota.Per < time.Second || o.quota.Share == "":
		return errors.New("-per has to be at least a second, and -share a name")
	case o.attempts < 1:
		return errors.New("-attempts has to be at least 1")
	case o.workspace != "" && o.repos != "" || !o.demo && o.workspace == "" && o.repos == "":
		return errors.New("name the repositories with -workspace or -repos")
	}
	return nil
}

// connectRedis returns the client of Redis. Without an address, run uses one in memory.
func (p *program) connectRedis(command string) (end func(), err error) {
	address := p.redisURL
	stop := func() {}
	switch {
	case address != "":
	case command == "run":
		if address, stop, err = startMiniredis(); err != nil {
			return nil, err
		}
		fmt.Fprintln(p.env.Stderr, "Redis is in this program's memory: what it knows ends with the program. -redis names a real one.")
	default:
		address = "redis://127.0.0.1:6379/0"
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		stop()
		return nil, errors.New("-redis (or FLEET_REDIS) is no URL of Redis such as redis://host:6379/0") // err might contain a password
	}
	rdb := redis.NewClient(o)
	p.store = store{rdb: rdb, campaign: p.campaign}
	return func() {
		rdb.Close() //nolint:errcheck // nothing to do about it
		stop()
	}, nil
}
