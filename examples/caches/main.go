// Command caches shows the sizes of the caches of a repository's pipelines, by name, and deletes old and large ones. See its -h.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

const program = "caches"

var help = cli.Help{
	Intro: "caches shows the sizes of the caches of a repository's pipelines, by name, largest first, and deletes those that are too old or " +
		"too large. Each version of a cache is counted separately.",
	Usage: []cli.Item{
		{"caches --repo WORKSPACE/SLUG [--older AGE] [--larger SIZE] [--name NAME]", "show them; nothing is changed"},
		{"caches --repo WORKSPACE/SLUG --older 3d --delete [--dry-run]", "delete those that are selected"},
		{"caches --demo", "a demo on a fake service"},
	},
	Groups: []cli.Group{
		{"Which caches (all that is given must match)", "repo", "older", "larger", "name"},
		{"Deleting them", "delete", "dry-run"},
	},
	Credentials: cli.DemoRuns,
	Scopes:      "Scopes: pipeline to look (API token: read:pipeline:bitbucket), pipeline:write to delete (write:pipeline:bitbucket).",
	Statuses:    []cli.Item{{"0", "done; with --delete: none of the selected caches is left"}, cli.TroubleStatus, cli.InterruptedStatus},
}

func main() { cli.Main(run) }

// options are the parsed flags.
type options struct {
	repo           string
	name           string
	older          cli.Age
	larger         size
	delete, dryRun bool
	demo           bool
}

// size is a flag: a number of bytes, optionally with a unit.
type size uint64

func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return humanize.Bytes(uint64(*s))
}

func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 {
		return errors.New(`not a size such as "500MB" or "1GiB"`)
	}
	*s = size(n)
	return nil
}

func newFlags(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.repo, "repo", "", "the repository, as `WORKSPACE/SLUG`")
	flags.Var(&o.older, "older", "only caches created longer ago than this `AGE`, such as 36h or 3d; the service itself keeps them a week")
	flags.Var(&o.larger, "larger", "only caches that are larger than this `SIZE`, such as 500MB or 1GiB")
	flags.StringVar(&o.name, "name", "", "only caches with this `NAME`")
	flags.BoolVar(&o.delete, "delete", false, "delete the selected caches; needs --older, --larger or --name")
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
	case o.dryRun && !o.delete:
		return errors.New("--dry-run goes with --delete: without it nothing is changed")
	case o.delete && !o.chooses():
		return errors.New("--delete needs --older, --larger or --name: it never deletes all caches")
	}
	return nil
}

func (o *options) chooses() bool { return o.older > 0 || o.larger > 0 || o.name != "" }

// chosen reports whether the flags select a cache. A cache of unknown age isn't old.
func (o *options) chosen(c *pipelines.Cache, now time.Time) bool {
	return (o.older == 0 || !c.CreatedOn.IsZero() && now.Sub(c.CreatedOn) > time.Duration(o.older)) &&
		(o.larger == 0 || bytesOf(c) > uint64(o.larger)) &&
		(o.name == "" || c.Name == o.name)
}

func bytesOf(c *pipelines.Cache) uint64 { return uint64(max(0, c.FileSizeBytes)) }

func run(ctx context.Context, args []string, env cli.Env) int {
	var o options
	flags := newFlags(&o)
	if status, ok := env.Parse(flags, args); !ok {
		return status
	}
	repo, err := cli.Repo("repo", o.repo, o.demo, cli.DemoRepo)
	if err = cmp.Or(o.check(flags), err); err != nil {
		return env.Usage(program, err)
	}
	var clock demoClock
	client, _, end, err := env.Connect(program, o.demo, clock.seed, pipelinestest.WithClock(clock.now))
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer end()
	caches, err := client.Caches.List(ctx, repo, nil).Collect()
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	now := time.Now()
	total := len(caches)
	caches = slices.DeleteFunc(caches, func(c *pipelines.Cache) bool { return !o.chosen(c, now) })
	switch {
	case len(caches) == 0 && total > 0:
		fmt.Fprintf(env.Stdout, "No cache of %s matches; it has %s.\n", repo, count(total))
		return cli.Success
	case len(caches) == 0:
		fmt.Fprintf(env.Stdout, "%s has no caches.\n", repo)
		return cli.Success
	case o.delete:
		return remove(ctx, env, client.Caches, repo, caches, o.dryRun)
	}
	show(env, caches, now)
	return cli.Success
}

