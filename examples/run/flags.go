package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const usage = `run starts a pipeline of Bitbucket Pipelines and follows it live: every line of its logs, every change of
state, and at the end a table of the steps and the result of the run.

    go -C examples run ./run -repo WORKSPACE/SLUG [flags]
    go -C examples run ./run -demo            a demo against a fake service of its own

Credentials come from the environment: BITBUCKET_TOKEN (an access token), or BITBUCKET_EMAIL and
BITBUCKET_API_TOKEN, or BITBUCKET_CLIENT_ID and BITBUCKET_CLIENT_SECRET (an OAuth consumer). Without
any of them the demo runs.

What to run:
  -repo WORKSPACE/SLUG  the repository              -repo acme/site
  -branch NAME          a branch; default main      -branch release/2.1
  -tag NAME             a tag instead of a branch   -tag v2.1.0
  -custom NAME          a custom pipeline           -custom nightly
  -var KEY=VALUE        a variable; repeatable      -var REGION=eu -var DRY_RUN=1
  -secret KEY           a secured variable, with    -secret DEPLOY_TOKEN
                        the value of environment
                        variable KEY; the output
                        masks it; repeatable
  -secret KEY=VALUE     the same with this value,   -secret REALM=internal
                        which process lists and
                        the shell's history show:
                        prefer the form above

How to follow it:
  -timeout DURATION     how long to follow the run  -timeout 20m
                        before giving up, also if
                        the service fails;
                        default 1h, 0: no limit
  -quiet                no logs but the last lines  -quiet
                        of failed steps, at the
                        end
  -stop-on-interrupt    an interrupt stops the run  -stop-on-interrupt
                        too, not just the program
  -no-follow            start the run, print its    -no-follow
                        number and URL, and exit

Other things to do:
  -stop NUMBER          stop a run                  -repo acme/site -stop 42
  -demo                 run on the built-in fake    -demo
                        service even if there are
                        credentials
  -demo-fail            a demo that fails           -demo -demo-fail
  -h                    print this text             -h

On a terminal the output has colours, unless NO_COLOR=1 is set, and ends with a progress line. Escape
sequences in logs are removed, except colours on a terminal.

Exit status ("go run" turns all but 0 into 1; for scripts: go -C examples build -o FILE ./run):
    0  the run was successful; with -no-follow: it was started; with -stop: it is being stopped
    1  the run ended with another result: FAILED, ERROR, STOPPED or EXPIRED
    2  wrong usage, an error, or the timeout: the result of the run is unknown
  130  interrupted, by Ctrl-C or SIGTERM; a second one ends the program at once
`

// options are the parsed flags.
type options struct {
	repo            string
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

	given map[string]bool // by name of the flag
}

// parseOptions parses the command line. Its errors name the flag but don't repeat its value, which may be a secret.
func parseOptions(args []string) (*options, error) {
	o := &options{vars: variables{flag: "-var"}, secrets: variables{flag: "-secret", secured: true}, given: map[string]bool{}}
	set := flag.NewFlagSet("run", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.repo, "repo", "", "")
	set.StringVar(&o.branch, "branch", "main", "")
	set.StringVar(&o.tag, "tag", "", "")
	set.StringVar(&o.custom, "custom", "", "")
	set.Var(&o.vars, "var", "")
	set.Var(&o.secrets, "secret", "")
	set.DurationVar(&o.timeout, "timeout", time.Hour, "")
	set.BoolVar(&o.quiet, "quiet", false, "")
	set.BoolVar(&o.stopOnInterrupt, "stop-on-interrupt", false, "")
	set.BoolVar(&o.noFollow, "no-follow", false, "")
	set.IntVar(&o.stop, "stop", 0, "")
	set.BoolVar(&o.demo, "demo", false, "")
	set.BoolVar(&o.demoFail, "demo-fail", false, "")

	err := set.Parse(args)
	set.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	if malformed := cmp.Or(o.secrets.err, o.vars.err); malformed != nil {
		return nil, malformed // instead of err, which may repeat a part of a secret
	}
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("%s too many: all is said by flags, and values with spaces need quotes", cli.Count(set.NArg(), "argument", "arguments"))
	}
	return o, err
}

