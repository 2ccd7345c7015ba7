package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func (p *program) plan(ctx context.Context) (int, error) {
	p.dryRun = true
	return p.start(ctx)
}

func (p *program) start(ctx context.Context) (int, error) {
	repos, err := p.findRepos(ctx)
	if err != nil {
		return 0, err
	}
	return cli.Success, p.declare(ctx, repos)
}

func (p *program) findRepos(ctx context.Context) ([]string, error) {
	if p.repos != "" {
		return cli.ReadRepos(p.repos, p.env.Stdin)
	}
	if !cli.HasCredentials() {
		return nil, cli.ErrNoCredentials // a fake service has no real campaign
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
	p.limiter = newLimiter(p.store.rdb, q)
	return p.env.With(pipelines.WithLimiter(p.limiter))
}

// declare stores the campaign in Redis, or prints its plan.
func (p *program) declare(ctx context.Context, repos []string) error {
	if len(repos) == 0 {
		return errors.New("there are no repositories")
	}
	if p.dryRun {
		return p.printPlan(ctx, repos)
	}
	if err := p.store.declare(ctx, p.wanted, repos); err != nil {
		return err
	}
	p.printCost(len(repos), len(repos))
	if p.again {
		if err := p.store.retryFailed(ctx); err != nil {
			return err
		}
	}
	unfinished, err := p.store.unfinished(ctx)
	if err != nil {
		return err
	}
	progress := p.env.NewProgress("repositories put into Redis", len(unfinished))
	made, err := p.store.enqueue(ctx, unfinished, func() { progress.Add(1) })
	progress.End()
	if err != nil {
		return err
	}
	now, err := p.store.checked(p.store.look(ctx, true))
	if err == nil {
		fmt.Fprintf(p.env.Stdout, "Put into Redis: %s. Waiting there already: %s. Through: %s.\n",
			repositories(made), humanize.Comma(int64(len(unfinished)-made)), humanize.Comma(int64(now.done))+" of "+humanize.Comma(int64(now.total)))
	}
	return err
}

// printPlan prints what start would do.
func (p *program) printPlan(ctx context.Context, repos []string) error {
	there, err := p.store.look(ctx, false)
	if err != nil {
		return err
	}
	if err := p.store.fits(there, p.wanted); err != nil {
		return err
	}
	all, err := p.store.repositories(ctx)
	if err != nil {
		return err
	}
	done, failed := map[string]bool{}, 0
	for _, r := range all {
		found, err := r.decode()
		if err != nil {
			return err
		}
		done[r.name] = found.State != stateLeft
		if p.again && found.State == stateFailed {
			done[r.name] = false
			failed++
		}
	}
	left := slices.DeleteFunc(slices.Clone(repos), func(name string) bool { return done[name] })
	p.printCost(len(repos), len(left))
	if len(all) > 0 {
		fmt.Fprintf(p.env.Stdout, "Through already: %s. Failed before, to be tried again: %d.\n", outOf(len(repos)-len(left), len(repos)), failed)
	}
	fmt.Fprintln(p.env.Stdout, "Nothing was put into Redis.")
	return nil
}

func (p *program) printCost(repos, left int) {
	requests := left * p.wanted.Action.requests()
	fmt.Fprintf(p.env.Stdout, "Campaign %s: %s in %s\nAbout %s; at %s that takes %s with any number of workers.\n", p.campaign,
		cli.Clean(p.wanted.Action.String()), repositories(repos), cli.Count(requests, "request", "requests"), p.quota, estimate(p.quota.duration(requests)))
}

// repositories is a number of them.
func repositories(n int) string { return cli.Count(n, "repository", "repositories") }

// outOf is a number of repositories, and of how many.
func outOf(n, total int) string { return humanize.Comma(int64(n)) + " of " + repositories(total) }

// estimate rounds a duration to the precision of an estimate.
func estimate(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return cli.Short(d.Round(time.Minute))
	case d >= time.Second:
		return cli.Short(d.Round(time.Second))
	}
	return "about a second"
}

func (p *program) forget(ctx context.Context) (int, error) {
	workers, err := p.store.workers()
	if err != nil {
		return 0, err
	}
	if len(workers) > 0 {
		return 0, fmt.Errorf("campaign %s is being worked on, by %s: stop the workers first; one that was killed counts for ten seconds",
			p.campaign, cli.Clean(fmt.Sprint(workers)))
	}
	before, err := p.store.look(ctx, false)
	if err != nil && refusal(err) == "" { // a key that somebody has overwritten can't be read
		return 0, err
	}
	if before.starting {
		return 0, fmt.Errorf("campaign %s: start is putting repositories into Redis: wait for its end; one that was interrupted counts for ten seconds", p.campaign)
	}
	through := ""
	if err == nil {
		through = " Through: " + outOf(before.done, before.total) + "."
	}
	found, err := p.store.forget(ctx)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("campaign %s: %w", p.campaign, errNoCampaign)
	}
	fmt.Fprintf(p.env.Stdout, "Campaign %s is no longer in Redis.%s\n", p.campaign, through)
	return cli.Success, nil
}
