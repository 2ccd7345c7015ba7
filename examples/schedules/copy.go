package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// copy creates the schedules that the other repository lacks.
func (j *job) copy(ctx context.Context, schedules []*pipelines.Schedule) error {
	there, err := j.client.Schedules.List(ctx, j.to, nil).Collect()
	if err != nil {
		return fmt.Errorf("%s: %w", j.to, err)
	}
	verb, copied, refused := "copied", 0, 0
	if j.dryRun {
		verb = "would be copied"
	}
	for _, s := range schedules {
		wanted, reason := request(s)
		if reason != nil {
			j.env.Say("can't be copied: %s: %v", whole(s), reason)
			refused++
			continue
		}
		if i := slices.IndexFunc(there, wanted.Matches); i >= 0 {
			j.sayThere(s, there[i])
			continue
		}
		made := s
		if !j.dryRun {
			made, err = j.client.Schedules.Set(ctx, j.to, wanted)
			if errors.Is(err, pipelines.ErrInvalidRequest) {
				j.env.Say("can't be copied: %s: %s", whole(s), cli.Message(err))
				refused, err = refused+1, nil
				continue
			}
			if err != nil {
				break
			}
		}
		there = append(there, made)
		copied++
		paused := ""
		if !s.Enabled {
			paused = ", paused"
		}
		j.env.Say("%s: %s%s", verb, whole(s), paused)
	}
	fmt.Fprintf(j.env.Stdout, "%s of %d %s to %s\n", count(copied), len(schedules), verb, j.to)
	return cmp.Or(err, unable(refused, "copied"))
}

// sayThere says that the other repository has a schedule. If a copy of a paused one was interrupted, it is enabled there. But so it is if
// somebody wants that.
func (j *job) sayThere(original, there *pipelines.Schedule) {
	if original.Enabled || !there.Enabled {
		j.env.Say("is there already: %s", whole(original))
		return
	}
	j.env.Say("is there already, but enabled, while the original is paused: %s; to pause it: schedules --repo %s --pause --id %s",
		whole(original), j.to, cli.BareUUID(there.UUID))
}

// unable is an error if something can't be done to some schedules, which were named.
func unable(n int, verb string) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s can't be %s", count(n), verb)
}

// request is the request that copies a schedule, or the reason why there is none. The service may leave types out.
func request(s *pipelines.Schedule) (pipelines.ScheduleRequest, error) {
	target := pipelines.Target{
		Type:     cmp.Or(s.Target.Type, pipelines.TargetRef),
		RefType:  cmp.Or(s.Target.RefType, pipelines.RefBranch),
		RefName:  s.Target.RefName,
		Selector: nil,
	}
	n := len(strings.Fields(s.CronPattern))
	switch {
	case target.Type != pipelines.TargetRef, target.RefName == "" && s.Target.String() != "":
		return pipelines.ScheduleRequest{}, errors.New("a new schedule can only be of a branch")
	case target.RefName == "":
		return pipelines.ScheduleRequest{}, errors.New("it names no branch")
	case n != 7:
		return pipelines.ScheduleRequest{}, fmt.Errorf("its pattern has %s instead of 7", cli.Count(n, "field", "fields"))
	}
	selector, err := selector(s.Target)
	target.Selector = selector
	return pipelines.ScheduleRequest{Target: target, CronPattern: s.CronPattern, Enabled: &s.Enabled}, err
}

// selector is the selector of a copy, or nil for the branch's own pipeline.
func selector(t pipelines.Target) (*pipelines.Selector, error) {
	s := t.Selector
	switch {
	case s == nil, s.Type == "" && (s.Pattern == "" || s.Pattern == t.RefName), s.Type == pipelines.SelectorBranches && s.Pattern == "":
		return nil, nil
	case s.Type == "":
		return nil, fmt.Errorf("what pipeline %q means is unknown, because its selector has no type", s.Pattern)
	case s.Type == pipelines.SelectorCustom && s.Pattern == "":
		return nil, errors.New("it doesn't name its custom pipeline")
	}
	return &pipelines.Selector{Type: s.Type, Pattern: s.Pattern}, nil
}