// group holds the caches with the same name.
type group struct {
	name           string
	versions       int
	bytes          uint64
	oldest, newest time.Time
}

func groups(caches []*pipelines.Cache) []*group {
	var all []*group
	byName := map[string]*group{}
	for _, c := range caches {
		g := byName[c.Name]
		if g == nil {
			g = &group{name: c.Name, oldest: c.CreatedOn}
			byName[c.Name] = g
			all = append(all, g)
		}
		g.versions++
		g.bytes += bytesOf(c)
		if c.CreatedOn.Before(g.oldest) {
			g.oldest = c.CreatedOn
		}
		if c.CreatedOn.After(g.newest) {
			g.newest = c.CreatedOn
		}
	}
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.name, b.name))
	})
	return all
}

func show(env cli.Env, caches []*pipelines.Cache, now time.Time) {
	var rows [][]string
	for _, g := range groups(caches) {
		rows = append(rows, []string{g.name, strconv.Itoa(g.versions), humanize.Bytes(g.bytes), age(g.newest, now), age(g.oldest, now)})
	}
	cli.PrintTable(env.Stdout, "There are no caches.", []string{"NAME", "VERSIONS", "SIZE", "NEWEST", "OLDEST"}, rows)
	fmt.Fprintf(env.Stdout, "\n%s, %s\n", count(len(caches)), humanize.Bytes(sum(caches)))
}

func age(at, now time.Time) string {
	if at.IsZero() {
		return "unknown"
	}
	return humanize.RelTime(at, now, "ago", "from now")
}

func sum(caches []*pipelines.Cache) (n uint64) {
	for _, c := range caches {
		n += bytesOf(c)
	}
	return n
}

func count(n int) string { return cli.Count(n, "cache", "caches") }

// remove deletes caches. It ignores those that no longer exist.
func remove(ctx context.Context, env cli.Env, service *pipelines.CachesService, repo pipelines.Repo, caches []*pipelines.Cache, dryRun bool) int {
	done, begin := 0, "deleted"
	if dryRun {
		begin = "would delete"
	}
	progress := env.NewProgress("caches", len(caches))
	var err error
	for _, c := range caches {
		if !dryRun {
			if err = service.Delete(ctx, repo, c.UUID); err != nil && !errors.Is(err, pipelines.ErrNotFound) {
				break
			}
			err = nil
		}
		progress.Hide() // before the next line, which may be on the same terminal
		fmt.Fprintf(env.Stdout, "%s %s of %s, %s, %s\n", begin, cli.Clean(c.Name), humanize.Bytes(bytesOf(c)),
			age(c.CreatedOn, time.Now()), cli.Clean(c.UUID))
		done++
		progress.Add(1)
	}
	progress.End()
	fmt.Fprintf(env.Stdout, "\n%s %d of %s, %s\n", begin, done, count(len(caches)), humanize.Bytes(sum(caches[:done])))
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	return cli.Success
}

// demoClock is the clock of the demo's service. It is set back while a cache is created, so that some caches are old.
type demoClock struct{ back atomic.Int64 }

func (d *demoClock) now() time.Time { return time.Now().Add(-time.Duration(d.back.Load())) }

// seed adds resources to the demo's service.
func (d *demoClock) seed(srv *pipelinestest.Server) {
	repo := srv.AddRepository(cli.DemoRepo.Workspace, cli.DemoRepo.Slug)
	for _, c := range []struct {
		name  string
		bytes int
		age   time.Duration
	}{
		{"node", 3 << 20, 6 * 24 * time.Hour}, {"node", 2 << 20, 3 * time.Hour},
		{"docker", 12 << 20, 4 * 24 * time.Hour}, {"maven", 700 << 10, 20 * time.Minute},
	} {
		d.back.Store(int64(c.age))
		repo.AddCache(c.name, make([]byte, c.bytes))
	}
	d.back.Store(0)
}
