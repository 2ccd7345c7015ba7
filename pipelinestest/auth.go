package pipelinestest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// allScopes are the scopes of credentials that have no scopes of their own.
var allScopes = []string{readPipeline, writePipeline, writeVariable, readRepository, adminRepository, readRunner, writeRunner}

// access holds the credentials that the server accepts. Credentials without scopes may do everything.
type access struct {
	anyToken  bool                // any token is accepted unless it was revoked
	tokens    map[string][]string // scopes by token
	consumers map[string]consumer // by ID; empty: any consumer is accepted
	grants    map[string]grant    // by access token
	refreshes map[string]grant    // by refresh token; they don't expire
	revoked   map[string]bool     // tokens of all kinds
}

type consumer struct {
	secret string
	scopes []string
}

// grant is what a token that the token endpoint has issued stands for.
type grant struct {
	consumer string // its ID
	scopes   []string
	expires  time.Time
}

func newAccess() access {
	return access{
		anyToken: true, tokens: map[string][]string{}, consumers: map[string]consumer{},
		grants: map[string]grant{}, refreshes: map[string]grant{}, revoked: map[string]bool{},
	}
}

// AddToken makes the server accept a token, like [WithToken], while programs run. A token that was revoked is accepted again, and one that
// is there gets these scopes. A server that accepts any token continues to. AddToken panics if the token is empty.
func (s *Server) AddToken(token string, scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mustBeToken(token)
	s.access.tokens[token] = scopes
	delete(s.access.revoked, token)
}

// RevokeToken makes the server refuse a token, as if a person had revoked it: one of [WithToken] or [Server.AddToken], any token if the
// server accepts any, or one that the token endpoint has issued, whose consumer can get another. Requests with it get 401.
// [Server.AddToken] accepts it again. RevokeToken panics if the server has never known the token.
func (s *Server) RevokeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mustBeToken(token)
	if !s.access.knows(token) {
		panic("pipelinestest: the server has never known the token to revoke")
	}
	s.access.revoked[token] = true
}

func mustBeToken(token string) {
	if token == "" {
		panic("pipelinestest: the token is empty")
	}
}

// knows reports whether a token is or was accepted.
func (a *access) knows(token string) bool {
	_, listed := a.tokens[token]
	_, issued := a.grants[token]
	_, refreshes := a.refreshes[token]
	return a.anyToken || listed || issued || refreshes
}

// scopes returns the scopes of a token, or the error response for one that is unknown or expired.
func (a *access) scopes(token string, now time.Time) ([]string, *response) {
	if a.revoked[token] {
		return nil, unknownCredentials()
	}
	if g, ok := a.grants[token]; ok {
		if !now.Before(g.expires) {
			return nil, errorResponse(http.StatusUnauthorized, "Access token expired.", nil)
		}
		return g.scopes, nil
	}
	scopes, ok := a.tokens[token]
	if token == "" || !ok && !a.anyToken {
		return nil, unknownCredentials()
	}
	return scopes, nil
}

func unknownCredentials() *response {
	return errorResponse(http.StatusUnauthorized, "The credentials are missing or unknown.", nil)
}

// The values of X-Credential-Type. They are invented.
const (
	apiToken    = "api_token"    // Basic authentication
	oauthToken  = "oauth2"       // issued by the token endpoint
	accessToken = "access_token" // any other Bearer token
)

// caller describes the credentials of a request.
type caller struct {
	credential string // type of the credentials
	name       string // the user, the access token or the ID of the consumer
	scopes     []string
}

func (c *call) identify(scopes []string) *caller {
	if len(scopes) == 0 {
		scopes = allScopes
	}
	if user, _, basic := c.request.BasicAuth(); basic {
		return &caller{apiToken, user, scopes}
	}
	token := credential(c.request)
	if g, issued := c.server.access.grants[token]; issued {
		return &caller{oauthToken, g.consumer, scopes}
	}
	return &caller{accessToken, token, scopes}
}

// setCredentialHeaders adds the headers that describe the credentials and, for an access token, the quota.
func (c *call) setCredentialHeaders(header http.Header, route *route) {
	if c.caller == nil {
		return
	}
	header.Set("X-Oauth-Scopes", strings.Join(c.caller.scopes, ", "))
	header.Set("X-Credential-Type", c.caller.credential)
	if route.scope != "" {
		header.Set("X-Accepted-Oauth-Scopes", route.scope)
	}
	if c.caller.credential == accessToken {
		c.setQuotaHeaders(header, route)
	}
}

// authorize identifies the credentials and refuses those that lack the route's scope.
func (c *call) authorize(route *route) *response {
	required := route.scope
	if required == public {
		return nil
	}
	granted, errResp := c.server.access.scopes(credential(c.request), c.now)
	if errResp != nil {
		return errResp
	}
	c.caller = c.identify(granted)
	if required == "" || allows(granted, required) {
		return nil
	}
	return errorResponse(http.StatusForbidden, "The credentials lack a required scope.",
		map[string]any{"required": []string{required}, "granted": granted})
}

// withoutAPITokens are the paths on which the service refuses API tokens, which arrive as Basic authentication.
var withoutAPITokens = []string{"/teams/", "/users/", oidcPath}

func (c *call) checkAPIToken(route *route) *response {
	_, _, basic := c.request.BasicAuth()
	refusing := slices.ContainsFunc(withoutAPITokens, func(path string) bool { return strings.HasPrefix(route.template, path) })
	if !basic || !refusing {
		return nil
	}
	return errorResponse(http.StatusForbidden, "This resource does not support authentication using the provided token", nil)
}

// credential returns the token of a request: the Bearer token or the password of Basic authentication.
func credential(r *http.Request) string {
	if user, password, ok := r.BasicAuth(); ok && user != "" {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// allows reports whether the granted scopes include the required one. A scope with a suffix includes the one without it, except for the
// administrator's scope.
func allows(granted []string, required string) bool {
	for _, scope := range granted {
		if scope == required || scope != adminRepository && strings.HasPrefix(scope, required+":") {
			return true
		}
	}
	return len(granted) == 0
}
