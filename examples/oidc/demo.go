package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// fixture is a fake service with a run in each of two repositories. Steps of the first one are accepted.
type fixture struct {
	srv          *pipelinestest.Server
	listed       *pipelinestest.Repository
	claims       pipelines.StepClaims // of a step that is accepted
	deploy       pipelines.StepClaims // of a step that deploys
	unlisted     pipelines.StepClaims // of a step of the other repository
	published    *rsa.PublicKey
	publishedKid string
}

func newFixture(ctx context.Context) (s *fixture, err error) {
	s = &fixture{srv: pipelinestest.NewServer()}
	s.listed = s.srv.AddRepository("acme", "site")
	other := s.srv.AddRepository("acme", "other")
	for _, repository := range []*pipelinestest.Repository{s.listed, other} {
		repository.AddRun(pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build"}, {Name: "Deploy", Deployment: "Production"}}}, time.Now())
	}
	set, errKeys := s.srv.Client().OIDC.GetKeys(ctx, "acme")
	claims, errClaims := s.listed.StepClaims("1", "Build")
	deploy, errDeploy := s.listed.StepClaims("1", "Deploy")
	unlisted, errUnlisted := other.StepClaims("1", "Build")
	if err := errors.Join(errKeys, errClaims, errDeploy, errUnlisted); err != nil {
		s.srv.Close()
		return nil, err
	}
	s.claims, s.deploy, s.unlisted = claims, deploy, unlisted
	s.publishedKid = set.Keys[0].Kid
	key, err := set.Keys[0].PublicKey()
	s.published, _ = key.(*rsa.PublicKey)
	return s, err
}

// options are the flags of the server.
func (s *fixture) options() *options {
	return &options{workspace: "acme", audience: s.claims.Audience[0], rules: rules{repositories: []string{s.listed.UUID()}}}
}

// visit is a request with a token, and the expected response.
type visit struct {
	name   string
	token  func() (string, error)
	status int
	reason string // part of the body
}

// visits are all requests of the demo.
func (s *fixture) visits() []visit {
	changed := func(claims pipelines.StepClaims, change func(*pipelines.StepClaims)) func() (string, error) {
		return func() (string, error) {
			change(&claims)
			return s.srv.IssueToken(claims)
		}
	}
	issued := func(claims pipelines.StepClaims) func() (string, error) {
		return changed(claims, func(*pipelines.StepClaims) {})
	}
	now := time.Now()
	return []visit{
		{"a step of the repository on the list", issued(s.claims), 200, s.claims.StepUUID},
		{"a step that deploys, for several audiences", changed(s.deploy, func(c *pipelines.StepClaims) {
			c.Audience = append([]string{"https://elsewhere.example"}, c.Audience...)
		}), 200, s.deploy.DeploymentEnvironmentUUID},
		{"no token", func() (string, error) { return "", nil }, 401, "header Authorization"},
		{"no token, but some text", func() (string, error) { return "secret", nil }, 401, "malformed jwt"},
		{"signed by another key of the same name", s.byAnotherKey, 401, "signature"},
		{"signed by a key that isn't published", s.byAnotherIssuer, 401, "no key of the issuer"},
		{"alg: none", s.unsigned, 401, "algorithm"},
		{"alg: HS256 with the public key as the secret", s.byPublicKey, 401, "algorithm"},
		{"changed after it was signed", s.tampered, 401, "signature"},
		{"of another issuer", changed(s.claims, func(c *pipelines.StepClaims) {
			c.Issuer = strings.Replace(c.Issuer, "/acme/", "/evil/", 1)
		}), 401, "different provider"},
		{"for another audience", changed(s.claims, func(c *pipelines.StepClaims) { c.Audience = []string{"sts.amazonaws.com"} }), 401, "audience"},
		{"expired", changed(s.claims, func(c *pipelines.StepClaims) { c.Expiry = now.Add(-time.Minute) }), 401, "expired"},
		{"that never expires", changed(s.claims, func(c *pipelines.StepClaims) { c.Expiry = time.Time{} }), 401, "when it expires"},
		{"issued in the future", changed(s.claims, func(c *pipelines.StepClaims) { c.IssuedAt = now.Add(time.Hour) }), 401, "future"},
		{"of no step", changed(s.claims, func(c *pipelines.StepClaims) { c.Subject = "ada" }), 401, "isn't a step"},
		{"subject of another repository", changed(s.claims, func(c *pipelines.StepClaims) { c.Subject = s.unlisted.Subject }), 401, "disagree"},
		{"a step of another repository", issued(s.unlisted), 403, "isn't on the list"},
		{"signed by the service's next key", s.byNextKey, 200, s.claims.StepUUID},
	}
}

// byAnotherKey signs valid claims with another key under the ID of the published one.
func (s *fixture) byAnotherKey() (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	return s.forge(jose.RS256, key)
}

// byPublicKey signs with the public key as a shared secret.
func (s *fixture) byPublicKey() (string, error) {
	return s.forge(jose.HS256, x509.MarshalPKCS1PublicKey(s.published))
}

func (s *fixture) forge(algorithm jose.SignatureAlgorithm, key any) (string, error) {
	payload, err := json.Marshal(s.claims)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: s.publishedKid}}, nil)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// byAnotherIssuer signs with a key under an ID of its own.
