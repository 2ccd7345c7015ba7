package pipelines_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestNewClientRefusesOptionsThatCannotWork(t *testing.T) {
	for name, tc := range map[string]struct {
		option pipelines.Option
		says   string
	}{
		"an empty token":                  {pipelines.WithToken(""), "token is empty"},
		"a token with a line break":       {pipelines.WithToken("s3cret\n"), "token contains control characters"},
		"no username":                     {pipelines.WithBasicAuth("", "s3cret"), "username is empty"},
		"a username with a colon":         {pipelines.WithBasicAuth("a:b", "s3cret"), "username contains a colon"},
		"no password":                     {pipelines.WithBasicAuth("a@b.c", ""), "password is empty"},
		"no token source":                 {pipelines.WithTokenSource(nil), "token source is nil"},
		"no client ID":                    {pipelines.WithClientCredentials("", "s3cret"), "client ID is empty"},
		"no client secret":                {pipelines.WithClientCredentials("id", ""), "client secret is empty"},
		"a relative base URL":             {pipelines.WithBaseURL("/2.0"), "base URL"},
		"a base URL of another scheme":    {pipelines.WithBaseURL("file:///etc"), "base URL"},
		"a base URL without a host":       {pipelines.WithBaseURL("https://"), "has no host"},
		"a base URL with credentials":     {pipelines.WithBaseURL("https://u:s3cret@example.com"), "contains credentials"},
		"a base URL with a query":         {pipelines.WithBaseURL("https://example.com/?a=b"), "has a query"},
		"a base URL that does not parse":  {pipelines.WithBaseURL("https://u:s3cret@exa mple.com"), "is not a URL"},
		"a token URL of another scheme":   {pipelines.WithTokenURL("ftp://example.com"), "token URL"},
		"no HTTP client":                  {pipelines.WithHTTPClient(nil), "HTTP client is nil"},
		"no user agent":                   {pipelines.WithUserAgent(""), "user agent is empty"},
		"no limiter":                      {pipelines.WithLimiter(nil), "limiter is nil"},
		"no logger":                       {pipelines.WithLogger(nil), "logger is nil"},
		"no observer":                     {pipelines.WithObserver(nil), "observer is nil"},
		"no stall timeout":                {pipelines.WithStallTimeout(0), "stall timeout is not positive"},
		"a negative number of attempts":   {pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: -1}), "RetryPolicy.MaxAttempts is negative"},
		"a first wait longer than any":    {pipelines.WithRetry(pipelines.RetryPolicy{MinWait: 2, MaxWait: 1}), "MinWait"},
		"an environment with nothing set": {pipelines.WithEnv(), "BITBUCKET_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			c, err := pipelines.NewClient(tc.option)
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), "s3cret")
			require.Nil(t, c)
		})
	}
}

func TestNewClientLetsNilOptionsBe(t *testing.T) {
	_, err := pipelines.NewClient(nil, pipelines.WithToken("t"), nil)
	require.NoError(t, err)
}

func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"TOKEN", "EMAIL", "API_TOKEN", "CLIENT_ID", "CLIENT_SECRET", "BASE_URL"} {
		t.Setenv("BITBUCKET_"+name, "")
	}
}

func TestEnvironmentGivesCredentials(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want string // Authorization, or what the error says
		fail bool
	}{
		"token": {env: map[string]string{"TOKEN": "abc"}, want: "Bearer abc"},
		"token before all others": {
			env:  map[string]string{"TOKEN": "abc", "EMAIL": "a@b.c", "CLIENT_ID": "id"},
			want: "Bearer abc",
		},
		"e-mail and API token": {env: map[string]string{"EMAIL": "a@b.c", "API_TOKEN": "x"}, want: "Basic YUBiLmM6eA=="},
		"e-mail alone":         {env: map[string]string{"EMAIL": "a@b.c"}, fail: true, want: "BITBUCKET_API_TOKEN belong together"},
		"half of each pair":    {env: map[string]string{"API_TOKEN": "x", "CLIENT_ID": "id"}, fail: true, want: "BITBUCKET_EMAIL and"},
		"client secret alone":  {env: map[string]string{"CLIENT_SECRET": "x"}, fail: true, want: "BITBUCKET_CLIENT_ID and"},
		"a bad base URL":       {env: map[string]string{"TOKEN": "abc", "BASE_URL": "nonsense"}, fail: true, want: "BITBUCKET_BASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			srv := record(t, answerJSON(`{}`))
			t.Setenv("BITBUCKET_BASE_URL", srv.base())
			for key, value := range tc.env {
				t.Setenv("BITBUCKET_"+key, value)
			}
			c, err := pipelines.NewClient(pipelines.WithEnv())
			if tc.fail {
				require.ErrorContains(t, err, tc.want)
				return
			}
			require.NoError(t, err)
			_, err = c.Pipelines.Get(t.Context(), repo, "1")
			require.NoError(t, err)
			require.Equal(t, tc.want, srv.only(t).Header.Get("Authorization"))
		})
	}
}

