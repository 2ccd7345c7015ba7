package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// server is the running program.
type server struct {
	url string
	end func() (status int, log string)
}

// begin runs the program against the fixture's service.
func begin(t *testing.T, s *fixture, args ...string) *server {
	t.Helper()
	clitest.SetCredentials(t, "")
	t.Setenv("BITBUCKET_BASE_URL", s.srv.URL())
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{
			"--listen", "127.0.0.1:0", "--workspace", "acme", "--audience", s.claims.Audience[0],
		}, args...), cli.Env{Stdout: io.Discard, Stderr: write})
		write.Close()
	}()
	lines := bufio.NewReader(read)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	log := make(chan string, 1)
	go func() {
		rest, _ := io.ReadAll(lines)
		log <- string(rest)
	}()
	end := sync.OnceValues(func() (int, string) {
		cancel()
		return <-ended, <-log
	})
	t.Cleanup(func() { end() })
	fields := strings.Fields(first)
	require.Greater(t, len(fields), 2, first)
	return &server{fields[2], end}
}

func setup(t *testing.T) *fixture {
	t.Helper()
	s, err := newFixture(t.Context())
	require.NoError(t, err)
	t.Cleanup(s.srv.Close)
	return s
}

// get sends a request with headers.
func (p *server) get(t *testing.T, authorization ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url, http.NoBody)
	require.NoError(t, err)
	req.Header["Authorization"] = authorization
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

func (s *fixture) issue(t *testing.T, claims pipelines.StepClaims) string {
	t.Helper()
	token, err := s.srv.IssueToken(claims)
	require.NoError(t, err)
	return token
}

func TestTheServerAcceptsAndRefusesEachKindOfToken(t *testing.T) {
	s := setup(t)
	p := begin(t, s, "--repository", strings.Trim(s.listed.UUID(), "{}"))
	for _, v := range s.visits() {
		token, err := v.token()
		require.NoError(t, err)
		var header []string
		if token != "" {
			header = []string{"bearer " + token}
		}
		resp, body := p.get(t, header...)
		assert.Equal(t, v.status, resp.StatusCode, "%s: %s", v.name, body)
		assert.Contains(t, body, v.reason, v.name)
		assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		assert.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		assert.Equal(t, v.status == http.StatusUnauthorized, resp.Header.Get("WWW-Authenticate") != "", v.name)
	}
	status, log := p.end()
	require.Equal(t, cli.Success, status)
	require.Equal(t, len(s.visits()), strings.Count(log, "\n"), log)
	require.NotContains(t, log, "eyJ", "no token is logged")
	for _, req := range s.srv.Requests() {
		require.Empty(t, req.Header.Get("Authorization"), "no token is passed on")
	}
}

func TestTheResponseNamesTheCaller(t *testing.T) {
	s := setup(t)
	p := begin(t, s, "--repository", "*")
	resp, body := p.get(t, "Bearer "+s.issue(t, s.deploy))
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	var got caller
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Equal(t, caller{
		s.listed.UUID(), s.deploy.PipelineUUID, s.deploy.StepUUID, s.deploy.DeploymentEnvironmentUUID, "main", s.deploy.AccountUUID, s.deploy.Expiry,
	}, got)
	resp, body = p.get(t, "Bearer "+s.issue(t, s.unlisted))
	require.Equal(t, http.StatusOK, resp.StatusCode, "every repository may call: %s", body)
}

