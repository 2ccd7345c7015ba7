package pipelinestest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// defaultLateness is how long clients were seen to wait for an environment's new variable.
const defaultLateness = 5 * time.Second

type variable struct {
	pipelines.Variable
	listed time.Time // since when the list has it
}

func (v *variable) id() string { return v.UUID }

// variableSet is the variables of one owner.
type variableSet struct {
	server    *Server
	late      bool // those that the API creates are listed late, and answered without type
	variables collection[*variable]
}

// Format implements [fmt.Formatter], for the owners too: nothing is printed of what they hold.
func (s *variableSet) Format(f fmt.State, _ rune) { fmt.Fprint(f, "pipelinestest: owner of variables") }

// variableType is the type of the variables of all owners. In a list an environment's have it too.
const variableType = "pipeline_variable"

// AddVariable adds a variable, or replaces the one with its key, and returns it as it is kept. The list has it at once. Keys that
// differ in case only are the same key, as they are to the API.
func (s *variableSet) AddVariable(v pipelines.Variable) *pipelines.Variable {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	kept := s.withKey(v.Key)
	if kept == nil {
		kept = s.add(v.Key)
	}
	kept.Key, kept.Value, kept.Secured, kept.listed = v.Key, v.Value, v.Secured, time.Time{}
	c := kept.Variable
	return &c
}

// Variables returns the variables as they are now, those too that a list doesn't have yet. Unlike the API it tells secured values;
// printed, they are masked all the same.
func (s *variableSet) Variables() []pipelines.Variable {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	all := make([]pipelines.Variable, 0, len(s.variables))
	for _, v := range s.variables {
		all = append(all, v.Variable)
	}
	return all
}

// withKey returns the variable that has a key, in upper or lower case.
func (s *variableSet) withKey(key string) *variable {
	for _, v := range s.variables {
		if strings.EqualFold(v.Key, key) {
			return v
		}
	}
	return nil
}

func (s *variableSet) add(key string) *variable {
	v := &variable{Variable: pipelines.Variable{Type: variableType, UUID: s.server.newUUID(), Key: key}}
	s.variables = append(s.variables, v)
	return v
}

// variableOwner finds whose variables a path is about.
type variableOwner func(*call) (*variableSet, *reply)

func repositoryVariables(c *call) (*variableSet, *reply) { return &c.repo.variableSet, nil }

func workspaceVariables(c *call) (*variableSet, *reply) {
	w, refusal := c.workspace()
	if refusal != nil {
		return nil, refusal
	}
	return &w.variableSet, nil
}

func teamVariables(c *call) (*variableSet, *reply) {
	return ownerVariables(c.server.teams, c.params["username"])
}

func userVariables(c *call) (*variableSet, *reply) {
	return ownerVariables(c.server.users, c.params["selected_user"])
}

func ownerVariables(all []*Owner, name string) (*variableSet, *reply) {
	if o := findOwner(all, name); o != nil {
		return &o.variableSet, nil
	}
	return nil, failure(http.StatusNotFound, "There is no account "+name+".", nil)
}

func environmentVariables(c *call) (*variableSet, *reply) {
	e, refusal := environments.find(c)
	if refusal != nil {
		return nil, refusal
	}
	return &e.variableSet, nil
}

func variableRoutes(path string, in variableOwner) []route {
	one := path + "/{variable_uuid}"
	return []route{
		{http.MethodGet, path, readPipeline, in.list},
		{http.MethodPost, path, writeVariable, in.create},
		{http.MethodGet, one, readPipeline, in.kind().get},
		{http.MethodPut, one, writeVariable, in.update},
		{http.MethodDelete, one, writeVariable, in.kind().delete},
	}
}

// environmentVariableRoutes lack the one that gets a single variable.
var environmentVariableRoutes = slices.DeleteFunc(
	variableRoutes(repositoryPath+"/deployments_config/environments/{environment_uuid}/variables", environmentVariables),
	func(r route) bool {
		return r.method == http.MethodGet && strings.HasSuffix(r.template, "/{variable_uuid}")
	},
)

