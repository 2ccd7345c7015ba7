package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// SyncOptions vary [VariableSet.Plan].
type SyncOptions struct {
	Prune   bool        // delete the variables that are not wanted
	Secured SecuredSync // whether secured values, which nobody can compare, are written
}

// SecuredSync says when a secured variable that is there already is written.
type SecuredSync int

// A secured value can be written but not read, so that nobody can tell whether it is the wanted one.
const (
	SecuredAlways    SecuredSync = iota // with each plan: what is there is what is wanted
	SecuredIfMissing                    // never: only one that is missing, or not secured yet, is written
)

// SyncPlan is what has to be done for a scope to have the wanted variables. Make one with [VariableSet.Plan], look at it, and
// give it to [VariableSet.Apply].
type SyncPlan struct {
	Create    []Variable       // what is missing
	Update    []VariableChange // what is another, or secured
	Delete    []Variable       // what is not wanted; only with SyncOptions.Prune
	Unchanged []Variable       // what is as wanted

	scope string // the path of the list it was made from
}

// VariableChange is a variable as it is and as it is to be.
type VariableChange struct {
	Before, After Variable
}

// plainVariableChange is a VariableChange without its methods.
type plainVariableChange VariableChange

// Format implements [fmt.Formatter]: secured values are masked under every verb.
func (c VariableChange) Format(f fmt.State, verb rune) { formatMasked(f, verb, plainVariableChange(c)) }

// Empty reports whether there is nothing to do.
func (p *SyncPlan) Empty() bool { return len(p.Create)+len(p.Update)+len(p.Delete) == 0 }

// String is the plan as a diff, a line for each change: "+" is created, "~" is changed, "-" is deleted. Secured values are
// masked.
func (p *SyncPlan) String() string {
	if p == nil {
		return "no plan"
	}
	var b strings.Builder
	for _, v := range p.Create {
		fmt.Fprintf(&b, "+ %s = %s\n", oneLine(v.Key), shownValue(v))
	}
	for _, c := range p.Update {
		fmt.Fprintf(&b, "~ %s = %s\n", oneLine(c.After.Key), c.shown())
	}
	for _, v := range p.Delete {
		fmt.Fprintf(&b, "- %s\n", oneLine(v.Key))
	}
	fmt.Fprintf(&b, "%d to create, %d to change, %d to delete, %d unchanged", len(p.Create), len(p.Update), len(p.Delete), len(p.Unchanged))
	return b.String()
}

// Format implements [fmt.Formatter]: every verb prints [SyncPlan.String].
func (p *SyncPlan) Format(f fmt.State, _ rune) { fmt.Fprint(f, p.String()) }

// LogValue implements [slog.LogValuer]: it tells how much there is to do.
func (p *SyncPlan) LogValue() slog.Value {
	if p == nil {
		return slog.StringValue(p.String())
	}
	return slog.GroupValue(slog.Int("create", len(p.Create)), slog.Int("update", len(p.Update)),
		slog.Int("delete", len(p.Delete)), slog.Int("unchanged", len(p.Unchanged)))
}

func shownValue(v Variable) string {
	if v.Secured {
		return masked + " (secured)"
	}
	return fmt.Sprintf("%q", v.Value)
}

// shown doesn't tell a value that becomes secured: it is often the secret already.
func (c VariableChange) shown() string {
	switch {
	case c.Before.Secured && c.After.Secured:
		return shownValue(c.After) + ", written anew"
	case c.After.Secured:
		return shownValue(c.After) + ", in the clear before"
	case c.Before.Secured:
		return shownValue(c.After) + ", secured before"
	}
	return fmt.Sprintf("%q -> %q", c.Before.Value, c.After.Value)
}

// Plan compares the wanted variables, by their keys, with those that are there, and says what [VariableSet.Apply] would do.
// It only reads, a request for each hundred variables. A wanted variable without a key and one that is wanted twice are an
// [ErrInvalidArgument].
//
// API: as [VariableSet.List].
//
// Scope: pipeline.
func (v *VariableSet) Plan(ctx context.Context, desired []Variable, o *SyncOptions) (*SyncPlan, error) {
	if o == nil {
		o = &SyncOptions{}
	}
	at := v.at(v.ops.list)
	if err := checkDesired(desired); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Plan: %w", err)
	}
	there, err := v.List(ctx, nil).Collect()
	if err != nil {
		return nil, err
	}
	for _, one := range there {
		if one.Key == "" { // which would be deleted as one that is not wanted
			return nil, fmt.Errorf("pipelines: Variables.Plan: variable %q is listed without a key that can be read", one.UUID)
		}
	}
	there = v.client.created.addMissing(at.path, there)
	plan := &SyncPlan{scope: at.path}
	byKey := make(map[string]*Variable, len(there))
	for _, one := range slices.Backward(there) { // the first of a key counts
		byKey[one.Key] = one
	}
	wanted := make(map[string]bool, len(desired))
	for _, one := range desired {
		wanted[one.Key] = true
		plan.compare(byKey[one.Key], one, o.Secured)
	}
	for _, one := range there {
		if o.Prune && !wanted[one.Key] {
			plan.Delete = append(plan.Delete, *one)
		}
	}
	slices.SortStableFunc(plan.Delete, func(a, b Variable) int { return cmp.Compare(a.Key, b.Key) })
	return plan, nil
}

