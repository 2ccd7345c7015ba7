package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

// job is what runs have in common of which only the newest matters: the branch or the pull request, and the pipeline of the YAML. A pull
// request is known by its number alone, so that another destination doesn't make it another one.
type job struct {
	branch      string
	pullRequest int
	selector    pipelines.SelectorType
	pattern     string
}

// jobOf returns the job of a run. Many runs have none, and neither stop others nor are stopped: those on tags, commits and merge queues,
// those that another run has started and waits for, and all that this program doesn't know, such as other kinds of targets. A run has no
// selector, and so no job, until its YAML is parsed.
func jobOf(p *pipelines.Pipeline) (job, bool) {
	t := p.Target
	if t.Selector == nil || p.BuildNumber <= 0 || p.UUID == "" || hasParent(p) {
		return job{}, false
	}
	j := job{selector: t.Selector.Type, pattern: t.Selector.Pattern}
	switch j.selector {
	case pipelines.SelectorDefault, pipelines.SelectorBranches, pipelines.SelectorPullRequests:
	case pipelines.SelectorCustom:
		if j.pattern == "" { // it may be any of them
			return job{}, false
		}
	default:
		return job{}, false
	}
	switch {
	case t.Type == pipelines.TargetRef && t.RefType == pipelines.RefBranch:
		j.branch = t.RefName
		return j, j.branch != ""
	case t.Type == pipelines.TargetPullRequest && t.PullRequest != nil:
		j.pullRequest = t.PullRequest.ID
		return j, j.pullRequest > 0
	}
	return job{}, false
}

// hasParent reports whether a step of another run has started the run. The service has several words for that.
func hasParent(p *pipelines.Pipeline) bool {
	return p.Trigger != nil && strings.Contains(strings.ToLower(p.Trigger.Type+string(p.Trigger.Name)), "parent")
}

func (j job) of() string {
	if j.pullRequest > 0 {
		return fmt.Sprint("pull request ", j.pullRequest)
	}
	return "branch " + j.branch
}

func (j job) pipeline() string { return strings.TrimSuffix(string(j.selector)+": "+j.pattern, ": ") }

// replaces reports whether a run makes older ones of its job pointless. One that was stopped, or that couldn't run, doesn't: then an older
// one may be all there is. Nor does one that is still being parsed, because it may turn out that it can't run.
func replaces(p *pipelines.Pipeline) bool {
	if !p.State.Done() {
		return goesOn(p.State) || isPaused(p.State)
	}
	result := p.State.Result
	return result != nil && (result.Name == pipelines.ResultSuccessful || result.Name == pipelines.ResultFailed && result.Error == nil)
}

// goesOn reports whether a run in a state has been parsed and can be stopped. It is false for states that this program doesn't know.
func goesOn(s pipelines.PipelineState) bool {
	if s.Name == pipelines.StatePending {
		return true
	}
	stage := stageOf(s)
	return s.Name == pipelines.StateInProgress && (stage == "" || stage == pipelines.StageRunning || stage == pipelines.StageHalted)
}

// isPaused reports whether a run waits for somebody to start a manual step. The service accepts the request to stop it, but nothing happens.
func isPaused(s pipelines.PipelineState) bool {
	return s.Name == pipelines.StateInProgress && stageOf(s) == pipelines.StagePaused
}

func stageOf(s pipelines.PipelineState) pipelines.StageName {
	if s.Stage == nil {
		return ""
	}
	return s.Stage.Name
}

// choice is a run that a newer one has superseded, and what to do about it.
type choice struct {
	job
	run, newer *pipelines.Pipeline
	left       string // why the run is left alone; empty: it is to be stopped
}

// verdict says that the run is left alone, and why, or else what is given.
func (c *choice) verdict(otherwise string) string {
	if c.left != "" {
		return "left: " + c.left
	}
	return otherwise
}

// superseded returns the runs that haven't ended and for which there is a newer one of the same job, the oldest first. Build numbers say
// which is newer, because two runs may have been created at the same time.
func superseded(runs map[string]*pipelines.Pipeline) []*choice {
	newest := map[job]*pipelines.Pipeline{}
	for _, p := range runs {
		j, ok := jobOf(p)
		if ok && replaces(p) && (newest[j] == nil || newest[j].BuildNumber < p.BuildNumber) {
			newest[j] = p
		}
	}
	var all []*choice
	for _, p := range runs {
		j, ok := jobOf(p)
		newer := newest[j]
		switch {
		case !ok || newer == nil || newer.BuildNumber <= p.BuildNumber:
		case isPaused(p.State):
			all = append(all, &choice{j, p, newer, "the service can't stop a paused run"})
		case goesOn(p.State) && p.RunNumber > 1: // perhaps after the newer one, to go back to what this one was
			all = append(all, &choice{j, p, newer, "somebody has started it again"})
		case goesOn(p.State):
			all = append(all, &choice{j, p, newer, ""})
		}
	}
	slices.SortFunc(all, func(a, b *choice) int { return cmp.Compare(a.run.BuildNumber, b.run.BuildNumber) })
	return all
}

// rules are what the flags say about which runs may be stopped.
type rules struct {
	branches, except, custom, environments values
}

// concerns reports whether a run is among those that the program works on. The branch of a pull request is the one that it merges. If the
// service doesn't say which, it may be any.
func (r *rules) concerns(p *pipelines.Pipeline) bool {
	branch := cmp.Or(p.Target.RefName, p.Target.Source)
	if branch == "" {
		return len(r.branches) == 0 && len(r.except) == 0
	}
	return (len(r.branches) == 0 || r.branches.match(branch)) && !r.except.match(branch)
}

// refuses is why a run isn't to be stopped; empty: nothing. Runs of a custom pipeline may have different variables, which the service
// doesn't show. So they may be different work, unless somebody says that they aren't.
func (r *rules) refuses(j job) string {
	if j.selector == pipelines.SelectorCustom && !r.custom.match(j.pattern) {
		return "custom pipeline, see --custom"
	}
	return ""
}

// values are the values of a flag that may be repeated.
type values []string

// String implements [flag.Value].
func (v *values) String() string { return strings.Join(*v, ", ") }

// Set implements [flag.Value].
func (v *values) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("the value is empty")
	}
	*v = append(*v, text)
	return nil
}

// match reports whether one of the values is a pattern that matches a name. A * stands for any text.
func (v values) match(name string) bool {
	return slices.ContainsFunc(v, func(pattern string) bool {
		ok, _ := regexp.MatchString("(?s)^"+strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")+"$", name)
		return ok
	})
}
