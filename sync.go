package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// SyncOptions are the options of [VariableSet.Plan].
type SyncOptions struct {
	Prune   bool        // delete the variables that are not wanted
	Secured SecuredSync // whether to rewrite secured values, which can't be compared
}

// SecuredSync says when an existing secured variable is rewritten.
type SecuredSync int

// The service never returns a secured value, so a plan can't compare it with the wanted one.
const (
	SecuredAlways    SecuredSync = iota // every plan rewrites it
	SecuredIfMissing                    // a plan writes it only if it is missing or not secured yet
)

// SyncPlan lists the changes after which a [VariableSet] has the wanted variables. Make one with [VariableSet.Plan], review it, and
// pass it to [VariableSet.Apply].
type SyncPlan struct {
	Create    []VariableRequest // missing
	Update    []VariableChange  // value or protection differs, or a secured value to rewrite
	Delete    []Variable        // not wanted; only with SyncOptions.Prune
	Unchanged []Variable        // as wanted, and with SecuredIfMissing the secured ones

	listPath       string          // of the variables that the plan was made for
	keepProtection map[string]bool // keys whose request left Secured nil
}

// VariableChange is a variable before and after an update.
type VariableChange struct {
	Before Variable
	After  VariableRequest // Secured is never nil
}

// plainVariableChange is a VariableChange without its methods.
type plainVariableChange VariableChange

// Format implements [fmt.Formatter]: every verb masks secured values.
func (c VariableChange) Format(f fmt.State, verb rune) { formatMasked(f, verb, plainVariableChange(c)) }

// Empty reports whether the plan changes nothing.
func (p *SyncPlan) Empty() bool { return len(p.Create)+len(p.Update)+len(p.Delete) == 0 }

// String returns the plan as a diff with one line for each change: "+" creates, "~" updates, "-" deletes. Secured values are
// masked.
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

// LogValue implements [slog.LogValuer]. It is the number of changes of each kind.
func (p *SyncPlan) LogValue() slog.Value {
	if p == nil {
		return slog.StringValue(p.String())
	}
	return slog.GroupValue(slog.Int("create", len(p.Create)), slog.Int("update", len(p.Update)),
		slog.Int("delete", len(p.Delete)), slog.Int("unchanged", len(p.Unchanged)))
}

// shownValue returns the value if Secured points to false, and else a mask.
func shownValue(r VariableRequest) string {
	switch {
	case r.Secured == nil:
		return masked
	case *r.Secured:
		return masked + " (secured)"
	}
	return fmt.Sprintf("%q", r.Value)
}

// shown formats the change. If the variable becomes secured, it masks the old value too, which often is the secret already.
func (c VariableChange) shown() string {
	secured := c.After.Secured == nil || *c.After.Secured
	switch {
	case c.Before.Secured && secured:
		return shownValue(c.After) + ", rewritten"
	case secured:
		return shownValue(c.After) + ", was not secured"
	case c.Before.Secured:
		return shownValue(c.After) + ", was secured"
	}
	return fmt.Sprintf("%q -> %q", c.Before.Value, c.After.Value)
}

// Plan compares the wanted variables with the existing ones, by their exact keys, and returns what [VariableSet.Apply] would
// change. It only reads, with one request for each hundred variables. o may be nil.
//
// A wanted variable without a key, a key that is wanted twice, and an empty value for a secured variable are an
// [ErrInvalidArgument]. With [SecuredIfMissing], the value for an existing secured variable may be empty. Partial responses must
// have values.uuid, values.key, values.value and values.secured; otherwise the error is an [ErrInvalidArgument] too.
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
	if err := validateWanted(wanted); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Plan: %w", err)
	}
	existing, err := v.List(ctx, nil, opts...).collectWith("values", "values.uuid", "values.key", "values.value", "values.secured")
	if err != nil {
		return nil, err
	}
	for _, one := range existing {
		if one.Key == "" { // Prune would delete it
			return nil, fmt.Errorf("pipelines: Variables.Plan: %w", listedWithout("key", one))
		}
	}
	plan := &SyncPlan{listPath: v.at(v.ops.list).path, keepProtection: make(map[string]bool)}
	if err := plan.compareAll(v.created().appendUnlisted(existing), wanted, o); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Plan: %w", err)
	}
	return plan, nil
}

