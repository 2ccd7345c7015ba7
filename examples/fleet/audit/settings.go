package audit

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/fingerprint"
)

// The parts, as problems name them.
const (
	partVariables    = "variables"
	partEnvironments = "environments"
	partOfEnv        = "variables of environments"
	partSchedules    = "schedules"
	partKeys         = "SSH key pair"
	partHosts        = "known hosts"
	partRunners      = "runners"
	partRuns         = "runs"
	partSteps        = "steps of runs"

	partWorkspaceVariables = "variables of the workspace"
	partWorkspaceRunners   = "runners of the workspace"
)

// withoutValues asks the service to leave the values of variables out.
func withoutValues() pipelines.CallOption {
	return pipelines.WithQuery("fields", "size,next,page,pagelen,values.uuid,values.key,values.secured")
}

func newVariable(v *pipelines.Variable) variable { return variable{cli.Clean(v.Key), v.Secured} }

// readWorkspace reads the variables and runners of the workspace, in each audit.
func (c *collector) readWorkspace(ctx context.Context) error {
	s := c.state
	err := refresh(ctx, c, nil, partWorkspaceVariables, &s.Variables, func() ([]variable, error) {
		return all(c.client.Variables.InWorkspace(s.Workspace).List(ctx, nil, withoutValues()), newVariable)
	})
	if err != nil {
		return err
	}
	return refresh(ctx, c, nil, partWorkspaceRunners, &s.Runners, func() ([]runner, error) {
		return all(c.client.Runners.InWorkspace(s.Workspace).List(ctx, nil), newRunner)
	})
}

// settingsDue returns about how many requests it takes to read the settings of a repository.
func (c *collector) settingsDue(r *repository) (requests int) {
	if r.Gone != nil {
		return 0
	}
	for _, p := range r.settings() {
		if c.due(p, r.mark()) {
			requests++
		}
	}
	return requests
}

// readSettings reads all that is set up in a repository.
func (c *collector) readSettings(ctx context.Context, r *repository) error {
	repo := r.repo()
	for _, read := range []func() error{
		func() error {
			return refresh(ctx, c, r, partVariables, &r.Variables, func() ([]variable, error) {
				return all(c.client.Variables.InRepository(repo).List(ctx, nil, withoutValues()), newVariable)
			})
		},
		func() error { return c.readEnvironments(ctx, r) },
		func() error {
			return refresh(ctx, c, r, partSchedules, &r.Schedules, func() ([]schedule, error) {
				return all(c.client.Schedules.List(ctx, repo, nil), newSchedule)
			})
		},
		func() error { return c.readKeys(ctx, r) },
		func() error {
			return refresh(ctx, c, r, partHosts, &r.Hosts, func() ([]host, error) {
				return all(c.client.SSH.ListKnownHosts(ctx, repo, nil), newHost)
			})
		},
		func() error {
			return refresh(ctx, c, r, partRunners, &r.Runners, func() ([]runner, error) {
				return all(c.client.Runners.InRepository(repo).List(ctx, nil), newRunner)
			})
		},
	} {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// readEnvironments reads the deployment environments and the variables of each.
func (c *collector) readEnvironments(ctx context.Context, r *repository) error {
	repo := r.repo()
	err := refresh(ctx, c, r, partEnvironments, &r.Environments, func() ([]environment, error) {
		return all(c.client.Deployments.ListEnvironments(ctx, repo, nil), newEnvironment)
	})
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, e := range r.Environments.Items {
		wanted[e.UUID] = true
		r.change(func() {
			if r.Of[e.UUID] == nil {
				r.Of[e.UUID] = &part[variable]{}
			}
		})
		err := refresh(ctx, c, r, partOfEnv, r.Of[e.UUID], func() ([]variable, error) {
			return all(c.client.Variables.InEnvironment(repo, e.UUID).List(ctx, nil, withoutValues()), newVariable)
		})
		if err != nil {
			return err
		}
	}
	r.change(func() { maps.DeleteFunc(r.Of, func(uuid string, _ *part[variable]) bool { return !wanted[uuid] }) })
	return nil
}

// readKeys reads the public key of the key pair. Without a pair the service answers 404.
func (c *collector) readKeys(ctx context.Context, r *repository) error {
	return refresh(ctx, c, r, partKeys, &r.Keys, func() ([]key, error) {
		pair, err := c.client.SSH.GetKeyPair(ctx, r.repo())
		switch {
		case errors.Is(err, pipelines.ErrNotFound) && !errors.Is(err, pipelines.ErrRepositoryNotFound):
			return nil, nil
		case err != nil:
			return nil, err
		}
		return []key{{cli.Clean(fingerprint.OfPublicKey(pair.PublicKey))}}, nil
	})
}

func newEnvironment(e *pipelines.Environment) environment {
	return environment{e.UUID, cli.Clean(e.Name)}
}

func newSchedule(s *pipelines.Schedule) schedule {
	return schedule{cli.Clean(s.Target.String()), cli.Clean(s.CronPattern), s.Enabled}
}

func newHost(h *pipelines.KnownHost) host {
	var public pipelines.SSHPublicKey
	if h.PublicKey != nil {
		public = *h.PublicKey
	}
	return host{cli.Clean(h.Hostname), cli.Clean(public.KeyType), cli.Clean(fingerprint.OfHost(public))}
}

func newRunner(r *pipelines.Runner) runner {
	labels := []string{}
	for _, label := range r.Labels {
		labels = append(labels, cli.Clean(label))
	}
	return runner{cli.Clean(r.Name), cli.Clean(r.UUID), cmp.Or(cli.Clean(r.State.String()), "unknown"), cli.RunnerChanged(r).UTC(), labels}
}

// isStale reports whether a runner is not connected, and hasn't been for at least a time.
func (r runner) isStale(age time.Duration, now time.Time) bool {
	return cli.RunnerStale(&pipelines.Runner{State: pipelines.RunnerState{Status: pipelines.RunnerStatus(r.Status), UpdatedOn: r.Changed}}, age, now)
}