func TestRequestsSayWhoSendsThemAndWhatTheyTake(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base()+"/", pipelines.WithUserAgent("deploy-bot/1.4"))
	_, err := c.Pipelines.Get(t.Context(), repo, "7")
	require.NoError(t, err)
	got := srv.only(t)
	require.Equal(t, "/2.0/repositories/acme/site/pipelines/7", got.Path)
	require.Equal(t, "Bearer t0ken", got.Header.Get("Authorization"))
	require.Equal(t, "application/json", got.Header.Get("Accept"))
	require.Equal(t, "deploy-bot/1.4 pipelines-go/"+pipelines.Version, got.Header.Get("User-Agent"))
	require.Empty(t, got.Header.Get("Content-Type"))
	require.Empty(t, got.Query)
}

func TestAnonymousClientsSendNoCredentials(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c, err := pipelines.NewClient(pipelines.WithBaseURL(srv.base()))
	require.NoError(t, err)
	_, err = c.Pipelines.Get(t.Context(), repo, "7")
	require.NoError(t, err)
	require.NotContains(t, srv.only(t).Header, "Authorization")
}

func TestHTTPClientOfTheUserIsCopiedAndNeverChanged(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	through := 0
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		through++
		return http.DefaultTransport.RoundTrip(req)
	})}
	before := *hc
	c := newClient(t, srv.base(), pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.Get(t.Context(), repo, "7")
	require.NoError(t, err)
	require.Equal(t, 1, through)
	require.Nil(t, hc.CheckRedirect)
	require.Equal(t, fmt.Sprintf("%T", before.Transport), fmt.Sprintf("%T", hc.Transport))
}

func TestPathElementsAreEscapedOrRefused(t *testing.T) {
	for element, want := range map[string]string{
		"":                                       "pipeline_uuid is empty",
		".":                                      `pipeline_uuid is "."`,
		"..":                                     `pipeline_uuid is ".."`,
		"a/b":                                    "a%2Fb",
		"../x":                                   "..%2Fx",
		"?q=1":                                   "%3Fq=1",
		"#f":                                     "%23f",
		"%2F":                                    "%252F",
		"%2e%2e":                                 "%252e%252e",
		"a b":                                    "a%20b",
		"ä":                                      "%C3%A4",
		"{a}":                                    "%7Ba%7D",
		"\x00\n":                                 "%00%0A",
		"a;b":                                    "a%3Bb",
		"//":                                     "%2F%2F",
		"a\\b":                                   "a%5Cb",
		"42":                                     "42",
		"long" + strings.Repeat("x", 10<<10):     "long" + strings.Repeat("x", 10<<10),
		"0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21":   "%7B0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21%7D",
		"{0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21}": "%7B0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21%7D",
	} {
		t.Run(element[:min(len(element), 40)], func(t *testing.T) {
			srv := record(t, answerJSON(`{}`))
			c := newClient(t, srv.base())
			_, err := c.Pipelines.Get(t.Context(), repo, element)
			if strings.HasPrefix(want, "pipeline_uuid") {
				require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
				require.EqualError(t, err, "pipelines: Pipelines.Get: invalid argument: "+want)
				require.Empty(t, srv.seen())
				return
			}
			require.NoError(t, err)
			require.Equal(t, "/2.0/repositories/acme/site/pipelines/"+want, srv.only(t).Path)
		})
	}
}

func TestDoRefusesPathsThatLeaveTheBaseURL(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	for _, path := range []string{
		"", "/", "//evil.example/x", "..", "/../x", "/a/../b", "/a/%2e%2e/b", "/a//b", "/a/./b", "/a#b", "/a/%zz", "/a?b=%zz", "/a?b;c",
		"https://evil.example/x",
	} {
		err := c.Do(t.Context(), http.MethodGet, path, nil, nil)
		if assert.Error(t, err, path) {
			assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, path)
		}
	}
	require.Error(t, c.Do(t.Context(), "G ET", "/a", nil, nil))
	require.Empty(t, srv.seen())
}

