// Fleet makes one change to thousands of repositories, or reads one row of a report from each, with any number of workers on any number of
// hosts that share one quota.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/fleet/audit"
)

func main() { cli.Main(run) }

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
	wait                   bool
	demo, askedForDemo     bool // demo is also true without credentials
	logFile                string
	wanted                 spec // what the flags and the action say
	flags                  *flag.FlagSet
	given                  map[string]bool // flags on the command line
}

// program is one command and its dependencies.
type program struct {
	options
	env       cli.Env
	log       *slog.Logger // of the libraries
	store     store
	redisName string // for messages, without a password
	inMemory  bool   // Redis is in this process
	limiter   *sharedLimiter
}

var commands = map[string]func(p *program, ctx context.Context) (int, error){
	"plan": (*program).plan, "start": (*program).start, "work": (*program).work, "status": (*program).status,
	"results": (*program).results, "forget": (*program).forget, "run": (*program).runAll,
}

// auditCommand has flags of its own and needs no Redis: a workspace's token has one quota, which one process uses up.
const auditCommand = "audit"

var campaignName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func run(ctx context.Context, args []string, env cli.Env) int {
	if len(args) == 0 {
		return env.Usage("fleet", errors.New("the command is missing; it is "+oneOfTheCommands()))
	}
	if args[0] == auditCommand {
		return audit.Run(ctx, args[1:], env)
	}
	command := commands[args[0]]
	if command == nil {
		return other(args[0], env)
	}
	name := "fleet " + args[0]
	p := &program{env: env}
	p.define(args[0])
	if status, ok := env.Parse(p.flags, args[1:]); !ok {
		return status
	}
	if err := p.check(args[0]); err != nil {
		return env.Usage(name, err)
	}
	status, err := p.withRedis(ctx, args[0], command)
	if err != nil {
		return env.Fail(ctx, name, err)
	}
	return status
}

// other responds to what isn't a command: a request for help, or a mistake.
func other(word string, env cli.Env) int {
	switch word {
	case "-h", "-help", "--h", "--help", "help":
		flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
		general.Set(flags)
		status, _ := env.Parse(flags, []string{"-h"})
		return status
	}
	if strings.HasPrefix(word, "-") {
		return env.Usage("fleet", fmt.Errorf("the command comes first, before flags such as %s; it is %s", cli.Clean(word), oneOfTheCommands()))
	}
	return env.Usage("fleet", fmt.Errorf("no such command: %q; it is %s", word, oneOfTheCommands()))
}

func oneOfTheCommands() string {
	names := append(slices.Collect(maps.Keys(commands)), auditCommand)
	slices.Sort(names)
	return "one of " + strings.Join(names, ", ")
}

// define defines the flags of a command.
func (o *options) define(command string) {
	o.flags = flag.NewFlagSet("fleet "+command, flag.ContinueOnError)
	o.flags.StringVar(&o.campaign, "campaign", "", "the campaign's `NAME`: small letters, digits, dots, hyphens and underscores")
	o.flags.StringVar(&o.logFile, "log", "", "append what the libraries for Redis and the queue log to this `FILE`")
	o.flags.StringVar(&o.redisURL, "redis", os.Getenv("FLEET_REDIS"), "`URL` of Redis, such as redis://:password@host:6379/0, rediss://... or unix:///socket (default $FLEET_REDIS, or else "+o.defaultRedis(command)+")")
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
		cli.DemoFlag(o.flags, &o.demo)
	}
	commandHelp(command).Set(o.flags)
	if o.redisURL != "" {
		o.flags.Lookup("redis").DefValue = "" // may contain a password
	}
}

const localRedis = "redis://127.0.0.1:6379/0"

// defaultRedis says which Redis is used if none is named.
func (o *options) defaultRedis(command string) string {
	if command == "run" {
		return "one in this program's memory"
	}
	return localRedis
}

func (o *options) startFlags() {
	f := o.flags
	f.StringVar(&o.workspace, "workspace", "", "all repositories of this `WORKSPACE`")
	f.StringVar(&o.repos, "repos", "", "the repositories of this `FILE`, one WORKSPACE/SLUG a line; - is the standard input")
	f.StringVar(&o.valueEnv, "value-env", "", "`NAME` of the workers' environment variable that has the value; Redis doesn't get to see it")
	f.BoolVar(&o.secured, "secured", false, "make the variable a secured one")
	f.BoolVar(&o.again, "retry-failed", false, "try those again that have failed")
	f.BoolVar(&o.dryRun, "dry-run", false, "only tell what would be done, as plan does")
	f.IntVar(&o.quota.Requests, "quota", 900, "`REQUESTS` in --per that all workers together send at most; the service allows 1,000 an hour, for others with the same credentials too")
	f.DurationVar(&o.quota.Per, "per", time.Hour, "the stretch of `TIME` that --quota is for")
	f.StringVar(&o.quota.Share, "share", "default", "`NAME` of the quota: campaigns with one name share it; use one for each account or access token (\"default\" by default)")
	f.IntVar(&o.attempts, "attempts", 5, "the `NUMBER` of times a repository is tried before it counts as failed")
}

func (o *options) workFlags() {
	o.flags.IntVar(&o.concurrency, "concurrency", 4, "the `NUMBER` of repositories that this worker works on at once")
	o.flags.DurationVar(&o.retryDelay, "retry-delay", 10*time.Second, "`TIME` before a repository is tried again, doubled each time, 10m at most")
}

const (
	maxConcurrency = 1000
	maxRetryDelay  = 10 * time.Minute
)

