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

// SyncOptions are the options of [VariableSet.Plan].
type SyncOptions struct {
	Prune   bool        // delete the variables that are not wanted
	Secured SecuredSync // whether secured values, which nobody can compare, are written
}

// SecuredSync says when a secured variable that is there already is written.
type SecuredSync int

// The service never returns a secured value, so a plan can't tell whether it is the wanted one.
const (
	SecuredAlways    SecuredSync = iota // each plan writes it, so that it is the wanted one afterwards
	SecuredIfMissing                    // a plan writes it if it is missing or not secured yet
)

// SyncPlan lists what to change so that a [VariableSet] has the wanted variables. Make one with [VariableSet.Plan], check it, and
// pass it to [VariableSet.Apply].
type SyncPlan struct {
	Create    []VariableRequest // missing
	Update    []VariableChange  // value or protection differs, or a secured value to rewrite
	Delete    []Variable        // not wanted; only with SyncOptions.Prune
	Unchanged []Variable        // as wanted, and with SecuredIfMissing the secured ones

	scope string          // the path of the list it was made from
	asIs  map[string]bool // keys that nobody wanted opened
}

// VariableChange is a variable before and after an update.
type VariableChange struct {
	Before Variable
	After  VariableRequest // Secured is never nil
}

// plainVariableChange is a VariableChange without its methods.
type plainVariableChange VariableChange

// Format implements [fmt.Formatter]: secured values are masked under every verb.
func (c VariableChange) Format(f fmt.State, verb rune) { formatMasked(f, verb, plainVariableChange(c)) }

// Empty reports whether there is nothing to do.
func (p *SyncPlan) Empty() bool { return len(p.Create)+len(p.Update)+len(p.Delete) == 0 }

