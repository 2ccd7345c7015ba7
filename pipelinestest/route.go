package pipelinestest

import (
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// route is one operation. Scope is what the caller's credentials need.
type route struct {
	method, template, scope string
	handle                  func(*call) *reply
}

func (r *route) onRepository() bool { return strings.HasPrefix(r.template, repositoryPath) }

// counts reports whether requests count against the quota.
func (r *route) counts() bool { return strings.HasPrefix(r.template, "/repositories/") }

// Scopes of the API. Public routes ask for no credentials.
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
	configPath     = repositoryPath + "/pipelines_config" // elsewhere the service writes it with a hyphen
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

// findRoute returns the route of a path and the path's parameters. A HEAD takes the route of a GET. Where only the method doesn't fit,
// known is true.
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

var braces = strings.NewReplacer("{", "%7B", "}", "%7D")

// withEncodedBraces returns the request as if the braces in its path had been percent-encoded, as most clients do. The service takes
// both forms.
func withEncodedBraces(r *http.Request) *http.Request {
	if !strings.ContainsAny(r.URL.RawPath, "{}") {
		return r
	}
	u := *r.URL
	u.RawPath = braces.Replace(u.RawPath)
	encoded := r.WithContext(r.Context()) // a copy
	encoded.URL = &u
	return encoded
}

// splitPath takes a path apart and decodes its elements one by one, so that an encoded slash stays within its element. A slash
// at the end doesn't count.
func splitPath(escaped string) (prefix string, elements []string) {
	for element := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/"), "/") {
		decoded, _ := url.PathUnescape(element) // an EscapedPath is well-formed
		elements = append(elements, decoded)
	}
	if "/"+elements[0] == apiPrefix {
		return apiPrefix, elements[1:]
	}
	return "", elements
}

// matchPath matches elements with a template. An element of it in braces is a parameter, which is never empty.
func matchPath(template string, elements []string) (map[string]string, bool) {
	want := strings.Split(strings.Trim(template, "/"), "/")
	if len(want) != len(elements) {
		return nil, false
	}
	params := map[string]string{}
	for i, element := range elements {
		if name, ok := paramName(want[i]); ok && element != "" {
			params[name] = element
		} else if !matchElement(want[i], element) {
			return nil, false
		}
	}
	return params, true
}

// matchElement matches an element with a pattern of [path.Match], or with the escaped form of itself.
func matchElement(pattern, element string) bool {
	if literal, err := url.PathUnescape(pattern); err == nil && literal == element {
		return true
	}
	ok, err := path.Match(pattern, element)
	return ok && err == nil
}

func paramName(element string) (string, bool) {
	name, opened := strings.CutPrefix(element, "{")
	name, closed := strings.CutSuffix(name, "}")
	return name, opened && closed
}

// call is one request on its way through the API. The server's lock is held as long as it lasts.
type call struct {
	server  *Server
	request *http.Request
	body    []byte
	query   url.Values
	params  map[string]string
	prefix  string // of the path, to be repeated in links
	now     time.Time
	caller  *caller     // nil until the credentials are checked, and on public routes
	repo    *Repository // where the path names one
}

// answerAPI answers one request to the API.
func (s *Server) answerAPI(r *http.Request, body []byte) *reply {
	prefix, elements := splitPath(r.URL.EscapedPath())
	own, params, known := findRoute(r.Method, elements)
	added, addedKnown := s.findAdded(r, prefix, own != nil)
	c := &call{server: s, request: r, body: body, query: r.URL.Query(), params: params, prefix: prefix}
	switch {
	case added != nil:
		return c.serveAdded(added)
	case own != nil:
		return c.serve(own)
	case known || addedKnown:
		return failure(http.StatusMethodNotAllowed, "Method not allowed", nil)
	}
	return failure(http.StatusNotFound, "Resource not found", "There is no API hosted at this URL")
}

// serve serves the request by a route of the server's own.
func (c *call) serve(route *route) *reply {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.now = c.server.now()
	a := c.refused(route, checks...)
	if a == nil {
		a = route.handle(c)
	}
	c.tellCaller(a.header, route)
	return a
}