func checkDesired(desired []Variable) error {
	seen := make(map[string]bool, len(desired))
	for i, one := range desired {
		switch {
		case one.Key == "":
			return invalidArgument("desired[%d] has no key", i)
		case seen[one.Key]:
			return invalidArgument("desired has %q twice", one.Key)
		}
		seen[one.Key] = true
	}
	return nil
}

func (p *SyncPlan) compare(there *Variable, wanted Variable, secured SecuredSync) {
	switch {
	case there == nil:
		p.Create = append(p.Create, wanted)
	case there.Secured && wanted.Secured && secured == SecuredIfMissing,
		!there.Secured && !wanted.Secured && there.Value == wanted.Value:
		p.Unchanged = append(p.Unchanged, *there)
	default:
		wanted.Type, wanted.UUID = there.Type, there.UUID
		p.Update = append(p.Update, VariableChange{*there, wanted})
	}
}

// SyncError says where [VariableSet.Apply] has stopped. Unwrap gives the cause.
type SyncError struct {
	Done   []string // what was done before, such as "create KEY", in its order
	Failed string   // what was not, or not for sure
	Left   int      // how many changes were not tried
	Err    error    // the cause; an [ErrOutcomeUnknown] where Failed may have been done
}

// Error tells what failed, why, and what was done before.
func (e *SyncError) Error() string {
	done := "nothing was done before"
	if len(e.Done) > 0 {
		done = fmt.Sprintf("done before: %s", strings.Join(e.Done, ", "))
	}
	return printable(fmt.Sprintf("pipelines: Variables.Apply: %s: %s (%s; %d not tried)", e.Failed, errorText(e.Err), done, e.Left))
}

// Unwrap returns the cause.
func (e *SyncError) Unwrap() error { return e.Err }

// Apply does what a plan of this scope says: it creates, then changes, then deletes, and stops at the first error, a
// [SyncError] that tells what was done. A new plan then has the rest.
//
// A plan may have grown old, and applying one twice does no harm: a variable that has come into being since is overwritten,
// one to be changed that is gone is created, and one to be deleted that is gone counts as deleted. After a creation of
// unknown outcome it looks, so that no key is created twice.
//
// API: as [VariableSet.Create], [VariableSet.Update] and [VariableSet.Delete].
//
// Scope: pipeline:variable.
func (v *VariableSet) Apply(ctx context.Context, plan *SyncPlan) error {
	switch {
	case plan == nil:
		return fmt.Errorf("pipelines: Variables.Apply: %w", invalidArgument("plan is nil"))
	case plan.scope != v.at(v.ops.list).path:
		return fmt.Errorf("pipelines: Variables.Apply: %w", invalidArgument("the plan was made for other variables"))
	}
	var changes []syncChange
	for _, one := range plan.Create {
		changes = append(changes, syncChange{"create " + one.Key, func() error { _, err := v.createOrOverwrite(ctx, one, nil); return err }})
	}
	for _, c := range plan.Update {
		changes = append(changes, syncChange{"update " + c.After.Key, func() error { return v.overwriteOrCreate(ctx, c) }})
	}
	for _, one := range plan.Delete {
		changes = append(changes, syncChange{"delete " + one.Key, func() error { return v.deleteIfThere(ctx, one.UUID) }})
	}
	return applyAll(changes)
}

// syncChange is one change of a plan.
type syncChange struct {
	name string
	do   func() error
}

func applyAll(changes []syncChange) error {
	var done []string
	for i, change := range changes {
		if err := change.do(); err != nil {
			return &SyncError{Done: done, Failed: change.name, Left: len(changes) - i - 1, Err: err}
		}
		done = append(done, change.name)
	}
	return nil
}

func (v *VariableSet) overwriteOrCreate(ctx context.Context, c VariableChange) error {
	_, err := v.overwrite(ctx, c.Before.UUID, c.After, nil)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	v.client.created.remove(v.at(v.ops.list).path, c.Before.UUID)
	_, err = v.createOrOverwrite(ctx, c.After, nil)
	return err
}

func (v *VariableSet) deleteIfThere(ctx context.Context, id string) error {
	err := v.Delete(ctx, id)
	if errors.Is(err, ErrNotFound) {
		v.client.created.remove(v.at(v.ops.list).path, id)
		return nil
	}
	return err
}
