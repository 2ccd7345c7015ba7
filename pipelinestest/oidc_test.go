package pipelinestest_test

import (
	"crypto/rsa"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheOIDCDocumentsArePublic(t *testing.T) {
	f := setup(t, pipelinestest.WithToken("other"))
	const path = "/workspaces/acme/pipelines-config/identity/oidc"
	a := f.get(path+"/.well-known/openid-configuration", "Authorization", "")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, f.srv.URL()+path, a.At("issuer"))
	keys := f.get(a.At("jwks_uri").(string), "Authorization", "")
	require.Equal(t, "RSA", keys.At("keys.0.kty"))
	require.Equal(t, "AQAB", keys.At("keys.0.e"))
	require.Equal(t, keys.text, f.get(path+"/keys.json", "Authorization", "").text, "made once")
	uuid := escape(f.srv.AddWorkspace("acme").UUID())
	require.Equal(t, a.text, f.get("/workspaces/"+uuid+"/pipelines-config/identity/oidc/.well-known/openid-configuration").text)
	for _, document := range []string{"/.well-known/openid-configuration", "/keys.json"} {
		require.Equal(t, http.StatusNotFound, f.get("/workspaces/other/pipelines-config/identity/oidc"+document).StatusCode)
	}
}

func TestTheClientReadsTheOIDCDocuments(t *testing.T) {
	f := setup(t)
	client := f.srv.Client(pipelines.WithBasicAuth("ada@example.com", "token")).OIDC
	configuration, err := client.Configuration(t.Context(), "acme")
	require.NoError(t, err, "asked for without the credentials, which would be refused")
	require.Equal(t, client.Issuer("acme"), configuration.Issuer)
	keys, err := client.Keys(t.Context(), "acme")
	require.NoError(t, err)
	key, err := keys.Keys[0].PublicKey()
	require.NoError(t, err)
	require.Equal(t, 2048, key.(*rsa.PublicKey).N.BitLen())
	_, err = client.Keys(t.Context(), "other")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}