func validateWanted(wanted []VariableRequest) error {
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

// compareAll adds the changes that lead from the existing variables to the wanted ones.
func (p *SyncPlan) compareAll(existing []*Variable, wanted []VariableRequest, o *SyncOptions) error {
	byKey := make(map[string]*Variable, len(existing))
	for _, one := range slices.Backward(existing) { // of several with one key the first wins
		byKey[one.Key] = one
	}
	keys := make(map[string]bool, len(wanted))
	for _, one := range wanted {
		keys[one.Key] = true
		if err := p.compare(byKey[one.Key], one, o.Secured); err != nil {
			return err
		}
	}
	for _, one := range existing {
		if o.Prune && !keys[one.Key] {
			p.Delete = append(p.Delete, *one)
		}
	}
	slices.SortStableFunc(p.Delete, func(a, b Variable) int { return cmp.Compare(a.Key, b.Key) })
	return nil
}

// compare adds the change that leads from an existing variable, or nil, to the wanted one.
func (p *SyncPlan) compare(existing *Variable, wanted VariableRequest, policy SecuredSync) error {
	secured := wanted.secured(existing)
	if existing != nil && existing.Secured && secured && policy == SecuredIfMissing {
		p.Unchanged = append(p.Unchanged, *existing)
		return nil
	}
	if err := wanted.validate(existing); err != nil {
		return err
	}
	p.keepProtection[wanted.Key] = wanted.Secured == nil
	wanted.Secured = &secured
	switch {
	case existing == nil:
		p.Create = append(p.Create, wanted)
	case !existing.Secured && !secured && existing.Value == wanted.Value:
		p.Unchanged = append(p.Unchanged, *existing)
	default:
		p.Update = append(p.Update, VariableChange{*existing, wanted})
	}
	return nil
}

// SyncError says at which change [VariableSet.Apply] stopped. Unwrap returns the cause.
type SyncError struct {
	Done   []string // the changes made before, such as "create KEY", in order
	Failed string   // the change that failed
	Left   int      // how many changes were not tried
	Err    error    // the cause; if it is an [ErrOutcomeUnknown], Failed may have been done
}

// Error returns the change that failed, the cause, and the changes made before.
func (e *SyncError) Error() string {
	done := "nothing was done before"
	if len(e.Done) > 0 {
		done = fmt.Sprintf("done before: %s", strings.Join(e.Done, ", "))
	}
	return redact.Printable(fmt.Sprintf("pipelines: Variables.Apply: %s: %s (%s; %d not tried)", e.Failed, errorText(e.Err), done, e.Left))
}

// Unwrap returns the cause.
func (e *SyncError) Unwrap() error { return e.Err }

// Apply makes the changes of a plan for this VariableSet: it creates, then updates, then deletes. It stops at the first error and
// returns a [SyncError]. Make a new plan for the remaining changes.
//
// The variables may have changed since the plan was made, and a plan may be applied twice. Apply overwrites a variable that was
// created meanwhile, and creates one to update that was deleted meanwhile. If one to delete is not found, Apply lists the
// variables and counts it as deleted if it isn't listed: a 404 alone may mean that the credentials lost access. After a creation
// of unknown outcome it lists the variables too, so that no key is created twice.
//
// API: as [VariableSet.Create], [VariableSet.Update], [VariableSet.Delete] and [VariableSet.List].
//
// Scope: pipeline:variable; API tokens need read:pipeline:bitbucket and admin:pipeline:bitbucket.
func (v *VariableSet) Apply(ctx context.Context, plan *SyncPlan, opts ...CallOption) error {
	switch {
	case plan == nil:
		return fmt.Errorf("pipelines: Variables.Apply: %w", invalidArgument("plan is nil"))
	case plan.listPath != v.at(v.ops.list).path:
		return fmt.Errorf("pipelines: Variables.Apply: %w", invalidArgument("the plan was made for other variables"))
	}
	a := applier{ctx: ctx, set: v, keepProtection: plan.keepProtection, opts: opts}
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

// applier is the state of one Apply.
type applier struct {
	ctx            context.Context //nolint:containedctx // of one Apply
	set            *VariableSet
	keepProtection map[string]bool // of the plan
	opts           []CallOption
	listed         map[string]bool // UUIDs as last listed, after a deletion that got a 404; nil: not listed yet
}

// create keeps the protection of a secured variable that was created meanwhile, unless the caller asked to remove it.
func (a *applier) create(one VariableRequest) error {
	if a.keepProtection[one.Key] && one.Secured != nil && !*one.Secured {
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
	a.set.created().remove(c.Before.UUID)
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
	if a.listed[id] { // the 404 contradicts the list
		return err
	}
	a.set.created().remove(id)
	return nil
}

func (a *applier) list() error {
	existing, err := a.set.List(a.ctx, nil, a.opts...).collectWith("values", "values.uuid")
	if err != nil {
		return err
	}
	a.listed = make(map[string]bool, len(existing))
	for _, one := range existing {
		if one.UUID == "" { // it may be the one to delete
			return fmt.Errorf("pipelines: Variables.Apply: %w", listedWithout("UUID", one))
		}
		a.listed[one.UUID] = true
	}
	return nil
}
