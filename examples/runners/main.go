// Command runners shows the self-hosted runners of a repository and of a workspace, finds those that have been offline for long, and
// deletes them. See its -h.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const program = "runners"

var help = cli.Help{
	Intro: "runners shows the self-hosted runners of a repository, of a workspace, or of both. With --stale it shows those that have been " +
		"offline for long, and fails if there are any, which makes it a check for cron or monitoring.",
	Usage: []cli.Item{
		{"runners --repo WORKSPACE/SLUG --workspace WORKSPACE"},
		{"runners --workspace WORKSPACE --stale 24h [--delete [--dry-run]]"},
		{"runners --demo", "a demo on a fake service"},
	},
	Groups: []cli.Group{{"Which runners", "repo", "workspace", "stale"}, {"Deleting them", "delete", "dry-run"}},
	Notes: "A runner is stale if its status is OFFLINE, or UNREGISTERED (it never connected), and hasn't changed for that long. A disabled " +
		"runner is not. --delete checks each runner again before deleting it.",
	Credentials: cli.DemoRuns,
	Scopes: "Scopes: runner to look (API token: read:runner:bitbucket), runner:write to delete (write:runner:bitbucket). An access token " +
		"of a repository doesn't see the runners of its workspace.",
	Statuses: []cli.Item{
		{"0", "done; with --stale: none is stale; with --delete: none is left"}, {"1", "with --stale: there are stale ones"},
		cli.TroubleStatus, cli.InterruptedStatus,
	},
}

func main() { cli.Main(run) }

// options are the parsed flags.
type options struct {
	repo, workspace string
	named           pipelines.Repo // by repo
	stale           cli.Age
	delete, dryRun  bool
	demo            bool
}

func newFlags(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.repo, "repo", "", "the runners of this repository, as `WORKSPACE/SLUG`")
	flags.StringVar(&o.workspace, "workspace", "", "the runners of this `WORKSPACE`")
	flags.Var(&o.stale, "stale", "only those that have been offline for this `AGE`, such as 24h or 7d")
	flags.BoolVar(&o.delete, "delete", false, "with --stale: delete them")
	flags.BoolVar(&o.dryRun, "dry-run", false, "with --delete: only print what would be deleted")
	cli.DemoFlag(flags, &o.demo)
	help.Set(flags)
	return flags
}

func (o *options) check(flags *flag.FlagSet) error {
	if err := cli.CheckGiven(flags); err != nil {
		return err
	}
	switch {
	case o.delete && o.stale == 0:
		return errors.New("--delete goes with --stale: it deletes stale runners only")
	case o.dryRun && !o.delete:
		return errors.New("--dry-run goes with --delete: without it nothing is changed")
	case o.repo == "" && o.workspace == "" && !cli.IsDemo(o.demo):
		return errors.New("--repo WORKSPACE/SLUG or --workspace WORKSPACE is missing, or both")
	}
	return cmp.Or(cli.CheckReal("workspace", o.workspace, o.demo, cli.DemoRepo.Workspace), o.parseRepo())
}

// parseRepo parses the repository. The demo has one, and a workspace.
func (o *options) parseRepo() (err error) {
	if o.repo == "" && o.workspace != "" {
		return nil
	}
	if o.repo == "" {
		o.workspace = cli.DemoRepo.Workspace
	}
	o.named, err = cli.Repo("repo", o.repo, o.demo, cli.DemoRepo)
	return err
}

// owner has runners.
type owner struct {
	name string
	set  *pipelines.RunnerSet
}

// owned is a runner with its owner.
type owned struct {
	*pipelines.Runner
	owner
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
	client, _, end, err := env.Connect(program, o.demo, seed)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	owners := o.owners(client)
	all, err := list(ctx, owners)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	switch {
	case len(all) == 0:
		fmt.Fprintln(env.Stdout, nobody(owners))
	case o.stale > 0:
		return o.findStale(ctx, env, all)
	default:
		show(env, all)
		fmt.Fprintf(env.Stdout, "\n%s, %d online\n", count(len(all)), online(all))
	}
	return cli.Success
}

func (o *options) owners(client *pipelines.Client) []owner {
	var all []owner
	if o.named != (pipelines.Repo{}) {
		all = append(all, owner{o.named.String(), client.Runners.InRepository(o.named)})
	}
	if o.workspace != "" {
		all = append(all, owner{o.workspace, client.Runners.InWorkspace(o.workspace)})
	}
	return all
}

// nobody says that the owners have no runners.
func nobody(owners []owner) string {
	if len(owners) == 1 {
		return owners[0].name + " has no runners."
	}
	return owners[0].name + " and " + owners[1].name + " have no runners."
}

func list(ctx context.Context, owners []owner) ([]owned, error) {
	var all []owned
	for _, o := range owners {
		runners, err := o.set.List(ctx, nil).Collect()
		if err != nil {
			return nil, fmt.Errorf("the runners of %s: %w", o.name, err)
		}
		for _, r := range runners {
			all = append(all, owned{r, o})
		}
	}
	return all, nil
}

