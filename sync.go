package pipelines

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// SyncOptions are the options of [VariableSet.Plan] and [PlanVariables].
type SyncOptions struct {
	Prune   bool        // delete the variables that are not wanted
	Secured SecuredSync // whether to rewrite secured values, which can't be compared

	// Rewrite decides in place of Secured whether the existing secured variable there is rewritten with the wanted value. It is
	// called while the plan is made. A program that keeps an HMAC of each value that it has written can tell whether it wants
	// another one now. A plain hash doesn't do: whoever reads it can guess the value. Nil: Secured decides. A variable that isn't
	// secured, or isn't to be any longer, is compared without Rewrite.
	Rewrite func(there Variable, wanted VariableRequest) bool

	// Verify makes [VariableSet.Apply] list the variables before it changes any. If one that the plan names, also in Unchanged,
	// isn't as it was when the plan was made, Apply changes nothing and returns an [ErrPlanStale], which names it. A variable that
	// somebody creates after that list is not overwritten: its creation is an [ErrConflict]. What can't be seen is that a secured
	// value was changed, and what somebody changes between that list and the write.
	Verify bool
}

// rewrites reports whether to rewrite an existing secured variable.
func (o *SyncOptions) rewrites(there Variable, wanted VariableRequest) bool {
	if o.Rewrite != nil {
		return o.Rewrite(there, wanted)
	}
	return o.Secured != SecuredIfMissing
}

// SecuredSync says when an existing secured variable is rewritten.
type SecuredSync int

// The service never returns a secured value, so a plan can't compare it with the wanted one.
const (
	SecuredAlways    SecuredSync = iota // every plan rewrites it
	SecuredIfMissing                    // a plan writes it only if it is missing or not secured yet
)

// SyncPlan lists the changes after which a [VariableSet] has the wanted variables. Make one with [VariableSet.Plan] or
// [PlanVariables], review it, remove changes from its lists if you like, and pass it to [VariableSet.Apply].
type SyncPlan struct {
	Create    []VariableRequest // missing
	Update    []VariableChange  // value or protection differs, or a secured value to rewrite
	Delete    []Variable        // not wanted; only with SyncOptions.Prune
	Unchanged []Variable        // as wanted, and the secured ones that are not rewritten

	listPath       string          // of the variables that the plan was made for; empty: any
	verify         bool            // SyncOptions.Verify
	keepProtection map[string]bool // keys whose request left Secured nil; nil: the plan is none of this package
}

// VariableChange is a variable before and after an update.
type VariableChange struct {
	Before Variable
	After  VariableRequest // Secured is never nil
}

// plainVariableChange is a VariableChange without its methods.
type plainVariableChange VariableChange

// withBefore returns the change with another text for the old value if the variable becomes secured: it often is the secret already.
func (c VariableChange) withBefore(value string) plainVariableChange {
	if c.Before.Value != "" && c.After.secured(&c.Before) {
		c.Before.Value = value
	}
	return plainVariableChange(c)
}

// Format implements [fmt.Formatter]: every verb masks secured values, and the old value of a variable that becomes secured.
func (c VariableChange) Format(f fmt.State, verb rune) { formatMasked(f, verb, c.withBefore(masked)) }

// MarshalJSON implements [encoding/json.Marshaler]: what printing masks is omitted, because programs log JSON.
func (c VariableChange) MarshalJSON() ([]byte, error) { return json.Marshal(c.withBefore("")) }

// Empty reports whether the plan changes nothing.
func (p *SyncPlan) Empty() bool { return len(p.Create)+len(p.Update)+len(p.Delete) == 0 }

// Changes yields a plan for each change, in the order in which [VariableSet.Apply] makes them. Apply them to decide after each error
// whether to go on. With [SyncOptions.Verify] each costs a list of its own and looks at the one variable that it changes.
func (p *SyncPlan) Changes() iter.Seq[*SyncPlan] {
	return func(yield func(*SyncPlan) bool) {
		if p == nil {
			return
		}
		for i := range p.Create {
			if !yield(p.only(SyncPlan{Create: p.Create[i : i+1 : i+1]})) {
				return
			}
		}
		for i := range p.Update {
			if !yield(p.only(SyncPlan{Update: p.Update[i : i+1 : i+1]})) {
				return
			}
		}
		for i := range p.Delete {
			if !yield(p.only(SyncPlan{Delete: p.Delete[i : i+1 : i+1]})) {
				return
			}
		}
	}
}

