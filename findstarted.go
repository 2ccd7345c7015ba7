package pipelines

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxStartPages is how many pages of runs, the newest first, FindStarted reads at most.
const maxStartPages = 10

// FindStarted returns the runs that [PipelinesService.Run] with this request may have started when its outcome is unknown, the newest
// first. For [PipelinesService.RunOnDemand] pass its RunRequest. since is the time before that call, by the caller's clock. To leave
// out the runs of other accounts, add WithQuery("creator.uuid", id), which FindStarted compares itself.
//
// The result is ambiguous. A run is in it if its target is the requested one ([Target.Matches]), if it was started by a request
// rather than by a push, a schedule or another run, and if it was created after since, as far as clocks can be compared: the time of
// the service is known from the Date of its responses, and a minute is allowed for; without a Date, five. The service shows neither the variables of a run nor what
// started it, so a run may be that of another caller, or one that you know already. If there is none, the run was probably not
// started: a request that is still on its way may start it later. The error is then nil.
//
// A new run is listed late, so FindStarted lists the runs until it has found one, for up to 15 seconds. If it can't read all of them,
// it returns those that it has found, and an error: at most ten pages of a hundred runs are read, the newest first. A request that
// [PipelinesService.Run] would refuse and a zero since are an [ErrInvalidArgument].
//
// Partial responses must have values.uuid, values.target, values.trigger, values.creator and values.created_on. Otherwise the error is
// an [ErrInvalidArgument].
//
// API: as [PipelinesService.List].
//
// Scope: pipeline.
func (s *PipelinesService) FindStarted(
	ctx context.Context, repo Repo, run RunRequest, since time.Time, opts ...CallOption,
) ([]*Pipeline, error) {
	clock, err := newServiceClock(since)
	if err == nil {
		err = run.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines: Pipelines.FindStarted: %w", err)
	}
	search := startSearch{target: run.Target, clock: clock}
	opts = append(slices.Clip(opts), clock, callOption(search.takeCreator))
	search.runs = s.List(ctx, repo, &ListPipelinesOptions{Sort: SortNewestFirst}, opts...)
	if err := search.runs.requires("values", "values.uuid", "values.target", "values.trigger", "values.creator.uuid", "values.created_on"); err != nil {
		return nil, err
	}
	var found []*Pipeline
	err = lookAgain(ctx, func() (bool, error) {
		found, err = search.look()
		return len(found) > 0, err
	})
	return found, err
}

// startSearch looks for runs that a request may have started.
type startSearch struct {
	target  Target
	clock   *serviceClock
	creator string // UUID; empty: anybody
	runs    *Pager[Pipeline]
}

// takeCreator takes the creator out of the query. How the service wants it spelled isn't documented, and a wrong spelling would make
// its list empty.
func (f *startSearch) takeCreator(k *call) error {
	f.creator = k.extraQuery.Get("creator.uuid")
	k.extraQuery.Del("creator.uuid")
	return nil
}

// look reads the list once, as far as it is new enough.
func (f *startSearch) look() ([]*Pipeline, error) {
	var found []*Pipeline
	pages := 0
	for page, err := range f.runs.Pages() {
		f.clock.publish()
		if err == nil {
			err = page.check(f.runs.at.op)
		}
		if err != nil {
			return found, err
		}
		isOlder := func(p *Pipeline) bool { return f.clock.isBefore(p.CreatedOn) }
		for _, p := range page.Values {
			if !isOlder(p) && f.mayBe(p) {
				found = append(found, p)
			}
		}
		pages++
		switch older := slices.ContainsFunc(page.Values, isOlder); {
		case older:
			return found, nil
		case pages == maxStartPages:
			return found, fmt.Errorf("pipelines: Pipelines.FindStarted: there are more than %d pages of runs since then, and older ones were not read", pages)
		}
	}
	return found, nil
}

func (f *startSearch) mayBe(p *Pipeline) bool {
	return f.target.Matches(p.Target) && p.Trigger.mayBeRequest() && f.isByCreator(p.Creator)
}

func (f *startSearch) isByCreator(a *Account) bool {
	return f.creator == "" || a == nil || a.UUID == "" || strings.EqualFold(braced(a.UUID), braced(f.creator))
}

// mayBeRequest reports whether a run with the trigger may have been started by a request.
func (t *Trigger) mayBeRequest() bool {
	if t == nil {
		return true
	}
	name := cmp.Or(string(t.Name), strings.ToUpper(strings.TrimPrefix(t.Type, "pipeline_trigger_")))
	return !slices.Contains([]string{"PUSH", "SCHEDULE", "SCHEDULED", "PARENT_STEP", "PARENT_PIPELINE"}, name)
}
