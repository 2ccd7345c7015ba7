package cli

import (
	"cmp"
	"strings"
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

// BareUUID is a UUID in lower case and without braces, which are optional on the command line. The service isn't known to write all its UUIDs
// in one way.
func BareUUID(uuid string) string { return strings.ToLower(strings.Trim(uuid, "{}")) }

// FindEnvironment finds an environment by its UUID or its name. If no name is exactly the same, case doesn't matter, unless several differ in
// nothing else: then similar is greater than 1.
func FindEnvironment(all []*pipelines.Environment, name string) (found *pipelines.Environment, similar int) {
	for _, e := range all {
		switch {
		case e.UUID == "":
		case e.Name == name, BareUUID(e.UUID) == BareUUID(name):
			return e, 1
		case strings.EqualFold(e.Name, name):
			found = e
			similar++
		}
	}
	if similar > 1 {
		found = nil
	}
	return found, similar
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
