package pipelinestest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheTokenEndpointIssuesTokensForTwoHours(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("static"), pipelinestest.WithOAuthConsumer("id", "s%cret +", "pipeline"))
	a := f.token("grant_type=client_credentials", "id", "s%25cret+%2B")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, "bearer", a.At("token_type"))
	require.EqualValues(t, 7200, a.At("expires_in"))
	require.Equal(t, "pipeline", a.At("scopes"))

	bearer := "Bearer " + a.At("access_token").(string)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines", "Authorization", bearer).StatusCode)
	require.Equal(t, http.StatusForbidden, f.send(http.MethodPost, site+"/pipelines/1/stopPipeline", "", "Authorization", bearer).StatusCode)

	f.clock.Advance(2*time.Hour - time.Second)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines", "Authorization", bearer).StatusCode)
	f.clock.Advance(time.Second)
	expired := f.get(site+"/pipelines", "Authorization", bearer)
	require.Equal(t, http.StatusUnauthorized, expired.StatusCode)
	require.Equal(t, "Access token expired.", expired.At("error.message"))

	again := f.token("grant_type=refresh_token&refresh_token="+a.At("refresh_token").(string), "id", "s%cret +")
	require.Equal(t, http.StatusOK, again.StatusCode, again.text)
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines", "Authorization", "Bearer "+again.At("access_token").(string)).StatusCode)
}

func TestTheTokenEndpointRefusesInvalidRequests(t *testing.T) {
	restricted := []pipelinestest.ServerOption{pipelinestest.WithOAuthConsumer("id", "secret")}
	for name, c := range map[string]struct {
		opts             []pipelinestest.ServerOption
		form, id, secret string
		status           int
		code             string
	}{
		"a request without credentials": {nil, "grant_type=client_credentials", "", "", 401, "invalid_client"},
		"an empty secret":               {nil, "grant_type=client_credentials", "id", "", 401, "invalid_client"},
		"an unknown consumer":           {restricted, "grant_type=client_credentials", "other", "secret", 401, "invalid_client"},
		"a wrong secret":                {restricted, "grant_type=client_credentials", "id", "wrong", 401, "invalid_client"},
		"a grant that needs a browser":  {restricted, "grant_type=authorization_code", "id", "secret", 400, "unsupported_grant_type"},
		"an unknown refresh token":      {restricted, "grant_type=refresh_token&refresh_token=x", "id", "secret", 400, "invalid_grant"},
		"a body that is no form":        {restricted, "grant_type=%zz", "id", "secret", 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := setup(t, c.opts...).token(c.form, c.id, c.secret)
			require.Equal(t, c.status, a.StatusCode)
			require.Equal(t, c.code, a.At("error"))
			require.NotEmpty(t, a.At("error_description"))
		})
	}
	require.Equal(t, http.StatusOK, setup(t).token("grant_type=client_credentials", "any", "100%").StatusCode)
	require.Equal(t, http.StatusOK, setup(t, restricted...).token("grant_type=client_credentials", "id", "secret").StatusCode)
}

func TestTheClientGetsAnOAuthToken(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("other"), pipelinestest.WithOAuthConsumer("id", "se cret"))
	f.repo.AddPipelines(25)
	client := f.srv.Client(pipelines.WithClientCredentials("id", "se cret"))
	all, err := client.Pipelines.List(t.Context(), f.repo.Repo(), &pipelines.ListPipelinesOptions{PageLen: 10}).Collect()
	require.NoError(t, err)
	require.Len(t, all, 25)
}

func TestARevokedOAuthTokenIsRefusedAndItsConsumerGetsAnother(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("other"), pipelinestest.WithOAuthConsumer("id", "secret"))
	issued := f.token("grant_type=client_credentials", "id", "secret")
	token, refresh := issued.At("access_token").(string), issued.At("refresh_token").(string)
	f.srv.RevokeToken(token)
	require.Equal(t, http.StatusUnauthorized, f.get(site+"/pipelines", "Authorization", "Bearer "+token).StatusCode)

	another := f.token("grant_type=refresh_token&refresh_token="+refresh, "id", "secret")
	require.Equal(t, http.StatusOK, another.StatusCode)
	require.NotEqual(t, token, another.At("access_token"))
	require.Equal(t, http.StatusOK, f.get(site+"/pipelines", "Authorization", "Bearer "+another.At("access_token").(string)).StatusCode)

	f.srv.RevokeToken(refresh)
	require.Equal(t, "invalid_grant", f.token("grant_type=refresh_token&refresh_token="+refresh, "id", "secret").At("error"))
}

func TestTheClientSurvivesTheRevocationOfItsOAuthToken(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("other"), pipelinestest.WithOAuthConsumer("id", "secret"))
	f.repo.AddPipelines(1)
	client := f.srv.Client(pipelines.WithClientCredentials("id", "secret"))
	for range 2 {
		_, err := client.Pipelines.Get(t.Context(), f.repo.Repo(), "1")
		require.NoError(t, err)
		sent := f.srv.RequestsTo(http.MethodGet, site+"/pipelines/1")
		f.srv.RevokeToken(strings.TrimPrefix(sent[len(sent)-1].Header.Get("Authorization"), "Bearer "))
	}
	var statuses []int
	for _, r := range f.srv.RequestsTo(http.MethodGet, site+"/pipelines/1") {
		statuses = append(statuses, r.Status)
	}
	require.Equal(t, []int{200, 401, 200}, statuses)
}
