package pipelines_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestOIDCDocumentsAreRequestedWithoutCredentialsFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		handlers []http.HandlerFunc
		sent     []string // Authorization
		is       error
	}{
		"public":                {[]http.HandlerFunc{serveJSON(`{"issuer":"i","keys":[{"kid":"k"}]}`)}, []string{""}, nil},
		"refused anonymously":   {[]http.HandlerFunc{serve(401, "text/plain", ""), serveJSON(`{"issuer":"i","keys":[{"kid":"k"}]}`)}, []string{"", "Bearer t0ken"}, nil},
		"refused to API tokens": {[]http.HandlerFunc{serve(403, "text/plain", "")}, []string{"", "Bearer t0ken"}, pipelines.ErrForbidden},
		"not used yet":          {[]http.HandlerFunc{serve(404, "text/plain", "")}, []string{""}, pipelines.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			calls := map[string]func(*pipelines.Client) error{
				"/.well-known/openid-configuration": func(c *pipelines.Client) error {
					doc, err := c.OIDC.GetConfiguration(t.Context(), "acme")
					if err == nil {
						assert.Equal(t, "i", doc.Issuer)
					}
					return err
				},
				"/keys.json": func(c *pipelines.Client) error {
					set, err := c.OIDC.GetKeys(t.Context(), "acme")
					if err == nil {
						assert.Equal(t, "k", set.Keys[0].Kid)
					}
					return err
				},
			}
			for path, call := range calls {
				t.Run(path[1:], func(t *testing.T) {
					srv := record(t, sequence(tc.handlers...))
					require.ErrorIs(t, call(newClient(t, srv.base())), tc.is)
					var sent []string
					for _, req := range srv.seen() {
						sent = append(sent, req.Header.Get("Authorization"))
						require.Equal(t, "/2.0/workspaces/acme/pipelines-config/identity/oidc"+path, req.Path)
					}
					require.Equal(t, tc.sent, sent, "requests sent")
				})
			}
		})
	}
	anonymous := record(t, serve(403, "text/plain", ""))
	c, err := pipelines.NewClient(pipelines.WithBaseURL(anonymous.base()))
	require.NoError(t, err)
	_, err = c.OIDC.GetKeys(t.Context(), "acme")
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	anonymous.requireSent(t, 1)
}

func TestOIDCIssuerIsBelowTheBaseURL(t *testing.T) {
	c, err := pipelines.NewClient()
	require.NoError(t, err)
	require.Equal(t, "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", c.OIDC.Issuer("acme"))
	require.Empty(t, c.OIDC.Issuer(".."))
}
