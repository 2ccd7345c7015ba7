package main

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// The quota is divided: 35 % for finding runs by their lists, 55 % for following them. The rest is for the first lists after a start.
const (
	findShare, followShare = 35, 55

	firstLists = 60              // read at once
	shortest   = 5 * time.Second // between two lists of one repository

	// A repository whose newest run is busyAge old is read four times as often as one in which nothing happens.
	busyAge, quietAge = 15 * time.Minute, time.Hour
)

// listed are the fields of a run that the board needs: a sixth of the whole.
const listed = "size,next,values.uuid,values.build_number,values.state,values.created_on,values.completed_on,values.duration_in_seconds," +
	"values.target.type,values.target.ref_type,values.target.ref_name,values.target.source,values.creator.display_name"

// lists returns how many lists are read an hour.
func (o *options) lists() float64 { return float64(o.quota) * findShare / 100 }

// budget returns how many requests an hour follow runs.
func (o *options) budget() int { return max(1, o.quota*followShare/100) }

// interval is the time from one list of a repository to the next, on average.
func (b *board) interval() time.Duration {
	each := time.Duration(float64(len(b.repos)) / b.options.lists() * float64(time.Hour))
	return max(each, shortest)
}

// sweep finds runs by reading lists, one repository after the other, until ctx ends.
func (b *board) sweep(ctx context.Context) error {
	pace := rate.NewLimiter(rate.Limit(b.options.lists()/time.Hour.Seconds()), firstLists)
	for {
		if err := cli.Pause(ctx, pace.Reserve().Delay()); err != nil {
			return err
		}
		r, due := b.next()
		if err := cli.Pause(ctx, time.Until(due)); err != nil {
			return err
		}
		if err := b.look(ctx, r); err != nil {
			return err
		}
	}
}

// next chooses the repository whose list is read next: the one that has waited longest, compared with the age of its newest run.
func (b *board) next() (r *repository, due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	r = slices.MaxFunc(b.repos, func(a, b *repository) int { return cmp.Compare(a.urgency(now), b.urgency(now)) })
	return r, r.looked.Add(shortest)
}

func (r *repository) urgency(now time.Time) float64 {
	age := min(max(now.Sub(r.newest), busyAge), quietAge)
	return now.Sub(r.looked).Hours() / age.Hours()
}

// look reads a repository's list: one page, and more while there may be runs that are news. A failure is a problem to show, unless it
// concerns all repositories: the next look is the next attempt.
func (b *board) look(ctx context.Context, r *repository) error {
	runs, err := b.newestRuns(ctx, r)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, pipelines.ErrUnauthorized):
		return err
	case errors.Is(err, pipelines.ErrRateLimited): // the summary says so
		return b.redraw()
	}
	r.looked = time.Now()
	if err != nil {
		return b.fails(r, r.looked, err)
	}
	return b.take(r, runs)
}

func (b *board) newestRuns(ctx context.Context, r *repository) ([]*pipelines.Pipeline, error) {
	b.mu.Lock()
	settled := math.MaxInt
	if r.memory != nil {
		settled = r.memory.Settled
	}
	b.mu.Unlock()
	var runs []*pipelines.Pipeline
	list := b.client.Pipelines.List(ctx, r.repo, &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst},
		pipelines.WithQuery("fields", listed), pipelines.WithMaxAttempts(1))
	for page, err := range list.Pages() {
		if err != nil {
			return nil, err
		}
		runs = append(runs, page.Values...)
		if len(runs) == 0 || runs[len(runs)-1].BuildNumber <= settled {
			break
		}
	}
	return slices.DeleteFunc(runs, func(p *pipelines.Pipeline) bool { return p.UUID == "" }), nil // what isn't a run can't be followed
}