func show(env cli.Env, runners []owned) {
	var rows [][]string
	now := time.Now()
	for _, r := range runners {
		rows = append(rows, []string{r.name, r.Name, status(r.Runner), since(r.Runner, now), version(r.Runner), strings.Join(r.Labels, " "), r.UUID})
	}
	cli.PrintTable(env.Stdout, "There are no runners.", []string{"OWNER", "RUNNER", "STATUS", "SINCE", "VERSION", "LABELS", "ID"}, rows)
}

func status(r *pipelines.Runner) string {
	text := cmp.Or(r.State.String(), "unknown")
	if r.State.Cordoned {
		text += ", cordoned"
	}
	return text
}

func since(r *pipelines.Runner, now time.Time) string {
	at := cli.RunnerChanged(r)
	if at.IsZero() {
		return "unknown"
	}
	return humanize.RelTime(at, now, "ago", "from now")
}

// version is the version of the runner's program, and the expected one.
func version(r *pipelines.Runner) string {
	if r.State.Version == nil || r.State.Version.Version == "" {
		return "-"
	}
	v := r.State.Version
	if v.Current != "" && v.Current != v.Version {
		return v.Version + " (current: " + v.Current + ")"
	}
	return v.Version
}

func online(runners []owned) (n int) {
	for _, r := range runners {
		if r.State.Online() {
			n++
		}
	}
	return n
}

func count(n int) string { return cli.Count(n, "runner", "runners") }

// isStale reports whether a runner has been offline long enough.
func (o *options) isStale(r *pipelines.Runner, now time.Time) bool {
	return cli.RunnerStale(r, time.Duration(o.stale), now)
}

// findStale shows the stale runners and, with --delete, deletes them.
func (o *options) findStale(ctx context.Context, env cli.Env, all []owned) int {
	var stale []owned
	now := time.Now()
	for _, r := range all {
		if o.isStale(r.Runner, now) {
			stale = append(stale, r)
		}
	}
	if len(stale) == 0 {
		fmt.Fprintf(env.Stdout, "%s, none offline for %s or longer\n", count(len(all)), o.stale.String())
		return cli.Success
	}
	show(env, stale)
	fmt.Fprintf(env.Stdout, "\n%d of %s offline for %s or longer\n", len(stale), count(len(all)), o.stale.String())
	if !o.delete {
		return cli.Failure
	}
	if o.dryRun {
		fmt.Fprintf(env.Stdout, "would delete %s\n", count(len(stale)))
		return cli.Failure
	}
	if err := o.remove(ctx, env, stale); err != nil {
		return env.Fail(ctx, program, err)
	}
	return cli.Success
}

// remove deletes the runners that are still stale.
func (o *options) remove(ctx context.Context, env cli.Env, stale []owned) error {
	progress := env.NewProgress("runners", len(stale))
	done := 0
	var err error
	for _, r := range stale {
		var did string
		if did, err = o.removeOne(ctx, r); err != nil {
			err = fmt.Errorf("runner %s of %s: %w", r.UUID, r.name, err)
			break
		}
		if did == "deleted" {
			done++
		}
		progress.Hide() // before the next line, which may be on the same terminal
		env.Say("%s: %s of %s, %s", did, r.Name, r.name, r.UUID)
		progress.Add(1)
	}
	progress.End()
	fmt.Fprintf(env.Stdout, "deleted %d of %s\n", done, count(len(stale)))
	return err
}

// removeOne deletes a runner unless it has come back, and returns what it did.
func (o *options) removeOne(ctx context.Context, r owned) (string, error) {
	now, err := r.set.Get(ctx, r.UUID)
	if err == nil {
		if !o.isStale(now, time.Now()) {
			return "came back", nil
		}
		err = r.set.Delete(ctx, r.UUID)
	}
	if errors.Is(err, pipelines.ErrNotFound) {
		return "was deleted already", nil
	}
	return "deleted", err
}

// seed adds resources to the demo's service.
func seed(srv *pipelinestest.Server) {
	now := time.Now()
	state := func(status pipelines.RunnerStatus, age time.Duration) pipelines.RunnerState {
		return pipelines.RunnerState{
			Status: status, UpdatedOn: now.Add(-age),
			Version: &pipelines.RunnerVersion{Version: "3.18.0", Current: "3.21.0"},
		}
	}
	repo := srv.AddRepository(cli.DemoRepo.Workspace, cli.DemoRepo.Slug)
	repo.AddRunner(pipelines.Runner{Name: "mac mini", Labels: []string{"self.hosted", "macos"}, State: state(pipelines.RunnerOnline, 5*time.Hour)})
	repo.AddRunner(pipelines.Runner{Name: "laptop", Labels: []string{"self.hosted", "linux"}, State: state(pipelines.RunnerOffline, 52*time.Hour)})
	workspace := srv.AddWorkspace(cli.DemoRepo.Workspace)
	busy := state(pipelines.RunnerOnline, 9*24*time.Hour)
	busy.Cordoned = true
	workspace.AddRunner(pipelines.Runner{Name: "rack 1", Labels: []string{"self.hosted", "linux"}, State: busy})
	workspace.AddRunner(pipelines.Runner{Name: "rack 2", Labels: []string{"self.hosted", "linux"}, State: state(pipelines.RunnerOffline, 2*time.Hour)})
	workspace.AddRunner(pipelines.Runner{Name: "rack 3", Labels: []string{"self.hosted", "windows"}, State: state(pipelines.RunnerUnregistered, 30*24*time.Hour)})
}
