package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

// listing is what the service says of the variables.
type listing struct {
	variables []*pipelines.Variable
	unclear   []string // keys of those of which it says neither a value nor whether they are secured: they count as secured
}

// list lists the variables.
func (s *job) list(ctx context.Context) (*listing, error) {
	var l listing
	var body []byte
	for page, err := range s.set.List(ctx, nil, pipelines.WithRawBody(&body)).Pages() {
		if err != nil {
			return nil, err
		}
		if err := l.add(page, body); err != nil {
			return nil, err
		}
	}
	return &l, nil
}

func (l *listing) add(page *pipelines.Page[pipelines.Variable], body []byte) error {
	var said struct{ Values []map[string]any }
	if json.Unmarshal(body, &said) != nil {
		return errors.New("the service's list of variables can't be read")
	}
	unclear := map[string]bool{}
	for _, one := range said.Values {
		key, _ := one["key"].(string)
		_, text := one["value"].(string)
		_, told := one["secured"].(bool)
		unclear[key] = unclear[key] || !text && (!told || one["value"] != nil)
	}
	for _, v := range page.Values {
		switch {
		case v.Key == "": // --prune would delete it
			return errors.New("the service lists a variable without a name")
		case !v.Secured && unclear[v.Key]:
			v.Secured = true
			l.unclear = append(l.unclear, v.Key)
		}
	}
	l.variables = append(l.variables, page.Values...)
	return nil
}

// protect makes those variables secured of which the file says nothing, and which the service has as secured.
func (l *listing) protect(wanted []pipelines.VariableRequest) error {
	for i := range wanted {
		one := &wanted[i]
		switch {
		case one.Secured != nil:
		case slices.Contains(l.unclear, one.Key):
			return fmt.Errorf("the service doesn't say whether %s is secured: say it in YAML, or by --secured", one.Key)
		case l.secured(one.Key):
			one.Secured = new(true)
		}
	}
	return nil
}

// secured reports whether the variable with a key is secured, or if there is none, one whose key differs in upper and lower case only: it may
// be the same for the service.
func (l *listing) secured(key string) bool {
	there, secured, similar := false, false, false
	for _, v := range l.variables {
		switch {
		case v.Key == key:
			there, secured = true, secured || v.Secured
		case strings.EqualFold(v.Key, key):
			similar = similar || v.Secured
		}
	}
	return secured || !there && similar
}
