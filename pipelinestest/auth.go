package pipelinestest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// allScopes is what a consumer without scopes of its own is granted.
var allScopes = []string{readPipeline, writePipeline, writeVariable, readRepository, adminRepository, readRunner, writeRunner}

// access is who may do what. Without scopes, everything is allowed.
type access struct {
	tokens    map[string][]string // scopes by token; empty: any token will do
	consumers map[string]consumer // by ID; empty: any consumer will do
	grants    map[string]grant    // by access token
	refreshes map[string][]string // scopes by refresh token
}

type consumer struct {
	secret string
	scopes []string
}

// grant is a token that the token endpoint gave out.
type grant struct {
	scopes  []string
	expires time.Time
}

func newAccess() access {
	return access{map[string][]string{}, map[string]consumer{}, map[string]grant{}, map[string][]string{}}
}

// scopes returns what a token may do.
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

// The types of credentials. Their names are inventions.
const (
	apiToken    = "api_token"    // what comes by Basic authentication
	oauthToken  = "oauth2"       // what the token endpoint issued
	accessToken = "access_token" // any other Bearer token
)

// caller is who sent a request, once that is known.
type caller struct {
	credential string // its type
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

// setCredentialHeaders writes into an answer what the service lets a known caller know about the credentials, and an access token about its quota.
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
		header.Set("X-Ratelimit-Nearlimit", strconv.FormatBool(left*5 < quota)) // a fifth: 20 %
	}
}

// authorize finds out who the caller is, and refuses one that may not use the route.
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

// withoutAPITokens are the paths on which the service refuses API tokens, which are what comes by Basic authentication.
var withoutAPITokens = []string{"/teams/", "/users/", oidcPath}

func (c *call) checkAPIToken(route *route) *response {
	_, _, basic := c.request.BasicAuth()
	refusing := slices.ContainsFunc(withoutAPITokens, func(path string) bool { return strings.HasPrefix(route.template, path) })
	if !basic || !refusing {
		return nil
	}
	return errorResponse(http.StatusForbidden, "This resource does not support authentication using the provided token", nil)
}

// credential returns the secret that a request carries: the Bearer token, or the password of Basic authentication.
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

// allows reports whether the granted scopes cover the required one. A scope with a suffix implies the one without, except the administrator's.
func allows(granted []string, required string) bool {
	for _, scope := range granted {
		if scope == required || scope != adminRepository && strings.HasPrefix(scope, required+":") {
			return true
		}
	}
	return len(granted) == 0
}
