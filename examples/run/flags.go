package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const program = "run"

var help = cli.Help{
	Intro: "run starts a pipeline of Bitbucket Pipelines and follows it live: every line of its logs, every change of state, and at the end a " +
		"table of the steps, what tells why one failed, and the result of the run.",
	Usage: []cli.Item{
		{"run --repo acme/site", "the pipeline of branch main"},
		{"run --repo acme/site --branch release/2.1 --custom nightly --var REGION=eu --secret DEPLOY_TOKEN", "a custom one"},
		{"run --repo acme/site --stop 42", "stops a run"},
		{"run --demo", "a demo on a fake service"},
	},
	Groups: []cli.Group{
		{"What to run", "repo", "branch", "tag", "custom", "var", "secret"},
		{"How to follow it", "timeout", "quiet", "stop-on-interrupt", "no-follow"},
		{"Other things to do", "stop", "demo", "demo-fail"},
	},
	Notes: "On a terminal the output has colours, unless NO_COLOR is set, and ends with a progress line. Escape sequences in logs are removed, " +
		"except colours on a terminal. Values of secured variables are masked in all output, also in base64, URLs, JSON, hex and the quotes of shells.",
	Credentials: cli.DemoRuns,
	Scopes:      "Scope: pipeline:write (API token: read:pipeline:bitbucket and write:pipeline:bitbucket).",
	Statuses: []cli.Item{
		{"0", "the run was successful; with --no-follow: it was started; with --stop: it is being stopped"},
		{"1", "the run ended with another result: FAILED, ERROR, STOPPED or EXPIRED"},
		{"2", "wrong usage, an error, or the timeout: the result of the run is unknown"},
		{"130", "interrupted, by Ctrl-C or SIGTERM; a second one ends the program at once"},
	},
}

// options are the parsed flags.
type options struct {
	repo            string
	named           pipelines.Repo // the parsed repo
	branch          string
	tag             string
	custom          string
	vars            variables
	secrets         variables
	timeout         time.Duration
	quiet           bool
	stopOnInterrupt bool
	noFollow        bool
	stop            int
	demo            bool
	demoFail        bool

	flags *flag.FlagSet
}

func newOptions() *options {
	o := &options{secrets: variables{secured: true}, flags: flag.NewFlagSet(program, flag.ContinueOnError)}
	o.flags.StringVar(&o.repo, "repo", "", "the repository, as `WORKSPACE/SLUG`")
	o.flags.StringVar(&o.branch, "branch", "main", "the `NAME` of a branch")
	o.flags.StringVar(&o.tag, "tag", "", "the `NAME` of a tag, instead of a branch")
	o.flags.StringVar(&o.custom, "custom", "", "the `NAME` of a custom pipeline")
	o.flags.Var(&o.vars, "var", "a variable: `KEY=VALUE`; may be repeated")
	o.flags.Var(&o.secrets, "secret", "a secured variable with the value of environment variable `KEY`, which the output masks; may be repeated. KEY=VALUE sets "+
		"this value, which process lists and the shell's history show")
	o.flags.DurationVar(&o.timeout, "timeout", time.Hour, "give up following the run after this `DURATION`, also if the service fails; 0: never (default 1h)")
	o.flags.BoolVar(&o.quiet, "quiet", false, "no logs but, at the end, the lines of failed steps that tell why")
	o.flags.BoolVar(&o.stopOnInterrupt, "stop-on-interrupt", false, "an interrupt stops the run too, not just the program")
	o.flags.BoolVar(&o.noFollow, "no-follow", false, "start the run, print its number and URL, and exit")
	o.flags.IntVar(&o.stop, "stop", 0, "stop the run with this `NUMBER`")
	cli.DemoFlag(o.flags, &o.demo)
	o.flags.BoolVar(&o.demoFail, "demo-fail", false, "a demo that fails")
	help.Set(o.flags)
	return o
}

// given reports whether a flag is given.
func (o *options) given(name string) bool { return cli.Given(o.flags)[name] }

