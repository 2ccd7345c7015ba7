package pipelinestest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// defaultLateVariables is how long a known client waits for a new variable of an environment.
const defaultLateVariables = 5 * time.Second

type variable struct {
	pipelines.Variable
	listed time.Time // when it appears in the list
}

func (v *variable) id() string { return v.UUID }

// variableSet holds the variables of one owner.
type variableSet struct {
	server    *Server
	late      bool // created variables appear late, and their creation has no type
	variables collection[*variable]
}

// Format implements [fmt.Formatter], also for the owners. It prints no variables.
func (s *variableSet) Format(f fmt.State, _ rune) { fmt.Fprint(f, "pipelinestest: owner of variables") }

// variableType is the type of variables, except in the response that creates one in an environment.
const variableType = "pipeline_variable"

// AddVariable adds a variable, or replaces the one with its key, and returns it as stored. The list has it at once. Like the API it ignores
// the case of keys.
func (s *variableSet) AddVariable(v pipelines.Variable) *pipelines.Variable {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	stored := s.byKey(v.Key)
	if stored == nil {
		stored = s.add(v.Key)
	}
	stored.Key, stored.Value, stored.Secured, stored.listed = v.Key, v.Value, v.Secured, time.Time{}
	c := stored.Variable
	return &c
}

// Variables returns the current variables, including those that the API doesn't list yet. Unlike the API it includes secured values;
// printed, they are masked.
func (s *variableSet) Variables() []pipelines.Variable {
	return copies(s.server, &s.variables, func(v *variable) pipelines.Variable { return v.Variable })
}

// byKey returns the variable with a key, ignoring case.
func (s *variableSet) byKey(key string) *variable {
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

// variableOwner finds the owner of the variables in a path.
type variableOwner func(*call) (*variableSet, *response)

func repositoryVariables(c *call) (*variableSet, *response) { return &c.repo.variableSet, nil }

func workspaceVariables(c *call) (*variableSet, *response) {
	w, errResp := c.workspace()
	if errResp != nil {
		return nil, errResp
	}
	return &w.variableSet, nil
}

func teamVariables(c *call) (*variableSet, *response) {
	return ownerVariables(c.server.teams, c.params["username"])
}

func userVariables(c *call) (*variableSet, *response) {
	return ownerVariables(c.server.users, c.params["selected_user"])
}

func ownerVariables(all []*Owner, name string) (*variableSet, *response) {
	if o := findOwner(all, name); o != nil {
		return &o.variableSet, nil
	}
	return nil, errorResponse(http.StatusNotFound, "There is no account "+name+".", nil)
}

func environmentVariables(c *call) (*variableSet, *response) {
	e, errResp := environments.find(c)
	if errResp != nil {
		return nil, errResp
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

// environmentVariableRoutes lack GET for a single variable, like the service.
var environmentVariableRoutes = slices.DeleteFunc(
	variableRoutes(repositoryPath+"/deployments_config/environments/{environment_uuid}/variables", environmentVariables),
	func(r route) bool {
		return r.method == http.MethodGet && strings.HasSuffix(r.template, "/{variable_uuid}")
	},
)

const variableService = "variable-service"

func (in variableOwner) kind() kind[*variable] {
	return kind[*variable]{"variable", variableService, func(c *call) (*collection[*variable], *response) {
		s, errResp := in(c)
		if errResp != nil {
			return nil, errResp
		}
		return &s.variables, nil
	}, encodeVariable}
}

// encodeVariable encodes a variable. A secured one has no value.
func encodeVariable(_ *call, v *variable) any {
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

func (in variableOwner) list(c *call) *response {
	s, errResp := in(c)
	if errResp != nil {
		return errResp
	}
	var listed []*variable
	for _, v := range s.variables {
		if !c.now.Before(v.listed) {
			listed = append(listed, v)
		}
	}
	return page(c, listed, func(v *variable) any { return encodeVariable(c, v) })
}

// variableRequest is the body of a request to create or change a variable.
type variableRequest struct {
	Key     *string `json:"key"`
	Value   *string `json:"value"`
	Secured *bool   `json:"secured"`
}

func (in variableOwner) create(c *call) *response {
	s, errResp := in(c)
	if errResp != nil {
		return errResp
	}
	var req variableRequest
	if !c.decode(&req) {
		return invalidVariable()
	}
	if missing := req.missing(); len(missing) > 0 {
		return invalidVariable(missing...)
	}
	if s.byKey(*req.Key) != nil {
		return keyTaken(*req.Key)
	}
	v := s.add(*req.Key)
	v.Value, v.Secured = *req.Value, *req.Secured
	shown := *v
	if s.late {
		v.listed = c.now.Add(c.server.lateVariables)
		shown.Type = ""
	}
	return c.created(v.UUID, encodeVariable(c, &shown))
}

// missing returns the properties that a creation requires and the request lacks.
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

// invalidVariable is the response to an invalid body. Like the service it names missing properties only in the arguments.
func invalidVariable(missing ...string) *response {
	arguments := map[string]string{}
	for _, name := range missing {
		arguments[name+"-required"] = "Property " + name + " is required"
	}
	return serviceError(http.StatusBadRequest, variableService+".request.validation-error",
		"The request body contains invalid properties", arguments)
}

func keyTaken(key string) *response {
	return serviceError(http.StatusConflict, variableService+".variable.duplicate",
		"There is a variable "+key+" already.", map[string]string{"key": key})
}

func (in variableOwner) update(c *call) *response {
	v, errResp := in.kind().find(c)
	if errResp != nil {
		return errResp
	}
	s, _ := in(c) // in has just succeeded
	var req variableRequest
	switch {
	case !c.decode(&req):
		return invalidVariable()
	case req.Key != nil && *req.Key == "":
		return invalidVariable("key")
	case req.Key != nil && !strings.EqualFold(*req.Key, v.Key) && s.byKey(*req.Key) != nil:
		return keyTaken(*req.Key)
	case v.Secured && req.Secured != nil && !*req.Secured && req.Value == nil: // the secret would become readable
		return invalidVariable("value")
	}
	v.Key, v.Value, v.Secured = valueOr(req.Key, v.Key), valueOr(req.Value, v.Value), valueOr(req.Secured, v.Secured)
	return c.json(http.StatusOK, encodeVariable(c, v))
}

// valueOr returns *given, or fallback if given is nil.
func valueOr[T any](given *T, fallback T) T {
	if given == nil {
		return fallback
	}
	return *given
}
