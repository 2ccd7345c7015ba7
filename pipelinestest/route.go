package pipelinestest

import (
	"net/http"
	"slices"
	"strings"
)

// route is one operation. Scope is the OAuth scope that it requires.
type route struct {
	method, template, scope string
	handle                  func(*call) *response
}

func (r *route) onRepository() bool { return strings.HasPrefix(r.template, repositoryPath) }

// countsAgainstQuota reports whether requests count against the quota.
func (r *route) countsAgainstQuota() bool { return strings.HasPrefix(r.template, "/repositories/") }

// The scopes of the API. Public routes require no credentials.
const (
	public          = "public"
	readPipeline    = "pipeline"
	writePipeline   = "pipeline:write"
	writeVariable   = "pipeline:variable"
	readRepository  = "repository"
	adminRepository = "repository:admin"
	readRunner      = "runner"
	writeRunner     = "runner:write"
)

const (
	repositoryPath = "/repositories/{workspace}/{repo_slug}"
	workspacePath  = "/workspaces/{workspace}"
	configPath     = repositoryPath + "/pipelines_config" // with a hyphen in other paths
)

var routes = slices.Concat(
	oauthRoutes, repositoryRoutes, pipelineRoutes, stepRoutes, logRoutes, testReportRoutes,
	variableRoutes(configPath+"/variables", repositoryVariables),
	variableRoutes(workspacePath+"/pipelines-config/variables", workspaceVariables),
	variableRoutes("/teams/{username}/pipelines_config/variables", teamVariables),
	variableRoutes("/users/{selected_user}/pipelines_config/variables", userVariables),
	environmentVariableRoutes, environmentRoutes, deploymentRoutes, scheduleRoutes, sshRoutes, cacheRoutes, configRoutes, oidcRoutes,
	runnerRoutes(repositoryPath+"/pipelines-config/runners", repositoryRunners),
	runnerRoutes(workspacePath+"/pipelines-config/runners", workspaceRunners),
)

// findRoute returns the route of a path and its parameters. HEAD uses the route of GET. Known is true if the path has a route, perhaps for
// another method.
func findRoute(method string, elements []string) (found *route, params map[string]string, known bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range routes {
		params, ok := matchPath(routes[i].template, elements)
		if !ok {
			continue
		}
		if routes[i].method == method {
			return &routes[i], params, true
		}
		known = true
	}
	return nil, nil, known
}
