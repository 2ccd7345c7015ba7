package pipelinestest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// allScopes are the scopes of credentials that have no scopes of their own.
var allScopes = []string{readPipeline, writePipeline, writeVariable, readRepository, adminRepository, readRunner, writeRunner}

// access holds the credentials that the server accepts. Credentials without scopes may do everything.
type access struct {
	tokens    map[string][]string // scopes by token; empty: any token is accepted
	consumers map[string]consumer // by ID; empty: any consumer is accepted
	grants    map[string]grant    // by access token
	refreshes map[string][]string // scopes by refresh token
}

type consumer struct {
	secret string
	scopes []string
}

// grant is an access token that the token endpoint has issued.
type grant struct {
	scopes  []string
	expires time.Time
}

func newAccess() access {
	return access{map[string][]string{}, map[string]consumer{}, map[string]grant{}, map[string][]string{}}
}

// scopes returns the scopes of a token, or the error response for one that is unknown or expired.
func (a *access) scopes(token string, now time.Time) ([]string, *response) {
	if g, ok := a.grants[token]; ok {
		if !now.Before(g.expires) {
			return nil, errorResponse(http.StatusUnauthorized, "Access token expired.", nil)
		}
		return g.scopes, nil
	}
	scopes, ok := a.tokens[token]
	if token == "" || !ok && len(a.tokens) > 0 {
		return nil, errorResponse(http.StatusUnauthorized, "The credentials are missing or unknown.", nil)
	}
	return scopes, nil
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
	scopes     []string
}

func (c *call) identify(scopes []string) *caller {
	if len(scopes) == 0 {
		scopes = allScopes
	}
	if _, _, basic := c.request.BasicAuth(); basic {
		return &caller{apiToken, scopes}
	}
	if _, issued := c.server.access.grants[credential(c.request)]; issued {
		return &caller{oauthToken, scopes}
	}
	return &caller{accessToken, scopes}
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
	if quota := c.server.quota; quota > 0 && c.caller.credential == accessToken && route.countsAgainstQuota() {
		left := quota - len(c.recentRequests())
		header.Set("X-Ratelimit-Limit", strconv.Itoa(quota))
		header.Set("X-Ratelimit-Resource", "api")
		header.Set("X-Ratelimit-Nearlimit", strconv.FormatBool(left*5 < quota)) // less than 20 % is left
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
