package pipelinestest

import (
	"fmt"
	"net/http"

	"github.com/seed-85ed9bfd/pipelines"
)

// DisablePipelines makes the repository one in which Pipelines was never enabled. It then has no configuration and starts no runs.
// Everything else stays.
func (r *Repository) DisablePipelines() {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.enabled = nil
}

// PipelinesEnabled reports whether Pipelines is enabled in the repository.
func (r *Repository) PipelinesEnabled() bool {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.runsPipelines()
}

func (r *Repository) runsPipelines() bool { return r.enabled != nil && *r.enabled }

const configService = "pipelines-config-service"

var configRoutes = []route{
	{http.MethodGet, configPath, adminRepository, (*call).getConfig},
	{http.MethodPut, configPath, adminRepository, (*call).putConfig},
	{http.MethodPut, configPath + "/build_number", writeVariable, (*call).putBuildNumber},
}

// configJSON is the JSON of a configuration. Unlike the model it has an enabled that is false.
type configJSON struct {
	pipelines.Config
	Enabled bool `json:"enabled"`
}

func (c *call) getConfig() *response {
	if c.repo.enabled == nil {
		return neverEnabled()
	}
	config := pipelines.Config{Type: "pipelines_config", Repository: c.linkedRepository(c.repo)}
	return c.json(http.StatusOK, configJSON{config, *c.repo.enabled})
}

func neverEnabled() *response {
	return serviceError(http.StatusNotFound, configService+".config.not-found", "Pipelines was never enabled in the repository.", map[string]string{})
}

func (c *call) putConfig() *response {
	var req struct {
		Enabled *bool `json:"enabled"`
	}
	if !c.decode(&req) {
		return invalidRequest(configService, "The request body contains invalid properties")
	}
	enabled := valueOr(req.Enabled, c.repo.runsPipelines())
	c.repo.enabled = &enabled
	return c.getConfig()
}

func (c *call) putBuildNumber() *response {
	var req struct {
		Next int `json:"next"`
	}
	switch {
	case c.repo.enabled == nil:
		return neverEnabled()
	case !c.decode(&req):
		return invalidRequest(configService, "The request body contains invalid properties")
	case req.Next <= c.repo.latest:
		return invalidRequest(configService, fmt.Sprintf("The next build number has to be higher than the latest, %d.", c.repo.latest))
	}
	c.repo.next = req.Next
	return c.json(http.StatusOK, pipelines.BuildNumber{Type: "pipeline_build_number", Next: req.Next})
}
