package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

// SyncChange is what became of one change of a plan. See [SyncError].
type SyncChange struct {
	Action string // "create", "update" or "delete"
	Key    string
	UUID   string // of the variable, also of one that somebody else has created; empty: unknown, or there is none
	Err    error  // why the change failed; if it is an [ErrOutcomeUnknown], the change may have been made
}

// String returns the action and the key, such as "create LEVEL".
func (c SyncChange) String() string { return c.Action + " " + redact.Printable(c.Key) }

// LogValue implements [slog.LogValuer].
func (c SyncChange) LogValue() slog.Value {
	all := []slog.Attr{slog.String("action", c.Action), slog.String("key", oneLine(c.Key)), slog.String("uuid", c.UUID)}
	if c.Err != nil {
		all = append(all, slog.String("error", c.Err.Error()))
	}
	return slog.GroupValue(all...)
}

// SyncError says which changes of a plan [VariableSet.Apply] has made and which have failed. [errors.Is] and [errors.As] search the
// errors of all that failed.
type SyncError struct {
	Done   []SyncChange // made, in order
	Failed []SyncChange // with their errors, in order; at least one
	Left   []SyncChange // not tried
}

// Error returns what failed and why, which changes were made, and how many were not tried. Of many changes it names the first ten.
func (e *SyncError) Error() string {
	failed := firstOf(e.Failed, "; ", func(c SyncChange) string {
		return fmt.Sprintf("%v: %s", c, strings.TrimPrefix(errorText(c.Err), "pipelines: "))
	})
	done := "nothing was done"
	switch {
	case len(e.Done) > 0:
		done = "done: " + firstOf(e.Done, ", ", SyncChange.String)
	case errors.Is(e, ErrOutcomeUnknown):
		done = "nothing else was done"
	}
	return redact.Printable(fmt.Sprintf("pipelines: Variables.Apply: %s (%s; %d not tried)", failed, done, len(e.Left)))
}

// firstOf joins the texts of the first ten changes.
func firstOf(changes []SyncChange, separator string, text func(SyncChange) string) string {
	const limit = 10
	var all []string
	for _, one := range changes[:min(len(changes), limit)] {
		all = append(all, text(one))
	}
	if more := len(changes) - limit; more > 0 {
		all = append(all, fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, separator)
}

// Unwrap returns the errors of the changes that failed.
func (e *SyncError) Unwrap() []error {
	causes := make([]error, len(e.Failed))
	for i, one := range e.Failed {
		causes[i] = one.Err
	}
	return causes
}

// Apply makes the changes of a plan for this VariableSet: it creates, then updates, then deletes. If the service refuses one change
// (400, 409 or 422), Apply goes on with the next. At any other error it stops. It deletes only if nothing failed before. The error
// is a [SyncError], which says what was done. Make a new plan for the rest. After any other error nothing was done: a plan that is
// nil, was made for other variables, or has one to change without a UUID is an [ErrInvalidArgument]. A plan without changes sends
// no request.
//
// The variables may have changed since the plan was made, and a plan may be applied twice. Apply overwrites a variable that was
// created meanwhile, and creates one to update that was deleted meanwhile. With [SyncOptions.Verify] it lists the variables first,
// and does nothing if one of the plan's has changed: the error is then an [ErrPlanStale].
//
// After a creation that is an [ErrConflict], or whose outcome is unknown, Apply lists the variables, so that no key is created
// twice, and overwrites the variable unless it is as wanted. An environment's variable that another client has just created, such
// as this program before it was restarted, isn't listed yet: the plan creates it, the service refuses, and Apply waits until it is
// listed, for up to 16 seconds. If one to delete is not found, Apply counts it as deleted only if it isn't listed: a 404 alone may mean that the
// credentials lost access.
//
// API: as [VariableSet.Create], [VariableSet.Update], [VariableSet.Delete] and [VariableSet.List].
//
// Scope: pipeline:variable; API tokens need read:pipeline:bitbucket and admin:pipeline:bitbucket.
func (v *VariableSet) Apply(ctx context.Context, plan *SyncPlan, opts ...CallOption) error {
	if err := v.checkPlan(plan); err != nil {
		return fmt.Errorf("pipelines: Variables.Apply: %w", err)
	}
	a := applier{ctx: ctx, set: v, plan: plan, opts: opts}
	if plan.verify && !plan.Empty() {
		if err := a.verify(); err != nil {
			return err
		}
	}
	return applyAll(a.changes())
}

// checkPlan returns an error if the plan isn't one for these variables.
func (v *VariableSet) checkPlan(plan *SyncPlan) error {
	switch {
	case plan == nil:
		return invalidArgument("plan is nil")
	case plan.keepProtection == nil:
		return invalidArgument("the plan was not made by VariableSet.Plan or PlanVariables")
	case plan.listPath != "" && plan.listPath != v.at(v.ops.list).path:
		return invalidArgument("the plan was made for other variables")
	}
	for _, c := range plan.Update {
		if c.Before.UUID == "" {
			return invalidArgument("variable %q to update has no UUID", c.Before.Key)
		}
	}
	for _, one := range plan.Delete {
		if one.UUID == "" {
			return invalidArgument("variable %q to delete has no UUID", one.Key)
		}
	}
	return nil
}

// todo is a change to make. do returns the variable's UUID.
type todo struct {
	SyncChange
	do func() (string, error)
}

const (
	syncCreate = "create"
	syncUpdate = "update"
	syncDelete = "delete"
)

func applyAll(changes []todo) error {
	var result SyncError
	for i, change := range changes {
		if change.Action == syncDelete && len(result.Failed) > 0 {
			result.Left = notTried(changes[i:])
			break
		}
		change.UUID, change.Err = change.do()
		if change.Err == nil {
			result.Done = append(result.Done, change.SyncChange)
			continue
		}
		result.Failed = append(result.Failed, change.SyncChange)
		if !refused(change.Err) {
			result.Left = notTried(changes[i+1:])
			break
		}
	}
	if len(result.Failed) == 0 {
		return nil
	}
	return &result
}

func notTried(changes []todo) []SyncChange {
	all := make([]SyncChange, len(changes))
	for i, one := range changes {
		all[i] = one.SyncChange
	}
	return all
}

// refused reports whether the service has refused this one change, so that others may succeed. An error with several causes is no
// mere refusal: something else went wrong after it.
func refused(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if refusal, ok := err.(*APIError); ok { //nolint:errorlint // errors.As finds one of several causes too
			return refusal.Is(ErrInvalidRequest) || refusal.StatusCode == http.StatusConflict
		}
	}
	return false
}

