package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// deployed has the runs with a deployment that must not be stopped, by UUID or by "#" and build number, and why they are left.
type deployed map[string]string

func (d deployed) of(p *pipelines.Pipeline) string {
	return cmp.Or(d[cli.BareUUID(p.UUID)], d[fmt.Sprint("#", p.BuildNumber)])
}

// deployments reads the deployments of runs, the oldest of which was created at a time. Their state doesn't matter: one that has not begun
// will, if its run is left to go on. The service lists no run's deployments, only all of the repository. They are read by state, in the order
// of the states, so that one that changes its state meanwhile isn't missed. But if it leaves a list of several pages while that is read, the
// next page may begin one too late. Then all is read again.
func (r *repository) deployments(ctx context.Context, oldest time.Time) (deployed, error) {
	for range 5 {
		found, left, err := r.readDeployments(ctx, oldest.Add(-slack))
		if err != nil || !left {
			return found, err
		}
	}
	return nil, errors.New("deployments begin while they are listed, time and again, so no run can safely be stopped")
}

// readDeployments reads the deployments of all states once, those that have ended back to a time. left reports whether one has left a list
// of several pages meanwhile.
func (r *repository) readDeployments(ctx context.Context, back time.Time) (found deployed, left bool, err error) {
	found = deployed{}
	states := map[string]pipelines.StateName{} // by UUID, of those on a list of several pages
	for _, state := range []pipelines.StateName{pipelines.StateUndeployed, pipelines.StateInProgress, pipelines.StateCompleted} {
		all, pages, err := r.listDeployments(ctx, state, back)
		if err != nil {
			return nil, false, err
		}
		for _, d := range all {
			if err := r.take(d, back, found); err != nil {
				return nil, false, err
			}
			before, several := states[d.UUID]
			left = left || several && before != d.State.Name
			if pages > 1 {
				states[d.UUID] = d.State.Name
			}
		}
	}
	return found, left, nil
}

// listDeployments lists the deployments in a state, and says on how many pages. Those that have ended are sorted, if the service does that,
// and listed back to a time. The others have no known order.
func (r *repository) listDeployments(
	ctx context.Context, state pipelines.StateName, back time.Time,
) (all []*pipelines.Deployment, pages int, err error) {
	q := &pipelines.ListDeploymentsOptions{State: state}
	if state == pipelines.StateCompleted && !r.unsorted {
		q.Sort = pipelines.SortLastStarted
	}
	for page, err := range r.client.Deployments.List(ctx, r.repo, q, pipelines.WithQuery("fields", "+values.environment.name")).Pages() {
		switch {
		case errors.Is(err, pipelines.ErrInvalidRequest) && q.Sort != "":
			r.unsorted = true
			return r.listDeployments(ctx, state, back)
		case err != nil:
			return nil, 0, err
		}
		all = append(all, page.Values...)
		pages++
		if q.Sort != "" && endsBefore(page.Values, back) {
			break
		}
	}
	return all, pages, nil
}

// endsBefore reports whether the rest of a list that was to be sorted is older than a time. One of its pages must be seen to be sorted, the
// newest first: a service may ignore what it doesn't know. Where those are that never began isn't known.
func endsBefore(page []*pipelines.Deployment, back time.Time) bool {
	if len(page) == 0 {
		return false
	}
	first, last := page[0].State.StartedOn, page[len(page)-1].State.StartedOn
	newestFirst := first.After(last) && slices.IsSortedFunc(page, func(a, b *pipelines.Deployment) int {
		return b.State.StartedOn.Compare(a.State.StartedOn)
	})
	return newestFirst && !last.IsZero() && last.Before(back)
}

// existed returns a time at which the run of a deployment had been created; zero: none is known.
func existed(d *pipelines.Deployment) time.Time {
	release := cmp.Or(d.Release, &pipelines.DeploymentRelease{})
	return cmp.Or(d.State.StartedOn, release.CreatedOn, d.LastUpdateTime)
}

// take takes a deployment, unless it is one that may be stopped. One that doesn't say of which run it is may be of any that is old enough.
func (r *repository) take(d *pipelines.Deployment, back time.Time, found deployed) error {
	e := cmp.Or(d.Environment, &pipelines.Environment{})
	environment, run, at := cmp.Or(e.Name, e.UUID, "an environment without a name"), runOf(d), existed(d)
	switch {
	case r.environments[cli.BareUUID(e.UUID)]:
	case run != "":
		found[run] = "deploys to " + environment
	case at.IsZero() || !at.Before(back):
		return fmt.Errorf("the deployment %s to %s doesn't say of which run it is, so no run can safely be stopped", d.UUID, environment)
	}
	return nil
}

// runOf returns the plain UUID of the run that a deployment is of, or "#" and its build number, or "" if the deployment says neither.
func runOf(d *pipelines.Deployment) string {
	return cmp.Or(nameOf(d.Release), nameOf(d.Deployable))
}

var buildNumber = regexp.MustCompile(`^#[1-9][0-9]*$`)

func nameOf(release *pipelines.DeploymentRelease) string {
	if release == nil {
		return ""
	}
	if release.Pipeline != nil && release.Pipeline.UUID != "" {
		return cli.BareUUID(release.Pipeline.UUID)
	}
	if uuid, ok := strings.CutPrefix(release.Key, "pipelines-"); ok && uuid != "" {
		return cli.BareUUID(uuid)
	}
	return buildNumber.FindString(release.Name)
}

// findEnvironments finds the environments whose deployments may be stopped, by name or UUID. It returns which of the flags' names were found,
// and the names of all that there are.
func (r *repository) findEnvironments(ctx context.Context) (found, all []string, err error) {
	if len(r.rules.environments) == 0 {
		return nil, nil, nil
	}
	environments, err := r.client.Deployments.ListEnvironments(ctx, r.repo, nil).Collect()
	if err != nil {
		return nil, nil, err
	}
	for _, e := range environments {
		all = append(all, e.Name)
	}
	r.environments = map[string]bool{}
	for _, name := range r.rules.environments {
		if e, _ := cli.FindEnvironment(environments, name); e != nil {
			r.environments[cli.BareUUID(e.UUID)] = true
			found = append(found, name)
		}
	}
	return found, all, nil
}
