package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// redisTimeout is how long Redis may be unavailable before following a campaign fails.
const redisTimeout = time.Minute

// follow prints the progress of the campaign until it ends.
func (p *program) follow(ctx context.Context) error {
	total, before, err := p.store.counts(ctx)
	if err != nil {
		return err
	}
	progress := p.env.NewProgress("repositories", total)
	progress.Resume(before)
	defer progress.End()
	answered := time.Now()
	for done := before; done < total; {
		if err := pause(ctx, p.poll); err != nil {
			return err
		}
		nowTotal, nowDone, err := p.store.counts(ctx)
		if err != nil {
			if time.Since(answered) > redisTimeout {
				return fmt.Errorf("Redis doesn't respond: %w", err) //nolint:staticcheck // a proper name
			}
			continue
		}
		answered = time.Now()
		progress.Add(nowDone - done)
		total, done = nowTotal, nowDone
	}
	return nil
}

func (p *program) status(ctx context.Context) (int, error) {
	agreed, err := p.store.spec(ctx)
	if err != nil {
		return 0, err
	}
	if p.wait {
		if err := p.follow(ctx); err != nil {
			return 0, err
		}
	}
	return p.summary(ctx, agreed)
}

// summary prints the progress of the campaign and its failures. It returns the campaign's exit status.
func (p *program) summary(ctx context.Context, agreed spec) (int, error) {
	results, err := p.store.results(ctx)
	if err != nil {
		return 0, err
	}
	total, _, err := p.store.counts(ctx)
	if err != nil {
		return 0, err
	}
	counts := map[string]int{}
	for _, r := range results {
		counts[r.State]++
	}
	failed, left := counts[stateFailed], total-len(results)
	fmt.Fprintf(p.env.Stdout, "Campaign %s: %s in %s, at most %s\n",
		p.campaign, cli.Clean(agreed.Action.String()), cli.Count(total, "repository", "repositories"), agreed.Quota)
	for _, state := range []string{stateChanged, stateUnchanged, stateRead, stateFailed} {
		if counts[state] > 0 {
			fmt.Fprintf(p.env.Stdout, "  %-10s  %d\n", state, counts[state])
		}
	}
	if left > 0 {
		workers, err := p.store.workers()
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(p.env.Stdout, "  %-10s  %d%s\n  %-10s  %d  %s\n", "left", left, timeLeft(results, left, time.Now()),
			"workers", len(workers), cli.Clean(strings.Join(workers, " ")))
	}
	p.printFailed(results, failed)
	switch {
	case left > 0:
		return cli.Trouble, nil
	case failed > 0:
		return cli.Failure, nil
	}
	return cli.Success, nil
}

// speedOver is the period over which the speed is measured.
const speedOver = 5 * time.Minute

// timeLeft estimates from the repositories done in the last minutes.
func timeLeft(results map[string]result, left int, now time.Time) string {
	recent, since := 0, now
	for _, r := range results {
		if now.Sub(r.At) < speedOver {
			recent++
			if r.At.Before(since) {
				since = r.At
			}
		}
	}
	if recent < 2 {
		return fmt.Sprintf("; hardly any was done in the last %s", short(speedOver))
	}
	return ", about " + estimate(now.Sub(since)*time.Duration(left)/time.Duration(recent))
}

func (p *program) printFailed(results map[string]result, failed int) {
	if failed == 0 {
		return
	}
	var rows [][]string
	for _, repo := range slices.Sorted(maps.Keys(results)) {
		if r := results[repo]; r.State == stateFailed {
			rows = append(rows, []string{repo, r.Reason})
		}
	}
	fmt.Fprintln(p.env.Stdout)
	cli.PrintTable(p.env.Stdout, "None has failed.", []string{"FAILED", "REASON"}, rows)
	if p.redisURL != "" || p.flags.Lookup("demo") == nil {
		fmt.Fprintln(p.env.Stdout, "\nfleet start -retry-failed tries them again.")
	}
}

func (p *program) printResults(ctx context.Context) (int, error) {
	agreed, err := p.store.spec(ctx)
	if err != nil {
		return 0, err
	}
	results, err := p.store.results(ctx)
	if err != nil {
		return 0, err
	}
	out := csv.NewWriter(p.env.Stdout)
	columns := agreed.Action.columns()
	rows := [][]string{append([]string{"repository", "result", "reason"}, columns...)}
	for _, repo := range slices.Sorted(maps.Keys(results)) {
		r := results[repo]
		row := make([]string, 3+len(columns))
		row[0], row[1], row[2] = repo, r.State, r.Reason
		copy(row[3:], r.Row)
		for i := range row {
			row[i] = cell(row[i])
		}
		rows = append(rows, row)
	}
	if err := errors.Join(out.WriteAll(rows), out.Error()); err != nil {
		return 0, err
	}
	return cli.Success, nil
}

// cell makes a text of the service safe for a terminal and a spreadsheet.
func cell(text string) string {
	text = cli.Clean(text)
	if text != "" && strings.ContainsRune("=+-@", rune(text[0])) {
		return "'" + text
	}
	return text
}
