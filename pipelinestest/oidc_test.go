package pipelinestest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

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
	require.Equal(t, keys.text, f.get(path+"/keys.json", "Authorization", "").text, "generated once")
	uuid := escape(f.srv.AddWorkspace("acme").UUID())
	require.Equal(t, a.text, f.get("/workspaces/"+uuid+"/pipelines-config/identity/oidc/.well-known/openid-configuration").text)
	for _, document := range []string{"/.well-known/openid-configuration", "/keys.json"} {
		require.Equal(t, http.StatusNotFound, f.get("/workspaces/other/pipelines-config/identity/oidc"+document).StatusCode)
	}
}

func TestTheClientReadsTheOIDCDocuments(t *testing.T) {
	f := setup(t)
	client := f.srv.Client(pipelines.WithBasicAuth("ada@example.com", "token")).OIDC
	configuration, err := client.GetConfiguration(t.Context(), "acme")
	require.NoError(t, err, "requested without credentials, which would be refused")
	require.Equal(t, client.Issuer("acme"), configuration.Issuer)
	keys, err := client.GetKeys(t.Context(), "acme")
	require.NoError(t, err)
	key, err := keys.Keys[0].PublicKey()
	require.NoError(t, err)
	require.Equal(t, 2048, key.(*rsa.PublicKey).N.BitLen())
	_, err = client.GetKeys(t.Context(), "other")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}

// verified verifies a token with the keys that the client reads, and decodes its claims.
func verified(t *testing.T, client *pipelines.Client, token string) (kid string, claims pipelines.StepClaims) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	decoded := make([][]byte, 3)
	for i, part := range parts {
		var err error
		decoded[i], err = base64.RawURLEncoding.DecodeString(part)
		require.NoError(t, err)
	}
	var header struct{ Alg, Kid, Typ string }
	require.NoError(t, json.Unmarshal(decoded[0], &header))
	require.Equal(t, "RS256", header.Alg)
	require.Equal(t, "JWT", header.Typ)
	set, err := client.OIDC.GetKeys(t.Context(), "acme")
	require.NoError(t, err)
	for _, k := range set.Keys {
		if k.Kid == header.Kid {
			key, err := k.PublicKey()
			require.NoError(t, err)
			digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
			require.NoError(t, rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest[:], decoded[2]))
			require.NoError(t, json.Unmarshal(decoded[1], &claims))
			return header.Kid, claims
		}
	}
	require.Failf(t, "the token names no published key", "%q of %v", header.Kid, set.Keys)
	return "", claims
}

func TestTheTokenOfAStepIsSignedByThePublishedKey(t *testing.T) {
	f := setup(t)
	f.repo.Script("default", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build"}, {Name: "Deploy", Deployment: "Production"}}})
	client := f.srv.Client()
	run, err := client.Pipelines.Run(t.Context(), f.repo.Repo(), pipelines.RunRequest{Target: pipelines.BranchTarget("main")})
	require.NoError(t, err)
	steps, err := client.Steps.List(t.Context(), f.repo.Repo(), run.UUID, nil).Collect()
	require.NoError(t, err)
	production := f.repo.Environments()[0].UUID
	workspace := f.srv.AddWorkspace("acme").UUID()
	for name, tc := range map[string]struct {
		run, step string
		want      pipelines.Subject
	}{
		"by names": {"1", "Build", pipelines.Subject{RepositoryUUID: f.repo.UUID(), StepUUID: steps[0].UUID}},
		"by UUIDs": {run.UUID, steps[1].UUID, pipelines.Subject{RepositoryUUID: f.repo.UUID(), EnvironmentUUID: production, StepUUID: steps[1].UUID}},
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := f.repo.StepClaims(tc.run, tc.step)
			require.NoError(t, err)
			require.Equal(t, pipelines.StepClaims{
				Issuer: client.OIDC.Issuer("acme"), Subject: tc.want.String(), Audience: []string{"ari:cloud:bitbucket::workspace/" + strings.Trim(workspace, "{}")},
				IssuedAt: f.clock.Now().UTC().Truncate(time.Second), Expiry: f.clock.Now().UTC().Truncate(time.Second).Add(time.Hour),
				WorkspaceUUID: workspace, RepositoryUUID: f.repo.UUID(), PipelineUUID: run.UUID, StepUUID: tc.want.StepUUID, AccountUUID: run.Creator.UUID,
				BranchName: "main", DeploymentEnvironmentUUID: tc.want.EnvironmentUUID,
			}, claims)
			token, err := f.srv.IssueToken(claims)
			require.NoError(t, err)
			_, got := verified(t, client, token)
			require.Equal(t, claims, got)
			subject, err := pipelines.ParseSubject(got.Subject)
			require.NoError(t, err)
			require.Equal(t, tc.want, subject)
		})
	}
	_, err = f.repo.StepClaims("1", "Test")
	require.ErrorContains(t, err, `no step "Test" in pipeline 1`)
	_, err = f.repo.StepClaims("2", "Build")
	require.ErrorContains(t, err, "no pipeline 2 in acme/site")
}

func TestATokenNamesTheBranchIfThereIsOne(t *testing.T) {
	f := setup(t)
	f.repo.AddTag("v1", strings.Repeat("a", 40))
	for want, target := range map[string]string{
		"main": mainBranch,
		"":     `{"type":"pipeline_ref_target","ref_type":"tag","ref_name":"v1"}`,
		"fix":  `{"type":"pipeline_pullrequest_target","source":"fix","destination":"main","destination_commit":{"hash":"abc"},"commit":{"hash":"def"},"pullrequest":{"id":3},"selector":{"type":"pull-requests","pattern":"**"}}`,
	} {
		a := f.run(target)
		require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
		claims, err := f.repo.StepClaims(a.At("uuid").(string), "Build")
		require.NoError(t, err)
		require.Equal(t, want, claims.BranchName)
	}
}

func TestTheClaimsOfATokenAreUnchanged(t *testing.T) {
	f := setup(t)
	wrong := pipelines.StepClaims{Issuer: "https://elsewhere.example", Audience: []string{"a", "b"}, Expiry: time.Unix(1, 0).UTC()}
	token, err := f.srv.IssueToken(wrong)
	require.NoError(t, err)
	_, got := verified(t, f.srv.Client(), token)
	require.Equal(t, wrong, got, "no claim is added")
}

func TestAfterARotationTheNewKeySignsAndTheOldOneStaysPublished(t *testing.T) {
	f := setup(t)
	client := f.srv.Client()
	require.NoError(t, f.srv.RotateSigningKey(), "there was no key before")
	old, err := f.srv.IssueToken(pipelines.StepClaims{Issuer: "old"})
	require.NoError(t, err)
	require.NoError(t, f.srv.RotateSigningKey())
	current, err := f.srv.IssueToken(pipelines.StepClaims{Issuer: "current"})
	require.NoError(t, err)
	oldKid, _ := verified(t, client, old)
	kid, _ := verified(t, client, current)
	require.NotEqual(t, oldKid, kid)
}