func TestEnvironmentsAndBranchesRestrictCallers(t *testing.T) {
	s := setup(t)
	environment := s.deploy.DeploymentEnvironmentUUID
	feature, none := s.deploy, s.deploy
	feature.BranchName, none.BranchName = "feature/x", ""
	for name, tc := range map[string]struct {
		args   []string
		claims pipelines.StepClaims
		status int
	}{
		"deploys there":          {[]string{"--environment", environment}, s.deploy, 200},
		"deploys nowhere":        {[]string{"--environment", environment}, s.claims, 403},
		"deploys elsewhere":      {[]string{"--environment", s.claims.StepUUID}, s.deploy, 403},
		"on the branch":          {[]string{"--branch", "x", "--branch", "main"}, s.deploy, 200},
		"fits the pattern":       {[]string{"--branch", "feature/*"}, feature, 200},
		"on another branch":      {[]string{"--branch", "main"}, feature, 403},
		"on no branch":           {[]string{"--branch", "*"}, none, 403},
		"on the branch, nowhere": {[]string{"--branch", "main", "--environment", environment}, s.claims, 403},
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, s, append(tc.args, "--repository", s.listed.UUID())...)
			resp, body := p.get(t, "Bearer "+s.issue(t, tc.claims))
			require.Equal(t, tc.status, resp.StatusCode, body)
		})
	}
}

func TestInvalidHeadersAreRefused(t *testing.T) {
	s := setup(t)
	p := begin(t, s, "--repository", "*")
	good := s.issue(t, s.claims)
	for _, header := range [][]string{
		{"Basic " + good}, {good}, {"Bearer"}, {"Bearer  "}, {"Bearer " + good, "Bearer " + good}, {"Bearer " + good + good},
		{"Bearer " + good[:strings.LastIndex(good, ".")]},
	} {
		resp, body := p.get(t, header...)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, body)
	}
	resp, body := p.get(t, "Bearer "+strings.Repeat("a", maxToken+1))
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Contains(t, body, "too long")
}

func TestWhatIsNoTokenIsRefusedInPlainWords(t *testing.T) {
	s := setup(t)
	p := begin(t, s, "--repository", "*")
	part := base64.RawURLEncoding.EncodeToString
	claims := part([]byte(`{"iss":"x"}`))
	for _, token := range []string{
		"a.b", "a.b.c.d", "é.é.é", `{"payload":"x"}`, part([]byte(`{"alg":"RS256","kid":5}`)) + "." + claims + ".x",
		part([]byte("no JSON")) + "." + claims + ".x",
	} {
		resp, body := p.get(t, "Bearer "+token)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, token)
		require.Contains(t, body, "malformed jwt", token)
		require.NotRegexp(t, "json:|jose|Go value|base64|invalid character", body, token)
	}
}

func TestWithoutKeysTheServerIsUnavailable(t *testing.T) {
	s := setup(t)
	s.srv.Inject(pipelinestest.Fault{Path: "/workspaces/*/pipelines-config/identity/oidc/keys.json", Status: http.StatusNotFound, Times: 1})
	p := begin(t, s, "--repository", "*")
	resp, body := p.get(t, "Bearer "+s.issue(t, s.claims))
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, body)
	require.Equal(t, "30", resp.Header.Get("Retry-After"))
	require.NotContains(t, body, "keys.json")
	resp, body = p.get(t, "Bearer "+s.issue(t, s.claims))
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	_, log := p.end()
	require.Contains(t, log, "404", "the log says why")
	require.NotContains(t, log, "pipelines: ", "a prefix of the SDK")
}

func TestTheDemoShowsWhatIsAcceptedAndRefused(t *testing.T) {
	for _, args := range [][]string{{"--demo"}, {}} {
		clitest.SetCredentials(t, "")
		var out, errs strings.Builder
		require.Equal(t, cli.Success, run(t.Context(), args, cli.Env{Stdout: &out, Stderr: &errs}), errs.String())
		require.Contains(t, errs.String(), "demo")
		require.Contains(t, out.String(), "3 accepted, 15 refused; the service's keys were requested 3 times.")
		for _, v := range (&fixture{listed: pipelinestest.NewServer().AddRepository("a", "b")}).visits() {
			require.Regexp(t, `(?m)^`+v.name+` +\d`, out.String())
		}
	}
}

