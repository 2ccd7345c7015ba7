package pipelines_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// verify returns the claims of a step's token, if the workspace has signed it for this audience and it hasn't
// expired.
func verify(
	ctx context.Context, client *pipelines.Client, workspace, audience, token string,
) (*pipelines.StepClaims, error) {
	signed, signature, ok := cutLast(token, ".")
	header, payload, ok2 := strings.Cut(signed, ".")
	if !ok || !ok2 {
		return nil, errors.New("not a token")
	}
	var head struct{ Alg, Kid string }
	if err := decodePart(header, &head); err != nil {
		return nil, err
	}
	key, err := signingKey(ctx, client, workspace, head.Kid)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(signed))
	mac, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || head.Alg != "RS256" || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], mac) != nil {
		return nil, errors.New("the signature is wrong")
	}
	claims := new(pipelines.StepClaims)
	if err := decodePart(payload, claims); err != nil {
		return nil, err
	}
	switch {
	case claims.Issuer != client.OIDC.Issuer(workspace):
		return nil, errors.New("another issuer")
	case !slices.Contains(claims.Audience, audience):
		return nil, errors.New("for another audience")
	case !time.Now().Before(claims.Expiry):
		return nil, errors.New("expired")
	}
	return claims, nil
}

// signingKey finds the key that a token names. A server would keep the keys, and get them again for a token that names
// another one.
func signingKey(ctx context.Context, client *pipelines.Client, workspace, id string) (*rsa.PublicKey, error) {
	set, err := client.OIDC.GetKeys(ctx, workspace)
	if err != nil {
		return nil, err
	}
	for _, key := range set.Keys {
		if key.Kid != id {
			continue
		}
		public, err := key.PublicKey()
		if err != nil {
			return nil, err
		}
		if rsaKey, ok := public.(*rsa.PublicKey); ok {
			return rsaKey, nil
		}
	}
	return nil, errors.New("no such key")
}

func decodePart(part string, out any) error {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Verify the token that a step sends. A step with "oidc: true" in its YAML has it in BITBUCKET_STEP_OIDC_TOKEN. A library for JSON
// Web Tokens may do what verify does here.
func ExampleStepClaims() {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	repo := srv.AddRepository("acme", "site")
	run := repo.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Deploy"}}}, time.Now())
	sent, err := repo.StepClaims(run.UUID, "Deploy")
	if err != nil {
		log.Fatal(err)
	}
	token, err := srv.IssueToken(sent)
	if err != nil {
		log.Fatal(err)
	}

	claims, err := verify(context.Background(), srv.Client(), "acme", sent.Audience[0], token)
	if err != nil {
		log.Fatal(err)
	}
	// Only now decide by what the token says, such as the repository and the branch.
	fmt.Println(claims.RepositoryUUID == repo.UUID(), claims.BranchName)

	_, err = verify(context.Background(), srv.Client(), "acme", "another-service", token)
	fmt.Println(err)
	// Output:
	// true main
	// for another audience
}
