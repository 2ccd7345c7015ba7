package pipelinestest_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheQuotaIsARollingHour(t *testing.T) {
	f := setup(t, pipelinestest.WithQuota(2))
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode)
	f.clock.Advance(30 * time.Minute)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode)

	a := f.get(site + "/pipelines")
	require.Equal(t, http.StatusTooManyRequests, a.StatusCode)
	require.Equal(t, "Rate limit for this resource has been exceeded", a.text)
	require.Equal(t, "text/plain", a.Header.Get("Content-Type"))
	require.Empty(t, a.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, f.token("grant_type=client_credentials", "id", "secret").StatusCode, "other paths don't count")

	f.clock.Advance(30 * time.Minute)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode, "the first request was an hour ago")
	require.Equal(t, http.StatusTooManyRequests, f.get(site+"/pipelines").StatusCode)
}

func TestResponsesToAnAccessTokenDescribeTheQuota(t *testing.T) {
	f := setup(t, pipelinestest.WithQuota(10))
	var near []string
	for range 11 {
		header := f.get(site + "/pipelines").Header
		near = append(near, header.Get("X-RateLimit-NearLimit"))
		require.Equal(t, "api", header.Get("X-RateLimit-Resource"))
	}
	require.Equal(t, strings.Repeat("false ", 8)+"true true true", strings.Join(near, " "), "the last response is a 429")
	f.clock.Advance(time.Hour)
	require.Equal(t, "false", f.get(site+"/pipelines").Header.Get("X-RateLimit-NearLimit"))
	require.Empty(t, setup(t).get(site+"/pipelines").Header.Get("X-RateLimit-NearLimit"), "without a quota")
}

func TestEachCallerHasAQuotaOfItsOwn(t *testing.T) {
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	f := setup(t, pipelinestest.WithQuota(2))
	oauth := func(id string) string {
		return "Bearer " + f.token("grant_type=client_credentials", id, "secret").At("access_token").(string)
	}
	for caller, authorizations := range map[string][]string{
		"an access token":                 {"Bearer a", "bearer a", "Bearer a"},
		"another access token":            {"Bearer b", "Bearer b", "Bearer b"},
		"a user with several API tokens":  {basic("me@example.com", "a"), basic("me@example.com", "b"), basic("me@example.com", "c")},
		"another user":                    {basic("you@example.com", "a"), basic("you@example.com", "a"), basic("you@example.com", "a")},
		"a consumer with several tokens":  {oauth("id"), oauth("id"), oauth("id")},
		"another consumer":                {oauth("other"), oauth("other"), oauth("other")},
		"a user called like the consumer": {basic("id", "a"), basic("id", "a"), basic("id", "a")},
	} {
		for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
			require.Equal(t, want, f.get(site+"/pipelines", "Authorization", authorizations[i]).StatusCode, "%s: %d", caller, i)
		}
	}
}

// Whether refused requests count is unknown. Here they don't, so the quota returns although a client continues to ask.
func TestRefusedRequestsDontCountAgainstTheQuota(t *testing.T) {
	f := setup(t, pipelinestest.WithQuota(1), pipelinestest.WithToken("token", "pipeline"))
	for range 3 {
		require.Equal(t, http.StatusUnauthorized, f.get(site+"/pipelines", "Authorization", "Bearer other").StatusCode)
		require.Equal(t, http.StatusForbidden, f.send(http.MethodPost, site+"/pipelines/1/stopPipeline", "").StatusCode)
	}
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode)
	for range 59 {
		f.clock.Advance(time.Minute)
		require.Equal(t, http.StatusTooManyRequests, f.get(site+"/pipelines").StatusCode)
	}
	f.clock.Advance(time.Minute)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines").StatusCode)
}

func TestRequestsToTheStorageDontCountAgainstTheQuota(t *testing.T) {
	f := setup(t, pipelinestest.WithQuota(4))
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Log: "done\n"}}})
	path := f.step(f.started(), 0) + "/log" // two requests
	link := f.get(path).Header.Get("Location")
	for range 5 {
		require.Equal(t, http.StatusOK, f.get(link, "Authorization", "").StatusCode)
	}
	require.Equal(t, http.StatusTemporaryRedirect, f.get(path).StatusCode)
	require.Equal(t, http.StatusTooManyRequests, f.get(path).StatusCode)
}

func TestTheQuotaCanChange(t *testing.T) {
	f := setup(t)
	ask := func() (status int, limit string) {
		a := f.get(site + "/pipelines")
		return a.StatusCode, a.Header.Get("X-RateLimit-Limit")
	}
	for _, c := range []struct {
		quota  int
		status int
		limit  string
	}{{0, 200, ""}, {2, 200, "2"}, {2, 429, "2"}, {3, 200, "3"}, {1, 429, "1"}, {0, 200, ""}} {
		f.srv.SetQuota(c.quota)
		status, limit := ask()
		require.Equal(t, c.status, status, c.quota)
		require.Equal(t, c.limit, limit, c.quota)
	}
}