func TestInvalidFlagsAreRejected(t *testing.T) {
	clitest.SetCredentials(t, "")
	const uuid = "11111111-2222-4333-8444-555555555555"
	for args, want := range map[string]string{
		"--listen :0":                      "--workspace is missing",
		"--workspace acme":                 "--audience is missing",
		"--workspace acme --audience a":    "--repository is missing",
		"--demo --workspace acme":          "--demo goes with no other flag",
		"--listen :0 --demo":               "--demo goes with no other flag",
		"--demo --repository *":            "--demo goes with no other flag",
		"--demo extra":                     "1 argument too many",
		"--repository acme/site":           "not a UUID",
		"--environment *":                  "not a UUID",
		"--branch [":                       "not a pattern",
		"--workspace a --audience a extra": "1 argument too many",
		"--workspace a --audience a --repository " + uuid + " --tls-cert x":             "belong together",
		"--workspace .. --audience a --repository " + uuid:                              "names no workspace",
		"--workspace acme/site --audience a --repository " + uuid:                       "names no workspace",
		"--workspace a --audience a --repository " + uuid + " --listen 127.0.0.1:99999": "oidc: --listen: address 99999: invalid port\n",
		"--workspace a --audience a --repository " + uuid + " --listen 8080":            "oidc: --listen: address 8080: missing port in address\n",
		"--workspace a --audience a --repository " + uuid + " --tls-cert x --tls-key y": "oidc: --tls-cert: open x: no such file or directory\n",
	} {
		var errs strings.Builder
		require.Equal(t, cli.Trouble, run(t.Context(), strings.Fields(args), cli.Env{Stdout: io.Discard, Stderr: &errs}), args)
		require.Contains(t, errs.String(), want, args)
	}
}

// A shell variable that isn't set must neither turn HTTPS off nor have the server listen on all interfaces.
func TestEmptyFlagsAreRejected(t *testing.T) {
	clitest.SetCredentials(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a server that is started ends at once
	for _, name := range []string{"listen", "tls-cert", "tls-key", "audience", "workspace"} {
		args := []string{
			"--workspace=acme", "--audience=a", "--repository=*", "--listen=127.0.0.1:0", "--environment=11111111-2222-4333-8444-555555555555",
			"--branch=main", "--" + name + "=",
		}
		var errs strings.Builder
		require.Equal(t, cli.Trouble, run(ctx, args, cli.Env{Stdout: io.Discard, Stderr: &errs}), name)
		require.Contains(t, errs.String(), "--"+name+" is empty")
	}
}

func TestHelp(t *testing.T) {
	help := clitest.RequireHelp(t, run)
	require.Contains(t, help, "(default 127.0.0.1:8080)")
	require.NotContains(t, help, "interrupted\n")
}

// writeCertificate writes a certificate for the loopback address and its key, each after a prefix.
func writeCertificate(t *testing.T, prefix string) (certificate, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certificate, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(certificate, append([]byte(prefix), public...), 0o600))
	require.NoError(t, os.WriteFile(key, append([]byte(prefix), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), 0o600))
	pool = x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(public))
	return certificate, key, pool
}

func TestItServesHTTPSAlsoWithFilesThatBeginWithAByteOrderMark(t *testing.T) {
	for _, prefix := range []string{"", "\ufeff"} {
		certificate, key, pool := writeCertificate(t, prefix)
		p := begin(t, setup(t), "--repository", "*", "--tls-cert", certificate, "--tls-key", key)
		require.True(t, strings.HasPrefix(p.url, "https://"), p.url)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		resp, err := client.Get(p.url)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		client.CloseIdleConnections()
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	}
}

func TestACertificateThatCannotServeIsRefusedBeforeItListens(t *testing.T) {
	clitest.SetCredentials(t, "")
	_, key, _ := writeCertificate(t, "")
	certificate, _, _ := writeCertificate(t, "")
	for want, files := range map[string][2]string{
		"private key does not match public key": {certificate, key}, "failed to find any PEM data": {os.DevNull, key}, "no such file": {"nowhere.pem", key},
	} {
		var errs strings.Builder
		require.Equal(t, cli.Trouble, run(t.Context(), []string{
			"--listen", "127.0.0.1:0", "--workspace", "acme", "--audience", "a", "--repository", "*", "--tls-cert", files[0], "--tls-key", files[1],
		}, cli.Env{Stdout: io.Discard, Stderr: &errs}))
		require.Contains(t, errs.String(), want)
		require.NotContains(t, errs.String(), "Listening")
	}
}

