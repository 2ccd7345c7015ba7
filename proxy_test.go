package pipelines_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

// proxied makes a client that reaches an https API by way of a proxy.
func proxied(t *testing.T, proxy http.HandlerFunc) (*pipelines.Client, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		proxy(w, req)
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	hc := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u)}}
	return newClient(t, "https://api.example/2.0", pipelines.WithHTTPClient(hc)), &asked
}

func TestAProxyThatRefusesToConnectIsNotRetried(t *testing.T) {
	for _, status := range []int{403, 407, 405, 404, 429, 502, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			c, asked := proxied(t, serve(status, "text/plain", ""))
			_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
			require.ErrorContains(t, err, "proxy refuses the connection: "+http.StatusText(status))
			require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			require.EqualValues(t, 1, asked.Load(), "%d", status)
			_, err = c.Pipelines.Get(t.Context(), repo, "1")
			require.Error(t, err)
			require.EqualValues(t, 2, asked.Load(), "%d", status)
		})
	}
}

func TestAProxyThatCannotBeUsedIsNoUnknownOutcome(t *testing.T) {
	asked := 0
	hc := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		asked++
		return nil, errors.New("malformed proxy address")
	}}}
	c := newClient(t, "https://api.example/2.0", pipelines.WithHTTPClient(hc))
	_, err := c.Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorContains(t, err, "malformed proxy address")
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.LessOrEqual(t, asked, 2, "once by net/http, once to find out that it was the reason")
}

func TestAProxyThatFailsIsNoUnknownOutcome(t *testing.T) {
	hc := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy today") }}}
	_, err := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorContains(t, err, "no proxy today")
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)

	source := tokenSource(func() (*oauth2.Token, error) { return &oauth2.Token{AccessToken: "a", TokenType: "x\ny"}, nil })
	srv := record(t, serveJSON(`{}`))
	_, err = newClient(t, srv.base(), pipelines.WithTokenSource(source)).Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorContains(t, err, "invalid token type")
	require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	srv.requireSent(t, 0)
}
