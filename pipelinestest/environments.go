package pipelinestest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-85ed9bfd/pipelines"
)

// defaultLateEnvironments is how long the API shows an environment unchanged after a change.
const defaultLateEnvironments = time.Second

// Environment is a deployment environment of a [Repository]. A test adds variables to it and reads them. It is safe for concurrent use.
type Environment struct {
	variableSet

	current, before pipelines.Environment
	changed         time.Time // when current replaced before
}

func (e *Environment) id() string { return e.current.UUID }

// UUID returns the environment's UUID, in braces.
func (e *Environment) UUID() string { return e.current.UUID }

// visible is the environment as the API shows it at a time. A recent change isn't visible yet.
func (e *Environment) visible(now time.Time) pipelines.Environment {
	if now.Before(e.changed.Add(e.server.lateEnvironments)) {
		return e.before
	}
	return e.current
}

// environmentTypes are the types of environments, by rank.
var environmentTypes = []pipelines.EnvironmentTypeName{
	pipelines.EnvironmentTest, pipelines.EnvironmentStaging, pipelines.EnvironmentProduction,
}

// environmentTypeOf infers the type of an environment from its name.
func environmentTypeOf(name string) pipelines.EnvironmentTypeName {
	for _, typ := range environmentTypes {
		if strings.EqualFold(string(typ), name) {
			return typ
		}
	}
	return pipelines.EnvironmentTest
}

// AddEnvironment adds a deployment environment of a type, such as [pipelines.EnvironmentStaging]. If an environment of this name exists, it
// is returned unchanged. AddEnvironment panics if the type is unknown.
func (r *Repository) AddEnvironment(name string, typ pipelines.EnvironmentTypeName) *Environment {
	if !slices.Contains(environmentTypes, typ) {
		panic("pipelinestest: there is no type " + string(typ) + " of environments")
	}
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.addEnvironment(name, typ)
}

// Environments returns the environments in the order in which they were created.
func (r *Repository) Environments() []pipelines.Environment {
	return copies(r.server, &r.environments, func(e *Environment) pipelines.Environment { return clone(e.current) })
}

func (r *Repository) addEnvironment(name string, typ pipelines.EnvironmentTypeName) *Environment {
	if e := r.environmentNamed(name); e != nil {
		return e
	}
	rank := slices.Index(environmentTypes, typ)
	e := &Environment{variableSet: variableSet{server: r.server}, current: pipelines.Environment{
		Type: "deployment_environment", UUID: r.server.newUUID(), Name: name, Slug: slugOf(name), Rank: rank,
		Category:            &pipelines.EnvironmentCategory{Name: typ},
		EnvironmentType:     &pipelines.EnvironmentType{Type: "deployment_environment_type", Name: typ, Rank: rank},
		Restrictions:        &pipelines.DeploymentRestrictions{Type: "deployment_restrictions_configuration"},
		Lock:                &pipelines.EnvironmentLock{Type: "deployment_environment_lock_open", Name: "OPEN"},
		ChangeRequestConfig: &pipelines.ChangeRequestConfig{},
	}}
	e.late = true
	r.environments = append(r.environments, e)
	return e
}

func (r *Repository) environmentNamed(name string) *Environment {
	for _, e := range r.environments {
		if e.current.Name == name {
			return e
		}
	}
	return nil
}

func slugOf(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), "-")) }

const (
	environmentsPath = repositoryPath + "/environments"
	environmentPath  = environmentsPath + "/{environment_uuid}"
	deployService    = "deploy-service"
)

var environments = kind[*Environment]{"environment", deployService, func(c *call) (*collection[*Environment], *response) {
	return &c.repo.environments, nil
}, func(c *call, e *Environment) any { return encodeEnvironment(e.visible(c.now)) }}

var environmentRoutes = []route{
	{http.MethodGet, environmentsPath, readPipeline, environments.list},
	{http.MethodPost, environmentsPath, readPipeline, (*call).createEnvironment},
	{http.MethodGet, environmentPath, readPipeline, environments.get},
	{http.MethodDelete, environmentPath, readPipeline, environments.delete},
	{http.MethodPost, environmentPath + "/changes", readPipeline, (*call).changeEnvironment},
}

