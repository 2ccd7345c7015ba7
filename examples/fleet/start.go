package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func (p *program) plan(ctx context.Context) (int, error) {
	p.dryRun = true
	return p.start(ctx)
}

func (p *program) start(ctx context.Context) (int, error) {
	wanted, err := p.wanted()
	if err != nil {
		return 0, err
	}
	repos, err := p.findRepos(ctx)
	if err != nil {
		return 0, err
	}
	return cli.Success, p.declare(ctx, wanted, repos)
}

func (p *program) wanted() (spec, error) {
	a, err := parseAction(p.flags.Args(), p.valueEnv, p.secured)
	return spec{Action: a, Quota: p.quota, Attempts: p.attempts}, err
}

// errNoCredentials keeps a worker from running a real campaign on a fake service.
var errNoCredentials = errors.New("there are no credentials in the environment: -h names the variables")

func (p *program) findRepos(ctx context.Context) ([]string, error) {
	if p.repos != "" {
		return cli.ReadRepos(p.repos, p.env.Stdin)
	}
	if !cli.HasCredentials() {
		return nil, errNoCredentials
	}
	client, _, end, err := p.limited(p.quota).Connect("fleet", false, nil)
	if err != nil {
		return nil, err
	}
	defer end()
	return cli.ListRepos(ctx, client, p.workspace)
}

// limited returns the environment with a client that respects the quota.
func (p *program) limited(q quota) cli.Env {
	env := p.env
	env.Options = append(slices.Clone(env.Options), pipelines.WithLimiter(newLimiter(p.store.rdb, q)))
	return env
}

// declare stores the campaign in Redis, or prints its plan.
func (p *program) declare(ctx context.Context, wanted spec, repos []string) error {
	if len(repos) == 0 {
		return errors.New("there are no repositories")
	}
	requests := len(repos) * wanted.Action.requests()
	fmt.Fprintf(p.env.Stdout, "Campaign %s: %s in %s\nAbout %s; at %s that takes %s with any number of workers.\n",
		p.campaign, cli.Clean(wanted.Action.String()), cli.Count(len(repos), "repository", "repositories"), cli.Count(requests, "request", "requests"), wanted.Quota, estimate(wanted.Quota.duration(requests)))
	if p.dryRun {
		fmt.Fprintln(p.env.Stdout, "Nothing was put into Redis.")
		return nil
	}
	if err := p.store.declare(ctx, wanted, repos); err != nil {
		return err
	}
	if p.again {
		if err := p.store.dropFailed(ctx); err != nil {
			return err
		}
	}
	missing, err := p.store.missing(ctx)
	if err != nil {
		return err
	}
	progress := p.env.NewProgress("repositories put into Redis", len(missing))
	made, err := p.store.enqueue(ctx, missing, func() { progress.Add(1) })
	progress.End()
	if err != nil {
		return err
	}
	total, done, err := p.store.counts(ctx)
	if err == nil {
		fmt.Fprintf(p.env.Stdout, "%d were put into Redis, %d wait there already, %d of %d are through.\n", made, len(missing)-made, done, total)
	}
	return err
}

// estimate rounds a duration to the precision of an estimate.
func estimate(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return short(d.Round(time.Minute))
	case d >= time.Second:
		return short(d.Round(time.Second))
	}
	return "about a second"
}

func (p *program) forget(ctx context.Context) (int, error) {
	workers, err := p.store.workers()
	if err != nil {
		return 0, err
	}
	if len(workers) > 0 {
		return 0, fmt.Errorf("campaign %s is being worked on, by %s", p.campaign, cli.Clean(fmt.Sprint(workers)))
	}
	return cli.Success, p.store.forget(ctx)
}
