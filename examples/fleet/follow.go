package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const (
	redisTimeout = time.Minute      // how long Redis may be unavailable before following a campaign fails
	lookTimeout  = 10 * time.Second // of one look at the campaign
)

// follow prints the progress of the campaign until it ends, and passes on its spec, which start may change. It fails if the campaign
// vanishes from Redis, or another takes its place.
func (p *program) follow(ctx context.Context, last snapshot, rules func(spec)) error {
	progress := p.newProgress(last)
	defer func() { progress.End() }()
	answered, silent := time.Now(), false
	for agreed := last.spec; last.left() > 0; {
		if err := cli.Pause(ctx, pace.progress); err != nil {
			return err
		}
		now, err := p.lookOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && time.Since(answered) > redisTimeout:
			return fmt.Errorf("%w, for more than %s. Done when last seen: %s. fleet work goes on once Redis is back",
				err, cli.Short(redisTimeout), outOf(last.done, last.total))
		case err != nil:
			if !silent {
				progress.Hide()
				fmt.Fprintf(p.env.Stderr, "%s; waiting for up to %s.\n", cli.Clean(err.Error()), cli.Short(redisTimeout))
			}
			silent = true
			continue
		case silent:
			progress.Hide()
			fmt.Fprintf(p.env.Stderr, "%s responds again.\n", p.redisName)
		}
		answered, silent = time.Now(), false
		if err := p.stillThere(now, last, agreed.Action); err != nil {
			return err
		}
		rules(*now.spec)
		if now.total == last.total {
			progress.Add(now.done - last.done)
		} else {
			progress.End()
			progress = p.newProgress(now)
		}
		last = now
	}
	return nil
}

func (p *program) newProgress(seen snapshot) *cli.Progress {
	progress := p.env.NewProgress("repositories", seen.total)
	progress.Resume(seen.done)
	return progress
}

func (p *program) lookOnce(ctx context.Context) (snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	now, err := p.store.look(ctx, false)
	if err != nil && refusal(err) == "" {
		err = fmt.Errorf("%s doesn't respond: %w", p.redisName, err)
	}
	return now, p.explain(err)
}

var errVanished = errors.New("it is no longer in Redis: somebody has forgotten it, or Redis has lost its data")

// stillThere reports what has happened to the campaign since it was last seen.
func (p *program) stillThere(now, last snapshot, agreed action) error {
	if now.spec != nil && now.spec.Action != agreed {
		return fmt.Errorf("campaign %s was forgotten and started anew, with the action %s", p.campaign, now.spec.Action)
	}
	err := now.check()
	if errors.Is(err, errNoCampaign) {
		err = errVanished
	}
	if err != nil {
		return fmt.Errorf("campaign %s: %w. Done when last seen: %s. fleet start with the action and the repositories "+
			"puts into Redis what is missing; a repository in which all is right costs one request", p.campaign, err, outOf(last.done, last.total))
	}
	return nil
}