func (s *fixture) byAnotherIssuer() (string, error) {
	return pipelinestest.NewServer().IssueToken(s.claims)
}

func (s *fixture) byNextKey() (string, error) {
	if err := s.srv.RotateSigningKey(); err != nil {
		return "", err
	}
	return s.srv.IssueToken(s.claims)
}

func (s *fixture) unsigned() (string, error) {
	payload, err := json.Marshal(s.claims)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + ".", err
}

// tampered replaces the signed claims by those of the allowed repository.
func (s *fixture) tampered() (string, error) {
	signed, err := s.srv.IssueToken(s.unlisted)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(s.claims)
	if err != nil {
		return "", err
	}
	parts := strings.Split(signed, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString(payload)
	return strings.Join(parts, "."), nil
}

// call sends a request with a token, and returns the status and the body.
func call(ctx context.Context, url, token string) (status int, says string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var answer struct {
		caller
		refusal
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, "", err
	}
	says = answer.Reason
	if resp.StatusCode == http.StatusOK {
		says = strings.TrimSuffix("step "+answer.Step+", environment "+answer.Environment, ", environment ")
	}
	return resp.StatusCode, cli.Clean(says), nil
}

// demo starts the server on loopback and sends requests with various tokens.
func demo(ctx context.Context, env cli.Env) int {
	fmt.Fprintln(env.Stderr, "This is a demo: a server on loopback that accepts the tokens of a fake service.")
	s, err := newFixture(ctx)
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	defer s.srv.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return env.Fail(ctx, program, err)
	}
	client := s.srv.Client()
	defer client.CloseIdleConnections()
	o := s.options()
	a := &access{issuer: client.OIDC.Issuer(o.workspace), audience: o.audience, keys: newKeySet(client, o.workspace), rules: o.rules}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	quiet := cli.Env{Stderr: io.Discard}
	go func() { ended <- serve(serving, quiet, listener, o, a) }()
	s.srv.ClearRequests()
	status := s.show(ctx, env, "http://"+listener.Addr().String()+"/")
	stop()
	if err := <-ended; err != nil {
		return env.Fail(ctx, program, err)
	}
	return status
}

// show prints the response to each request.
func (s *fixture) show(ctx context.Context, env cli.Env, url string) int {
	var rows [][]string
	accepted, wrong, visits := 0, 0, s.visits()
	for _, v := range visits {
		token, err := v.token()
		if err != nil {
			return env.Fail(ctx, program, err)
		}
		status, says, err := call(ctx, url, token)
		if err != nil {
			return env.Fail(ctx, program, err)
		}
		verdict := "refused"
		if status == http.StatusOK {
			verdict, accepted = "accepted", accepted+1
		}
		if status != v.status {
			verdict, wrong = fmt.Sprintf("%s, and should be %d", verdict, v.status), wrong+1
		}
		rows = append(rows, []string{v.name, fmt.Sprintf("%d %s", status, verdict), says})
	}
	cli.PrintTable(env.Stdout, "No token was sent.", []string{"TOKEN", "ANSWER", "REASON"}, rows)
	asked := len(s.srv.RequestsTo(http.MethodGet, "/workspaces/acme/pipelines-config/identity/oidc/keys.json"))
	fmt.Fprintf(env.Stdout, "\n%d accepted, %d refused; the service's keys were requested %s.\n", accepted, len(visits)-accepted, cli.Count(asked, "time", "times"))
	if wrong > 0 {
		return cli.Failure
	}
	return cli.Success
}