func TestDoSendsAnythingBelowTheBaseURL(t *testing.T) {
	type thing struct {
		Name string `json:"name"`
	}
	srv := record(t, answerJSON(`{"name":"x"}`))
	c := newClient(t, srv.base())
	var out thing
	require.NoError(t, c.Do(t.Context(), http.MethodPost, "repositories/acme/a%20b/things/?q=1", thing{"in"}, &out, pipelines.WithQuery("p", "2")))
	require.Equal(t, thing{"x"}, out)
	got := srv.only(t)
	require.Equal(t, "/2.0/repositories/acme/a%20b/things/", got.Path)
	require.Equal(t, "p=2&q=1", got.Query)
	require.Equal(t, `{"name":"in"}`, got.Body)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
}

func TestDoTakesBytesAsTheyAre(t *testing.T) {
	srv := record(t, answer(http.StatusOK, "text/plain", "raw"))
	c := newClient(t, srv.base())
	var out []byte
	require.NoError(t, c.Do(t.Context(), http.MethodPut, "/a", []byte("a: 1"), &out, pipelines.WithHeader("content-type", "application/yaml")))
	require.Equal(t, "raw", string(out))
	require.Equal(t, "a: 1", srv.only(t).Body)
	require.Equal(t, "application/yaml", srv.only(t).Header.Get("Content-Type"))
}

func TestDoLeavesOutAloneWithoutContent(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	c := newClient(t, srv.base())
	out := map[string]any{"kept": true}
	require.NoError(t, c.Do(t.Context(), http.MethodPut, "/a", nil, &out))
	require.Equal(t, map[string]any{"kept": true}, out)
	require.NoError(t, c.Do(t.Context(), http.MethodDelete, "/a", nil, nil))
}

func TestDoRefusesWhatItCannotEncodeOrDecodeInto(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	for _, err := range []error{
		c.Do(t.Context(), http.MethodPost, "/a", make(chan int), nil),
		c.Do(t.Context(), http.MethodGet, "/a", nil, struct{}{}),
		c.Do(t.Context(), http.MethodGet, "/a", nil, (*int)(nil)),
	} {
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	}
	require.Empty(t, srv.seen())
}

func TestCallOptionsThatCannotWorkAreRefused(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	for _, opt := range []pipelines.CallOption{
		pipelines.WithQuery("", "x"), pipelines.WithHeader("", "x"), pipelines.WithHeader("a b", "x"), pipelines.WithHeader("X-A", "a\r\nX-B: c"),
		pipelines.WithHeader("authorization", "Bearer x"), pipelines.WithResponse(nil),
	} {
		_, err := c.Pipelines.Get(t.Context(), repo, "1", opt)
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	}
	require.Empty(t, srv.seen())
	_, err := c.Pipelines.Get(nil, repo, "1") //nolint:staticcheck // a mistake that users make
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
}

func TestCallOptionsVaryOneCall(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Seen", "yes")
		answerJSON(`{"build_number":3}`)(w, req)
	})
	c := newClient(t, srv.base())
	var resp *http.Response
	p, err := c.Pipelines.Get(t.Context(), repo, "3", nil, pipelines.WithQuery("fields", "a"), pipelines.WithQuery("fields", "b"),
		pipelines.WithHeader("X-A", "1"), pipelines.WithHeader("accept", "x/y"), pipelines.WithResponse(&resp))
	require.NoError(t, err)
	require.Equal(t, 3, p.BuildNumber)
	require.Equal(t, "yes", resp.Header.Get("X-Seen"))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, http.NoBody, resp.Body)
	require.Empty(t, resp.Request.Header.Get("Authorization"), "a printed response must not show it")
	got := srv.only(t)
	require.Equal(t, "fields=a&fields=b", got.Query)
	require.Equal(t, "1", got.Header.Get("X-A"))
	require.Equal(t, "x/y", got.Header.Get("Accept"))
}

func TestWithResponseTellsOfFailedCallsToo(t *testing.T) {
	srv := record(t, answer(http.StatusNotFound, "text/html", "<html>"))
	c := newClient(t, srv.base())
	resp := &http.Response{}
	_, err := c.Pipelines.Get(t.Context(), repo, "3", pipelines.WithResponse(&resp))
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)

	srv.Close()
	_, err = c.Pipelines.Get(t.Context(), repo, "3", pipelines.WithResponse(&resp))
	require.Error(t, err)
	require.Nil(t, resp, "no response came")
}

