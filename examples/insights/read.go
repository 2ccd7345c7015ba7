package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// budget allows a number of requests, including retries.
type budget struct {
	limit int64
	asked atomic.Int64
}

// Wait implements [pipelines.Limiter].
func (b *budget) Wait(ctx context.Context) error {
	if b.asked.Add(1) > b.limit {
		return errBudget
	}
	return ctx.Err()
}

// used is the number of requests sent.
func (b *budget) used() int { return int(min(b.asked.Load(), b.limit)) }

// reader reads runs with their steps and failed tests.
type reader struct {
	client   *pipelines.Client
	repo     pipelines.Repo
	branch   string // empty: all
	parallel int
	env      cli.Env

	undated  int // runs that are left out
	failures failures
}

// read returns the runs created since a time, newest first. With an error it returns what it has read so far.
func (r *reader) read(ctx context.Context, since time.Time) ([]Run, error) {
	runs, err := r.runs(ctx, since)
	if len(runs) == 0 || endsReading(err) || ctx.Err() != nil {
		return runs, err
	}
	return runs, cmp.Or(r.steps(ctx, runs), err, r.failures.error())
}

// mostOlder is the number of older runs in a row where reading ends. The time of one or two may be wrong.
const mostOlder = 3

// runs reads the list up to where runs are older. It doesn't read it in parallel, since pages that are read for nothing count too. A list
// that grows while it is read may repeat a run.
func (r *reader) runs(ctx context.Context, since time.Time) ([]Run, error) {
	progress := r.env.NewProgress("runs listed", 0)
	defer progress.End()
	var runs []Run
	older := 0
	seen := map[string]bool{"": true}
	options := &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst, Branch: r.branch}
	for p, err := range r.client.Pipelines.List(ctx, r.repo, options).All() {
		if err != nil {
			return runs, err
		}
		run := newRun(p, r.repo)
		switch {
		case run.ID != "" && seen[run.ID]:
		case run.Created.IsZero():
			r.undated++
		case run.Created.Before(since):
			if older++; older == mostOlder {
				return runs, nil
			}
		default:
			older = 0
			runs = append(runs, run)
			progress.Add(1)
		}
		seen[run.ID] = true
	}
	return runs, nil
}

// steps reads the steps of the ended runs, newest first, so that the newest are complete if reading fails.
func (r *reader) steps(ctx context.Context, runs []Run) error {
	ended := make([]*Run, 0, len(runs))
	for i := range runs {
		if runs[i].Result != "" {
			ended = append(ended, &runs[i])
		}
	}
	progress := r.env.NewProgress("runs read", len(ended))
	defer progress.End()
	return cli.InParallel(ctx, r.parallel, ended, func(ctx context.Context, run *Run) error {
		err := r.stepsOf(ctx, run)
		if ctx.Err() == nil && r.failures.end(err) {
			return err
		}
		progress.Add(1)
		return nil
	})
}

// stepsOf reads the steps of a run and their failed tests. A run that no longer exists has none.
func (r *reader) stepsOf(ctx context.Context, run *Run) error {
	if run.ID == "" {
		return errNoID
	}
	list, err := r.client.Steps.List(ctx, r.repo, run.ID, nil).Collect()
	if errors.Is(err, pipelines.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	found := make([]Step, 0, len(list))
	var unread error
	for i, s := range list {
		step := newStep(s, i)
		if failed(step.Result) && s.UUID != "" {
			if step.Failed, err = r.failedTests(ctx, run.ID, s.UUID); endsReading(err) || ctx.Err() != nil {
				return err
			}
			unread = cmp.Or(unread, err)
		}
		found = append(found, step)
	}
	run.Steps, run.StepsRead = found, true
	return unread
}

// failedTests returns the names of the failed tests of a step. A step without a report has none.
func (r *reader) failedTests(ctx context.Context, run, step string) ([]string, error) {
	var names []string
	for test, err := range r.client.Steps.ListTestCases(ctx, r.repo, run, step, nil).All() {
		if errors.Is(err, pipelines.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return names, err
		}
		if test.Status == pipelines.TestFailed || test.Status == pipelines.TestError {
			names = append(names, cmp.Or(cli.Clean(testName(test)), "a test without a name"))
		}
	}
	return names, nil
}

func testName(t *pipelines.TestCase) string {
	switch {
	case t.FullyQualifiedName != "":
		return t.FullyQualifiedName
	case t.ClassName != "":
		return t.ClassName + "." + t.Name
	}
	return t.Name
}

func newRun(p *pipelines.Pipeline, repo pipelines.Repo) Run {
	r := Run{
		ID: p.UUID, Number: max(0, p.BuildNumber), Pipeline: cli.Clean(pipelineName(p.Target)), Branch: cli.Clean(cli.RefName(p.Target)),
		Commit: commitOf(p.Target), Result: resultOf(p.State.Name, p.State.Result), Created: plausible(p.CreatedOn),
		Duration: seconds(p.DurationInSeconds), Build: seconds(p.BuildSecondsUsed),
	}
	if r.Number > 0 {
		r.ID, r.URL = strconv.Itoa(r.Number), p.WebURL(repo)
	}
	return r
}

func newStep(s *pipelines.Step, i int) Step {
	return Step{
		Name: cmp.Or(cli.Clean(s.Name), fmt.Sprintf("step %d", i+1)), Manual: s.Trigger != nil && s.Trigger.Type == pipelines.StepTriggerManual,
		Result: resultOf(s.State.Name, s.State.Result), Started: plausible(s.StartedOn),
		Duration: seconds(s.DurationInSeconds), Build: seconds(s.BuildSecondsUsed),
	}
}

// resultOf returns the result of what has ended, or none.
func resultOf(state pipelines.StateName, result *pipelines.Result) pipelines.ResultName {
	switch {
	case state == "":
		return unknownResult
	case state != pipelines.StateCompleted:
		return ""
	case result == nil || result.Name == "":
		return unknownResult
	}
	return result.Name
}

// plausible returns a time, or none if it is in the future. Clocks may differ, but not by more than a day.
func plausible(t time.Time) time.Time {
	if time.Until(t) > 24*time.Hour {
		return time.Time{}
	}
	return t
}

// seconds returns a duration, however long. It stays negative.
func seconds(n int) time.Duration {
	const most = int(math.MaxInt64 / time.Second)
	return time.Duration(min(max(n, -1), most)) * time.Second
}

const (
	noPipeline     = "no pipeline"
	noPipelineNote = "No pipeline: the service chose none for these runs, mostly because of an error in bitbucket-pipelines.yml."
)

// pipelineName is the pipeline of the YAML that ran.
func pipelineName(t pipelines.Target) string {
	switch {
	case t.Selector == nil || t.Selector.Type == "":
		return noPipeline
	case t.Selector.Pattern == "" || t.Selector.Type == pipelines.SelectorDefault:
		return string(t.Selector.Type)
	}
	return string(t.Selector.Type) + ": " + t.Selector.Pattern
}

// commitOf returns the part of the hash that the service always returns.
func commitOf(t pipelines.Target) string {
	if t.Commit == nil {
		return ""
	}
	hash := strings.ToLower(t.Commit.Hash)
	return hash[:min(len(hash), 12)]
}
