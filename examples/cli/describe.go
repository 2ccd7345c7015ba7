package cli

import (
	"cmp"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// RefName returns the branch or tag that a run belongs to: of a pull request, the source branch. A run that was started for a commit has
// none.
func RefName(t pipelines.Target) string {
	if t.RefType == pipelines.RefTag || t.RefType == pipelines.RefAnnotatedTag {
		return "tag " + t.RefName
	}
	return cmp.Or(t.RefName, t.Source, t.TargetBranch, "no branch")
}

// RunnerChanged returns when a runner entered its state, zero if unknown. Some lists lack the time of the state.
func RunnerChanged(r *pipelines.Runner) time.Time {
	return cmp.Or(r.State.UpdatedOn, r.UpdatedOn, r.CreatedOn)
}

// RunnerStale reports whether a runner has been offline for a time, or never connected in it.
func RunnerStale(r *pipelines.Runner, age time.Duration, now time.Time) bool {
	if r.State.Status != pipelines.RunnerOffline && r.State.Status != pipelines.RunnerUnregistered {
		return false
	}
	at := RunnerChanged(r)
	return !at.IsZero() && now.Sub(at) >= age
}