func TestOperationIsOnEveryRequestsContext(t *testing.T) {
	srv := record(t, answerJSON(`{"access_token":"a","expires_in":7200,"token_type":"bearer"}`))
	var names []string
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		o, ok := pipelines.OperationFromContext(req.Context())
		assert.True(t, ok)
		names = append(names, o.Name+" "+o.Method+" "+o.Path)
		return http.DefaultTransport.RoundTrip(req)
	})}
	c := newClient(t, srv.base(), pipelines.WithHTTPClient(hc), pipelines.WithClientCredentials("id", "secret"))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.NoError(t, c.Do(t.Context(), http.MethodGet, "/user", nil, nil))
	require.Equal(t, []string{
		"OAuth.Token POST /site/oauth2/access_token",
		"Pipelines.Get GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}",
		"Do GET ",
	}, names)
	_, ok := pipelines.OperationFromContext(t.Context())
	require.False(t, ok)
}

func TestParseRepo(t *testing.T) {
	got, err := pipelines.ParseRepo("acme/site")
	require.NoError(t, err)
	require.Equal(t, repo, got)
	require.Equal(t, "acme/site", got.String())
	for _, s := range []string{"", "acme", "acme/", "/site", "a/b/c", "../site", "acme/..", "./."} {
		_, err := pipelines.ParseRepo(s)
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, s)
	}
}

func TestLoggerTellsOfEachAttemptAndOfNothingSecret(t *testing.T) {
	failed := false
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Request-Id", "r-1")
		if !failed {
			failed = true
			answer(http.StatusBadGateway, "text/html", "<html>")(w, req)
			return
		}
		answerJSON(`{}`)(w, req)
	})
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := newClient(t, srv.base(), pipelines.WithLogger(logger))
	_, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithQuery("q", "s3cret"), pipelines.WithHeader("X-A", "s3cret"))
	require.NoError(t, err)
	srv.Close()
	_, err = c.Pipelines.Get(t.Context(), repo, "1")
	require.Error(t, err)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 5)
	require.Contains(t, lines[0], "operation=Pipelines.Get method=GET path=/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid} attempt=1")
	require.Contains(t, lines[0], "status=502 request_id=r-1")
	require.Contains(t, lines[1], "attempt=2")
	require.Contains(t, lines[1], "status=200")
	require.Contains(t, lines[2], "error=")
	require.NotContains(t, log.String(), "s3cret")
	require.NotContains(t, log.String(), "t0ken")
}

func TestAnObserverSeesEveryAttempt(t *testing.T) {
	n := 0
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		n++
		w.Header().Set("X-RateLimit-NearLimit", fmt.Sprint(n))
		if n == 1 {
			answer(http.StatusTooManyRequests, "text/plain", "Rate limit")(w, req)
			return
		}
		answerJSON(`{"build_number":1}`)(w, req)
	})
	var seen []string
	c := newClient(t, srv.base(), pipelines.WithObserver(func(a pipelines.Attempt) {
		resp := a.Response
		seen = append(seen, fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("X-RateLimit-NearLimit"), " ", resp.Request.Header.Get("Authorization")))
		resp.Body.Close()
	}))
	p, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, 1, p.BuildNumber)
	require.Equal(t, []string{"429 1 ", "200 2 "}, seen)
}

type limiterFunc func(context.Context) error

func (f limiterFunc) Wait(ctx context.Context) error { return f(ctx) }

func TestLimiterIsAskedBeforeEveryAttempt(t *testing.T) {
	asked := 0
	srv := record(t, answer(http.StatusServiceUnavailable, "text/plain", ""))
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiterFunc(func(context.Context) error { asked++; return nil })))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorIs(t, err, pipelines.ErrServer)
	require.Equal(t, 3, asked)
	require.Len(t, srv.seen(), 3)
}

func TestLimiterThatFailsForAMomentIsAskedAgainForWritesToo(t *testing.T) {
	asked := 0
	srv := record(t, answer(http.StatusCreated, "application/json", `{"uuid":"{1}"}`))
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiterFunc(func(context.Context) error {
		if asked++; asked < 3 {
			return fmt.Errorf("limiter is away")
		}
		return nil
	})))
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err)
	require.Len(t, srv.seen(), 1)
}

func TestLimiterHonoursTheContext(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	ctx, cancel := context.WithCancel(t.Context())
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiterFunc(func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})))
	_, err := c.Pipelines.Run(ctx, repo, pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.Empty(t, srv.seen())
}

func TestTokenSourceIsAskedForFreshTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		expiry time.Duration
		want   int
	}{
		"once for a token that lasts":            {time.Hour, 1},
		"each time for one without an expiry":    {0, 3},
		"each time for one that expires shortly": {time.Second, 3},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, answerJSON(`{}`))
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
