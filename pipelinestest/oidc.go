package pipelinestest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"

	"github.com/seed-85ed9bfd/pipelines"
)

const oidcPath = workspacePath + "/pipelines-config/identity/oidc"

// oidcRoutes are public: those who verify a token have no account.
var oidcRoutes = []route{
	{http.MethodGet, oidcPath + "/.well-known/openid-configuration", public, (*call).oidcConfiguration},
	{http.MethodGet, oidcPath + "/keys.json", public, (*call).oidcKeys},
}

// tokenClaims are the claims of a step's token.
var tokenClaims = []string{
	"iss", "sub", "aud", "iat", "exp", "workspaceUuid", "repositoryUuid", "pipelineUuid", "stepUuid", "accountUuid", "branchName",
	"deploymentEnvironmentUuid",
}

// issuer is who signs the tokens of a workspace's steps.
func (c *call) issuer(w *Workspace) string {
	return c.base() + "/workspaces/" + escaped(w.slug) + "/pipelines-config/identity/oidc"
}

func (c *call) oidcConfiguration() *reply {
	w, refusal := c.workspace()
	if refusal != nil {
		return refusal
	}
	issuer := c.issuer(w)
	return c.json(http.StatusOK, pipelines.OpenIDConfiguration{
		Issuer: issuer, JWKSURI: issuer + "/keys.json", SubjectTypesSupported: []string{"public"}, ResponseTypesSupported: []string{"id_token"},
		ClaimsSupported: tokenClaims, IDTokenSigningAlgValuesSupported: []string{"RS256"},
	})
}

func (c *call) oidcKeys() *reply {
	if _, refusal := c.workspace(); refusal != nil {
		return refusal
	}
	key, err := c.server.signing()
	if err != nil {
		return failure(http.StatusInternalServerError, "There is no key.", err.Error())
	}
	return c.json(http.StatusOK, pipelines.JSONWebKeySet{Keys: []pipelines.JSONWebKey{jsonWebKey(&key.PublicKey)}})
}

// signing returns the key that the server signs with, and makes it first where there is none: that takes a while.
func (s *Server) signing() (*rsa.PrivateKey, error) {
	if s.signingKey != nil {
		return s.signingKey, nil
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	s.signingKey = key
	return key, err
}

func jsonWebKey(key *rsa.PublicKey) pipelines.JSONWebKey {
	modulus := key.N.Bytes()
	return pipelines.JSONWebKey{
		Kid: fmt.Sprintf("%x", sha256.Sum256(modulus))[:32], Kty: "RSA", Alg: "RS256", Use: "sig",
		N: base64.RawURLEncoding.EncodeToString(modulus),
		E: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}
}
