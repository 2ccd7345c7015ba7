package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/seed-85ed9bfd/pipelines"
)

// maxToken limits the size of tokens. Tokens of steps have about 1 KiB.
const maxToken = 16 << 10

// clockSkew is how far the clock of the issuer may be ahead.
const clockSkew = time.Minute

// The kinds of refusals.
var (
	errInvalidToken = errors.New("invalid token") // 401
	errNotAllowed   = errors.New("not allowed")   // 403
)

// access decides which tokens are accepted.
type access struct {
	issuer, audience string
	keys             *keySet
	rules            rules
}

// rules are the requirements for a valid token.
type rules struct {
	repositories []string // UUIDs in braces, or "*"
	environments []string // UUIDs in braces; none: any, including steps without a deployment
	branches     []string // patterns of [path.Match]; none: any, including runs without a branch
}

// decide returns the claims of a token that is accepted. The error is an errInvalidToken, an errNotAllowed or an errUnavailable.
func (a *access) decide(ctx context.Context, token string) (*pipelines.StepClaims, error) {
	claims, err := a.verified(ctx, token)
	switch {
	case errors.Is(err, errUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errInvalidToken, err)
	}
	if err := a.rules.allow(claims); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotAllowed, err)
	}
	return claims, nil
}

// verified returns the claims of a token that the issuer has signed for this server and that hasn't expired.
func (a *access) verified(ctx context.Context, token string) (*pipelines.StepClaims, error) {
	if len(token) > maxToken {
		return nil, errors.New("the token is too long")
	}
	try := &attempt{keys: a.keys}
	config := oidc.Config{ClientID: a.audience, SupportedSigningAlgs: []string{oidc.RS256}}
	verified, err := oidc.NewVerifier(a.issuer, try, &config).Verify(ctx, token)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.Is(try.err, errUnavailable):
		return nil, try.err
	case try.err != nil:
		return nil, plain(try.err)
	case errors.As(err, &expired) && expired.Expiry.IsZero():
		return nil, errors.New("it doesn't say when it expires")
	case errors.As(err, &expired):
		return nil, fmt.Errorf("it has expired at %s", expired.Expiry.UTC().Format(time.RFC3339))
	case err != nil:
		return nil, plain(err)
	}
	claims := &pipelines.StepClaims{}
	if err := verified.Claims(claims); err != nil {
		return nil, errUnreadable
	}
	return claims, consistent(claims)
}

var errUnreadable = errors.New("its claims can't be read")

// plain is an error without what only programmers understand: what the packages for tokens and JSON say.
func plain(err error) error {
	const malformed = "malformed jwt"
	text := strings.TrimPrefix(err.Error(), "oidc: ")
	switch {
	case strings.Contains(text, "go-jose"), strings.HasPrefix(text, malformed) && !strings.Contains(text, "algorithm"):
		return errors.New(malformed)
	case strings.Contains(text, "unmarshal claims"):
		return errUnreadable
	case strings.Contains(text, "(not before)"):
		return errors.New("it isn't valid yet")
	}
	return errors.New(text)
}

// consistent rejects a token of the issuer that isn't a step's. The environment is an optional claim: the subject has it, too.
func consistent(claims *pipelines.StepClaims) error {
	subject, err := pipelines.ParseSubject(claims.Subject)
	claims.DeploymentEnvironmentUUID = cmp.Or(claims.DeploymentEnvironmentUUID, subject.EnvironmentUUID)
	switch {
	case err != nil:
		return errors.New("its subject isn't a step")
	case subject.RepositoryUUID != claims.RepositoryUUID || subject.StepUUID != claims.StepUUID ||
		subject.EnvironmentUUID != claims.DeploymentEnvironmentUUID:
		return errors.New("its subject and its other claims disagree")
	case claims.IssuedAt.After(time.Now().Add(clockSkew)):
		return errors.New("it was issued in the future")
	}
	return nil
}

func (r rules) allow(claims *pipelines.StepClaims) error {
	switch {
	case !slices.Contains(r.repositories, "*") && !slices.Contains(r.repositories, claims.RepositoryUUID):
		return fmt.Errorf("repository %s isn't on the list", claims.RepositoryUUID)
	case len(r.environments) > 0 && !slices.Contains(r.environments, claims.DeploymentEnvironmentUUID):
		return fmt.Errorf("environment %q isn't on the list", claims.DeploymentEnvironmentUUID)
	case len(r.branches) > 0 && !slices.ContainsFunc(r.branches, func(pattern string) bool {
		ok, err := path.Match(pattern, claims.BranchName)
		return ok && err == nil && claims.BranchName != ""
	}):
		return fmt.Errorf("branch %q isn't on the list", claims.BranchName)
	}
	return nil
}