// String returns the plan as a diff with a line for each change: "+" is created, "~" is changed, "-" is deleted. Secured values
// are masked.
func (p *SyncPlan) String() string {
	if p == nil {
		return "no plan"
	}
	var b strings.Builder
	for _, r := range p.Create {
		fmt.Fprintf(&b, "+ %s = %s\n", oneLine(r.Key), shownValue(r))
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

// LogValue implements [slog.LogValuer]: it is the number of changes of each kind.
func (p *SyncPlan) LogValue() slog.Value {
	if p == nil {
		return slog.StringValue(p.String())
	}
	return slog.GroupValue(slog.Int("create", len(p.Create)), slog.Int("update", len(p.Update)),
		slog.Int("delete", len(p.Delete)), slog.Int("unchanged", len(p.Unchanged)))
}

// shownValue shows a value only where the request says that it isn't secured.
func shownValue(r VariableRequest) string {
	switch {
	case r.Secured == nil:
		return masked
	case *r.Secured:
		return masked + " (secured)"
	}
	return fmt.Sprintf("%q", r.Value)
}

// shown doesn't tell a value that becomes secured: it is often the secret already.
func (c VariableChange) shown() string {
	secured := c.After.Secured == nil || *c.After.Secured
	switch {
	case c.Before.Secured && secured:
		return shownValue(c.After) + ", written anew"
	case secured:
		return shownValue(c.After) + ", in the clear before"
	case c.Before.Secured:
		return shownValue(c.After) + ", secured before"
	}
	return fmt.Sprintf("%q -> %q", c.Before.Value, c.After.Value)
}

// Plan compares the wanted variables, by their keys, with those that are there, and returns what [VariableSet.Apply] would do.
// It only reads, with one request for each hundred variables. o may be nil. A wanted variable without a key, one that is wanted
// twice, and an empty value for a secured variable are an [ErrInvalidArgument]; under [SecuredIfMissing] the value of a secured
// variable that is there may be empty.
//
// API: as [VariableSet.List].
//
// Scope: pipeline.
func (v *VariableSet) Plan(
	ctx context.Context, wanted []VariableRequest, o *SyncOptions, opts ...CallOption,
) (*SyncPlan, error) {
	if o == nil {
		o = &SyncOptions{}
	}
	at := v.at(v.ops.list)
	if err := checkWanted(wanted); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Plan: %w", err)
	}
	there, err := v.List(ctx, nil, opts...).Collect()
	if err != nil {
		return nil, err
	}
	for _, one := range there {
		if one.Key == "" { // which would be deleted as one that is not wanted
			return nil, fmt.Errorf("pipelines: Variables.Plan: variable %q is listed without a key that can be read", one.UUID)
		}
	}
	there = v.client.created.addMissing(at.path, there)
	plan := &SyncPlan{scope: at.path, asIs: make(map[string]bool)}
	byKey := make(map[string]*Variable, len(there))
	for _, one := range slices.Backward(there) { // the first of a key counts
		byKey[one.Key] = one
	}
	keys := make(map[string]bool, len(wanted))
	for _, one := range wanted {
		keys[one.Key] = true
		if err := plan.compare(byKey[one.Key], one, o.Secured); err != nil {
			return nil, fmt.Errorf("pipelines: Variables.Plan: %w", err)
		}
	}
	for _, one := range there {
		if o.Prune && !keys[one.Key] {
			plan.Delete = append(plan.Delete, *one)
		}
	}
	slices.SortStableFunc(plan.Delete, func(a, b Variable) int { return cmp.Compare(a.Key, b.Key) })
	return plan, nil
}

func checkWanted(wanted []VariableRequest) error {
	seen := make(map[string]bool, len(wanted))
	for i, one := range wanted {
		switch {
		case one.Key == "":
			return invalidArgument("wanted[%d] has no key", i)
		case seen[one.Key]:
			return invalidArgument("wanted has %q twice", one.Key)
		}
		seen[one.Key] = true
	}
	return nil
}

func (p *SyncPlan) compare(there *Variable, wanted VariableRequest, policy SecuredSync) error {
	secured := wanted.secured(there)
	if there != nil && there.Secured && secured && policy == SecuredIfMissing {
		p.Unchanged = append(p.Unchanged, *there)
		return nil
	}
	if err := wanted.check(there); err != nil {
		return err
	}
	p.asIs[wanted.Key] = wanted.Secured == nil
	wanted.Secured = &secured
	switch {
	case there == nil:
		p.Create = append(p.Create, wanted)
	case !there.Secured && !secured && there.Value == wanted.Value:
		p.Unchanged = append(p.Unchanged, *there)
	default:
		p.Update = append(p.Update, VariableChange{*there, wanted})
	}
	return nil
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
// A plan may have grown old, and applying one twice does no harm: a variable that was created since is overwritten, and one to
// be changed that is gone is created. One to be deleted that is gone counts as deleted once a list shows that it isn't there: a
// 404 alone may mean that the credentials no longer see the scope. After a creation of unknown outcome it lists the variables
// again, so that no key is created twice.
//
// API: as [VariableSet.Create], [VariableSet.Update], [VariableSet.Delete] and [VariableSet.List].
//
// Scope: pipeline:variable.
func (v *VariableSet) Apply(ctx context.Context, plan *SyncPlan, opts ...CallOption) error {
	switch {
	case plan == nil:
		return fmt.Errorf("pipelines: Variables.Apply: %w", invalidArgument("plan is nil"))
	case plan.scope != v.at(v.ops.list).path:
		return fmt.Errorf("pipelines: Variables.Apply: %w", invalidArgument("the plan was made for other variables"))
	}
	a := applier{ctx: ctx, set: v, asIs: plan.asIs, opts: opts}
	var changes []syncChange
	for _, one := range plan.Create {
		changes = append(changes, syncChange{"create " + one.Key, func() error { return a.create(one) }})
	}
	for _, c := range plan.Update {
		changes = append(changes, syncChange{"update " + c.After.Key, func() error { return a.update(c) }})
	}
	for _, one := range plan.Delete {
		changes = append(changes, syncChange{"delete " + one.Key, func() error { return a.delete(one.UUID) }})
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

// applier is one Apply.
type applier struct {
	ctx    context.Context //nolint:containedctx // of one Apply
	set    *VariableSet
	asIs   map[string]bool // as the plan's
	opts   []CallOption
	listed map[string]bool // UUIDs of the variables when a deletion was last answered 404; nil: none was
}

// create lets a variable that was created since, and secured, stay so where nobody wanted it opened.
func (a *applier) create(one VariableRequest) error {
	if a.asIs[one.Key] && one.Secured != nil && !*one.Secured {
		one.Secured = nil
	}
	_, err := a.set.createOrOverwrite(a.ctx, one, a.opts)
	return err
}

func (a *applier) update(c VariableChange) error {
	_, err := a.set.overwrite(a.ctx, &c.Before, c.After, a.opts)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	a.set.client.created.remove(a.set.at(a.set.ops.list).path, c.Before.UUID)
	return a.create(c.After)
}

func (a *applier) delete(id string) error {
	err := a.set.Delete(a.ctx, id, a.opts...)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	if a.listed == nil || a.listed[id] {
		if listErr := a.list(); listErr != nil {
			return fmt.Errorf("%w; whether the variable is gone is unknown: %w", err, listErr)
		}
	}
	if a.listed[id] { // the service says both
		return err
	}
	a.set.client.created.remove(a.set.at(a.set.ops.list).path, id)
	return nil
}

func (a *applier) list() error {
	there, err := a.set.List(a.ctx, nil, a.opts...).Collect()
	if err != nil {
		return err
	}
	a.listed = make(map[string]bool, len(there))
	for _, one := range there {
		if one.UUID == "" { // it may be the one that was to be deleted
			return fmt.Errorf("pipelines: Variables.Apply: variable %q is listed without a UUID that can be read", one.Key)
		}
		a.listed[one.UUID] = true
	}
	return nil
}