const variableService = "variable-service"

func (in variableOwner) kind() kind[*variable] {
	return kind[*variable]{"variable", variableService, func(c *call) (*collection[*variable], *reply) {
		s, refusal := in(c)
		if refusal != nil {
			return nil, refusal
		}
		return &s.variables, nil
	}, wireVariable}
}

// wireVariable writes a variable down as the service does: without its value if it is secured.
func wireVariable(_ *call, v *variable) any {
	w := struct {
		Type    string  `json:"type,omitzero"`
		UUID    string  `json:"uuid"`
		Key     string  `json:"key"`
		Value   *string `json:"value,omitzero"`
		Secured bool    `json:"secured"`
	}{v.Type, v.UUID, v.Key, &v.Value, v.Secured}
	if v.Secured {
		w.Value = nil
	}
	return w
}

func (in variableOwner) list(c *call) *reply {
	s, refusal := in(c)
	if refusal != nil {
		return refusal
	}
	var listed []*variable
	for _, v := range s.variables {
		if !c.now.Before(v.listed) {
			listed = append(listed, v)
		}
	}
	return page(c, listed, func(v *variable) any { return wireVariable(c, v) })
}

// variableRequest is a variable to create, or what to change of one.
type variableRequest struct {
	Key     *string `json:"key"`
	Value   *string `json:"value"`
	Secured *bool   `json:"secured"`
}

func (in variableOwner) create(c *call) *reply {
	s, refusal := in(c)
	if refusal != nil {
		return refusal
	}
	var req variableRequest
	if !c.decode(&req) {
		return invalidVariable()
	}
	if missing := req.missing(); len(missing) > 0 {
		return invalidVariable(missing...)
	}
	if s.withKey(*req.Key) != nil {
		return keyTaken(*req.Key)
	}
	v := s.add(*req.Key)
	v.Value, v.Secured = *req.Value, *req.Secured
	shown := *v
	if s.late {
		v.listed = c.now.Add(c.server.lateVariables)
		shown.Type = ""
	}
	return c.created(v.UUID, wireVariable(c, &shown))
}

// missing names what a creation needs and the request lacks.
func (req *variableRequest) missing() []string {
	var names []string
	if req.Key == nil || *req.Key == "" {
		names = append(names, "key")
	}
	if req.Value == nil {
		names = append(names, "value")
	}
	if req.Secured == nil {
		names = append(names, "secured")
	}
	return names
}

// invalidVariable refuses a body. What it lacks is told by the arguments alone, as the service does.
func invalidVariable(missing ...string) *reply {
	arguments := map[string]string{}
	for _, name := range missing {
		arguments[name+"-required"] = "Property " + name + " is required"
	}
	return serviceFailure(http.StatusBadRequest, variableService+".request.validation-error",
		"The request body contains invalid properties", arguments)
}

func keyTaken(key string) *reply {
	return serviceFailure(http.StatusConflict, variableService+".variable.duplicate",
		"There is a variable "+key+" already.", map[string]string{"key": key})
}

func (in variableOwner) update(c *call) *reply {
	v, refusal := in.kind().find(c)
	if refusal != nil {
		return refusal
	}
	s, _ := in(c) // it was there a moment ago
	var req variableRequest
	switch {
	case !c.decode(&req):
		return invalidVariable()
	case req.Key != nil && *req.Key == "":
		return invalidVariable("key")
	case req.Key != nil && !strings.EqualFold(*req.Key, v.Key) && s.withKey(*req.Key) != nil:
		return keyTaken(*req.Key)
	case v.Secured && req.Secured != nil && !*req.Secured && req.Value == nil: // or the secret could be read
		return invalidVariable("value")
	}
	v.Key, v.Value, v.Secured = or(req.Key, v.Key), or(req.Value, v.Value), or(req.Secured, v.Secured)
	return c.json(http.StatusOK, wireVariable(c, v))
}

// or returns what is given, or else the fallback.
func or[T any](given *T, fallback T) T {
	if given == nil {
		return fallback
	}
	return *given
}
