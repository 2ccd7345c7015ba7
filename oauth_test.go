package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

const tokenAnswer = `{"access_token":"acc3ss","token_type":"bearer","expires_in":7200,"refresh_token":"r","scopes":"pipeline"}`

// consumer is a server with a token endpoint, and a client that is its OAuth consumer.
func consumer(t *testing.T, token http.HandlerFunc, opts ...pipelines.Option) (*pipelines.Client, *recorder) {
	t.Helper()
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/site/oauth2/access_token" {
			token(w, req)
			return
		}
		answerJSON(`{"uuid":"{1}"}`)(w, req)
	})
	return newClient(t, srv.base(), append([]pipelines.Option{pipelines.WithClientCredentials("id", "s3cret")}, opts...)...), srv
}

func TestAnOAuthConsumerGetsATokenOnce(t *testing.T) {
	c, srv := consumer(t, answerJSON(tokenAnswer))
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			assert.NoError(t, err)
		})
	}
	all.Wait()
	seen := srv.seen()
	require.Len(t, seen, 65)
	require.Equal(t, "/site/oauth2/access_token", seen[0].Path)
	require.Equal(t, "grant_type=client_credentials", seen[0].Body)
	require.Equal(t, "Basic aWQ6czNjcmV0", seen[0].Header.Get("Authorization"))
	for _, req := range seen[1:] {
		require.Equal(t, "Bearer acc3ss", req.Header.Get("Authorization"))
	}
}

func TestATokenEndpointThatFailsForAMomentIsAskedAgain(t *testing.T) {
	c, srv := consumer(t, sequence(answer(503, "text/plain", ""), answerJSON(tokenAnswer)))
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err, "nothing of the run was sent before")
	require.Len(t, srv.seen(), 3)
}

func TestATokenEndpointThatRefusesIsNotAskedAgain(t *testing.T) {
	c, srv := consumer(t, answer(401, "application/json", `{"error":"invalid_client","error_description":"No consumer id with s3cret"}`))
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.ErrorIs(t, err, pipelines.ErrUnauthorized)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "invalid_client", e.Key)
	require.Equal(t, "OAuth.Token", e.Operation)
	require.NotContains(t, err.Error(), "s3cret")
	require.Len(t, srv.seen(), 1)
}

func TestATokenEndpointThatRedirectsIsNotFollowed(t *testing.T) {
	elsewhere := record(t, answerJSON(tokenAnswer))
	c, srv := consumer(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.Error(t, err)
	require.Len(t, srv.seen(), 1)
	require.Empty(t, elsewhere.seen())
}

func TestATokenEndpointThatGivesNoTokenIsAnError(t *testing.T) {
	for name, body := range map[string]string{"none": `{}`, "one that is no header": `{"access_token":"a\nb"}`, "no JSON": `<html>`} {
		t.Run(name, func(t *testing.T) {
			c, _ := consumer(t, answerJSON(body))
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.ErrorContains(t, err, "credentials")
		})
	}
}

func TestTheTokenURLIsBitbucketsOwnOrOnTheBaseURLsOrigin(t *testing.T) {
	for base, want := range map[string]string{
		"https://api.bitbucket.org/2.0":    "https://bitbucket.org/site/oauth2/access_token",
		"https://proxy.example:8443/x/2.0": "https://proxy.example:8443/site/oauth2/access_token",
	} {
		var got string
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if got == "" {
				got = req.URL.String()
			}
			resp := respond(req, 200, tokenAnswer)
			resp.Header.Set("Content-Type", "application/json")
			return resp, nil
		})}
		c := newClient(t, base, pipelines.WithHTTPClient(hc), pipelines.WithClientCredentials("id", "s3cret"))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	endpoint := record(t, answerJSON(tokenAnswer))
	c, srv := consumer(t, http.NotFound, pipelines.WithTokenURL(endpoint.URL+"/token"))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, "/token", endpoint.only(t).Path)
	require.Len(t, srv.seen(), 1)
}

// tokenSource lets a function be one.
type tokenSource func() (*oauth2.Token, error)

func (f tokenSource) Token() (*oauth2.Token, error) { return f() }

func TestATokenSourceThatFailsIsAskedAgain(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	n := 0
	c := newClient(t, srv.base(), pipelines.WithTokenSource(tokenSource(func() (*oauth2.Token, error) {
		if n++; n == 1 {
			return nil, errors.New("vault is sealed")
		}
		return &oauth2.Token{AccessToken: fmt.Sprint("t", n)}, nil
	})))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, "Bearer t2", srv.only(t).Header.Get("Authorization"))

	none := newClient(t, srv.base(), pipelines.WithTokenSource(tokenSource(func() (*oauth2.Token, error) { return nil, nil }))) //nolint:nilnil // a mistake that users make
	_, err = none.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "gave no token")
}

func TestWaitingForATokenEndsWithTheCallAndTheRequestWithTheLastWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, ended atomic.Int32
		hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			asked.Add(1)
			<-req.Context().Done()
			ended.Add(1)
			return nil, req.Context().Err()
		})}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithClientCredentials("id", "s3cret"))
		get := func(ctx context.Context, done chan<- error) {
			_, err := c.Pipelines.Get(ctx, repo, "1")
			done <- err
		}
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go get(first, done)
		go get(second, done)
		synctest.Wait()
		require.EqualValues(t, 1, asked.Load(), "both wait for one request")

		start := time.Now()
		cancelFirst()
		require.ErrorIs(t, <-done, context.Canceled)
		require.EqualValues(t, 0, ended.Load(), "the other still waits for it")
		cancelSecond()
		require.ErrorIs(t, <-done, context.Canceled)
		synctest.Wait()
		require.EqualValues(t, 1, ended.Load())
		require.Zero(t, time.Since(start))
	})
}
