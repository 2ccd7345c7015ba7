package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

func (p *program) status(ctx context.Context) (int, error) {
	seen, err := p.store.existing(ctx)
	if err != nil {
		return 0, err
	}
	if p.wait {
		if err := p.follow(ctx, seen, func(spec) {}); err != nil {
			return 0, err
		}
	}
	return p.summary(ctx)
}

// summary prints the progress of the campaign and its failures. It returns the campaign's exit status.
func (p *program) summary(ctx context.Context) (int, error) {
	seen, all, err := p.progress(ctx)
	if err != nil {
		return 0, err
	}
	counts := map[string]int{}
	var failed, rows [][]string
	for _, r := range all {
		counts[r.State]++
		switch r.State {
		case stateFailed:
			failed = append(failed, []string{r.name, r.Reason})
		case stateRead:
			rows = append(rows, append([]string{r.name}, r.Row...))
		}
	}
	fmt.Fprintf(p.env.Stdout, "Campaign %s: %s in %s, at most %s\n",
		p.campaign, cli.Clean(seen.spec.Action.String()), repositories(len(all)), seen.spec.Quota)
	for _, state := range []string{stateChanged, stateUnchanged, stateRead, stateFailed} {
		if counts[state] > 0 {
			p.printLine(state, humanize.Comma(int64(counts[state])))
		}
	}
	if left := counts[stateLeft]; left > 0 {
		workers, err := p.knownWorkers()
		if err != nil {
			return 0, err
		}
		p.printLine(stateLeft, humanize.Comma(int64(left))+"; "+timeLeft(all, left, time.Now()))
		p.printLine("workers", workers)
	}
	if p.inMemory && len(rows) > 0 { // fleet results won't find them
		fmt.Fprintln(p.env.Stdout)
		heading := strings.ToUpper("repository," + strings.Join(seen.spec.Action.columns(), ","))
		cli.PrintTable(p.env.Stdout, "", strings.Split(heading, ","), rows)
	}
	if len(failed) > 0 {
		fmt.Fprintln(p.env.Stdout)
		cli.PrintTable(p.env.Stdout, "None has failed.", []string{"FAILED", "REASON"}, failed)
		if !p.inMemory {
			fmt.Fprintln(p.env.Stdout, "\nfleet start --retry-failed tries them again.")
		}
	}
	return exitStatus(counts), nil
}

// knownWorkers describes the workers of the campaign.
func (p *program) knownWorkers() (string, error) {
	workers, err := p.store.workers()
	if refusal(err) != "" { // the engine removes dead ones when asked, which a read-only Redis refuses
		return "unknown: " + p.explain(err).Error(), nil
	}
	return strings.TrimSpace(strconv.Itoa(len(workers)) + "  " + strings.Join(workers, " ")), err
}

func (p *program) printLine(name, text string) {
	fmt.Fprintf(p.env.Stdout, "  %-10s  %s\n", name, cli.Clean(text))
}

// exitStatus is the one of a campaign with so many repositories in each state.
func exitStatus(counts map[string]int) int {
	switch {
	case counts[stateLeft] > 0:
		return cli.Trouble
	case counts[stateFailed] > 0:
		return cli.Failure
	}
	return cli.Success
}

// outcome is a repository and its result.
type outcome struct {
	result

	name string
}

// progress returns the campaign, and its repositories sorted by name.
func (p *program) progress(ctx context.Context) (snapshot, []outcome, error) {
	repositories, err := p.store.repositories(ctx)
	if err != nil {
		return snapshot{}, nil, err
	}
	seen, err := p.store.existing(ctx) // later, so that the repositories are surely those of an existing campaign
	if err != nil {
		return seen, nil, err
	}
	all := make([]outcome, 0, len(repositories))
	for _, r := range repositories {
		found, err := r.decode()
		if err != nil {
			return seen, nil, err
		}
		all = append(all, outcome{result: found, name: r.name})
	}
	return seen, all, nil
}

// speedOver is the period over which the speed is measured.
const speedOver = 5 * time.Minute

// timeLeft estimates from the repositories done in the last minutes. It claims nothing of a time that it knows nothing of.
func timeLeft(all []outcome, left int, now time.Time) string {
	recent, since, last := 0, now, time.Time{}
	for _, r := range all {
		if r.State == stateLeft {
			continue
		}
		if r.At.After(last) {
			last = r.At
		}
		if now.Sub(r.At) < speedOver {
			recent++
			if r.At.Before(since) {
				since = r.At
			}
		}
	}
	switch {
	case last.IsZero():
		return "none is done yet"
	case recent < 2:
		return "the last was done " + estimate(max(now.Sub(last), 0)) + " ago"
	}
	return "about " + estimate(now.Sub(since)*time.Duration(left)/time.Duration(recent))
}

func (p *program) results(ctx context.Context) (int, error) {
	seen, all, err := p.progress(ctx)
	if err != nil {
		return 0, err
	}
	out := csv.NewWriter(p.env.Stdout)
	columns := seen.spec.Action.columns()
	rows := [][]string{append([]string{"repository", "result", "reason"}, columns...)}
	counts := map[string]int{}
	for _, r := range all {
		counts[r.State]++
		row := make([]string, 3+len(columns))
		row[0], row[1], row[2] = r.name, r.State, r.Reason
		copy(row[3:], r.Row)
		for i := range row {
			row[i] = cli.Cell(row[i])
		}
		rows = append(rows, row)
	}
	if err := out.WriteAll(rows); err != nil {
		return 0, err
	}
	if left := counts[stateLeft]; left > 0 {
		fmt.Fprintf(p.env.Stderr, "fleet results: left: %s. fleet work does them.\n", outOf(left, len(all)))
	}
	return exitStatus(counts), nil
}
