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

func (r *route) onRepository() bool { return strings.HasPrefix(r.template, "/repositories/") }

// Scopes of the API. Public routes ask for no credentials.
const (
	public          = "public"
	readPipeline    = "pipeline"
	writePipeline   = "pipeline:write"
	writeVariable   = "pipeline:variable"
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
	oauthRoutes, pipelineRoutes, stepRoutes, logRoutes, testReportRoutes,
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
	route, params, known := findRoute(r.Method, elements)
	switch {
	case route == nil && known:
		return failure(http.StatusMethodNotAllowed, "Method not allowed", nil)
	case route == nil:
		return failure(http.StatusNotFound, "Resource not found", "There is no API hosted at this URL")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{
		server: s, request: r, body: body, query: r.URL.Query(), params: params, prefix: prefix, now: s.now(),
	}
	a := c.admit(route)
	if a == nil {
		a = route.handle(c)
	}
	c.tellCaller(a.header, route)
	return a
}

// admit refuses what is refused on every route alike, and finds the repository.
func (c *call) admit(route *route) *reply {
	if route.scope != public {
		if refusal := c.authorize(route.scope); refusal != nil {
			return refusal
		}
	}
	if refusal := c.refuseAPIToken(route); refusal != nil {
		return refusal
	}
	if route.scope != public && c.emptyJSON() {
		return textReply(http.StatusBadRequest, "text/plain", "Bad Request")
	}
	if !route.onRepository() {
		return c.checkIdentifiers()
	}
	if !c.spendQuota() {
		return textReply(http.StatusTooManyRequests, "text/plain", "Rate limit for this resource has been exceeded")
	}
	if refusal := c.checkIdentifiers(); refusal != nil {
		return refusal
	}
	c.repo = c.server.findRepository(c.params["workspace"], c.params["repo_slug"])
	if c.repo == nil {
		return textReply(http.StatusNotFound, "text/html; charset=utf-8", notFoundPage)
	}
	return nil
}

// emptyJSON reports whether the request says that its body is JSON and has none. That was seen to be refused of a POST and a PUT, before
// anything else looks into it; whether the service minds it of a DELETE is unknown.
func (c *call) emptyJSON() bool {
	mediaType, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	writes := c.request.Method == http.MethodPost || c.request.Method == http.MethodPut
	return writes && len(c.body) == 0 && mediaType == "application/json"
}

// spendQuota counts the request, unless the rolling hour is full.
func (c *call) spendQuota() bool {
	s := c.server
	if s.quota <= 0 {
		return true
	}
	if len(c.recentHits()) >= s.quota {
		return false
	}
	s.hits = append(s.hits, c.now)
	return true
}

// recentHits are the requests of the last hour that count against the quota. Older ones are forgotten.
func (c *call) recentHits() []time.Time {
	s := c.server
	s.hits = slices.DeleteFunc(s.hits, func(t time.Time) bool { return c.now.Sub(t) >= time.Hour })
	return s.hits
}

var bareUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// checkIdentifiers refuses UUIDs that lack their braces.
func (c *call) checkIdentifiers() *reply {
	for _, value := range c.params {
		if bareUUID.MatchString(value) {
			return failure(http.StatusBadRequest, "Bad request", "A UUID in a path has to be in braces.")
		}
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
