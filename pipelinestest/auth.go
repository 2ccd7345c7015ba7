package pipelinestest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tokenLifetime is how long a token of the token endpoint is good for.
const tokenLifetime = 2 * time.Hour

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
func (a *access) scopes(token string, now time.Time) ([]string, *reply) {
	if g, ok := a.grants[token]; ok {
		if !now.Before(g.expires) {
			return nil, failure(http.StatusUnauthorized, "Access token expired.", nil)
		}
		return g.scopes, nil
	}
	scopes, ok := a.tokens[token]
	if token == "" || !ok && len(a.tokens) > 0 {
		return nil, failure(http.StatusUnauthorized, "The credentials are missing or unknown.", nil)
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

func (c *call) newCaller(scopes []string) *caller {
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

// tellCaller writes into an answer what the service lets a known caller know about the credentials, and an access token about its quota.
func (c *call) tellCaller(header http.Header, route *route) {
	if c.caller == nil {
		return
	}
	header.Set("X-Oauth-Scopes", strings.Join(c.caller.scopes, ", "))
	header.Set("X-Credential-Type", c.caller.credential)
	if route.scope != "" {
		header.Set("X-Accepted-Oauth-Scopes", route.scope)
	}
	if quota := c.server.quota; quota > 0 && c.caller.credential == accessToken && route.counts() {
		left := quota - len(c.recentHits())
		header.Set("X-Ratelimit-Limit", strconv.Itoa(quota))
		header.Set("X-Ratelimit-Resource", "api")
		header.Set("X-Ratelimit-Nearlimit", strconv.FormatBool(left*5 < quota)) // a fifth: 20 %
	}
}

// authorize finds out who the caller is, and refuses one that may not use the route.
func (c *call) authorize(route *route) *reply {
	required := route.scope
	if required == public {
		return nil
	}
	granted, refusal := c.server.access.scopes(credential(c.request), c.now)
	if refusal != nil {
		return refusal
	}
	c.caller = c.newCaller(granted)
	if required == "" || allows(granted, required) {
		return nil
	}
	return failure(http.StatusForbidden, "The credentials lack a required scope.",
		map[string]any{"required": []string{required}, "granted": granted})
}

// withoutAPITokens are the paths on which the service refuses API tokens, which are what comes by Basic authentication.
var withoutAPITokens = []string{"/teams/", "/users/", oidcPath}

func (c *call) refuseAPIToken(route *route) *reply {
	_, _, basic := c.request.BasicAuth()
	refusing := slices.ContainsFunc(withoutAPITokens, func(path string) bool { return strings.HasPrefix(route.template, path) })
	if !basic || !refusing {
		return nil
	}
	return failure(http.StatusForbidden, "This resource does not support authentication using the provided token", nil)
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

var oauthRoutes = []route{
	{http.MethodPost, "/site/oauth2/access_token", public, (*call).issueToken},
}

// issueToken is the OAuth token endpoint, for the grants that need no browser.
func (c *call) issueToken() *reply {
	scopes, ok := c.consumerScopes()
	if !ok {
		return oauthError(http.StatusUnauthorized, "invalid_client", "The consumer is unknown, or its secret is wrong.")
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return oauthError(http.StatusBadRequest, "invalid_request", "The body is not a form.")
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		return c.grant(scopes)
	case "refresh_token":
		scopes, ok := c.server.access.refreshes[form.Get("refresh_token")]
		if !ok {
			return oauthError(http.StatusBadRequest, "invalid_grant", "The refresh token is unknown.")
		}
		return c.grant(scopes)
	}
	return oauthError(http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported.")
}

func (c *call) consumerScopes() ([]string, bool) {
	id, secret, ok := c.request.BasicAuth()
	if !ok || id == "" || secret == "" {
		return nil, false
	}
	consumers := c.server.access.consumers
	if len(consumers) == 0 {
		return allScopes, true
	}
	known, ok := consumers[formDecoded(id)]
	if !ok || known.secret != formDecoded(secret) && known.secret != secret {
		return nil, false
	}
	if len(known.scopes) == 0 {
		return allScopes, true
	}
	return known.scopes, true
}

// formDecoded undoes the form encoding that OAuth 2 asks for in Basic credentials.
func formDecoded(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

func (c *call) grant(scopes []string) *reply {
	access := &c.server.access
	n := len(access.grants) + 1
	token, refresh := identifier("access token", n), identifier("refresh token", n)
	access.grants[token] = grant{scopes, c.now.Add(tokenLifetime)}
	access.refreshes[refresh] = scopes
	return jsonReply(http.StatusOK, map[string]any{
		"access_token": token, "refresh_token": refresh, "token_type": "bearer",
		"expires_in": int(tokenLifetime.Seconds()), "scopes": strings.Join(scopes, " "),
	})
}

func oauthError(status int, code, description string) *reply {
	a := jsonReply(status, map[string]string{"error": code, "error_description": description})
	if status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", `Basic realm="Bitbucket"`)
	}
	return a
}
