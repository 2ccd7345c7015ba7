package pipelinestest

import (
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
)

// resource is something that has a UUID.
type resource interface{ id() string }

// collection holds resources in the order in which they were made.
type collection[T resource] []T

func (l collection[T]) find(id string) (found T, ok bool) {
	i := slices.IndexFunc(l, func(item T) bool { return item.id() == id })
	if i < 0 {
		return found, false
	}
	return l[i], true
}

func (l *collection[T]) remove(id string) {
	*l = slices.DeleteFunc(*l, func(item T) bool { return item.id() == id })
}

// kind is a kind of resource, and the answers that are alike for all kinds.
type kind[T resource] struct {
	name    string // in errors; followed by _uuid it is the parameter of the path
	service string // which answers for it
	in      func(*call) (*collection[T], *reply)
	wire    func(*call, T) any
}

func (k kind[T]) find(c *call) (found T, refusal *reply) {
	all, refusal := k.in(c)
	if refusal != nil {
		return found, refusal
	}
	id := c.params[k.name+"_uuid"]
	if found, ok := all.find(id); ok {
		return found, nil
	}
	return found, k.notFound(id)
}

func (k kind[T]) notFound(id string) *reply {
	return serviceFailure(http.StatusNotFound, k.service+"."+k.name+".not-found", "There is no "+k.name+" "+id+".", map[string]string{"id": id})
}

func (k kind[T]) conflict(detail string) *reply {
	return serviceFailure(http.StatusConflict, k.service+"."+k.name+".already-exists", detail, map[string]string{})
}

func (k kind[T]) list(c *call) *reply {
	all, refusal := k.in(c)
	if refusal != nil {
		return refusal
	}
	return page(c, *all, func(item T) any { return k.wire(c, item) })
}

func (k kind[T]) get(c *call) *reply {
	item, refusal := k.find(c)
	if refusal != nil {
		return refusal
	}
	return c.json(http.StatusOK, k.wire(c, item))
}

func (k kind[T]) delete(c *call) *reply {
	all, refusal := k.in(c)
	if refusal != nil {
		return refusal
	}
	item, refusal := k.find(c)
	if refusal != nil {
		return refusal
	}
	all.remove(item.id())
	return emptyReply(http.StatusNoContent)
}

// clone returns a copy that shares nothing with v. What v leaves out of its JSON gets lost.
func clone[T any](v T) T {
	data, err := json.Marshal(v)
	if err != nil {
		panic("pipelinestest: cannot be encoded: " + err.Error())
	}
	var c T
	if err := json.Unmarshal(data, &c); err != nil {
		panic("pipelinestest: cannot be decoded: " + err.Error())
	}
	return c
}
