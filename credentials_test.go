package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
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

const tokenResponse = `{"access_token":"acc3ss","token_type":"bearer","expires_in":7200,"refresh_token":"r","scopes":"pipeline"}`

// consumer is a server with a token endpoint, and a client that is its OAuth consumer.
func consumer(t *testing.T, token http.HandlerFunc, opts ...pipelines.Option) (*pipelines.Client, *recorder) {
	t.Helper()
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/site/oauth2/access_token" {
			token(w, req)
			return
		}
		serveJSON(`{"uuid":"{1}"}`)(w, req)
	})
	return newClient(t, srv.base(), append([]pipelines.Option{pipelines.WithClientCredentials("id", "s3cret")}, opts...)...), srv
}

func TestAnOAuthConsumerGetsATokenOnce(t *testing.T) {
	c, srv := consumer(t, serveJSON(tokenResponse))
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

func TestATokenEndpointThatFailsOnceIsRetried(t *testing.T) {
	c, srv := consumer(t, sequence(serve(503, "text/plain", ""), serveJSON(tokenResponse)))
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err, "nothing of the run was sent before")
	srv.requireSent(t, 3)
}

func TestATokenEndpointThatRefusesIsNotRetried(t *testing.T) {
	c, srv := consumer(t, serve(401, "application/json", `{"error":"invalid_client","error_description":"No consumer id with s3cret"}`))
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.ErrorIs(t, err, pipelines.ErrUnauthorized)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "invalid_client", e.Key)
	require.Equal(t, "OAuth.Token", e.Operation)
	require.NotContains(t, err.Error(), "s3cret")
	srv.requireSent(t, 1)
}

func TestATokenEndpointThatRedirectsIsNotFollowed(t *testing.T) {
	elsewhere := record(t, serveJSON(tokenResponse))
	c, srv := consumer(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.Error(t, err)
	srv.requireSent(t, 1)
	elsewhere.requireSent(t, 0)
}

func TestATokenEndpointThatReturnsNoTokenIsAnError(t *testing.T) {
	for name, body := range map[string]string{"none": `{}`, "one that is no header": `{"access_token":"a\nb"}`, "no JSON": `<html>`} {
		t.Run(name, func(t *testing.T) {
			c, _ := consumer(t, serveJSON(body))
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
		t.Run(base, func(t *testing.T) {
			var got string
			hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				if got == "" {
					got = req.URL.String()
				}
				resp := respond(req, 200, tokenResponse)
				resp.Header.Set("Content-Type", "application/json")
				return resp, nil
			})}
			c := newClient(t, base, pipelines.WithHTTPClient(hc), pipelines.WithClientCredentials("id", "s3cret"))
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	endpoint := record(t, serveJSON(tokenResponse))
	c, srv := consumer(t, http.NotFound, pipelines.WithTokenURL(endpoint.URL+"/token"))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, "/token", endpoint.only(t).Path)
	srv.requireSent(t, 1)
}

func TestATokenSourceThatFailsIsRetried(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
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
	require.ErrorContains(t, err, "token source returned a nil token")
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

// forgetful is an API that refuses every token but the newest, and counts.
type forgetful struct {
	mu             sync.Mutex
	issued, served int
	refused        int
	always         bool // it refuses the newest too
}

func (f *forgetful) issue(w http.ResponseWriter, req *http.Request) {
	f.mu.Lock()
	f.issued++
	n := f.issued
	f.mu.Unlock()
	serveJSON(fmt.Sprintf(`{"access_token":"token-%d","token_type":"bearer","expires_in":7200}`, n))(w, req)
}

func (f *forgetful) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/site/oauth2/access_token" {
		f.issue(w, req)
		return
	}
	f.mu.Lock()
	good := !f.always && req.Header.Get("Authorization") == fmt.Sprintf("Bearer token-%d", f.issued) && f.issued > 1
	if good {
		f.served++
	} else {
		f.refused++
	}
	f.mu.Unlock()
	if !good {
		serve(401, "application/json", `{"type":"error","error":{"message":"Access token expired."}}`)(w, req)
		return
	}
	serve(201, "application/json", `{"uuid":"{u}","build_number":1}`)(w, req)
}

func (f *forgetful) client(t *testing.T, opts ...pipelines.Option) *pipelines.Client {
	t.Helper()
	srv := record(t, f.ServeHTTP)
	return newClient(t, srv.base(), append([]pipelines.Option{pipelines.WithClientCredentials("id", "s3cret")}, opts...)...)
}

func TestATokenThatTheServiceForgotIsReplacedAndTheCallRepeated(t *testing.T) {
	for name, policy := range map[string]pipelines.RetryPolicy{"with retries": quick, "with a single attempt": {MaxAttempts: 1}} {
		t.Run(name, func(t *testing.T) {
			api := &forgetful{}
			c := api.client(t, pipelines.WithRetry(policy))
			_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
			require.NoError(t, err, "a 401 had no effect, so a creation is repeated too")
			_, err = c.Pipelines.Get(t.Context(), repo, "1")
			require.NoError(t, err)
			require.Equal(t, []int{2, 1, 2}, []int{api.issued, api.refused, api.served}, "issued, refused, served")
		})
	}
}

func TestACrowdWithADeadTokenGetsOneNewOne(t *testing.T) {
	api := &forgetful{}
	c := api.client(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			assert.NoError(t, err)
		})
	}
	all.Wait()
	require.Equal(t, 2, api.issued)
	require.Equal(t, 20, api.served)
}

func TestATokenThatIsRefusedAnewIsNotReplacedASecondTime(t *testing.T) {
	api := &forgetful{always: true}
	c := api.client(t)
	_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, pipelines.ErrUnauthorized)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Equal(t, []int{2, 2}, []int{api.issued, api.refused}, "issued, refused")
}