// environmentJSON is the JSON of an environment. Unlike the model it has members that are zero or false.
type environmentJSON struct {
	pipelines.Environment
	Rank                   int                     `json:"rank"`
	Hidden                 bool                    `json:"hidden"`
	EnvironmentType        environmentTypeJSON     `json:"environment_type"`
	Restrictions           restrictionsJSON        `json:"restrictions"`
	EnvironmentLockEnabled bool                    `json:"environment_lock_enabled"`
	DeploymentGateEnabled  bool                    `json:"deployment_gate_enabled"`
	ChangeRequestConfig    changeRequestConfigJSON `json:"change_request_config"`
}

type environmentTypeJSON struct {
	pipelines.EnvironmentType
	Rank int `json:"rank"`
}

type restrictionsJSON struct {
	pipelines.DeploymentRestrictions
	AdminOnly bool `json:"admin_only"`
}

type changeRequestConfigJSON struct {
	Configured bool `json:"configured"`
}

func encodeEnvironment(e pipelines.Environment) environmentJSON {
	return environmentJSON{
		e, e.Rank, e.Hidden, environmentTypeJSON{*e.EnvironmentType, e.EnvironmentType.Rank},
		restrictionsJSON{*e.Restrictions, e.Restrictions.AdminOnly}, e.EnvironmentLockEnabled, e.DeploymentGateEnabled,
		changeRequestConfigJSON{e.ChangeRequestConfig.Configured},
	}
}

func (c *call) createEnvironment() *response {
	var req struct {
		Name            string         `json:"name"`
		EnvironmentType jsontext.Value `json:"environment_type"`
		Restrictions    struct {
			AdminOnly bool `json:"admin_only"`
		} `json:"restrictions"`
	}
	if !c.decode(&req) {
		return invalidEnvironment("The request body contains invalid properties")
	}
	var typ struct {
		Name pipelines.EnvironmentTypeName `json:"name"`
	}
	switch err := json.Unmarshal(req.EnvironmentType, &typ); {
	case err != nil || typ.Name == "": // the service treats a string as missing
		return invalidEnvironment("Property environment_type is required.")
	case !slices.Contains(environmentTypes, typ.Name):
		return invalidEnvironment("There is no environment_type " + string(typ.Name) + ".")
	case req.Name == "":
		return invalidEnvironment("Property name is required.")
	case c.repo.environmentNamed(req.Name) != nil:
		return environments.conflict("There is an environment " + req.Name + " already.")
	}
	e := c.repo.addEnvironment(req.Name, typ.Name)
	e.current.Restrictions.AdminOnly = req.Restrictions.AdminOnly
	return c.created(e.UUID(), encodeEnvironment(e.current))
}

func invalidEnvironment(detail string) *response {
	return serviceError(http.StatusBadRequest, deployService+".request.validation-error", detail, map[string]string{})
}

// environmentChange is the body of a change. An environment has no other fields that can be changed.
type environmentChange struct {
	Change *struct {
		Name         *string `json:"name"`
		Restrictions *struct {
			AdminOnly *bool `json:"admin_only"`
		} `json:"restrictions"`
	} `json:"change"`
}

// changeEnvironment accepts a change, which becomes visible a little later.
func (c *call) changeEnvironment() *response {
	e, errResp := environments.find(c)
	if errResp != nil {
		return errResp
	}
	var req environmentChange
	switch err := json.Unmarshal(c.body, &req, json.RejectUnknownMembers(true)); {
	case errors.Is(err, json.ErrUnknownName):
		return serviceError(http.StatusBadRequest, deployService+".environment.change-not-supported",
			"The change is not supported.", map[string]string{})
	case err != nil || req.Change == nil:
		return invalidEnvironment("Property change is required.")
	}
	name := req.Change.Name
	switch {
	case name == nil:
	case *name == "":
		return invalidEnvironment("Property name is required.")
	case *name != e.current.Name && c.repo.environmentNamed(*name) != nil:
		return environments.conflict("There is an environment " + *name + " already.")
	}
	e.before, e.changed = e.visible(c.now), c.now
	e.current.Name = valueOr(name, e.current.Name)
	e.current.Slug = slugOf(e.current.Name)
	if restrictions := req.Change.Restrictions; restrictions != nil {
		changed := *e.current.Restrictions // before keeps the old restrictions
		changed.AdminOnly = valueOr(restrictions.AdminOnly, changed.AdminOnly)
		e.current.Restrictions = &changed
	}
	return emptyResponse(http.StatusAccepted)
}