// bubble is a key set of an in-process service, for tests in which time passes.
func bubble(t *testing.T) (*pipelinestest.Server, *keySet, func() int) {
	t.Helper()
	srv := pipelinestest.NewServer()
	srv.AddWorkspace("acme")
	keys := newKeySet(srv.Client(pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})), "acme")
	return srv, keys, func() int { return len(srv.Requests()) }
}

func TestUnknownKeyIDsDoNotCauseUnlimitedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, keys, asked := bubble(t)
		for range 1000 {
			_, err := keys.key(t.Context(), "invented")
			require.ErrorIs(t, err, errUnknownKey)
		}
		require.Equal(t, fetchBurst, asked())
		require.NoError(t, srv.RotateSigningKey())
		token, err := srv.IssueToken(pipelines.StepClaims{})
		require.NoError(t, err)
		_, err = keys.verify(t.Context(), token)
		require.ErrorIs(t, err, errUnknownKey)
		time.Sleep(fetchEvery)
		_, err = keys.verify(t.Context(), token)
		require.NoError(t, err, "the new key is found as soon as the bound allows")
		require.Equal(t, fetchBurst+1, asked())
		for range 1000 {
			_, err = keys.verify(t.Context(), token)
			require.NoError(t, err)
		}
		require.Equal(t, fetchBurst+1, asked(), "a key that is known isn't asked for")
	})
}

func TestOldKeysAreRefreshedAndSurviveAnOutageOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, keys, asked := bubble(t)
		token, err := srv.IssueToken(pipelines.StepClaims{})
		require.NoError(t, err)
		verify := func() error {
			_, err := keys.verify(t.Context(), token)
			return err
		}
		require.NoError(t, verify())
		time.Sleep(keysFresh - time.Second)
		require.NoError(t, verify())
		require.Equal(t, 1, asked())
		time.Sleep(time.Second)
		require.NoError(t, verify())
		require.Equal(t, 2, asked())
		srv.Inject(pipelinestest.Fault{Status: http.StatusServiceUnavailable})
		time.Sleep(keysUsable)
		require.NoError(t, verify())
		time.Sleep(time.Second)
		err = verify()
		require.ErrorIs(t, err, errUnavailable)
		require.ErrorIs(t, err, pipelines.ErrServer)
	})
}

func TestConcurrentCallersShareOneRequestForTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, keys, _ := bubble(t)
		fetch, fetches := keys.fetch, 0
		keys.fetch = func(ctx context.Context) (*pipelines.JSONWebKeySet, error) {
			fetches++
			time.Sleep(time.Second)
			return fetch(ctx)
		}
		gone, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = keys.key(gone, "unknown") })
		synctest.Wait()
		for range 50 {
			all.Go(func() {
				_, err := keys.key(t.Context(), "unknown")
				assert.ErrorIs(t, err, errUnknownKey, "the caller that asked and went away spoils nothing for the others")
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
		require.Equal(t, 1, fetches)
	})
}

func TestKeysThatCannotVerifyAreIgnored(t *testing.T) {
	set := &pipelines.JSONWebKeySet{Keys: []pipelines.JSONWebKey{
		{Kid: "broken", Kty: "RSA", N: "!", E: "AQAB"}, {Kid: "other", Kty: "oct"},
		{Kid: "", Kty: "OKP", Crv: "Ed25519", X: strings.Repeat("A", 43)}, {Kid: "enc", Use: "enc", Kty: "OKP", Crv: "Ed25519", X: strings.Repeat("A", 43)},
		{Kid: "good", Use: "sig", Kty: "OKP", Crv: "Ed25519", X: strings.Repeat("A", 43)},
	}}
	keys := usable(set)
	require.Len(t, keys, 1)
	require.Contains(t, keys, "good")
	unread := &keySet{}
	require.ErrorIs(t, unread.unavailable(), errUnavailable)
}