func TestATokenSourceThatReturnsTheSameTokenEndsUnauthorized(t *testing.T) {
	for name, expiry := range map[string]time.Time{"with an expiry": time.Now().Add(time.Hour), "without": {}} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			source := tokenSource(func() (*oauth2.Token, error) {
				asked++
				return &oauth2.Token{AccessToken: "same", Expiry: expiry}, nil
			})
			srv := record(t, serve(401, "application/json", `{"error":{"message":"no"}}`))
			c := newClient(t, srv.base(), pipelines.WithTokenSource(source))
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.ErrorIs(t, err, pipelines.ErrUnauthorized)
			srv.requireSent(t, 1, "the same token would be refused again")
			require.Equal(t, 2, asked, "times asked")
		})
	}
}

func TestCredentialsThatNeverChangeAreNotRepeated(t *testing.T) {
	for name, option := range map[string]pipelines.Option{
		"a token": pipelines.WithToken("t0ken"), "Basic": pipelines.WithBasicAuth("ada@example.com", "t0ken"),
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serve(401, "application/json", `{"error":{"message":"no"}}`))
			_, err := newClient(t, srv.base(), option).Pipelines.Get(t.Context(), repo, "1")
			require.ErrorIs(t, err, pipelines.ErrUnauthorized)
			srv.requireSent(t, 1)
		})
	}
}

func TestANewTokenThatCannotBeGotIsTheReason(t *testing.T) {
	issued := 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path != "/site/oauth2/access_token":
			serve(401, "text/plain", "")(w, req)
		case issued > 0:
			serve(400, "application/json", `{"error":"invalid_client","error_description":"The consumer was deleted."}`)(w, req)
		default:
			issued++
			serveJSON(tokenResponse)(w, req)
		}
	})
	c := newClient(t, srv.base(), pipelines.WithClientCredentials("id", "s3cret"))
	_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorContains(t, err, "The consumer was deleted.")
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
}

func TestTooManySchedulesAreDistinguishedFromADeadToken(t *testing.T) {
	issued, posted := 0, 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/site/oauth2/access_token":
			issued++
			serveJSON(fmt.Sprintf(`{"access_token":"token-%d","token_type":"bearer","expires_in":7200}`, issued))(w, req)
		case req.Method == http.MethodPost:
			posted++
			serve(401, "application/json", `{"error":{"message":"limit"}}`)(w, req)
		default:
			serveJSON(`{"values":[{"uuid":"{s}"}],"size":1}`)(w, req)
		}
	})
	c := newClient(t, srv.base(), pipelines.WithClientCredentials("id", "s3cret"))
	_, err := c.Schedules.Create(t.Context(), repo, pipelines.ScheduleRequest{
		Target: pipelines.BranchTarget("main"), CronPattern: "0 0 12 * * ? *",
	})
	require.ErrorIs(t, err, pipelines.ErrTooManySchedules)
	require.Equal(t, []int{2, 2}, []int{issued, posted}, "issued, posted: repeated once with a new token")
}

func TestATokenSourceThatEndsItsGoroutineLeavesNoCallWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := tokenSource(func() (*oauth2.Token, error) { runtime.Goexit(); return nil, nil })
		c := newClient(t, "http://api.example", pipelines.WithTokenSource(source))
		_, err := c.Pipelines.Get(t.Context(), repo, "1")
		require.ErrorContains(t, err, "token source")
	})
}

type countingSource struct {
	asked  int
	expiry time.Duration
}

func (s *countingSource) Token() (*oauth2.Token, error) {
	s.asked++
	token := &oauth2.Token{AccessToken: fmt.Sprintf("token-%d", s.asked), TokenType: "bearer"}
	if s.expiry > 0 {
		token.Expiry = time.Now().Add(s.expiry)
	}
	return token, nil
}

func TestTokenSourceIsCalledForFreshTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		expiry time.Duration
		want   int
	}{
		"once for a token that lasts":            {time.Hour, 1},
		"each time for one without an expiry":    {0, 3},
		"each time for one that expires shortly": {time.Second, 3},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveJSON(`{}`))
			source := &countingSource{expiry: tc.expiry}
			c := newClient(t, srv.base(), pipelines.WithTokenSource(source))
			for range 3 {
				_, err := c.Pipelines.Get(t.Context(), repo, "1")
				require.NoError(t, err)
			}
			require.Equal(t, tc.want, source.asked)
			require.Equal(t, fmt.Sprintf("Bearer token-%d", tc.want), srv.seen()[2].Header.Get("Authorization"))
		})
	}
}

func TestAHangingTokenSourceIsCalledOnce(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int32
	source := tokenSource(func() (*oauth2.Token, error) {
		asked.Add(1)
		<-release
		return &oauth2.Token{AccessToken: "a"}, nil
	})
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base(), pipelines.WithTokenSource(source))
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := c.Pipelines.Get(ctx, repo, "1")
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.EqualValues(t, 1, asked.Load(), "times asked")
	close(release)
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
}

func TestNoRedirectOfATokenEndpointIsFollowed(t *testing.T) {
	elsewhere := record(t, serveJSON(tokenResponse))
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, to := range map[string]string{"to itself": "/token", "to elsewhere": elsewhere.URL + "/token", "to a file": "file:///etc/passwd"} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				srv := record(t, func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, to, status) })
				var e *pipelines.APIError
				require.ErrorAs(t, victims()[2].call(t, srv.URL), &e)
				require.Equal(t, status, e.StatusCode)
				srv.requireSent(t, 1)
				elsewhere.requireSent(t, 0)
			})
		}
	}
}