// serveAdded serves the request by an endpoint of the test's. Its handler runs without the lock.
func (c *call) serveAdded(endpoint *addedEndpoint) *reply {
	route := &route{template: endpoint.request.URL.Path}
	c.server.mu.Lock()
	c.now = c.server.now()
	a := c.refused(route, addedChecks...)
	c.server.mu.Unlock()
	if a == nil {
		a = endpoint.serve(c.body)
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.tellCaller(a.header, route)
	return a
}

// check refuses a request, or returns nil.
type check = func(*call, *route) *reply

// What is refused on every route alike, in the order in which it is looked into, and on those of the test's.
var (
	checks = []check{
		(*call).authorize, (*call).refuseAPIToken, (*call).refuseEmptyJSON, (*call).spendQuota, (*call).checkIdentifiers, (*call).findRepository,
	}
	addedChecks = []check{(*call).authorize, (*call).refuseEmptyJSON, (*call).spendQuota}
)

func (c *call) refused(route *route, checks ...check) *reply {
	for _, check := range checks {
		if refusal := check(c, route); refusal != nil {
			return refusal
		}
	}
	return nil
}

// refuseEmptyJSON refuses a request that says that its body is JSON and has none. That was seen of a POST and a PUT; whether the service
// minds it of a DELETE is unknown.
func (c *call) refuseEmptyJSON(route *route) *reply {
	mediaType, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	writes := c.request.Method == http.MethodPost || c.request.Method == http.MethodPut
	if writes && len(c.body) == 0 && mediaType == "application/json" && route.scope != public {
		return textReply(http.StatusBadRequest, "text/plain", "Bad Request")
	}
	return nil
}

// spendQuota counts the request, unless the rolling hour is full.
func (c *call) spendQuota(route *route) *reply {
	s := c.server
	if s.quota <= 0 || !route.counts() {
		return nil
	}
	if len(c.recentHits()) >= s.quota {
		return textReply(http.StatusTooManyRequests, "text/plain", "Rate limit for this resource has been exceeded")
	}
	s.hits = append(s.hits, c.now)
	return nil
}

// recentHits are the requests of the last hour that count against the quota. Older ones are forgotten.
func (c *call) recentHits() []time.Time {
	s := c.server
	s.hits = slices.DeleteFunc(s.hits, func(t time.Time) bool { return c.now.Sub(t) >= time.Hour })
	return s.hits
}

var bareUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// checkIdentifiers refuses UUIDs that lack their braces.
func (c *call) checkIdentifiers(*route) *reply {
	for _, value := range c.params {
		if bareUUID.MatchString(value) {
			return failure(http.StatusBadRequest, "Bad request", "A UUID in a path has to be in braces.")
		}
	}
	return nil
}

func (c *call) findRepository(route *route) *reply {
	if !route.onRepository() {
		return nil
	}
	c.repo = c.server.findRepository(c.params["workspace"], c.params["repo_slug"])
	if c.repo == nil {
		return textReply(http.StatusNotFound, "text/html; charset=utf-8", notFoundPage)
	}
	return nil
}

// decode reads the body into v and reports whether it could be read.
func (c *call) decode(v any) bool { return json.Unmarshal(c.body, v) == nil }

// created answers a POST with what it made. Its Location is below the path of the POST.
func (c *call) created(uuid string, v any) *reply {
	a := c.json(http.StatusCreated, v)
	a.header.Set("Location", origin(c.request)+strings.TrimSuffix(c.request.URL.EscapedPath(), "/")+"/"+escaped(uuid))
	return a
}

// base is the URL that links begin with, as the caller addresses the API.
func (c *call) base() string { return origin(c.request) + c.prefix }

func origin(r *http.Request) string { return scheme(r) + "://" + host(r) }

// host is how the sender of a request addresses the server. In HTTP/1.0 it needn't say.
func host(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	if address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return address.String()
	}
	return apiHost
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
