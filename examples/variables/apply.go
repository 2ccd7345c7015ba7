package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// makePlan compares the file with the variables, and prints the result.
func (s *job) makePlan(ctx context.Context) (*pipelines.SyncPlan, error) {
	wanted, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.findSet(ctx); err != nil {
		return nil, err
	}
	o := pipelines.SyncOptions{Prune: s.prune}
	if s.keepSecured {
		o.Secured = pipelines.SecuredIfMissing
	}
	there, err := s.list(ctx)
	if err == nil {
		err = there.protect(wanted)
	}
	if err != nil {
		return nil, err
	}
	plan, err := pipelines.PlanVariables(there.variables, wanted, &o)
	if err != nil {
		return nil, s.withoutValue(wanted, err)
	}
	kept := s.keepUnnamed(plan)
	fmt.Fprintln(s.env.Stdout, s.masked(plan))
	if len(kept) > 0 {
		fmt.Fprintf(s.env.Stdout, "Not deleted, since an exported .env file lacks secured variables: %s. A YAML file without them deletes them.\n", names(kept))
	}
	return plan, nil
}

// withoutValue explains the SDK's error for a variable that is secured, or is to be, and has no value.
func (s *job) withoutValue(wanted []pipelines.VariableRequest, err error) error {
	for _, one := range wanted {
		if one.Value != "" || !errors.Is(err, pipelines.ErrInvalidArgument) || !strings.Contains(err.Error(), strconv.Quote(one.Key)) {
			continue
		}
		if s.keepSecured {
			return fmt.Errorf("%s: %s has no value, which it needs: it isn't secured yet, and --keep-secured keeps only what is", s.nameOfFile(), one.Key)
		}
		return fmt.Errorf("%s: %s is secured, and its value is empty: write a value, or use --keep-secured to leave it as it is", s.nameOfFile(), one.Key)
	}
	return err
}

// masked returns the plan as a text. What comes from the environment or a command is masked, and so is what it replaces, which may be from there.
func (s *job) masked(plan *pipelines.SyncPlan) string {
	const mask = "******"
	shown := *plan
	shown.Create, shown.Update = slices.Clone(plan.Create), slices.Clone(plan.Update)
	for i, one := range shown.Create {
		if s.hidden[one.Key] != "" {
			shown.Create[i].Value = mask
		}
	}
	for i, change := range shown.Update {
		if s.hidden[change.After.Key] != "" {
			shown.Update[i].Before.Value, shown.Update[i].After.Value = mask, mask
		}
	}
	return strings.ReplaceAll(shown.String(), strconv.Quote(mask), mask)
}

// keepUnnamed takes secured variables that a .env file doesn't have out of the plan's deletions, and returns their keys: export can't write
// them to such a file, and what is deleted can't be read back.
func (s *job) keepUnnamed(plan *pipelines.SyncPlan) []string {
	var kept []string
	if isDotenv(s.file) {
		plan.Delete = slices.DeleteFunc(plan.Delete, func(v pipelines.Variable) bool {
			if v.Secured {
				kept = append(kept, v.Key)
			}
			return v.Secured
		})
	}
	return kept
}

// maskedError is an error with another text.
type maskedError struct {
	error
	text string
}

func (e maskedError) Error() string { return e.text }
func (e maskedError) Unwrap() error { return e.error }

// withoutHidden returns an error without the values that a plan masks: the service may repeat them. Short ones stay, as they occur in any text.
func (s *job) withoutHidden(err error) error {
	const shortest = 4
	text := err.Error()
	longestFirst := func(a, b string) int { return cmp.Compare(len(b), len(a)) } // one may be a part of another
	for _, value := range slices.SortedFunc(maps.Values(s.hidden), longestFirst) {
		if len(value) >= shortest {
			text = strings.ReplaceAll(text, value, "******")
		}
	}
	return maskedError{err, text}
}

func (s *job) plan(ctx context.Context) (int, error) {
	plan, err := s.makePlan(ctx)
	if err != nil || plan.Empty() {
		return cli.Success, err
	}
	return cli.Failure, nil
}

