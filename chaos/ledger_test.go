package chaos_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-85ed9bfd/pipelines"
)

// absent is the state of what isn't there.
const absent = "absent"

// item is something on the service that one worker makes, changes at most once and removes at most once. Its name is used for nothing else,
// so that the service shows how often it was made; and what arrives late can't undo what came after it.
type item struct {
	kind, name, id   string
	changed, removed bool

	unknown bool     // whether it was made
	may     []string // states that it may be in, as far as the SDK has told
}

func (i *item) key() string { return i.kind + " " + i.name }

// certain holds for an item that is there for sure, so that the SDK has told its ID.
func (i *item) certain() bool { return !slices.Contains(i.may, absent) }

// become notes a change that may be repeated. An error leaves open whether it happened.
func (i *item) become(state string, err error) {
	if err == nil {
		i.may = []string{state}
	} else if !slices.Contains(i.may, state) {
		i.may = append(i.may, state)
	}
}

// ledger is what the SDK has told one worker.
type ledger []*item

// made notes a creation that must not be repeated: without an error it happened, with one it didn't unless its outcome is unknown.
func (l *ledger) made(kind, name, state string, err error) *item {
	i := &item{kind: kind, name: name, may: []string{absent}}
	switch {
	case err == nil:
		i.may = []string{state}
	case errors.Is(err, pipelines.ErrOutcomeUnknown):
		i.unknown = true
		i.may = append(i.may, state)
	}
	*l = append(*l, i)
	return i
}

// set notes something that was made by a method which may be repeated.
func (l *ledger) set(kind, name, state string, err error) *item {
	i := &item{kind: kind, name: name, may: []string{absent}}
	i.become(state, err)
	*l = append(*l, i)
	return i
}

// pick returns the items of a kind that fit.
func (l *ledger) pick(kind string, fits func(*item) bool) []*item {
	var found []*item
	for _, i := range *l {
		if i.kind == kind && fits(i) {
			found = append(found, i)
		}
	}
	return found
}

// audit compares what was told with what is there.
type audit struct {
	duplicates []string // there more than once
	lost       []string // told to be there, and isn't
	denied     []string // told not to be there, and is
	stale      []string // in another state than was told
	strangers  []string // there, and nobody made it

	effects      int // there now
	took, didNot int // unknown outcomes that turned out to have an effect, and not
}

// compare holds the ledger against the states of what is there, by the items' keys.
func compare(told ledger, there map[string][]string) audit {
	var a audit
	known := map[string]bool{}
	for _, i := range told {
		known[i.key()] = true
		a.look(i, there[i.key()])
	}
	for key, states := range there {
		a.effects += len(states)
		if !known[key] {
			a.strangers = append(a.strangers, key)
		}
	}
	return a
}

func (a *audit) look(i *item, states []string) {
	state := absent
	if len(states) > 0 {
		state = states[0]
	}
	finding := fmt.Sprintf("%s is %v and may be %v", i.key(), states, i.may)
	switch {
	case len(states) > 1:
		a.duplicates = append(a.duplicates, finding)
	case slices.Contains(i.may, state):
	case state == absent:
		a.lost = append(a.lost, finding)
	case slices.Equal(i.may, []string{absent}):
		a.denied = append(a.denied, finding)
	default:
		a.stale = append(a.stale, finding)
	}
	switch {
	case !i.unknown:
	case state == absent:
		a.didNot++
	default:
		a.took++
	}
}
