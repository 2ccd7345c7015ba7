package pipelinestest

import (
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// call is one request to the API. The server's lock is held while it is handled, except in a handler of the test.
type call struct {
	server  *Server
	request *http.Request
	body    []byte
	query   url.Values
	params  map[string]string
	prefix  string // of the path; links repeat it
	now     time.Time
	caller  *caller     // nil before the credentials are checked, and for public routes
	repo    *Repository // the repository in the path, if any
}

// serveAPI handles one request to the API.
func (s *Server) serveAPI(r *http.Request, body []byte) *response {
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
		return errorResponse(http.StatusMethodNotAllowed, "Method not allowed", nil)
	}
	return errorResponse(http.StatusNotFound, "Resource not found", "There is no API hosted at this URL")
}

// serve handles a request to one of the server's own endpoints.
func (c *call) serve(route *route) *response {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.now = c.server.now()
	resp := c.runChecks(route, checks...)
	if resp == nil {
		resp = route.handle(c)
	}
	c.setCredentialHeaders(resp.header, route)
	return resp
}

// serveAdded handles a request to an endpoint of [Server.Handle]. The handler runs without the lock.
func (c *call) serveAdded(endpoint *addedEndpoint) *response {
	route := &route{template: endpoint.request.URL.Path}
	c.server.mu.Lock()
	c.now = c.server.now()
	resp := c.runChecks(route, addedChecks...)
	c.server.mu.Unlock()
	if resp == nil {
		resp = endpoint.serve(c.body)
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.setCredentialHeaders(resp.header, route)
	return resp
}

// check returns an error response to a request that it refuses, or nil.
type check = func(*call, *route) *response

// checks are made, in this order, for the server's own endpoints; addedChecks for those of [Server.Handle].
var (
	checks = []check{
		(*call).authorize, (*call).checkAPIToken, (*call).checkEmptyJSON, (*call).checkQuota, (*call).checkIdentifiers, (*call).findRepository,
	}
	addedChecks = []check{(*call).authorize, (*call).checkEmptyJSON, (*call).checkQuota}
)

func (c *call) runChecks(route *route, checks ...check) *response {
	for _, check := range checks {
		if errResp := check(c, route); errResp != nil {
			return errResp
		}
	}
	return nil
}

// checkEmptyJSON refuses a request without a body whose Content-Type is JSON. The service does so for POST and PUT; for DELETE its
// behaviour is unknown.
func (c *call) checkEmptyJSON(route *route) *response {
	mediaType, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	writes := c.request.Method == http.MethodPost || c.request.Method == http.MethodPut
	if writes && len(c.body) == 0 && mediaType == "application/json" && route.scope != public {
		return textResponse(http.StatusBadRequest, "text/plain", "Bad Request")
	}
	return nil
}

var bareUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// checkIdentifiers refuses UUIDs without braces.
func (c *call) checkIdentifiers(*route) *response {
	for _, value := range c.params {
		if bareUUID.MatchString(value) {
			return errorResponse(http.StatusBadRequest, "Bad request", "A UUID in a path has to be in braces.")
		}
	}
	return nil
}

func (c *call) findRepository(route *route) *response {
	if !route.onRepository() {
		return nil
	}
	workspace, slug := c.params["workspace"], c.params["repo_slug"]
	c.repo = c.server.findRepository(workspace, slug)
	switch {
	case c.repo != nil:
		return nil
	case c.server.isGone(workspace, slug):
		return errorResponse(http.StatusNotFound, goneMessage, nil)
	}
	return textResponse(http.StatusNotFound, "text/html; charset=utf-8", notFoundPage)
}

// decode decodes the body into v and reports whether it succeeded.
func (c *call) decode(v any) bool { return json.Unmarshal(c.body, v) == nil }

// created is the response to a POST that created v. Its Location is below the path of the request.
func (c *call) created(uuid string, v any) *response {
	resp := c.json(http.StatusCreated, v)
	resp.header.Set("Location", origin(c.request)+strings.TrimSuffix(c.request.URL.EscapedPath(), "/")+"/"+escaped(uuid))
	return resp
}

// base is the base URL of links: the API as the client addresses it.
func (c *call) base() string { return origin(c.request) + c.prefix }

func origin(r *http.Request) string { return scheme(r) + "://" + host(r) }

// host is the host that the request was sent to. HTTP/1.0 doesn't require a Host header.
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
