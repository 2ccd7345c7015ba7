package pipelines

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
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
}

// staticCredentials return the same value always. A function keeps it from being printed.
type staticCredentials func() string

func newStaticCredentials(value string) staticCredentials { return func() string { return value } }

func (s staticCredentials) authorize(context.Context) (string, error) { return s(), nil }

func (s staticCredentials) renew(context.Context, string) bool { return false }

func basicCredentials(username, password string) staticCredentials {
	return newStaticCredentials("Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
}

// tokenCache keeps a token for as long as it is good and gets a new one once for all who wait for it.
type tokenCache struct {
	fetch func(context.Context) (*oauth2.Token, error)
	obeys bool // fetch ends with its context

	mu     sync.Mutex
	token  *oauth2.Token
	flight *tokenFlight // the request under way
}

type tokenFlight struct {
	done    chan struct{}
	waiters int
	cancel  context.CancelFunc
	token   *oauth2.Token
	err     error
}

func (s *tokenCache) authorize(ctx context.Context) (string, error) {
	token, err := s.get(ctx)
	if err != nil {
		return "", err
	}
	if err := checkHeaderText(token.AccessToken); err != nil {
		return "", errors.New("the access token " + err.Error())
	}
	if !validHeaderName(token.Type()) {
		return "", errors.New("the access token's type is not a word")
	}
	return headerValue(token), nil
}

func headerValue(token *oauth2.Token) string { return token.Type() + " " + token.AccessToken }

// renew drops the refused token, unless somebody else has replaced it already, and gets another. One that can't be got counts as
// another: the repeated call then returns the reason.
func (s *tokenCache) renew(ctx context.Context, refused string) bool {
	s.mu.Lock()
	if s.token != nil && headerValue(s.token) == refused {
		s.token = nil
	}
	s.mu.Unlock()
	value, err := s.authorize(ctx)
	return err != nil || value != refused
}

func (s *tokenCache) get(ctx context.Context) (*oauth2.Token, error) {
	s.mu.Lock()
	if s.token.Valid() && !s.token.Expiry.IsZero() {
		defer s.mu.Unlock()
		return s.token, nil
	}
	f := s.flight
	if f == nil {
		f = s.start(ctx)
	}
	f.waiters++
	s.mu.Unlock()

	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		s.leave(f)
		return nil, ctx.Err()
	}
}

// start asks for a token. The request outlives the call that began it, for those who wait too, but not the last of them.
func (s *tokenCache) start(ctx context.Context) *tokenFlight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &tokenFlight{done: make(chan struct{}), cancel: cancel}
	s.flight = f
	go func() {
		defer cancel()
		defer s.land(f) // of a fetch that ends its goroutine too
		f.token, f.err = s.fetch(ctx)
	}()
	return f
}

// land hands the token to those who wait for it.
func (s *tokenCache) land(f *tokenFlight) {
	if f.err == nil && f.token == nil {
		f.err = errors.New("the token source gave no token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == f {
		s.flight = nil
		s.token = f.token
	}
	close(f.done)
}

func (s *tokenCache) leave(f *tokenFlight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if f.waiters > 0 || !s.obeys { // one that can't be ended is joined by those who come later
		return
	}
	f.cancel()
	if s.flight == f {
		s.flight = nil
	}
}

// clientCredentials asks Bitbucket's token endpoint as an OAuth consumer. The endpoint gets a client of its own: one that
// follows no redirect, which could carry the secret to another host.
func clientCredentials(id, secret string, cfg *config) func(context.Context) (*oauth2.Token, error) {
	oauth := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: cfg.tokenURL, AuthStyle: oauth2.AuthStyleInHeader}
	hc := &http.Client{
		Transport:     cfg.httpClient.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       tokenTimeout,
	}
	authorization := basicCredentials(url.QueryEscape(id), url.QueryEscape(secret))() // as oauth2 sends it
	return func(ctx context.Context) (*oauth2.Token, error) {
		ctx = context.WithValue(ctx, callKey{}, &call{at: endpoint{op: opToken, path: opToken.Path}})
		token, err := oauth.Token(context.WithValue(ctx, oauth2.HTTPClient, hc))
		if err != nil {
			return nil, tokenError(err, authorization, secret)
		}
		return token, nil
	}
}

// tokenError makes an answer of the token endpoint that is no token an [APIError] like any other.
func tokenError(err error, authorization, secret string) error {
	mask := redact.New(append(credentialSecrets(authorization), secret)...)
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		return maskError(stripURL(err), mask)
	}
	resp := *answer.Response
	resp.Body = io.NopCloser(bytes.NewReader(answer.Body))
	return newAPIError(endpoint{op: opToken, path: opToken.Path}, 1, &resp, mask, false)
}
