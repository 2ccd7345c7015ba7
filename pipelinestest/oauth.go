package pipelinestest

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tokenLifetime is how long a token of the token endpoint is valid.
const tokenLifetime = 2 * time.Hour

var oauthRoutes = []route{
	{http.MethodPost, "/site/oauth2/access_token", public, (*call).issueToken},
}

// issueToken is the OAuth token endpoint. It supports the grants that need no browser.
func (c *call) issueToken() *response {
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

// formDecoded reverses the form encoding that OAuth 2 requires in Basic credentials.
func formDecoded(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

func (c *call) grant(scopes []string) *response {
	access := &c.server.access
	n := len(access.grants) + 1
	token, refresh := identifier("access token", n), identifier("refresh token", n)
	access.grants[token] = grant{scopes, c.now.Add(tokenLifetime)}
	access.refreshes[refresh] = scopes
	return jsonResponse(http.StatusOK, map[string]any{
		"access_token": token, "refresh_token": refresh, "token_type": "bearer",
		"expires_in": int(tokenLifetime.Seconds()), "scopes": strings.Join(scopes, " "),
	})
}

func oauthError(status int, code, description string) *response {
	resp := jsonResponse(status, map[string]string{"error": code, "error_description": description})
	if status == http.StatusUnauthorized {
		resp.header.Set("WWW-Authenticate", `Basic realm="Bitbucket"`)
	}
	return resp
}
