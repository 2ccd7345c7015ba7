package pipelines_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// toldQuota makes a client and calls once with each of these headers in the response.
func toldQuota(t *testing.T, status int, headers ...http.Header) *pipelines.Client {
	t.Helper()
	c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
		resp := respond(req, status, `{}`)
		for name, values := range headers[0] {
			resp.Header[http.CanonicalHeaderKey(name)] = values
		}
		return resp, nil
	})
	for len(headers) > 0 {
		_, _ = c.Pipelines.Get(t.Context(), repo, "1")
		headers = headers[1:]
	}
	return c
}

func TestQuotaIsWhatTheServiceLastTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := toldQuota(t, 200)
		require.Zero(t, c.Quota())
		c = toldQuota(t, 200, http.Header{"X-RateLimit-Limit": {"4000"}, "X-RateLimit-Resource": {"api-repositories"}, "X-RateLimit-NearLimit": {"true"}})
		want := pipelines.Quota{Limit: 4000, Resource: "api-repositories", NearLimit: true, Told: time.Now()}
		time.Sleep(time.Minute)
		require.Equal(t, want, c.Quota())

		c = toldQuota(t, 404, http.Header{"X-RateLimit-Limit": {"4000"}, "X-RateLimit-NearLimit": {"true"}}, http.Header{"X-RateLimit-Limit": {"5000"}}, nil)
		require.Equal(t, pipelines.Quota{Limit: 5000, Told: time.Now()}, c.Quota(), "errors tell it too")
	})
}

func TestQuotaReadsOddForms(t *testing.T) {
	for text, want := range map[string]int{
		"1000": 1000, " 1000 ": 1000, "1000, 1000;w=3600": 1000, "1000;w=3600": 1000, "1000.0": 1000, "1e3": 1000, "": 0, "0": 0, "-5": 0, "many": 0,
		"NaN": 0, "Inf": 0, "99999999999999999999": 0, ",": 0, ";": 0, "\x80": 0, "0x": 0,
	} {
		c := toldQuota(t, 200, http.Header{"X-RateLimit-Limit": {text}, "X-RateLimit-Resource": {"r"}})
		require.Equal(t, want, c.Quota().Limit, "%q", text)
		require.Equal(t, "r", c.Quota().Resource)
	}
	for text, want := range map[string]bool{"true": true, "True": true, "TRUE": true, "\ttrue\t": true, "1": true, "false": false, "0": false, "": false, "yes?": false} {
		c := toldQuota(t, 200, http.Header{"X-RateLimit-Limit": {"1000"}, "X-RateLimit-NearLimit": {text}})
		require.Equal(t, want, c.Quota().NearLimit, "%q", text)
	}
}

func TestQuotaIsHeldUntilARetryAfterIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := toldQuota(t, 429, http.Header{"Retry-After": {"1800"}})
		require.Equal(t, pipelines.Quota{HeldUntil: time.Now().Add(30 * time.Minute)}, c.Quota())
		time.Sleep(30 * time.Minute)
		require.Zero(t, c.Quota())
	})
}

func TestQuotaOfAnotherOriginDoesNotCount(t *testing.T) {
	c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
		resp := respond(req, 200, "log")
		if req.URL.Host != "storage.example" {
			resp = respond(req, 307, "")
			resp.Header.Set("Location", "http://storage.example/log")
		} else {
			resp.Header.Set("X-RateLimit-Limit", "7")
		}
		return resp, nil
	})
	require.NoError(t, readAll(c.Steps.GetLog(t.Context(), repo, "1", "{s}", nil)))
	require.Zero(t, c.Quota())
}

func TestQuotaOfAnAccessTokenIsToldNearItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithQuota(10))
		defer srv.Close()
		srv.AddRepository("acme", "site").AddPipelines(1)
		c := srv.Client()
		for range 9 {
			require.False(t, c.Quota().NearLimit)
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			require.NoError(t, err)
		}
		require.Equal(t, pipelines.Quota{Limit: 10, Resource: "api", NearLimit: true, Told: time.Now()}, c.Quota())
	})
}
