package pipelines_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestRedirectsKeepCredentialsAtTheirOrigin(t *testing.T) {
	for name, tc := range map[string]struct {
		base, to string
		follows  bool
		sends    bool
	}{
		"the same origin":                {"https://api.example/2.0", "https://api.example/elsewhere", true, true},
		"the same origin, port spelt":    {"https://api.example/2.0", "https://API.example:443/elsewhere", true, true},
		"another host":                   {"https://api.example/2.0", "https://evil.example/x", true, false},
		"a subdomain":                    {"https://api.example/2.0", "https://sub.api.example/x", true, false},
		"the parent domain":              {"https://api.example/2.0", "https://example/x", true, false},
		"another port":                   {"https://api.example/2.0", "https://api.example:8443/x", true, false},
		"another scheme, to https":       {"http://api.example/2.0", "https://api.example/x", true, false},
		"another scheme, https to http":  {"https://api.example/2.0", "http://api.example/x", false, false},
		"credentials inside the URL":     {"https://api.example/2.0", "https://user:pass@evil.example/x", true, false},
		"a scheme that is not http":      {"https://api.example/2.0", "file:///etc/passwd", false, false},
		"a foreign host that sends back": {"https://api.example/2.0", "https://evil.example/back", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var got []http.Header
			see := func(w http.ResponseWriter, req *http.Request) {
				got = append(got, req.Header)
				if req.URL.Path == "/back" {
					http.Redirect(w, req, "https://api.example/elsewhere", http.StatusFound)
					return
				}
				_, _ = io.WriteString(w, `{"build_number":9}`)
			}
			network := hosts{}
			for _, origin := range []string{
				"https://evil.example", "https://user:pass@evil.example", "https://sub.api.example", "https://example", "https://api.example:8443",
				"https://API.example:443", "http://api.example", "https://api.example",
			} {
				network[origin] = see
			}
			base, err := url.Parse(tc.base)
			require.NoError(t, err)
			network[base.Scheme+"://"+base.Host] = func(w http.ResponseWriter, req *http.Request) {
				if strings.HasPrefix(req.URL.Path, "/2.0/") {
					http.Redirect(w, req, tc.to, http.StatusTemporaryRedirect)
					return
				}
				see(w, req)
			}
			c := newClient(t, tc.base, pipelines.WithHTTPClient(&http.Client{Transport: network}))
			p, err := c.Pipelines.Get(t.Context(), repo, "1", pipelines.WithHeader("X-Key", "s3cret"), pipelines.WithHeader("Cookie", "s3cret"))
			if !tc.follows {
				require.ErrorContains(t, err, "redirect refused")
				require.NotContains(t, err.Error(), "attempts", "another try would end the same")
				require.Empty(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 9, p.BuildNumber)
			for _, header := range got {
				if tc.sends {
					assert.Equal(t, "Bearer t0ken", header.Get("Authorization"))
					assert.Equal(t, "s3cret", header.Get("X-Key"))
					continue
				}
				assert.Equal(t, "application/json", header.Get("Accept"))
				for _, secret := range []string{"Authorization", "X-Key", "Cookie", "Referer"} {
					assert.Empty(t, header.Get(secret), secret)
				}
			}
		})
	}
}

func TestRedirectsOverRealPortsLoseTheCredentials(t *testing.T) {
	storage := record(t, serveJSON(`{"build_number":9}`))
	api := record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, storage.URL+"/x", http.StatusTemporaryRedirect)
	})
	_, err := newClient(t, api.base()).Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, "Bearer t0ken", api.only(t).Header.Get("Authorization"))
	require.Empty(t, storage.only(t).Header.Get("Authorization"))
}

func TestRedirectsOfWritesAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, verb := range verbs[1:] {
			t.Run(fmt.Sprint(status, " of ", verb.name), func(t *testing.T) {
				elsewhere := record(t, serveJSON(`{}`))
				srv := record(t, func(w http.ResponseWriter, req *http.Request) {
					http.Redirect(w, req, elsewhere.URL, status)
				})
				var e *pipelines.APIError
				require.ErrorAs(t, verb.call(t.Context(), newClient(t, srv.base())), &e)
				require.Equal(t, status, e.StatusCode)
				srv.requireSent(t, 1)
				elsewhere.requireSent(t, 0)
			})
		}
	}
}

func TestARedirectLoopEnds(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, req.URL.Path+"x", http.StatusFound)
	})
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "more than 5 in a row")
	srv.requireSent(t, 6)
}

func TestARedirectThatATransportReturnsAgainAndAgainEnds(t *testing.T) {
	var same *http.Response
	sent := 0
	c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
		sent++
		if same == nil {
			same = respond(req, 307, "")
			same.Header.Set("Location", "/2.0/again")
		}
		return same, nil
	}, pipelines.WithRetry(quick))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "redirect refused")
	require.LessOrEqual(t, sent, 6)
}

func TestRedirectsToHostsThatUnicodeFoldsTogetherLoseTheCredentials(t *testing.T) {
	for _, pair := range [][2]string{{"σ.example", "ς.example"}, {"k.example", "\u212a.example"}, {"ss.example", "ß.example"}, {"É.example", "é.example"}} {
		t.Run(pair[1], func(t *testing.T) {
			var tokens []string
			c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
				tokens = append(tokens, req.Header.Get("Authorization"))
				if req.URL.Hostname() == pair[0] {
					resp := respond(req, 307, "")
					resp.Header.Set("Location", "http://"+pair[1]+"/log")
					return resp, nil
				}
				return respond(req, 200, `{}`), nil
			}, pipelines.WithBaseURL("http://"+pair[0]))
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.NoError(t, err)
			require.Equal(t, []string{"Bearer t0ken", ""}, tokens, "%v", pair)
		})
	}
}

func TestRedirectsCompareOriginsWithoutUnicodeFolding(t *testing.T) {
	var got []string
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		got = append(got, req.Header.Get("Authorization"))
		resp := respond(req, 200, `{}`)
		if len(got) == 1 {
			resp = respond(req, 302, "")
			resp.Header.Set("Location", "https://api.bitbuc\u212aet.org/x")
		}
		return resp, nil
	})}
	c, err := pipelines.NewClient(pipelines.WithToken("t0ken"), pipelines.WithHTTPClient(hc))
	require.NoError(t, err)
	_, err = c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.Equal(t, []string{"Bearer t0ken", ""}, got)
}

func TestARedirectLoopThroughTheStorageHostEnds(t *testing.T) {
	var api, storage *recorder
	storage = record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, api.base()+"/back", http.StatusFound)
	})
	api = record(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, storage.URL+"/storage", http.StatusTemporaryRedirect)
	})
	_, err := newClient(t, api.base()).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.ErrorContains(t, err, "more than 5 in a row")
	api.requireSent(t, 3)
	storage.requireSent(t, 3)
	require.Equal(t, "Bearer t0ken", api.seen()[0].Header.Get("Authorization"))
	for _, req := range append(storage.seen(), api.seen()[1:]...) {
		require.Empty(t, req.Header.Get("Authorization"), "once led away, a request stays foreign")
	}
}

func TestRedirectsOfAStorageHostDoNotLeadToPlainHTTP(t *testing.T) {
	asked := 0
	network := hosts{
		"https://api.example":     http.RedirectHandler("https://storage.example/x", http.StatusTemporaryRedirect).ServeHTTP,
		"https://storage.example": http.RedirectHandler("http://storage.example/x", http.StatusFound).ServeHTTP,
		"http://storage.example":  func(http.ResponseWriter, *http.Request) { asked++ },
	}
	_, err := newClient(t, "https://api.example", pipelines.WithHTTPClient(&http.Client{Transport: network})).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.ErrorContains(t, err, "from https to http")
	require.Zero(t, asked)
}
