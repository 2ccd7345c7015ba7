package pipelines_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestNewClientRefusesInvalidOptions(t *testing.T) {
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

func TestNewClientIgnoresNilOptions(t *testing.T) {
	_, err := pipelines.NewClient(nil, pipelines.WithToken("t"), nil)
	require.NoError(t, err)
}

func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"TOKEN", "EMAIL", "API_TOKEN", "CLIENT_ID", "CLIENT_SECRET", "BASE_URL"} {
		t.Setenv("BITBUCKET_"+name, "")
	}
}

func TestWithEnvReadsCredentials(t *testing.T) {
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
		"a bad base URL":       {env: map[string]string{"TOKEN": "abc", "BASE_URL": "nonsense"}, fail: true, want: "BITBUCKET_BASE_URL is not an absolute http or https URL"},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			srv := record(t, serveJSON(`{}`))
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

func TestAnonymousClientsSendNoCredentials(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c, err := pipelines.NewClient(pipelines.WithBaseURL(srv.base()))
	require.NoError(t, err)
	_, err = c.Pipelines.Get(t.Context(), repo, "7")
	require.NoError(t, err)
	require.NotContains(t, srv.only(t).Header, "Authorization")
}

func TestHTTPClientOfTheUserIsCopiedAndNeverChanged(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
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

func TestNewClientNamesTheArgumentThatIsWrong(t *testing.T) {
	for says, opt := range map[string]pipelines.Option{
		"RetryPolicy.MaxAttempts is negative":                     pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: -1}),
		"RetryPolicy.MaxQuotaWait is negative":                    pipelines.WithRetry(pipelines.RetryPolicy{MaxQuotaWait: -1}),
		`base URL "ftp://x" is not an absolute http or https URL`: pipelines.WithBaseURL("ftp://x"),
		`base URL "https://" has no host`:                         pipelines.WithBaseURL("https://"),
		`base URL "https://x/2.0" has a query or a fragment`:      pipelines.WithBaseURL("https://x/2.0?token=s3cret"),
		"base URL contains credentials: give them by an option":   pipelines.WithBaseURL("https://u:s3cret@x"),
	} {
		t.Run(says, func(t *testing.T) {
			_, err := pipelines.NewClient(opt)
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			require.ErrorContains(t, err, says)
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
	c := newClient(t, "http://api.example")
	require.ErrorContains(t, c.Do(t.Context(), "GET", "https://api.bitbucket.org/2.0/user", nil, nil), "path is a URL: give what comes after the base URL")
}

func TestHTTPClientWithACookieJarSendsItsCookiesOnceWithEachAttempt(t *testing.T) {
	srv := record(t, sequence(drop, drop, serveJSON(`{}`)))
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	jar.SetCookies(u, []*http.Cookie{{Name: "a", Value: "1"}})
	_, err = newClient(t, srv.base(), pipelines.WithHTTPClient(&http.Client{Jar: jar})).Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	for _, req := range srv.seen() {
		require.Equal(t, "a=1", req.Header.Get("Cookie"))
	}
}

func TestAReadOnlyClientSendsNothingThatChangesSomething(t *testing.T) {
	for _, o := range documentedOperations(t) {
		t.Run(o.id, func(t *testing.T) {
			srv := record(t, o.succeed)
			unsent := pipelines.WithObserver(func(a pipelines.Attempt) { require.Equal(t, "GET", a.Operation.Method) })
			err := o.call(t, newClient(t, srv.base(), pipelines.WithReadOnly(), unsent), o.uuids("%s"))
			if o.method == http.MethodGet {
				require.NoError(t, err)
				srv.requireSent(t, 1)
				return
			}
			require.ErrorIs(t, err, pipelines.ErrReadOnly)
			require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			require.Regexp(t, `^pipelines: \w+\.\w+: the client is read-only: `+o.method+` was not sent$`, err.Error())
			srv.requireSent(t, 0)
		})
	}
}

func TestAReadOnlyClientReadsAndPlans(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	r.AddVariable(pipelines.Variable{Key: "LEVEL", Value: "debug"})
	c := srv.Client(pipelines.WithReadOnly())
	variables := c.Variables.InRepository(repo)
	plan, err := variables.Plan(t.Context(), []pipelines.VariableRequest{{Key: "LEVEL", Value: "info"}, {Key: "NEW"}}, nil)
	require.NoError(t, err)
	_, err = variables.Set(t.Context(), pipelines.VariableRequest{Key: "LEVEL", Value: "info"})
	require.ErrorIs(t, err, pipelines.ErrReadOnly)
	require.ErrorIs(t, variables.Apply(t.Context(), plan), pipelines.ErrReadOnly)
	_, err = c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: mainBranch, YAML: []byte("pipelines: {}")})
	require.ErrorIs(t, err, pipelines.ErrReadOnly)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"} {
		require.ErrorIs(t, c.Do(t.Context(), method, "/repositories/acme/site/pipelines", nil, nil), pipelines.ErrReadOnly, method)
	}
	for _, method := range []string{"GET", "HEAD"} {
		require.NoError(t, c.Do(t.Context(), method, "/repositories/acme/site/pipelines", nil, nil), method)
	}
	for _, req := range srv.Requests() {
		require.Contains(t, []string{"GET", "HEAD"}, req.Method)
	}
}

func TestAReadOnlyClientRequestsTokens(t *testing.T) {
	srv := record(t, serveJSON(`{"access_token":"a","expires_in":7200,"token_type":"bearer"}`))
	c := newClient(t, srv.base(), pipelines.WithReadOnly(), pipelines.WithClientCredentials("id", "s3cret"))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, "POST", srv.seen()[0].Method)
	srv.requireSent(t, 2)
}
