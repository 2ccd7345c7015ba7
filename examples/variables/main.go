// Command variables keeps Pipelines variables as code. It compares a file with the variables of a repository, a workspace or a deployment
// environment, applies the difference, or writes the current variables to a file. See its -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const (
	program     = "variables"
	defaultFile = "variables.yaml"
)

const usage = `variables keeps Pipelines variables as code.

  variables plan   [flags]   show what apply would do; status 1 if there are changes
  variables apply  [flags]   apply the changes; an error reports what was done, and what failed
  variables export [flags]   write the current variables to a file

Whose variables:
  -repo workspace/slug       a repository's
  -repo ... -environment E   those of its deployment environment with that name or UUID
  -workspace W               a workspace's

Flags:
  -file F         the file: YAML, or a .env file by its name; "-" is standard input or output (default variables.yaml)
  -prune          delete variables that aren't in the file
  -keep-secured   leave existing secured variables unchanged; they can't be compared, so they are rewritten otherwise
  -dry-run        make apply behave like plan
  -demo           use a fake service, as without credentials in the environment

The file:
  variables:
    LOG_LEVEL: debug
    API_TOKEN: {secured: true, env: MY_API_TOKEN}            # from this program's environment
    DEPLOY_KEY: {secured: true, command: [pass, show, key]}  # output of a command, without the final newline
  Without "secured", and in a .env file, a secured variable stays secured; {secured: false, ...} makes it readable.

Credentials come from the environment: BITBUCKET_TOKEN, or BITBUCKET_EMAIL and BITBUCKET_API_TOKEN. They need the scope
pipeline:variable, an API token read:pipeline:bitbucket and admin:pipeline:bitbucket.

Status: 0 done, or no changes; 1 plan has changes; 2 an error; 130 interrupted.
`

func main() { cli.Main(run) }

// options are the flags.
type options struct {
	repo, workspace, environment, file string
	prune, keepSecured, dryRun, demo   bool
}

// commands are the possible first arguments.
var commands = map[string]func(*job, context.Context) (int, error){
	"plan": (*job).plan, "apply": (*job).apply, "export": (*job).export,
}

func run(ctx context.Context, args []string, env cli.Env) int {
	if len(args) == 0 {
		args = []string{"-h"}
	}
	command := commands[args[0]]
	if command != nil {
		args = args[1:]
	}
	var o options
	flags := o.flags(env)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	if command == nil || flags.NArg() > 0 {
		fmt.Fprintf(env.Stderr, "%s: %q is none of plan, apply and export\nThe flag -h explains them.\n", program, append(flags.Args(), args...)[0])
		return cli.Trouble
	}
	if err := o.check(flags); err != nil {
		return env.Usage(program, err)
	}
	s := &job{options: o, env: env}
	status, err := s.run(ctx, command)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	return status
}

func (o *options) flags(env cli.Env) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(env.Stdout, usage) }
	flags.StringVar(&o.repo, "repo", "", "")
	flags.StringVar(&o.workspace, "workspace", "", "")
	flags.StringVar(&o.environment, "environment", "", "")
	flags.StringVar(&o.file, "file", defaultFile, "")
	flags.BoolVar(&o.prune, "prune", false, "")
	flags.BoolVar(&o.keepSecured, "keep-secured", false, "")
	flags.BoolVar(&o.dryRun, "dry-run", false, "")
	flags.BoolVar(&o.demo, "demo", false, "")
	return flags
}

// check rejects a flag that names something of the service if there are no credentials, so that nobody mistakes the demo for it.
func (o *options) check(flags *flag.FlagSet) error {
	return errors.Join(cli.CheckGiven(flags), cli.CheckReal("repo", o.repo, o.demo), cli.CheckReal("workspace", o.workspace, o.demo))
}

// job is one run of the program.
type job struct {
	options
	env  cli.Env
	demo bool
	set  *pipelines.VariableSet
}