// applier is the state of one Apply.
type applier struct {
	ctx    context.Context //nolint:containedctx // of one Apply
	set    *VariableSet
	plan   *SyncPlan
	opts   []CallOption
	listed map[string]bool // UUIDs as last listed, after a deletion that got a 404; nil: not listed yet
}

// changes are those of the plan, in the order in which to make them.
func (a *applier) changes() []todo {
	var all []todo
	for _, one := range a.plan.Create {
		all = append(all, todo{SyncChange{Action: syncCreate, Key: one.Key}, func() (string, error) { return a.create(one) }})
	}
	for _, c := range a.plan.Update {
		change := SyncChange{Action: syncUpdate, Key: c.After.Key, UUID: c.Before.UUID}
		all = append(all, todo{change, func() (string, error) { return a.update(c) }})
	}
	for _, one := range a.plan.Delete {
		change := SyncChange{Action: syncDelete, Key: one.Key, UUID: one.UUID}
		all = append(all, todo{change, func() (string, error) { return one.UUID, a.delete(one.UUID) }})
	}
	return all
}

// create keeps the protection of a secured variable that was created meanwhile, unless the caller asked to remove it.
func (a *applier) create(wanted VariableRequest) (string, error) {
	if a.plan.keepProtection[wanted.Key] && wanted.Secured != nil && !*wanted.Secured {
		wanted.Secured = nil
	}
	one, err := a.set.createOrFind(a.ctx, wanted, a.opts)
	switch {
	case one == nil:
		return "", err
	case err == nil || wanted.isMetBy(*one):
		return one.UUID, nil
	case a.plan.verify && (errors.Is(err, ErrConflict) || !wanted.mayHaveCreated(*one)): // somebody else created it
		return one.UUID, err
	}
	_, err = a.set.overwrite(a.ctx, one, wanted, a.opts)
	return one.UUID, err
}

func (a *applier) update(c VariableChange) (string, error) {
	_, err := a.set.overwrite(a.ctx, &c.Before, c.After, a.opts)
	if !errors.Is(err, ErrNotFound) {
		return c.Before.UUID, err
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
