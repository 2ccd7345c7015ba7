package pipelines

import (
	"context"
	"net/http"
)

// ConfigService enables and disables Pipelines for a repository and sets its build number.
type ConfigService struct{ client *Client }

const configPath = repositoryPath + "/pipelines_config"

var (
	opConfigGet         = op("Config.Get", http.MethodGet, configPath, idempotent)
	opConfigUpdate      = op("Config.Update", http.MethodPut, configPath, idempotent)
	opConfigBuildNumber = op("Config.SetNextBuildNumber", http.MethodPut, configPath+"/build_number", idempotent)
)

// Config is a repository's configuration of Pipelines.
type Config struct {
	Type       string      `json:"type,omitzero"`
	Enabled    bool        `json:"enabled,omitzero"` // Pipelines is enabled
	Repository *Repository `json:"repository,omitzero"`
}

// ConfigUpdate is a change of a [Config]. Nil fields stay unchanged.
type ConfigUpdate struct {
	Enabled *bool `json:"enabled,omitzero"`
}

func (u ConfigUpdate) validate() error {
	if u == (ConfigUpdate{}) {
		return invalidArgument("update changes nothing")
	}
	return nil
}

// BuildNumber is the build number of the next run.
type BuildNumber struct {
	Type string `json:"type,omitzero"`
	Next int    `json:"next,omitzero"`
}

// Get returns the configuration. If Pipelines was never enabled, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config
//
// Scope: repository:admin.
func (s *ConfigService) Get(ctx context.Context, repo Repo, opts ...CallOption) (*Config, error) {
	return send[Config](ctx, s.client, opConfigGet.at(repo.Workspace, repo.Slug), nil, opts)
}

// Update changes the configuration, and creates it if there is none. An update that changes nothing is an [ErrInvalidArgument]. For
// a while after a repository was created or forked, the error may be an [ErrForbidden] or an [ErrNotFound].
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config
//
// Scope: repository:admin.
func (s *ConfigService) Update(
	ctx context.Context, repo Repo, update ConfigUpdate, opts ...CallOption,
) (*Config, error) {
	return send[Config](ctx, s.client, opConfigUpdate.at(repo.Workspace, repo.Slug).withError(update.validate()), update, opts)
}

// SetNextBuildNumber sets the build number of the next run. If it is not higher than the latest, the error is an
// [ErrInvalidRequest]. The service has no operation that reads it.
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config/build_number
//
// Scope: pipeline:variable.
func (s *ConfigService) SetNextBuildNumber(
	ctx context.Context, repo Repo, next int, opts ...CallOption,
) (*BuildNumber, error) {
	at := opConfigBuildNumber.at(repo.Workspace, repo.Slug)
	if next < 1 {
		at = at.withError(invalidArgument("next build number %d is not positive", next))
	}
	return send[BuildNumber](ctx, s.client, at, BuildNumber{Next: next}, opts)
}