func (s *job) run(ctx context.Context, command func(*job, context.Context) (int, error)) (int, error) {
	client, demo, end, err := s.env.Connect(program, s.options.demo, seed)
	if err != nil {
		return 0, err
	}
	defer end()
	s.demo = demo
	if demo && s.repo == "" && s.workspace == "" {
		s.repo = demoRepo.String()
	}
	if s.set, err = s.scope(ctx, client); err != nil {
		return 0, err
	}
	return command(s, ctx)
}

// scope returns the variables that the flags name.
func (s *job) scope(ctx context.Context, client *pipelines.Client) (*pipelines.VariableSet, error) {
	switch {
	case (s.repo == "") == (s.workspace == ""):
		return nil, errors.New("one of -repo and -workspace is needed")
	case s.workspace != "" && s.environment != "":
		return nil, errors.New("-environment goes with -repo")
	case s.workspace != "":
		return client.Variables.InWorkspace(s.workspace), nil
	}
	repo, err := pipelines.ParseRepo(s.repo)
	if err != nil || s.environment == "" {
		return client.Variables.InRepository(repo), err
	}
	for e, err := range client.Deployments.ListEnvironments(ctx, repo, nil).All() {
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(e.Name, s.environment) || strings.Trim(e.UUID, "{}") == strings.Trim(s.environment, "{}") {
			return client.Variables.InEnvironment(repo, e.UUID), nil
		}
	}
	return nil, fmt.Errorf("%s has no environment %q", repo, s.environment)
}

func (s *job) makePlan(ctx context.Context) (*pipelines.SyncPlan, error) {
	desired, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	o := pipelines.SyncOptions{Prune: s.prune}
	if s.keepSecured {
		o.Secured = pipelines.SecuredIfMissing
	}
	plan, err := s.set.Plan(ctx, desired, &o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(s.env.Stdout, plan)
	return plan, nil
}

func (s *job) plan(ctx context.Context) (int, error) {
	plan, err := s.makePlan(ctx)
	if err != nil || plan.Empty() {
		return cli.Success, err
	}
	return cli.Failure, nil
}

func (s *job) apply(ctx context.Context) (int, error) {
	plan, err := s.makePlan(ctx)
	if err != nil || plan.Empty() {
		return cli.Success, err
	}
	if s.dryRun {
		fmt.Fprintln(s.env.Stdout, "This was a dry run: nothing was changed.")
		return cli.Success, nil
	}
	if err := s.set.Apply(ctx, plan); err != nil {
		return 0, fmt.Errorf("%w\nThe rest is done by running it again", err)
	}
	fmt.Fprintln(s.env.Stdout, "Done.")
	return cli.Success, nil
}

func (s *job) export(ctx context.Context) (int, error) {
	there, err := s.set.List(ctx, nil).Collect()
	if err != nil {
		return 0, err
	}
	text, err := render(there, isDotenv(s.file))
	if err != nil {
		return 0, err
	}
	if s.file == "-" || s.demo && s.file == defaultFile {
		_, err := s.env.Stdout.Write(text)
		return cli.Success, err
	}
	f, err := os.OpenFile(s.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // an existing file may contain more than the service returns
	if err != nil {
		return 0, err
	}
	if _, err := f.Write(text); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	return cli.Success, f.Close()
}

// read reads the wanted variables.
func (s *job) read(ctx context.Context) ([]pipelines.VariableRequest, error) {
	var text []byte
	var err error
	switch {
	case s.file == "-":
		text, err = io.ReadAll(s.env.Stdin)
	case s.demo && s.file == defaultFile:
		text = []byte(demoFile)
		fmt.Fprintf(s.env.Stdout, "The file of the demo:\n\n%s\nThe plan for %s:\n\n", demoFile, s.repo)
	default:
		text, err = os.ReadFile(s.file)
	}
	if err != nil {
		return nil, err
	}
	if isDotenv(s.file) {
		return parseDotenv(text)
	}
	return parseYAML(ctx, text)
}
