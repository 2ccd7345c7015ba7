package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	someRepository  = "{11111111-1111-1111-1111-111111111111}"
	someEnvironment = "{22222222-2222-2222-2222-222222222222}"
	someStep        = "{33333333-3333-3333-3333-333333333333}"
)

// decideOn returns what an access decides on a token with these claims beside valid ones, signed by the issuer.
func decideOn(t *testing.T, key *rsa.PrivateKey, subject, more string) (*pipelines.StepClaims, error) {
	t.Helper()
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"iss":"issuer","exp":%d,"repositoryUuid":%q,"stepUuid":%q,"sub":%s%s}`, now+100, someRepository, someStep, subject, more)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	require.NoError(t, err)
	signed, err := signer.Sign([]byte(claims))
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	keys := &keySet{keys: map[string]crypto.PublicKey{"k": key.Public()}, fetched: time.Now()}
	a := access{issuer: "issuer", audience: "me", keys: keys, rules: rules{repositories: []string{"*"}}}
	return a.decide(t.Context(), token)
}

func TestTheEnvironmentIsThatOfTheSubjectIfNoOtherClaimHasIt(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	deploys := `"` + someRepository + ":" + someEnvironment + ":" + someStep + `"`
	for _, more := range []string{"", `,"deploymentEnvironmentUuid":null`, `,"deploymentEnvironmentUuid":"` + someEnvironment + `"`, `,"deploymentEnvironment":"` + someEnvironment + `"`} {
		claims, err := decideOn(t, key, deploys, `,"aud":["me"]`+more)
		require.NoError(t, err, more)
		require.Equal(t, someEnvironment, claims.DeploymentEnvironmentUUID, more)
	}
	_, err = decideOn(t, key, deploys, `,"aud":"me","deploymentEnvironmentUuid":"`+someStep+`"`)
	require.ErrorContains(t, err, "disagree")
	_, err = decideOn(t, key, `"`+someRepository+":"+someStep+`"`, `,"aud":"me","deploymentEnvironmentUuid":"`+someEnvironment+`"`)
	require.ErrorContains(t, err, "disagree", "the subject says that it deploys nowhere")
}

func TestClaimsThatCantBeReadAreRefusedInPlainWords(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	builds := `"` + someRepository + ":" + someStep + `"`
	unreadable := "its claims can't be read"
	for more, want := range map[string]string{
		`,"aud":5`: unreadable, `,"aud":"me","branchName":5`: unreadable, `,"aud":"me","exp":null`: unreadable, `,"aud":"me","iat":"x"`: unreadable,
		`,"aud":"me","nonce":5`: unreadable, `,"aud":"me","accountUuid":{}`: unreadable, `,"aud":"me","repositoryUuid":"x"`: unreadable,
		`,"aud":"me","branchName":"` + "\xff" + `"`: unreadable, `,"aud":"me"`: unreadable, `,"aud":"me","iat":1e300`: unreadable,
		`,"aud":"me","nbf":99999999999`: "it isn't valid yet", `,"aud":"you"`: `expected audience "me" got ["you"]`, ``: `expected audience "me" got []`,
	} {
		subject := builds
		if more == `,"aud":"me"` {
			subject = "5"
		}
		_, err := decideOn(t, key, subject, more)
		require.EqualError(t, err, "invalid token: "+want, more)
	}
}
