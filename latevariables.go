package pipelines

import (
	"slices"
	"sync"
	"time"
)

// lateness is how long an environment's variable may be missing from the list. Five seconds were seen.
const lateness = 15 * time.Second

// createdVariables remembers what a client created a moment ago, because the service lists an environment's variables late
// and nothing must be created twice for that.
type createdVariables struct {
	mu  sync.Mutex
	all map[string][]createdVariable // by the path of their list
}

type createdVariable struct {
	Variable
	at time.Time
}

func (c *createdVariables) add(path string, v *Variable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[string][]createdVariable)
	}
	c.expire()
	c.all[path] = append(c.all[path], createdVariable{*v, time.Now()})
}

// expire forgets what the service lists by now.
func (c *createdVariables) expire() {
	for path, variables := range c.all {
		for len(variables) > 0 && time.Since(variables[0].at) > lateness {
			variables = variables[1:]
		}
		if c.all[path] = variables; len(variables) == 0 {
			delete(c.all, path)
		}
	}
}

func (c *createdVariables) find(path string, match func(*Variable) bool) *Variable {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	for _, one := range c.all[path] {
		if match(&one.Variable) {
			return &one.Variable
		}
	}
	return nil
}

// addMissing adds what is remembered and not among those listed.
func (c *createdVariables) addMissing(path string, listed []*Variable) []*Variable {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	for _, one := range c.all[path] {
		if !slices.ContainsFunc(listed, func(v *Variable) bool { return v.UUID == one.UUID }) {
			listed = append(listed, &one.Variable)
		}
	}
	return listed
}

// update keeps what is remembered of a variable as it is now.
func (c *createdVariables) update(path, id string, v *Variable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.all[path] {
		if c.all[path][i].UUID == id {
			c.all[path][i].Variable = *v
			c.all[path][i].UUID = id
		}
	}
}

func (c *createdVariables) remove(path, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, one := range c.all[path] {
		if one.UUID == id {
			c.all[path] = append(c.all[path][:i:i], c.all[path][i+1:]...)
			return
		}
	}
}
