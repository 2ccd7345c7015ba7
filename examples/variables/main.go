// Command variables keeps Pipelines variables as code. It compares a file with the variables of a repository, a workspace or a deployment
// environment, applies the difference, or writes the current variables to a file. See its -h.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const (
	program     = "variables"
	defaultFile = "variables.yaml"
)

func main() { cli.Main(run) }

// options are the flags.
type options struct {
	repo, workspace, environment, file string
	prune, keepSecured, dryRun, demo   bool
	secured                            optional
	fileGiven                          bool
}

// optional is a boolean flag that may also be missing.
type optional struct{ value *bool }

// IsBoolFlag makes the flag one that needs no value.
func (*optional) IsBoolFlag() bool { return true }

// String implements [flag.Value].
func (o *optional) String() string {
	if o.value == nil {
		return ""
	}
	return strconv.FormatBool(*o.value)
}

// Set implements [flag.Value].
func (o *optional) Set(text string) error {
	value, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("takes no value, or one of =true and =false")
	}
	o.value = &value
	return nil
}

// commands are the possible first arguments.
var commands = map[string]func(*job, context.Context) (int, error){
	"plan": (*job).plan, "apply": (*job).apply, "export": (*job).export,
}

func run(ctx context.Context, args []string, env cli.Env) int {
	var o options
	flags := o.flags()
	var name string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	if err := o.check(name, flags); err != nil {
		return env.Usage(program, err)
	}
	client, demo, end, err := env.Connect(program, o.demo, seed)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	if demo && o.workspace == "" && o.repo == "" {
		o.repo = cli.DemoRepo.String()
	}
	status, err := commands[name](&job{options: o, env: env, client: client, demo: demo}, ctx)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	return status
}

func (o *options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.repo, "repo", "", "the variables of this repository, as `WORKSPACE/SLUG`")
	flags.StringVar(&o.environment, "environment", "", "with --repo: those of its deployment environment with this `NAME` or UUID")
	flags.StringVar(&o.workspace, "workspace", "", "the variables of this `WORKSPACE`")
	flags.StringVar(&o.file, "file", defaultFile, "this `FILE`: a .env file if it is called so (.env, prod.env, .env.local), else YAML; \"-\": standard "+
		"input or output, as YAML")
	flags.BoolVar(&o.prune, "prune", false, "delete variables that aren't in the file, which must not be empty then")
	flags.Var(&o.secured, "secured", "secure the variables of which the file says nothing else; --secured=false makes them readable")
	flags.BoolVar(&o.keepSecured, "keep-secured", false, "leave existing secured variables unchanged, which are written again otherwise, since they "+
		"can't be compared; the environment needs no values for them then")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only show what apply would do")
	cli.DemoFlag(flags, &o.demo)
	help.Set(flags)
	return flags
}

// check rejects what can't be meant, before anything is sent. A flag that names something of the service needs credentials, so that nobody
// mistakes the demo for it.
func (o *options) check(command string, flags *flag.FlagSet) error {
	o.fileGiven = cli.Given(flags)["file"]
	err := cmp.Or(checkCommand(command, flags), cli.CheckGiven(flags),
		cli.CheckReal("workspace", o.workspace, o.demo, cli.DemoRepo.Workspace), cli.CheckReal("environment", o.environment, o.demo))
	switch {
	case err != nil:
		return err
	case o.repo != "" && o.workspace != "":
		return errors.New("--repo and --workspace are both given: one of them is needed")
	case o.workspace != "" && o.environment != "":
		return errors.New("--environment goes with --repo, not with --workspace")
	case o.workspace != "":
		return nil
	case o.repo == "" && !cli.IsDemo(o.demo):
		return errors.New("one of --repo and --workspace is needed, which names whose variables are meant")
	}
	_, err = cli.Repo("repo", o.repo, o.demo, cli.DemoRepo)
	return err
}

// checkCommand checks the first argument, and whether it has the flags.
func checkCommand(command string, flags *flag.FlagSet) error {
	var unfit []string
	flags.Visit(func(f *flag.Flag) {
		if slices.Contains([]string{"prune", "keep-secured", "secured", "dry-run"}, f.Name) {
			unfit = append(unfit, "--"+f.Name)
		}
	})
	switch {
	case command == "":
		return errors.New("the first argument is missing: plan, apply or export")
	case commands[command] == nil:
		return fmt.Errorf("the first argument is plan, apply or export, not %q", cli.Fit(cli.Clean(command), 40))
	case command == "export" && len(unfit) > 0:
		return fmt.Errorf("export has no %s: that is for plan and apply", strings.Join(unfit, " and "))
	}
	return nil
}

// job is one run of the program.
type job struct {
	options
	env    cli.Env
	client *pipelines.Client
	demo   bool
	set    *pipelines.VariableSet
	owner  string            // of the set
	hidden map[string]string // values that aren't shown, by key
}

// findSet finds the variables that the flags name.
func (s *job) findSet(ctx context.Context) error {
	if s.workspace != "" {
		s.owner, s.set = "the workspace "+s.workspace, s.client.Variables.InWorkspace(s.workspace)
		return nil
	}
	repo, err := pipelines.ParseRepo(s.repo)
	if err != nil || s.environment == "" {
		s.owner, s.set = repo.String(), s.client.Variables.InRepository(repo)
		return err
	}
	environment, err := s.findEnvironment(ctx, repo)
	if err != nil {
		return err
	}
	s.owner = fmt.Sprintf("the environment %s of %s", cli.Clean(environment.Name), repo)
	s.set = s.client.Variables.InEnvironment(repo, environment.UUID)
	return nil
}

// findEnvironment finds the environment by its UUID or its name.
func (s *job) findEnvironment(ctx context.Context, repo pipelines.Repo) (*pipelines.Environment, error) {
	all, err := s.client.Deployments.ListEnvironments(ctx, repo, nil).Collect()
	if err != nil {
		return nil, err
	}
	switch found, similar := cli.FindEnvironment(all, s.environment); {
	case found != nil:
		return found, nil
	case similar > 1:
		return nil, fmt.Errorf("%s has no environment %q, but several whose names differ only in upper and lower case", repo, s.environment)
	}
	return nil, fmt.Errorf("%s has no environment %q", repo, s.environment)
}
