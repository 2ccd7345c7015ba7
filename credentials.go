package pipelines

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
	"github.com/seed-85ed9bfd/pipelines/internal/redact"
	"github.com/seed-85ed9bfd/pipelines/internal/tokencache"
)

// opToken is the token endpoint, for the errors that come from there.
var opToken = op("OAuth.Token", http.MethodPost, "/site/oauth2/access_token", idempotent)

// tokenTimeout bounds a request for a token.
const tokenTimeout = 30 * time.Second

// credentials make the Authorization header.
type credentials interface {
	// authorize returns the header's value.
	authorize(ctx context.Context) (string, error)
	// renew reports whether there may be another value than the one that the API has refused.
	renew(ctx context.Context, refused string) bool
	// renewable reports whether there may ever be another value.
	renewable() bool
}

// staticCredentials always return the same value. A function keeps it from being printed.
type staticCredentials func() string

func newStaticCredentials(value string) staticCredentials { return func() string { return value } }

func (s staticCredentials) authorize(context.Context) (string, error) { return s(), nil }

func (s staticCredentials) renew(context.Context, string) bool { return false }

func (s staticCredentials) renewable() bool { return false }

func basicCredentials(username, password string) staticCredentials {
	return newStaticCredentials("Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
}

// tokenCredentials send the tokens of a cache.
type tokenCredentials struct{ *tokencache.Cache }

func (c tokenCredentials) authorize(ctx context.Context) (string, error) {
	token, err := c.Get(ctx)
	if err != nil {
		return "", err
	}
	if err := header.CheckSecret(token.AccessToken); err != nil {
		return "", errors.New("the access token " + err.Error())
	}
	if !header.ValidName(token.Type()) {
		return "", errors.New("invalid token type")
	}
	return headerValue(token), nil
}

func headerValue(token *oauth2.Token) string { return token.Type() + " " + token.AccessToken }

func (c tokenCredentials) renewable() bool { return true }

// renew drops the refused token, unless another call has replaced it already, and gets another. An error counts as another token: the
// repeated call then returns it.
func (c tokenCredentials) renew(ctx context.Context, refused string) bool {
	c.Drop(func(token *oauth2.Token) bool { return headerValue(token) == refused })
	value, err := c.authorize(ctx)
	return err != nil || value != refused
}

// clientCredentials requests tokens from Bitbucket's token endpoint as an OAuth consumer. It has an HTTP client of its own that follows
// no redirect, which could send the secret to another host.
func clientCredentials(id, secret string, cfg *config) func(context.Context) (*oauth2.Token, error) {
	oauth := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: cfg.tokenURL, AuthStyle: oauth2.AuthStyleInHeader}
	hc := &http.Client{
		Transport:     cfg.httpClient.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       tokenTimeout,
	}
	authorization := basicCredentials(url.QueryEscape(id), url.QueryEscape(secret))() // as oauth2 sends it
	return func(ctx context.Context) (*oauth2.Token, error) {
		info := &requestInfo{operation: opToken.Operation}
		info.attempts.Store(1)
		ctx = context.WithValue(ctx, infoKey{}, info)
		token, err := oauth.Token(context.WithValue(ctx, oauth2.HTTPClient, hc))
		if err != nil {
			return nil, tokenError(err, authorization, secret)
		}
		return token, nil
	}
}

// tokenError makes an [APIError] of a response of the token endpoint that isn't a token.
func tokenError(err error, authorization, secret string) error {
	mask := redact.New(append(credentialSecrets(authorization), secret)...)
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) || refusal.Response == nil {
		return mask.Error(stripURL(err))
	}
	resp := *refusal.Response
	resp.Body = io.NopCloser(bytes.NewReader(refusal.Body))
	return newAPIError(endpoint{op: opToken, path: opToken.Path}, 1, &resp, mask, false)
}
