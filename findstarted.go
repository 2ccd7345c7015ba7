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

// startMembers are the members of the list that FindStarted goes by.
var startMembers = []string{
	"values", "values.uuid", "values.trigger", "values.creator.uuid", "values.created_on",
	"values.target.ref_type", "values.target.ref_name", "values.target.commit.hash", "values.target.selector.type", "values.target.selector.pattern",
	"values.target.source", "values.target.destination", "values.target.destination_commit.hash", "values.target.pullrequest.id",
	"values.target.target_branch", "values.target.pullrequest_ids",
}

// FindStarted returns the runs that [PipelinesService.Run] with this request may have started when its outcome is unknown, the newest
// first. For [PipelinesService.RunOnDemand] pass its RunRequest. since is the time before that call, by the caller's clock. To leave
// out the runs of other accounts, add WithQuery("creator.uuid", id), which FindStarted compares itself.
//
// The result is ambiguous. A run is in it if its target is the requested one ([Target.Matches]), if it was started by a request
// rather than by a push, a schedule or another run, and if it was created after since, as far as clocks can be compared: the time of
// the service is known from the Date of its responses, and a minute is allowed for; without a Date, five. The service shows neither
// the variables of a run nor what started it, so a run may be that of another caller, or one that you know already. If there is none,
// the run was probably not started: a request that is still on its way may start it later. The error is then nil.
//
// A new run is listed late, so FindStarted lists the runs until it has found one, for up to 15 seconds. One that was probably created
// before since doesn't end that. If it can't read all of them, it returns those that it has found, and an error: at most ten pages of a
// hundred runs are read, the newest first. A request that [PipelinesService.Run] would refuse and a zero since are an
// [ErrInvalidArgument].
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
	opts = append(slices.Clip(opts), clock, callOption(search.takeQuery))
	search.runs = s.List(ctx, repo, &ListPipelinesOptions{Sort: SortNewestFirst}, opts...)
	if err := search.runs.requires(startMembers...); err != nil {
		return nil, err
	}
	var found []*Pipeline
	err = lookAgain(ctx, func() (bool, error) {
		found, err = search.look()
		return slices.ContainsFunc(found, func(p *Pipeline) bool { return !clock.isProbablyBefore(p.CreatedOn) }), err
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

// takeQuery takes the creator out of the query. How the service wants it spelled isn't documented, and a wrong spelling would make
// its list empty. It also takes out what would make the list begin with other runs than the newest.
func (f *startSearch) takeQuery(k *call) error {
	f.creator = k.extraQuery.Get("creator.uuid")
	for _, name := range []string{"creator.uuid", "sort", "page"} {
		k.extraQuery.Del(name)
	}
	return nil
}

// look reads the list once, as far as it is new enough.
func (f *startSearch) look() ([]*Pipeline, error) {
	var found []*Pipeline
	pages, read := 0, 0
	for page, err := range f.runs.Pages() {
		f.clock.publish()
		if err != nil {
			return found, err
		}
		isOlder := func(p *Pipeline) bool { return f.clock.isBefore(p.CreatedOn) }
		for _, p := range page.Values {
			isRepeated := func(one *Pipeline) bool { return one.UUID == p.UUID && p.UUID != "" } // by a list that grows meanwhile
			if !isOlder(p) && f.mayBe(p) && !slices.ContainsFunc(found, isRepeated) {
				found = append(found, p)
			}
		}
		pages, read = pages+1, read+len(page.Values)
		switch older := slices.ContainsFunc(page.Values, isOlder); {
		case older:
			return found, nil
		case pages == maxStartPages && (page.Next != "" || read < page.Size):
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
