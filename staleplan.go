package pipelines

import (
	"fmt"
	"slices"
	"strings"
)

// verify returns an error that names the variables of the plan that are no longer as they were.
func (a *applier) verify() error {
	there, err := a.set.listToCompare(a.ctx, "Variables.Apply", a.opts)
	if err != nil {
		return err
	}
	if differences := a.plan.differences(there); len(differences) > 0 {
		return fmt.Errorf("pipelines: Variables.Apply: %w: %s", ErrPlanStale, oneLine(strings.Join(differences, ", ")))
	}
	return nil
}

// differences returns which variables of the plan are no longer as they were, without their values.
func (p *SyncPlan) differences(there []*Variable) []string {
	byUUID, byKey := make(map[string]*Variable, len(there)), make(map[string]bool, len(there))
	for _, one := range there {
		byUUID[one.UUID], byKey[one.Key] = one, true
	}
	var all []string
	for _, one := range p.Create {
		if byKey[one.Key] {
			all = append(all, fmt.Sprintf("%q exists already", one.Key))
		}
	}
	for _, before := range p.existing() {
		if difference := before.differenceFrom(byUUID[before.UUID]); difference != "" {
			all = append(all, fmt.Sprintf("%q %s", before.Key, difference))
		}
	}
	return all
}

// existing are the variables that the plan was made from.
func (p *SyncPlan) existing() []Variable {
	var all []Variable
	for _, c := range p.Update {
		all = append(all, c.Before)
	}
	return slices.Concat(all, p.Delete, p.Unchanged)
}

// differenceFrom says how a variable has become now, which may be nil, without its value. Empty: it is the same.
func (v Variable) differenceFrom(now *Variable) string {
	switch {
	case now == nil:
		return "is gone"
	case now.Key != v.Key:
		return fmt.Sprintf("is now called %q", now.Key)
	case now.Secured && !v.Secured:
		return "is now secured"
	case v.Secured && !now.Secured:
		return "is no longer secured"
	case !v.Secured && now.Value != v.Value:
		return "has another value"
	}
	return ""
}
