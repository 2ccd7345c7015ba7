package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

var errBudget = errors.New("the requests that -max-requests allows are used up")

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
}

// read returns the runs created since a time, newest first. With an error it returns what it has read so far.
func (r *reader) read(ctx context.Context, since time.Time) ([]Run, error) {
	runs, err := r.runs(ctx, since)
	if err != nil {
		return runs, err
	}
	return runs, r.steps(ctx, runs)
}

// runs reads the list up to the first older run. A list that grows while it is read may repeat a run.
func (r *reader) runs(ctx context.Context, since time.Time) ([]Run, error) {
	progress := r.env.NewProgress("runs listed", 0)
	defer progress.End()
	var runs []Run
	seen := map[int]bool{}
	options := &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst, Branch: r.branch}
	for p, err := range r.client.Pipelines.List(ctx, r.repo, options).Parallel(r.parallel).All() {
		if err != nil {
			return runs, err
		}
		if p.CreatedOn.Before(since) {
			break
		}
		if !seen[p.BuildNumber] {
			seen[p.BuildNumber] = true
			runs = append(runs, newRun(p, r.repo))
			progress.Add(1)
		}
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
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var workers sync.WaitGroup
	var next atomic.Int64
	for range max(1, r.parallel) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ended)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := r.stepsOf(ctx, ended[i]); err != nil {
					stop(err)
					return
				}
				progress.Add(1)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// stepsOf reads the steps of a run and their failed tests. A run that no longer exists has none.
func (r *reader) stepsOf(ctx context.Context, run *Run) error {
	id := fmt.Sprint(run.Number)
	list, err := r.client.Steps.List(ctx, r.repo, id, nil).Collect()
	if errors.Is(err, pipelines.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	found := make([]Step, 0, len(list))
	for i, s := range list {
		step := newStep(s, i)
		if failed(step.Result) {
			if step.Failed, err = r.failedTests(ctx, id, s.UUID); err != nil {
				return err
			}
		}
		found = append(found, step)
	}
	run.Steps, run.StepsRead = found, true
	return nil
}

// failedTests returns the names of the failed tests of a step. A step without a report has none.
func (r *reader) failedTests(ctx context.Context, run, step string) ([]string, error) {
	var names []string
	for test, err := range r.client.Steps.ListTestCases(ctx, r.repo, run, step, nil).All() {
		if errors.Is(err, pipelines.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if test.Status == pipelines.TestFailed || test.Status == pipelines.TestError {
			names = append(names, cli.Clean(testName(test)))
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
		Number: p.BuildNumber, URL: p.WebURL(repo), Pipeline: cli.Clean(pipelineName(p.Target)), Branch: cli.Clean(refName(p.Target)),
		Commit: commitOf(p.Target), Created: p.CreatedOn, Duration: seconds(p.DurationInSeconds), Build: seconds(p.BuildSecondsUsed),
	}
	if p.State.Done() {
		r.Result = pipelines.ResultName(p.State.String())
	}
	return r
}

func newStep(s *pipelines.Step, i int) Step {
	step := Step{
		Name: cli.Clean(s.Name), Manual: s.Trigger != nil && s.Trigger.Type == pipelines.StepTriggerManual,
		Started: s.StartedOn, Duration: seconds(s.DurationInSeconds), Build: seconds(s.BuildSecondsUsed),
	}
	if step.Name == "" {
		step.Name = fmt.Sprintf("step %d", i+1)
	}
	if s.State.Done() {
		step.Result = pipelines.ResultName(s.State.String())
	}
	return step
}

func seconds(n int) time.Duration { return time.Duration(max(0, n)) * time.Second }

// pipelineName is the pipeline of the YAML that ran.
func pipelineName(t pipelines.Target) string {
	switch {
	case t.Selector == nil || t.Selector.Type == "":
		return "unknown" // the YAML could not be parsed
	case t.Selector.Pattern == "" || t.Selector.Type == pipelines.SelectorDefault:
		return string(t.Selector.Type)
	}
	return string(t.Selector.Type) + ": " + t.Selector.Pattern
}

// refName is the reference that it ran on.
func refName(t pipelines.Target) string {
	switch {
	case t.RefType == pipelines.RefTag || t.RefType == pipelines.RefAnnotatedTag:
		return "tag " + t.RefName
	case t.RefName != "":
		return t.RefName
	case t.Source != "":
		return t.Source
	case t.TargetBranch != "":
		return t.TargetBranch
	}
	return "none"
}

// commitOf returns the part of the hash that the service always returns.
func commitOf(t pipelines.Target) string {
	if t.Commit == nil {
		return ""
	}
	hash := strings.ToLower(t.Commit.Hash)
	return hash[:min(len(hash), 12)]
}
