package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// work is one run of the program.
type work struct {
	env     cli.Env
	options *options
	repos   []*repository
}

// prepare finds the environments that the flags name. One that no repository has is an error, because it may be misspelt.
func (w *work) prepare(ctx context.Context, client *pipelines.Client, repos []pipelines.Repo) error {
	for _, repo := range repos {
		w.repos = append(w.repos, &repository{
			client: client, repo: repo, rules: &w.options.rules,
			deploying: map[string]string{}, asked: map[string]time.Time{}, failures: map[string]int{},
		})
	}
	missing := slices.Clone(w.options.environments)
	var others []string
	for _, r := range w.repos {
		found, all, err := r.findEnvironments(ctx)
		if err != nil {
			return nil //nolint:nilerr // a look tries again
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return slices.Contains(found, name) })
		others = append(others, all...)
	}
	if len(missing) == 0 {
		return nil
	}
	if len(others) == 0 {
		return fmt.Errorf("--environment %s: there are no environments", missing[0])
	}
	slices.Sort(others)
	return fmt.Errorf("--environment %s: there is no such environment, only: %s", missing[0], strings.Join(slices.Compact(others), ", "))
}

// each does something with one repository after the other. What goes wrong with one doesn't keep others from their turn, unless the
// credentials are refused everywhere.
func (w *work) each(ctx context.Context, do func(context.Context, *repository) (int, error)) int {
	status := cli.Success
	for _, r := range w.repos {
		s, err := do(ctx, r)
		if err != nil {
			s = w.env.Fail(ctx, program, fmt.Errorf("%s: %w", r.repo, err))
		}
		status = max(status, s)
		if ctx.Err() != nil || errors.Is(err, pipelines.ErrUnauthorized) {
			break
		}
	}
	return status
}

func (w *work) plan(ctx context.Context, r *repository) (int, error) {
	l, err := r.look(ctx)
	if err != nil {
		return 0, err
	}
	w.begin(r, l)
	var table []row
	for _, c := range l.choices {
		table = append(table, row{c, c.verdict("stop")})
	}
	w.print("PLAN", table)
	stop := stoppable(l.choices)
	if stop == 0 {
		return cli.Success, nil
	}
	fmt.Fprintf(w.env.Stdout, "%s would be stopped\n", count(stop))
	return cli.Failure, nil
}

// stoppable returns how many of the runs are to be stopped.
func stoppable(choices []*choice) (n int) {
	for _, c := range choices {
		if c.left == "" {
			n++
		}
	}
	return n
}

func (w *work) apply(ctx context.Context, r *repository) (int, error) {
	l, err := r.look(ctx)
	if err != nil {
		return 0, err
	}
	w.begin(r, l)
	var results []result
	progress := w.env.NewProgress("runs", stoppable(l.choices))
	l, err = r.stopAll(ctx, l, func(done result) {
		results = append(results, done)
		progress.Add(1)
	})
	progress.End()
	failed := w.report(l, results)
	switch {
	case err != nil:
		return 0, err
	case failed > 0:
		return 0, fmt.Errorf("%s couldn't be stopped: the next apply tries again", count(failed))
	}
	return cli.Success, nil
}

func (w *work) begin(r *repository, l *look) {
	have := "haven't"
	if l.unfinished == 1 {
		have = "hasn't"
	}
	fmt.Fprintf(w.env.Stdout, "%s: %s %s ended\n", r.repo, count(l.unfinished), have)
}

func count(n int) string { return cli.Count(n, "run", "runs") }

// report prints what became of the runs, and returns how many couldn't be stopped.
func (w *work) report(l *look, results []result) (failed int) {
	var table []row
	stopping, tried := 0, map[string]bool{}
	for _, done := range results {
		tried[done.run.UUID] = true
		table = append(table, row{done.choice, done.String()})
		switch {
		case done.err != nil:
			failed++
		case !done.ended:
			stopping++
		}
	}
	for _, c := range l.choices {
		if !tried[c.run.UUID] {
			table = append(table, row{c, c.verdict("not tried")})
		}
	}
	w.print("RESULT", table)
	if stopping > 0 {
		fmt.Fprintf(w.env.Stdout, "%s asked to stop, which takes a moment\n", count(stopping))
	}
	return failed
}

// row is a superseded run, and what is or was done about it.
type row struct {
	*choice
	what string
}

// print prints a table of superseded runs, the oldest first. last is the heading of the last column.
func (w *work) print(last string, table []row) {
	slices.SortFunc(table, func(a, b row) int { return cmp.Compare(a.run.BuildNumber, b.run.BuildNumber) })
	var rows [][]string
	for _, r := range table {
		rows = append(rows, []string{
			strconv.Itoa(r.run.BuildNumber), r.of(), r.pipeline(), r.run.State.String(), strconv.Itoa(r.newer.BuildNumber), r.what,
		})
	}
	cli.PrintTable(w.env.Stdout, "No run is superseded by a newer one", []string{"BUILD", "BRANCH OR PULL REQUEST", "PIPELINE", "STATE", "NEWER", last}, rows)
}