// check rejects contradictory flags.
func (o *options) check(credentials bool) error {
	if err := cmp.Or(o.checkNames(), o.checkMode(credentials)); err != nil {
		return err
	}
	switch {
	case o.given["stop"] && o.stop < 1:
		return errors.New("-stop needs the number of a run")
	case o.given["stop"] && !o.onlyGiven("stop", "repo"):
		return errors.New("-stop starts no run: it goes with -repo and with no other flag")
	case o.given["branch"] && o.given["tag"]:
		return errors.New("-branch and -tag exclude each other")
	case o.timeout < 0:
		return errors.New("-timeout is negative")
	}
	return nil
}

// checkNames rejects names with an empty value, which often comes from an unset shell variable.
func (o *options) checkNames() error {
	for _, f := range []struct{ name, value string }{{"repo", o.repo}, {"branch", o.branch}, {"tag", o.tag}, {"custom", o.custom}} {
		if o.given[f.name] && strings.TrimSpace(f.value) == "" {
			return fmt.Errorf("-%s is empty", f.name)
		}
	}
	return nil
}

// checkMode prevents mistaking a demo for a real run.
func (o *options) checkMode(credentials bool) error {
	demo := o.demo || !credentials
	switch {
	case o.demo && o.given["repo"]:
		return errors.New("-demo and -repo exclude each other: the demo has a repository of its own")
	case o.demo && o.given["stop"]:
		return errors.New("-demo and -stop exclude each other: a run of the demo ends with the program")
	case demo && o.given["repo"]:
		return errors.New("-repo needs credentials, and there are none in the environment: set BITBUCKET_TOKEN, or another of those that -h names")
	case demo && o.given["stop"]:
		return errors.New("-stop needs credentials and -repo")
	case !demo && o.demoFail:
		return errors.New("-demo-fail is for the demo: where credentials are in the environment, give -demo too")
	case !demo && o.repo == "":
		return errors.New("-repo is missing: name the repository as WORKSPACE/SLUG")
	}
	return nil
}

func (o *options) onlyGiven(names ...string) bool {
	rest := maps.Clone(o.given)
	for _, name := range names {
		delete(rest, name)
	}
	return len(rest) == 0
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
	flag    string
	secured bool
	list    []pipelines.VariableRequest
	err     error
}

// String implements [flag.Value]. It is empty, because a value may be a secret.
func (v *variables) String() string { return "" }

// Set implements [flag.Value]. The error is kept in err, because package flag would print the value with it.
func (v *variables) Set(s string) error {
	key, value, err := v.parse(s)
	if err != nil {
		v.err = cmp.Or(v.err, err)
		return nil
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
		return "", "", fmt.Errorf("%s needs KEY=VALUE", v.flag)
	case key == "":
		return "", "", fmt.Errorf("%s needs KEY, with the value in the environment, or KEY=VALUE", v.flag)
	}
	value, err = fromEnvironment(v.flag, key)
	return key, value, err
}

// usualName matches usual names of environment variables, and hardly any secret.
var usualName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// fromEnvironment returns the value for a key. It rejects an empty one, because CI often passes a missing secret as an empty variable. The
// error contains the key unless it may be a secret that was given instead of a key.
func fromEnvironment(flag, key string) (string, error) {
	value := os.Getenv(key)
	switch {
	case value != "":
		return value, nil
	case usualName.MatchString(key):
		return "", fmt.Errorf("%s %s: environment variable %s is unset or empty", flag, key, key)
	}
	return "", fmt.Errorf("%s: there is no environment variable of that name, which is not repeated here because it may be the secret", flag)
}
