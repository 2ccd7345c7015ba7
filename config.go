package pipelines

import (
	"context"
	"net/http"
)

// ConfigService switches Pipelines on and off for a repository and sets its build number.
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
	Enabled    bool        `json:"enabled,omitzero"` // Pipelines is switched on
	Repository *Repository `json:"repository,omitzero"`
}

// ConfigUpdate is what to change of a [Config]; what is nil stays.
type ConfigUpdate struct {
	Enabled *bool `json:"enabled,omitzero"`
}

// BuildNumber is the number that the next run gets.
type BuildNumber struct {
	Type string `json:"type,omitzero"`
	Next int    `json:"next,omitzero"`
}

// Get returns the configuration. It is an [ErrNotFound] until Pipelines was switched on for the first time.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config
//
// Scope: repository:admin.
func (s *ConfigService) Get(ctx context.Context, repo Repo, opts ...CallOption) (*Config, error) {
	return send[Config](ctx, s.client, opConfigGet.at(repo.Workspace, repo.Slug), nil, opts)
}

// Update changes the configuration, and creates it if there was none. An update that changes nothing is an [ErrInvalidArgument].
// For a while after a repository was created or forked the error may be an [ErrForbidden] or an [ErrNotFound].
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config
//
// Scope: repository:admin.
func (s *ConfigService) Update(
	ctx context.Context, repo Repo, update ConfigUpdate, opts ...CallOption,
) (*Config, error) {
	var err error
	if update == (ConfigUpdate{}) {
		err = invalidArgument("update changes nothing")
	}
	return send[Config](ctx, s.client, opConfigUpdate.at(repo.Workspace, repo.Slug).withError(err), update, opts)
}

// SetNextBuildNumber sets the number of the next run. It has to be higher than the latest; one that isn't is an
// [ErrInvalidRequest]. The service has no operation that reads it.
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config/build_number
//
// Scope: pipeline:variable.
func (s *ConfigService) SetNextBuildNumber(
	ctx context.Context, repo Repo, next int, opts ...CallOption,
) (*BuildNumber, error) {
	var err error
	if next < 1 {
		err = invalidArgument("next build number %d is not positive", next)
	}
	return send[BuildNumber](ctx, s.client, opConfigBuildNumber.at(repo.Workspace, repo.Slug).withError(err), BuildNumber{Next: next}, opts)
}
