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
	consumer, ok := c.consumerGrant()
	if !ok {
		return oauthError(http.StatusUnauthorized, "invalid_client", "The consumer is unknown, or its secret is wrong.")
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return oauthError(http.StatusBadRequest, "invalid_request", "The body is not a form.")
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		return c.grant(consumer)
	case "refresh_token":
		access, token := c.server.access, form.Get("refresh_token")
		refreshed, ok := access.refreshes[token]
		if !ok || access.revoked[token] {
			return oauthError(http.StatusBadRequest, "invalid_grant", "The refresh token is unknown.")
		}
		return c.grant(refreshed)
	}
	return oauthError(http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported.")
}

// consumerGrant returns what a token of the request's consumer stands for. It reports whether the consumer is known.
func (c *call) consumerGrant() (grant, bool) {
	id, secret, ok := c.request.BasicAuth()
	if !ok || id == "" || secret == "" {
		return grant{}, false
	}
	id = formDecoded(id)
	consumers := c.server.access.consumers
	known, ok := consumers[id]
	if len(consumers) > 0 && (!ok || known.secret != formDecoded(secret) && known.secret != secret) {
		return grant{}, false
	}
	if len(known.scopes) == 0 {
		return grant{consumer: id, scopes: allScopes}, true
	}
	return grant{consumer: id, scopes: known.scopes}, true
}

// formDecoded reverses the form encoding that OAuth 2 requires in Basic credentials.
func formDecoded(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

func (c *call) grant(g grant) *response {
	access := &c.server.access
	n := len(access.grants) + 1
	token, refresh := identifier("access token", n), identifier("refresh token", n)
	access.refreshes[refresh] = g
	g.expires = c.now.Add(tokenLifetime)
	access.grants[token] = g
	return jsonResponse(http.StatusOK, map[string]any{
		"access_token": token, "refresh_token": refresh, "token_type": "bearer",
		"expires_in": int(tokenLifetime.Seconds()), "scopes": strings.Join(g.scopes, " "),
	})
}

func oauthError(status int, code, description string) *response {
	resp := jsonResponse(status, map[string]string{"error": code, "error_description": description})
	if status == http.StatusUnauthorized {
		resp.header.Set("WWW-Authenticate", `Basic realm="Bitbucket"`)
	}
	return resp
}