// only returns a part of p as a plan for the same variables.
func (p *SyncPlan) only(part SyncPlan) *SyncPlan {
	part.listPath, part.verify, part.keepProtection = p.listPath, p.verify, p.keepProtection
	return &part
}

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

// PlanVariables compares the wanted variables with those that are there, as [VariableSet.Plan] does, without sending a request.
// Use it for a list that was read anyway, or with an empty one for an environment that doesn't exist yet. [VariableSet.Apply] of
// any set accepts the plan. o may be nil.
//
// The wanted variables are checked as by Plan. One that is there needs a key: otherwise the error is an [ErrInvalidArgument]. It also
// needs the UUID to be changed or deleted by Apply, and with [SyncOptions.Verify] in any case.
//
// An environment's list may lack variables that were created some seconds ago. VariableSet.Plan knows those of its own client,
// PlanVariables doesn't, and plans to create them: Apply then finds that they exist.
func PlanVariables(there []*Variable, wanted []VariableRequest, o *SyncOptions) (*SyncPlan, error) {
	for i, one := range there {
		if one == nil || one.Key == "" { // Prune would delete it
			return nil, fmt.Errorf("pipelines: PlanVariables: %w", invalidArgument("there[%d] has no key", i))
		}
	}
	if err := validateWanted(wanted); err != nil {
		return nil, fmt.Errorf("pipelines: PlanVariables: %w", err)
	}
	plan, err := newPlan(there, wanted, o)
	if err != nil {
		return nil, fmt.Errorf("pipelines: PlanVariables: %w", err)
	}
	return plan, nil
}

// Plan compares the wanted variables with the existing ones, by their exact keys, and returns what [VariableSet.Apply] would
// change. It only reads, with one request for each hundred variables. o may be nil.
//
// A wanted variable without a key, a key that is wanted twice, and an empty value for a secured variable are an
// [ErrInvalidArgument]. The value for an existing secured variable that is not rewritten may be empty. Partial responses must have
// values.uuid, values.key, values.value and values.secured; otherwise the error is an [ErrInvalidArgument] too.
//
// API: as [VariableSet.List].
//
// Scope: pipeline.
func (v *VariableSet) Plan(
	ctx context.Context, wanted []VariableRequest, o *SyncOptions, opts ...CallOption,
) (*SyncPlan, error) {
	if err := validateWanted(wanted); err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Plan: %w", err)
	}
	there, err := v.listToCompare(ctx, "Variables.Plan", opts)
	if err != nil {
		return nil, err
	}
	plan, err := newPlan(there, wanted, o)
	if err != nil {
		return nil, fmt.Errorf("pipelines: Variables.Plan: %w", err)
	}
	plan.listPath = v.at(v.ops.list).path
	return plan, nil
}

// listToCompare lists the variables with all that a plan compares, and those that this client has just created.
func (v *VariableSet) listToCompare(ctx context.Context, method string, opts []CallOption) ([]*Variable, error) {
	listed, err := v.List(ctx, nil, opts...).collectWith("values", "values.uuid", "values.key", "values.value", "values.secured")
	if err != nil {
		return nil, err
	}
	for _, one := range listed {
		if one.Key == "" { // Prune would delete it
			return nil, fmt.Errorf("pipelines: %s: %w", method, listedWithout("key", one))
		}
	}
	return v.created().appendUnlisted(listed), nil
}

func newPlan(there []*Variable, wanted []VariableRequest, o *SyncOptions) (*SyncPlan, error) {
	if o == nil {
		o = &SyncOptions{}
	}
	plan := &SyncPlan{verify: o.Verify, keepProtection: make(map[string]bool)}
	return plan, plan.compareAll(there, wanted, o)
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
		if err := p.compare(byKey[one.Key], one, o); err != nil {
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
func (p *SyncPlan) compare(existing *Variable, wanted VariableRequest, o *SyncOptions) error {
	secured := wanted.secured(existing)
	if existing != nil && existing.Secured && secured && !o.rewrites(*existing, wanted) {
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