func (o *options) check(command string) error {
	o.given = cli.Given(o.flags)
	takesAction := o.flags.Lookup("quota") != nil
	if err := cmp.Or(o.checkArguments(takesAction), cli.CheckEmpty(o.flags)); err != nil {
		return err
	}
	if command == "run" {
		if err := o.checkRun(); err != nil {
			return err
		}
	}
	switch {
	case !campaignName.MatchString(o.campaign):
		return errors.New("--campaign has to be a name of small letters, digits, dots, hyphens and underscores")
	case o.flags.Lookup("concurrency") != nil && (o.concurrency < 1 || o.concurrency > maxConcurrency):
		return fmt.Errorf("--concurrency has to be between 1 and %d", maxConcurrency)
	case o.retryDelay < 0 || o.retryDelay > maxRetryDelay:
		return fmt.Errorf("--retry-delay has to be between 0s and %s", cli.Short(maxRetryDelay))
	case takesAction:
		return o.checkStart()
	}
	return nil
}

// checkArguments finds flags that follow the action, which the flag package takes for a part of it.
func (o *options) checkArguments(takesAction bool) error {
	args := o.flags.Args()
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && (o.flags.Lookup(name) != nil || name == "h" || name == "help") {
			return fmt.Errorf("flags go before %q: --%s comes after it", args[0], name)
		}
	}
	if !takesAction && len(args) > 0 {
		return fmt.Errorf("what is %q? %s takes only flags", args[0], o.flags.Name())
	}
	return nil
}

// checkRun checks what is special about start, work and status in one.
func (o *options) checkRun() error {
	if !o.given["campaign"] {
		o.campaign = "run"
	}
	if err := cmp.Or(cli.CheckReal("workspace", o.workspace, o.demo, demoWorkspace), cli.CheckReal("repos", o.repos, o.demo)); err != nil {
		return err
	}
	o.demo, o.askedForDemo = cli.IsDemo(o.demo), o.demo
	if o.demo {
		o.redisURL = "" // one of the environment's has real campaigns, and what the fake service does is no result of theirs
	}
	switch {
	case o.demo && o.given["redis"]:
		return errors.New("--redis: the demo has a Redis in its memory, and needs no other")
	case o.again && o.redisURL == "":
		return errors.New("--retry-failed needs --redis: a Redis in memory knows of no earlier failure")
	}
	if o.demo && !o.given["quota"] && !o.given["per"] {
		o.quota.Requests, o.quota.Per = 60, time.Second // at the real one it would take half an hour
	}
	return nil
}

func (o *options) checkStart() error {
	switch {
	case o.quota.Requests < 2:
		return errors.New("--quota has to be at least 2")
	case o.quota.Per < time.Second || o.quota.Share == "":
		return errors.New("--per has to be at least a second, and --share a name")
	case o.attempts < 1:
		return errors.New("--attempts has to be at least 1")
	case o.workspace != "" && o.repos != "" || !o.demo && o.workspace == "" && o.repos == "":
		return errors.New("name the repositories with --workspace or --repos")
	}
	args := o.flags.Args()
	if o.demo && len(args) == 0 {
		args = []string{kindVariable, "GREETING", "hello"}
	}
	wanted, err := parseAction(args, o.valueEnv, o.secured)
	o.wanted = spec{Action: wanted, Quota: o.quota, Attempts: o.attempts}
	return errors.Join(err, o.checkValue(wanted))
}

// withRedis runs a command that needs Redis. Without an address, run uses one in memory.
func (p *program) withRedis(ctx context.Context, name string, command func(*program, context.Context) (int, error)) (status int, err error) {
	address := p.redisURL
	switch {
	case address != "":
	case name == "run":
		memory, stop, err := startMiniredis()
		if err != nil {
			return 0, err
		}
		defer stop()
		address, p.inMemory = memory, true
		fmt.Fprintln(p.env.Stderr, "Redis is in this program's memory: what it knows ends with the program. --redis names a real one.")
	default:
		address = localRedis
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		return 0, errors.New("--redis (or FLEET_REDIS) is no URL of Redis such as redis://host:6379/0") // err might contain a password
	}
	end, err := p.openLog()
	if err != nil {
		return 0, err
	}
	defer end()
	rdb := redis.NewClient(o)
	defer rdb.Close() //nolint:errcheck // nothing to do about it
	p.store, p.redisName = store{rdb: rdb, campaign: p.campaign}, "Redis at "+o.Addr
	if err := p.ping(ctx); err != nil {
		return 0, err
	}
	status, err = command(p, ctx)
	return status, p.explain(err)
}

// refusal is why Redis refuses a command, or empty if it doesn't.
func refusal(err error) string {
	found, ok := errors.AsType[redis.Error](err)
	if !ok {
		return ""
	}
	reason, _, _ := strings.Cut(found.Error(), " script: ") // and a hash, for those who know the scripts
	return cli.Clean(strings.TrimSuffix(reason, "."))
}

var errRefused = errors.New("refuses a command")

// explain says that an error is a refusal of Redis, and of which one.
func (p *program) explain(err error) error {
	reason := refusal(err)
	if reason == "" || errors.Is(err, errRefused) {
		return err
	}
	return fmt.Errorf("%s %w: %s", p.redisName, errRefused, reason)
}

// ping tells early, and in one place, that Redis can't be used.
func (p *program) ping(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := p.store.rdb.Ping(limited).Err()
	switch {
	case err == nil:
		return nil
	case limited.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("%s doesn't respond within %s", p.redisName, cli.Short(lookTimeout))
	}
	return fmt.Errorf("%s can't be used: %w", p.redisName, err)
}
