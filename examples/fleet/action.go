package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// action is what a campaign does to each repository. It is idempotent.
type action struct {
	Kind     string `json:"kind"`
	Key      string `json:"key,omitzero"`
	Value    string `json:"value,omitzero"`
	ValueEnv string `json:"value_env,omitzero"` // name of the worker's environment variable with the value; keeps it out of Redis
	Secured  bool   `json:"secured,omitzero"`
	On       bool   `json:"on,omitzero"`
}

const (
	kindVariable  = "variable"
	kindPipelines = "pipelines"
	kindSchedules = "schedules"
	kindReport    = "report"
)

func parseAction(args []string, valueEnv string, secured bool) (action, error) {
	if len(args) == 0 {
		return action{}, errors.New("what is to be done? " + actions)
	}
	a := action{Kind: args[0]}
	rest := args[1:]
	switch a.Kind {
	case kindVariable:
		return a.variable(rest, valueEnv, secured)
	case kindPipelines, kindSchedules:
		if len(rest) != 1 || rest[0] != "on" && rest[0] != "off" {
			return a, fmt.Errorf("%s takes on or off%s", a.Kind, given(rest))
		}
		a.On = rest[0] == "on"
	case kindReport:
		if len(rest) > 0 {
			return a, errors.New("report takes nothing more" + given(rest))
		}
	default:
		return a, fmt.Errorf("no such action: %q. What is to be done? %s", a.Kind, actions)
	}
	if valueEnv != "" || secured {
		return a, errors.New("--value-env and --secured are for variable")
	}
	return a, nil
}

const actions = "variable KEY VALUE, pipelines on|off, schedules on|off, or report"

// given tells how many arguments were given instead of the expected ones. It doesn't show them: a value may be a secret.
func given(rest []string) string {
	return "; " + cli.Count(len(rest), "more word follows", "more words follow")
}

func (a action) variable(rest []string, valueEnv string, secured bool) (action, error) {
	a.ValueEnv, a.Secured = valueEnv, secured
	switch {
	case len(rest) == 2 && valueEnv == "" && secured:
		return a, errors.New("a secured value has no place in Redis: let --value-env name an environment variable of the workers")
	case len(rest) == 2 && valueEnv == "":
		a.Value = rest[1]
	case valueEnv == "":
		return a, errors.New("variable takes KEY VALUE, or KEY alone with --value-env" + given(rest))
	case len(rest) != 1:
		return a, errors.New("variable takes KEY alone with --value-env, which names where the value is" + given(rest))
	}
	if a.Key = rest[0]; a.Key == "" {
		return a, errors.New("variable: KEY is empty")
	}
	return a, nil
}

func (a action) String() string {
	switch a.Kind {
	case kindVariable:
		return "variable " + a.Key
	case kindReport:
		return kindReport
	}
	if a.On {
		return a.Kind + " on"
	}
	return a.Kind + " off"
}

// requests is the approximate number of requests for one repository.
func (a action) requests() int {
	if a.Kind == kindReport {
		return 1
	}
	return 2
}

// columns are the headings of the values that the action reads.
func (a action) columns() []string {
	if a.Kind == kindReport {
		return []string{"last run", "state", "branch", "started", "seconds"}
	}
	return nil
}

// do applies the action to a repository. It returns whether it changed anything, and what it read.
func (a action) do(ctx context.Context, client *pipelines.Client, repo pipelines.Repo) (changed bool, row []string, err error) {
	switch a.Kind {
	case kindVariable:
		changed, err = a.setVariable(ctx, client.Variables.InRepository(repo))
	case kindPipelines:
		changed, err = a.switchPipelines(ctx, client, repo)
	case kindSchedules:
		changed, err = a.switchSchedules(ctx, client, repo)
	case kindReport:
		row, err = lastRun(ctx, client, repo)
	default:
		err = fmt.Errorf("this version of fleet can't do %q", a.Kind)
	}
	return changed, row, err
}

// setVariable plans first: a repository with the right variable costs one request, any other two. A secured value can't be compared, so it
// is written again. A secured variable stays secured unless the action says otherwise.
func (a action) setVariable(ctx context.Context, set *pipelines.VariableSet) (changed bool, err error) {
	wanted := pipelines.VariableRequest{Key: a.Key, Value: a.Value}
	if a.Secured {
		wanted.Secured = &a.Secured
	}
	plan, err := set.Plan(ctx, []pipelines.VariableRequest{wanted}, nil)
	if err != nil || plan.Empty() {
		return false, err
	}
	err = set.Apply(ctx, plan)
	if failed, ok := errors.AsType[*pipelines.SyncError](err); ok {
		err = failed.Failed[0].Err // there is only one change, so no progress to report
	}
	return err == nil, err
}

func (a action) switchPipelines(ctx context.Context, client *pipelines.Client, repo pipelines.Repo) (changed bool, err error) {
	config, err := client.Config.Get(ctx, repo)
	if err != nil && !errors.Is(err, pipelines.ErrNotFound) { // no configuration: Pipelines was never enabled
		return false, err
	}
	if err == nil && config.Enabled == a.On {
		return false, nil
	}
	_, err = client.Config.Update(ctx, repo, pipelines.ConfigUpdate{Enabled: &a.On})
	return err == nil, err
}

func (a action) switchSchedules(ctx context.Context, client *pipelines.Client, repo pipelines.Repo) (changed bool, err error) {
	for schedule, err := range client.Schedules.List(ctx, repo, nil).All() {
		if err != nil {
			return changed, err
		}
		if schedule.Enabled == a.On {
			continue
		}
		if _, err := client.Schedules.Update(ctx, repo, schedule.UUID, pipelines.ScheduleUpdate{Enabled: &a.On}); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

// lastRun is a row of the report.
func lastRun(ctx context.Context, client *pipelines.Client, repo pipelines.Repo) ([]string, error) {
	p, err := client.Pipelines.List(ctx, repo, &pipelines.ListPipelinesOptions{Sort: pipelines.SortNewestFirst}).First()
	switch {
	case errors.Is(err, pipelines.ErrEmptyList):
		return []string{"", "never ran", "", "", ""}, nil
	case err != nil:
		return nil, err
	}
	state := string(p.State.Name)
	if p.State.Result != nil {
		state = string(p.State.Result.Name)
	}
	started := ""
	if !p.CreatedOn.IsZero() {
		started = p.CreatedOn.UTC().Format(time.RFC3339)
	}
	return []string{strconv.Itoa(p.BuildNumber), state, cli.RefName(p.Target), started, strconv.Itoa(p.DurationInSeconds)}, nil
}
