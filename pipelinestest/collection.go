package pipelinestest

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
)

// resource has a UUID.
type resource interface{ id() string }

// collection holds resources in the order in which they were created.
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

// copies returns a model of each resource, in the order of the collection. It holds the server's lock while it reads.
func copies[T resource, M any](s *Server, all *collection[T], model func(T) M) []M {
	s.mu.Lock()
	defer s.mu.Unlock()
	models := make([]M, 0, len(*all))
	for _, item := range *all {
		models = append(models, model(item))
	}
	return models
}

// kind implements the endpoints that all kinds of resources have in common.
type kind[T resource] struct {
	name    string // in errors; with _uuid appended, the path parameter
	service string // the service behind the API, in errors
	in      func(*call) (*collection[T], *response)
	encode  func(*call, T) any
}

func (k kind[T]) find(c *call) (found T, errResp *response) {
	all, errResp := k.in(c)
	if errResp != nil {
		return found, errResp
	}
	id := c.params[k.name+"_uuid"]
	if found, ok := all.find(id); ok {
		return found, nil
	}
	return found, k.notFound(id)
}

func (k kind[T]) notFound(id string) *response {
	return serviceError(http.StatusNotFound, k.service+"."+k.name+".not-found", "There is no "+k.name+" "+id+".", map[string]string{"id": id})
}

func (k kind[T]) conflict(detail string) *response {
	return serviceError(http.StatusConflict, k.service+"."+k.name+".already-exists", detail, map[string]string{})
}

func (k kind[T]) list(c *call) *response {
	all, errResp := k.in(c)
	if errResp != nil {
		return errResp
	}
	return page(c, *all, func(item T) any { return k.encode(c, item) })
}

func (k kind[T]) get(c *call) *response {
	item, errResp := k.find(c)
	if errResp != nil {
		return errResp
	}
	return c.json(http.StatusOK, k.encode(c, item))
}

func (k kind[T]) delete(c *call) *response {
	all, errResp := k.in(c)
	if errResp != nil {
		return errResp
	}
	item, errResp := k.find(c)
	if errResp != nil {
		return errResp
	}
	all.remove(item.id())
	return emptyResponse(http.StatusNoContent)
}

// clone returns a deep copy of v. It loses what the JSON of v leaves out, and panics if v can't be encoded.
func clone[T any](v T) T {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("pipelinestest: cannot encode a %T: %v", v, err))
	}
	var c T
	if err := json.Unmarshal(data, &c); err != nil {
		panic(fmt.Sprintf("pipelinestest: cannot decode a %T: %v", v, err))
	}
	return c
}
