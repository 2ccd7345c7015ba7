package pipelines

import (
	"context"
	"errors"
	"net/http"
)

// OIDCService reads the keys and the issuer that verify the OpenID Connect tokens of steps.
type OIDCService struct{ client *Client }

const oidcPath = "/workspaces/{workspace}/pipelines-config/identity/oidc"

var (
	opOIDCConfiguration = op("OIDC.GetConfiguration", http.MethodGet, oidcPath+"/.well-known/openid-configuration", idempotent)
	opOIDCKeys          = op("OIDC.GetKeys", http.MethodGet, oidcPath+"/keys.json", idempotent)
	opOIDCIssuer        = op("OIDC.Issuer", http.MethodGet, oidcPath, idempotent) // only the path of the issuer; it is never requested
)

// OpenIDConfiguration is the discovery document of a workspace.
type OpenIDConfiguration struct {
	Issuer                           string   `json:"issuer,omitzero"`
	JWKSURI                          string   `json:"jwks_uri,omitzero"`
	SubjectTypesSupported            []string `json:"subject_types_supported,omitzero"`
	ResponseTypesSupported           []string `json:"response_types_supported,omitzero"`
	ClaimsSupported                  []string `json:"claims_supported,omitzero"`
	IDTokenSigningAlgValuesSupported []string `json:"id_token_signing_alg_values_supported,omitzero"`
}

// Issuer returns the issuer of a workspace's tokens, which their claim "iss" must equal. It is a URL below the client's base URL,
// or "" if workspace is not a valid name. It sends no request.
func (s *OIDCService) Issuer(workspace string) string {
	at := opOIDCIssuer.at(workspace)
	if at.err != nil {
		return ""
	}
	return s.client.base.String() + at.path
}

// GetConfiguration returns the discovery document of a workspace. The document is public: the request is sent without credentials,
// and again with them if the service refuses that. The service refuses API tokens here. If no step has used OpenID Connect yet,
// the error may be an [ErrNotFound].
//
// API: GET /workspaces/{workspace}/pipelines-config/identity/oidc/.well-known/openid-configuration
//
// Scope: none.
func (s *OIDCService) GetConfiguration(
	ctx context.Context, workspace string, opts ...CallOption,
) (*OpenIDConfiguration, error) {
	return sendPublic[OpenIDConfiguration](ctx, s.client, opOIDCConfiguration.at(workspace), opts)
}

// GetKeys returns the public keys of a workspace's tokens. The request is sent as [OIDCService.GetConfiguration] sends its own. Cache
// the keys, and call GetKeys again for a token that names another key.
//
// API: GET /workspaces/{workspace}/pipelines-config/identity/oidc/keys.json
//
// Scope: none.
func (s *OIDCService) GetKeys(
	ctx context.Context, workspace string, opts ...CallOption,
) (*JSONWebKeySet, error) {
	return sendPublic[JSONWebKeySet](ctx, s.client, opOIDCKeys.at(workspace), opts)
}

// sendPublic sends a request without credentials, and again with them if the service refuses it.
func sendPublic[T any](ctx context.Context, c *Client, at endpoint, opts []CallOption) (*T, error) {
	anonymous := callOption(func(k *call) error {
		k.public = true
		return nil
	})
	out, err := send[T](ctx, c, at, nil, append(opts[:len(opts):len(opts)], anonymous))
	refused := errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrForbidden)
	if refused && c.transport.credentials != nil {
		return send[T](ctx, c, at, nil, opts)
	}
	return out, err
}
