package chaos_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-85ed9bfd/pipelines"
)

// absent is the state of what doesn't exist.
const absent = "absent"

// item is a resource that one worker creates, changes at most once and removes at most once. Its name is unique, so that duplicates can be
// counted, and a late request can't undo a later one.
type item struct {
	kind, name, id   string
	changed, removed bool

	unknown  bool     // whether the outcome of its creation is unknown
	possible []string // states that agree with what the SDK reported
}

func (i *item) key() string { return i.kind + " " + i.name }

// exists reports whether the item exists for certain. Its ID is known then.
func (i *item) exists() bool { return !slices.Contains(i.possible, absent) }

// setState records a change that may be retried. An error leaves open whether it happened.
func (i *item) setState(state string, err error) {
	if err == nil {
		i.possible = []string{state}
	} else if !slices.Contains(i.possible, state) {
		i.possible = append(i.possible, state)
	}
}

// ledger is what the SDK has reported to one worker.
type ledger []*item

// made records a creation that must not be retried. It happened if there is no error, and may have if its outcome is unknown.
func (l *ledger) made(kind, name, state string, err error) *item {
	i := &item{kind: kind, name: name, possible: []string{absent}}
	switch {
	case err == nil:
		i.possible = []string{state}
	case errors.Is(err, pipelines.ErrOutcomeUnknown):
		i.unknown = true
		i.possible = append(i.possible, state)
	}
	*l = append(*l, i)
	return i
}

// set records a creation by a method that may be retried.
func (l *ledger) set(kind, name, state string, err error) *item {
	i := &item{kind: kind, name: name, possible: []string{absent}}
	i.setState(state, err)
	*l = append(*l, i)
	return i
}

// pick returns the items of a kind that match.
func (l *ledger) pick(kind string, match func(*item) bool) []*item {
	var found []*item
	for _, i := range *l {
		if i.kind == kind && match(i) {
			found = append(found, i)
		}
	}
	return found
}

// audit compares what the SDK reported with what the service has.
type audit struct {
	duplicates []string // present more than once
	lost       []string // reported as present, but missing
	denied     []string // reported as absent, but present
	stale      []string // in a state that wasn't reported
	unexpected []string // present, but never created

	effects          int // present at the end
	happened, didNot int // unknown outcomes with and without an effect
}

// compare compares the ledger with the states on the server, by the items' keys.
func compare(reported ledger, onServer map[string][]string) audit {
	var a audit
	known := map[string]bool{}
	for _, i := range reported {
		known[i.key()] = true
		a.look(i, onServer[i.key()])
	}
	for key, states := range onServer {
		a.effects += len(states)
		if !known[key] {
			a.unexpected = append(a.unexpected, key)
		}
	}
	return a
}

func (a *audit) look(i *item, states []string) {
	state := absent
	if len(states) > 0 {
		state = states[0]
	}
	finding := fmt.Sprintf("%s is %v, possible are %v", i.key(), states, i.possible)
	switch {
	case len(states) > 1:
		a.duplicates = append(a.duplicates, finding)
	case slices.Contains(i.possible, state):
	case state == absent:
		a.lost = append(a.lost, finding)
	case slices.Equal(i.possible, []string{absent}):
		a.denied = append(a.denied, finding)
	default:
		a.stale = append(a.stale, finding)
	}
	switch {
	case !i.unknown:
	case state == absent:
		a.didNot++
	default:
		a.happened++
	}
}
