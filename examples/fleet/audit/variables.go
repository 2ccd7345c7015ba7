package audit

import (
	"cmp"
	"slices"
	"time"
)

// The scopes, from the widest to the narrowest.
const (
	scopeWorkspace   = "workspace"
	scopeRepository  = "repository"
	scopeEnvironment = "environment"
)

// place is where variables are.
type place struct{ scope, repository, environment string }

func (p place) String() string {
	switch p.scope {
	case scopeEnvironment:
		return p.repository + " " + p.environment
	case scopeRepository:
		return p.repository
	}
	return scopeWorkspace
}

// variablesOf returns the variables of all scopes, and their keys.
func variablesOf(s *state) ([]VariableRow, []KeyRow) {
	type within struct{ repository, key string } // the repository is empty for the whole workspace
	rows, with := []VariableRow{}, map[within][]place{}
	add := func(p place, variables []variable, asOf time.Time) {
		for _, v := range variables {
			rows = append(rows, VariableRow{p.scope, p.repository, p.environment, v.Key, v.Secured, []string{}, 0, asOf})
			with[within{"", v.Key}] = append(with[within{"", v.Key}], p)
			if p.repository != "" {
				with[within{p.repository, v.Key}] = append(with[within{p.repository, v.Key}], p)
			}
		}
	}
	add(place{scope: scopeWorkspace}, s.Variables.Items, s.Variables.At)
	for _, r := range s.present() {
		add(place{scopeRepository, r.Name, ""}, r.Variables.Items, r.Variables.At)
		for _, e := range r.Environments.Items {
			if p := r.Of[e.UUID]; p != nil {
				add(place{scopeEnvironment, r.Name, e.Name}, p.Items, p.At)
			}
		}
	}
	for i, row := range rows {
		rows[i].Places = len(with[within{"", row.Key}])
		for _, p := range with[within{row.Repository, row.Key}] {
			if p.scope != row.Scope && row.Scope != scopeEnvironment {
				rows[i].ShadowedBy = append(rows[i].ShadowedBy, p.String())
			}
		}
	}
	return rows, keysOf(rows)
}

// keysOf counts the places of each key. Those that are in most places come first.
func keysOf(rows []VariableRow) []KeyRow {
	byKey := map[string]*KeyRow{}
	for _, v := range rows {
		k := byKey[v.Key]
		if k == nil {
			k = &KeyRow{Key: v.Key}
			byKey[v.Key] = k
		}
		k.Places++
		if v.Secured {
			k.Secured++
		}
		if len(v.ShadowedBy) > 0 {
			k.Shadowed++
		}
		switch v.Scope {
		case scopeWorkspace:
			k.Workspace++
		case scopeRepository:
			k.Repositories++
		default:
			k.Environments++
		}
	}
	keys := make([]KeyRow, 0, len(byKey))
	for _, k := range byKey {
		keys = append(keys, *k)
	}
	slices.SortFunc(keys, func(a, b KeyRow) int { return cmp.Or(cmp.Compare(b.Places, a.Places), cmp.Compare(a.Key, b.Key)) })
	return keys
}