// check rejects contradictory flags.
func (o *options) check(credentials bool) error {
	if n := o.flags.NArg(); n > 0 {
		return fmt.Errorf("%s too many: all is said by flags, and values with spaces need quotes", cli.Count(n, "argument", "arguments"))
	}
	if err := cmp.Or(o.checkNames(), o.checkMode(credentials)); err != nil {
		return err
	}
	switch {
	case o.given("stop") && o.stop < 1:
		return errors.New("--stop needs the number of a run")
	case o.given("stop") && !o.onlyGiven("stop", "repo"):
		return errors.New("--stop starts no run: it goes with --repo and with no other flag")
	case o.given("branch") && o.given("tag"):
		return errors.New("--branch and --tag exclude each other")
	case o.timeout < 0:
		return errors.New("--timeout is negative")
	}
	return nil
}

// checkNames rejects names with an empty value, which often comes from an unset shell variable.
func (o *options) checkNames() error {
	for _, f := range []struct{ name, value string }{{"repo", o.repo}, {"branch", o.branch}, {"tag", o.tag}, {"custom", o.custom}} {
		if o.given(f.name) && strings.TrimSpace(f.value) == "" {
			return fmt.Errorf("--%s is empty", f.name)
		}
	}
	return nil
}

// checkMode prevents mistaking a demo for a real run.
func (o *options) checkMode(credentials bool) error {
	demo := o.demo || !credentials
	switch {
	case o.demo && o.given("stop"):
		return errors.New("--demo and --stop exclude each other: a run of the demo ends with the program")
	case demo && o.given("stop"):
		return errors.New("--stop needs credentials and --repo")
	case !demo && o.demoFail:
		return errors.New("--demo-fail is for the demo: where credentials are in the environment, give --demo too")
	}
	var err error
	o.named, err = cli.Repo("repo", o.repo, o.demo, cli.DemoRepo)
	return err
}

// onlyGiven reports whether no other flags are given.
func (o *options) onlyGiven(names ...string) bool {
	only := true
	o.flags.Visit(func(f *flag.Flag) { only = only && slices.Contains(names, f.Name) })
	return only
}

func (o *options) request() pipelines.RunRequest {
	target := pipelines.BranchTarget(o.branch)
	if o.tag != "" {
		target = pipelines.TagTarget(o.tag)
	}
	if o.custom != "" {
		target = target.With(pipelines.CustomSelector(o.custom))
	}
	return pipelines.RunRequest{Target: target, Variables: slices.Concat(o.vars.list, o.secrets.list)}
}

// on describes what is run.
func (o *options) on() string {
	words := "branch " + o.branch
	if o.tag != "" {
		words = "tag " + o.tag
	}
	if o.custom != "" {
		words += ", pipeline " + o.custom
	}
	return words
}

// variables is a repeatable flag of the form KEY=VALUE. A secured variable may be only KEY, with the value in the environment.
type variables struct {
	secured bool
	list    []pipelines.VariableRequest
}

// String implements [flag.Value]. It is empty, because a value may be a secret.
func (v *variables) String() string { return "" }

// Set implements [flag.Value].
func (v *variables) Set(s string) error {
	key, value, err := v.parse(s)
	if err != nil {
		return err
	}
	v.list = append(v.list, pipelines.VariableRequest{Key: key, Value: value, Secured: new(v.secured)})
	return nil
}

func (v *variables) parse(s string) (key, value string, err error) {
	key, value, ok := strings.Cut(s, "=")
	switch {
	case ok && key != "":
		return key, value, nil
	case !v.secured:
		return "", "", errors.New("it needs KEY=VALUE")
	case key == "":
		return "", "", errors.New("it needs KEY, with the value in the environment, or KEY=VALUE")
	}
	value, err = fromEnvironment(key)
	return key, value, err
}

// usualName matches usual names of environment variables, and hardly any secret.
var usualName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// fromEnvironment returns the value for a key. It rejects an empty one, because CI often passes a missing secret as an empty variable. The
// error contains the key unless it may be a secret that was given instead of a key.
func fromEnvironment(key string) (string, error) {
	value := os.Getenv(key)
	switch {
	case value != "":
		return value, nil
	case usualName.MatchString(key):
		return "", fmt.Errorf("environment variable %s is unset or empty", key)
	}
	return "", errors.New("there is no environment variable of that name, which is not repeated here because it may be the secret")
}