func (s *job) apply(ctx context.Context) (int, error) {
	plan, err := s.makePlan(ctx)
	if err != nil || plan.Empty() {
		return cli.Success, err
	}
	if s.dryRun {
		fmt.Fprintln(s.env.Stdout, "This was a dry run: nothing was changed.")
		return cli.Success, nil
	}
	err = s.set.Apply(ctx, plan)
	waitErr := s.awaitListed(ctx, created(plan, err))
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w. %s", s.withoutHidden(err), s.whatNext(ctx, err))
	case waitErr != nil:
		return 0, waitErr
	}
	fmt.Fprintln(s.env.Stdout, "Done.")
	return cli.Success, nil
}

// whatNext says what to do after an error of Apply. The service refuses a key that differs from another in upper and lower case only, each time.
func (s *job) whatNext(ctx context.Context, err error) string {
	failed, ok := errors.AsType[*pipelines.SyncError](err)
	if ok && errors.Is(err, pipelines.ErrConflict) {
		listed, _ := s.set.List(ctx, nil).Collect()
		for _, change := range failed.Failed {
			for _, v := range listed {
				if change.Action == "create" && v.Key != change.Key && strings.EqualFold(v.Key, change.Key) {
					there := cli.Clean(v.Key)
					return fmt.Sprintf("For the service, %s is the same as %s, which exists: delete %[2]s first, or call it so in the file",
						cli.Clean(change.Key), there)
				}
			}
		}
	}
	return "Run apply again for the rest"
}

// created returns the keys of the variables that Apply has created, given its error.
func created(plan *pipelines.SyncPlan, err error) []string {
	var keys []string
	if err == nil {
		for _, one := range plan.Create {
			keys = append(keys, one.Key)
		}
	}
	if failed, ok := errors.AsType[*pipelines.SyncError](err); ok {
		for _, change := range failed.Done {
			if change.Action == "create" {
				keys = append(keys, change.Key)
			}
		}
	}
	return keys
}

// How long, and how often, apply looks whether what it has created is listed. Five seconds were seen.
const (
	maxListDelay = 20 * time.Second
	listInterval = 2 * time.Second
)

// awaitListed waits until the service lists an environment's variables that were created, which it does some seconds late. Until then another
// run of this program, which can't know them, would plan to create them again or export a file without them. It returns an error only if the
// context ends.
func (s *job) awaitListed(ctx context.Context, keys []string) error {
	if s.environment == "" {
		return nil
	}
	for waited := time.Duration(0); len(keys) > 0; waited += listInterval {
		listed, err := s.set.List(ctx, nil).Collect()
		keys = slices.DeleteFunc(keys, func(key string) bool {
			return slices.ContainsFunc(listed, func(v *pipelines.Variable) bool { return v.Key == key })
		})
		switch {
		case len(keys) == 0:
			return nil
		case ctx.Err() != nil:
		case err != nil:
			fmt.Fprintf(s.env.Stderr, "Whether the service lists what was created isn't known: %s\n", cli.Clean(cli.Message(err)))
			return nil
		case waited >= maxListDelay:
			fmt.Fprintf(s.env.Stderr, "The service doesn't list %s yet, although created: for now, plan and export may lack that.\n", names(keys))
			return nil
		case waited == 0:
			fmt.Fprintf(s.env.Stderr, "Waiting until the service lists what was created, some seconds: %s\n", names(keys))
		}
		if cli.Pause(ctx, listInterval) != nil {
			return fmt.Errorf("all changes were made, but the service doesn't list %s yet: for now, plan and export may lack that", names(keys))
		}
	}
	return nil
}

// names joins keys for a person: of many, the first ten.
func names(keys []string) string {
	const limit = 10
	var all []string
	for _, key := range keys[:min(len(keys), limit)] {
		all = append(all, cli.Clean(key))
	}
	if more := len(keys) - limit; more > 0 {
		all = append(all, fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}
