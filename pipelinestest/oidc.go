package pipelinestest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/seed-85ed9bfd/pipelines"
)

const oidcPath = workspacePath + "/pipelines-config/identity/oidc"

// oidcRoutes are public: a verifier of tokens needs no account.
var oidcRoutes = []route{
	{http.MethodGet, oidcPath + "/.well-known/openid-configuration", public, (*call).oidcConfiguration},
	{http.MethodGet, oidcPath + "/keys.json", public, (*call).oidcKeys},
}

// tokenClaims are the claims of a step's token.
var tokenClaims = []string{
	"iss", "sub", "aud", "iat", "exp", "workspaceUuid", "repositoryUuid", "pipelineUuid", "stepUuid", "accountUuid", "branchName",
	"deploymentEnvironmentUuid",
}

// issuer is the issuer of the tokens of a workspace's steps.
func (c *call) issuer(w *Workspace) string {
	return c.base() + issuerPath(w)
}

func issuerPath(w *Workspace) string {
	return "/workspaces/" + escaped(w.slug) + "/pipelines-config/identity/oidc"
}

func (c *call) oidcConfiguration() *response {
	w, errResp := c.workspace()
	if errResp != nil {
		return errResp
	}
	issuer := c.issuer(w)
	return c.json(http.StatusOK, pipelines.OpenIDConfiguration{
		Issuer: issuer, JWKSURI: issuer + "/keys.json", SubjectTypesSupported: []string{"public"}, ResponseTypesSupported: []string{"id_token"},
		ClaimsSupported: tokenClaims, IDTokenSigningAlgValuesSupported: []string{"RS256"},
	})
}

func (c *call) oidcKeys() *response {
	if _, errResp := c.workspace(); errResp != nil {
		return errResp
	}
	if _, err := c.server.signing(); err != nil {
		return errorResponse(http.StatusInternalServerError, "There is no key.", err.Error())
	}
	var set pipelines.JSONWebKeySet
	for _, key := range c.server.signingKeys {
		set.Keys = append(set.Keys, jsonWebKey(&key.PublicKey))
	}
	return c.json(http.StatusOK, set)
}

// signing returns the current signing key. The first call generates one, which takes a while.
func (s *Server) signing() (*rsa.PrivateKey, error) {
	if len(s.signingKeys) == 0 {
		if err := s.addSigningKey(); err != nil {
			return nil, err
		}
	}
	return s.signingKeys[len(s.signingKeys)-1], nil
}

func (s *Server) addSigningKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	s.signingKeys = append(s.signingKeys, key)
	return nil
}

// RotateSigningKey makes the server sign with a new key. Old keys stay published, so that their tokens stay valid until they expire.
func (s *Server) RotateSigningKey() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.signing(); err != nil {
		return err
	}
	return s.addSigningKey()
}

// stepTokenLifetime is how long a step's token is valid. The service's own value is unknown.
const stepTokenLifetime = time.Hour

// StepClaims returns the claims of the token that a step would get now, for [Server.IssueToken]. The run is named by its UUID or build
// number, the step by its UUID or name; the first step of that name is used. The issuer is below [Server.URL], and the audience is that of
// the workspace. A run of [Repository.AddPipeline] has no steps. StepClaims returns an error if the run or the step doesn't exist, and
// panics if [Server.URL] does.
func (r *Repository) StepClaims(run, step string) (pipelines.StepClaims, error) {
	issuer := r.server.URL() + issuerPath(r.workspace)
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	found := r.find(run)
	if found == nil {
		return pipelines.StepClaims{}, fmt.Errorf("pipelinestest: no pipeline %s in %s", run, r.repo())
	}
	for _, s := range found.steps {
		if step == s.uuid || step == s.script.Name {
			return found.claims(s, issuer, r.server.now()), nil
		}
	}
	return pipelines.StepClaims{}, fmt.Errorf("pipelinestest: no step %q in pipeline %s", step, run)
}

func (r *run) claims(s *step, issuer string, now time.Time) pipelines.StepClaims {
	subject := pipelines.Subject{RepositoryUUID: r.repo.uuid, StepUUID: s.uuid}
	if s.deployment != nil {
		subject.EnvironmentUUID = s.deployment.environment
	}
	issuedAt := now.Truncate(time.Second)
	claims := pipelines.StepClaims{
		Issuer: issuer, Subject: subject.String(), Audience: []string{"ari:cloud:bitbucket::workspace/" + bare(r.repo.workspace.uuid)},
		IssuedAt: issuedAt, Expiry: issuedAt.Add(stepTokenLifetime),
		WorkspaceUUID: r.repo.workspace.uuid, RepositoryUUID: r.repo.uuid, PipelineUUID: r.model.UUID, StepUUID: s.uuid,
		AccountUUID: r.model.Creator.UUID, DeploymentEnvironmentUUID: subject.EnvironmentUUID,
	}
	switch target := r.model.Target; target.RefType {
	case pipelines.RefBranch:
		claims.BranchName = target.RefName
	case "":
		claims.BranchName = target.Source // the source of a pull request
	default: // a tag has no branch
	}
	return claims
}

// IssueToken signs claims unchanged with the published key. It returns a JSON Web Token with RS256, like that in a step's
// BITBUCKET_STEP_OIDC_TOKEN. [Repository.StepClaims] returns the claims of a step; change them to get tokens that a program must reject,
// such as an expired one. Another Server signs with another key.
func (s *Server) IssueToken(claims pipelines.StepClaims) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := s.signing()
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(map[string]string{"alg": "RS256", "kid": jsonWebKey(&key.PublicKey).Kid, "typ": "JWT"}, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func jsonWebKey(key *rsa.PublicKey) pipelines.JSONWebKey {
	modulus := key.N.Bytes()
	return pipelines.JSONWebKey{
		Kid: fmt.Sprintf("%x", sha256.Sum256(modulus))[:32], Kty: "RSA", Alg: "RS256", Use: "sig",
		N: base64.RawURLEncoding.EncodeToString(modulus),
		E: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}
}
