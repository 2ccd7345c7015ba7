package pipelines

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// maxListDelay is how long after its creation an environment's variable may be missing from the list. Five seconds were seen.
const maxListDelay = 15 * time.Second

// listInterval is the time between two lists while waiting for a variable to be listed.
const listInterval = 2 * time.Second

// createdVariables remembers the variables that a client has just created. The service lists an environment's variables late,
// and a variable that isn't listed yet must not be created twice.
type createdVariables struct {
	mu  sync.Mutex
	all map[string][]createdVariable // by the path of the list
}

type createdVariable struct {
	Variable
	at time.Time
}

// createdInSet is the part of createdVariables that belongs to one VariableSet.
type createdInSet struct {
	*createdVariables
	path string // of the set's list
	late bool   // whether the service lists the set's variables late; if not, none are remembered
}

// created returns the remembered variables of this set. All access to them goes through it.
func (v *VariableSet) created() createdInSet {
	return createdInSet{&v.client.created, v.at(v.ops.list).path, v.ops.late}
}

// add remembers a variable as requested and created, unless the response lacks the UUID by which the list identifies it.
func (c createdInSet) add(r VariableRequest, v *Variable) {
	if !c.late || v.UUID == "" {
		return
	}
	one := createdVariable{at: time.Now()}
	one.change(VariableUpdate{Key: r.Key, Value: &r.Value, Secured: new(r.secured(nil))}, v)
	one.UUID = v.UUID
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[string][]createdVariable)
	}
	c.expire()
	c.all[c.path] = append(c.all[c.path], one)
}

// expire forgets the variables that the service lists by now. The caller holds the lock.
func (c *createdVariables) expire() {
	for path, variables := range c.all {
		for len(variables) > 0 && time.Since(variables[0].at) > maxListDelay {
			variables = variables[1:]
		}
		if c.all[path] = variables; len(variables) == 0 {
			delete(c.all, path)
		}
	}
}

// find returns the first remembered variable that matches, or nil.
func (c createdInSet) find(match func(*Variable) bool) *Variable {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	for _, one := range c.all[c.path] {
		if match(&one.Variable) {
			return &one.Variable
		}
	}
	return nil
}

// appendUnlisted appends the remembered variables that are not in listed.
func (c createdInSet) appendUnlisted(listed []*Variable) []*Variable {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	for _, one := range c.all[c.path] {
		if !slices.ContainsFunc(listed, func(v *Variable) bool { return v.UUID == one.UUID }) {
			listed = append(listed, &one.Variable)
		}
	}
	return listed
}

// update changes a remembered variable after an update.
func (c createdInSet) update(id string, u VariableUpdate, v *Variable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.all[c.path] {
		if one := &c.all[c.path][i]; one.UUID == id {
			one.change(u, v)
		}
	}
}

// change changes a variable as requested and as the response says, which may be partial. A secured variable stays secured unless
// the request says otherwise: a response without the member looks like one of a variable that isn't secured.
func (v *createdVariable) change(u VariableUpdate, response *Variable) {
	v.Type = cmp.Or(response.Type, v.Type)
	v.Key = cmp.Or(response.Key, u.Key, v.Key)
	if u.Secured != nil {
		v.Secured = *u.Secured
	}
	if u.Value != nil {
		v.Value = *u.Value
	}
	v.Value = cmp.Or(response.Value, v.Value)
	if v.Secured = v.Secured || response.Secured; v.Secured {
		v.Value = "" // as in a list
	}
}

// remove forgets a variable.
func (c createdInSet) remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, one := range c.all[c.path] {
		if one.UUID == id {
			c.all[c.path] = append(c.all[c.path][:i:i], c.all[c.path][i+1:]...)
			return
		}
	}
}
