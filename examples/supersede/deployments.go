package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// deployed has the runs with a deployment that must not be stopped, by UUID or by "#" and build number, and why they are left.
type deployed map[string]string

func (d deployed) of(p *pipelines.Pipeline) string {
	if why := d[p.UUID]; why != "" {
		return why
	}
	return d[fmt.Sprint("#", p.BuildNumber)]
}

// deployments reads the deployments of runs, the oldest of which was created at a time. Their state doesn't matter: one that has not begun
// will, if its run is left to go on. The service lists no run's deployments, only all of the repository. They are read by state, in the order
// of the states, so that one that changes its state meanwhile isn't missed.
//
// The list of those that have not begun may be long, and has no known order. If others begin while it is read, one may be missing.
func (r *repository) deployments(ctx context.Context, oldest time.Time) (deployed, error) {
	found := deployed{}
	for _, state := range []pipelines.StateName{pipelines.StateUndeployed, pipelines.StateInProgress, pipelines.StateCompleted} {
		if err := r.readDeployments(ctx, state, oldest.Add(-slack), found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// readDeployments reads the deployments in a state. A list that is seen to be sorted, the newest first, is read back to a time. Only
// those that have begun can be sorted, and not every service does.
func (r *repository) readDeployments(ctx context.Context, state pipelines.StateName, back time.Time, found deployed) error {
	q := &pipelines.ListDeploymentsOptions{State: state}
	if state == pipelines.StateCompleted && !r.unsorted {
		q.Sort = pipelines.SortLastStarted
	}
	for page, err := range r.client.Deployments.List(ctx, r.repo, q, pipelines.WithQuery("fields", "+values.environment.name")).Pages() {
		switch {
		case errors.Is(err, pipelines.ErrInvalidRequest) && q.Sort != "":
			r.unsorted = true
			return r.readDeployments(ctx, state, back, found)
		case err != nil:
			return err
		}
		for _, d := range page.Values {
			if err := r.take(d, back, found); err != nil {
				return err
			}
		}
		if endsBefore(page.Values, back) {
			break
		}
	}
	return nil
}

// endsBefore reports whether the rest of a list is older than a time, by one of its pages.
func endsBefore(page []*pipelines.Deployment, back time.Time) bool {
	if len(page) == 0 {
		return false
	}
	first, last := began(page[0]), began(page[len(page)-1])
	newestFirst := first.After(last) && slices.IsSortedFunc(page, func(a, b *pipelines.Deployment) int { return began(b).Compare(began(a)) })
	return newestFirst && !last.IsZero() && last.Before(back)
}

// began is when a deployment began, or else when its run did: never before its run. It is zero if nothing is known.
func began(d *pipelines.Deployment) time.Time {
	if d.State.StartedOn.IsZero() && d.Release != nil {
		return d.Release.CreatedOn
	}
	return d.State.StartedOn
}

// take takes a deployment, unless it is one that may be stopped. One that doesn't say of which run it is may be of any that is old enough.
func (r *repository) take(d *pipelines.Deployment, back time.Time, found deployed) error {
	e := cmp.Or(d.Environment, &pipelines.Environment{})
	environment, run, at := cmp.Or(e.Name, e.UUID, "an environment without a name"), runOf(d), began(d)
	switch {
	case r.environments[e.UUID]:
	case run != "":
		found[run] = "deploys to " + environment
	case at.IsZero() || !at.Before(back):
		return fmt.Errorf("the deployment %s to %s doesn't say of which run it is, so no run can safely be stopped", d.UUID, environment)
	}
	return nil
}

// runOf returns the UUID of the run that a deployment is of, or "#" and its build number, or "" if the deployment says neither.
func runOf(d *pipelines.Deployment) string {
	return cmp.Or(nameOf(d.Release), nameOf(d.Deployable))
}

func nameOf(release *pipelines.DeploymentRelease) string {
	switch {
	case release == nil:
		return ""
	case release.Pipeline != nil && release.Pipeline.UUID != "":
		return release.Pipeline.UUID
	}
	if uuid, ok := strings.CutPrefix(release.Key, "pipelines-"); ok {
		return uuid
	}
	return release.Name
}

// findEnvironments adds the environments with one of the names, or UUIDs, to those whose deployments may be stopped. It returns the names
// that were found, and all that there are.
func (r *repository) findEnvironments(ctx context.Context, names []string) (found, all []string, err error) {
	for e, err := range r.client.Deployments.ListEnvironments(ctx, r.repo, nil).All() {
		if err != nil {
			return nil, nil, err
		}
		all = append(all, e.Name)
		for _, name := range names {
			if strings.EqualFold(e.Name, name) || strings.Trim(e.UUID, "{}") == strings.Trim(name, "{}") {
				r.environments[e.UUID] = true
				found = append(found, name)
			}
		}
	}
	return found, all, nil
}
