package pipelines_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

var noon = pipelines.ScheduleRequest{Target: pipelines.BranchTarget("main"), CronPattern: "0 0 12 * * ? *"}

func TestAScheduleThatIsToBeDisabledIsDisabledAfterwards(t *testing.T) {
	request := noon
	request.Enabled = new(false)
	enabled, disabled := `{"uuid":"{s}","enabled":true}`, `{"uuid":"{s}","enabled":false}`

	srv := record(t, sequence(answer(201, "application/json", enabled), answerJSON(disabled)))
	schedule, err := newClient(t, srv.base()).Schedules.Create(t.Context(), repo, request)
	require.NoError(t, err)
	require.False(t, schedule.Enabled)
	seen := srv.seen()
	require.Len(t, seen, 2)
	require.Equal(t, "PUT /2.0/repositories/acme/site/pipelines_config/schedules/%7Bs%7D", seen[1].Method+" "+seen[1].Path)
	require.Equal(t, `{"enabled":false}`, seen[1].Body)

	obeys := record(t, answer(201, "application/json", disabled))
	_, err = newClient(t, obeys.base()).Schedules.Create(t.Context(), repo, request)
	require.NoError(t, err)
	require.Len(t, obeys.seen(), 1, "a service that does as it is told needs no second request")

	half := record(t, sequence(answer(201, "application/json", enabled), answer(403, "text/plain", "no")))
	schedule, err = newClient(t, half.base()).Schedules.Create(t.Context(), repo, request)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.ErrorContains(t, err, "was created, but it is enabled")
	require.Equal(t, "{s}", schedule.UUID, "so that it can be deleted")
}

func TestA401ForAScheduleHasTwoMeanings(t *testing.T) {
	refused := answer(401, "application/json", `{"error":{"message":"limit"}}`)
	full := record(t, sequence(refused, answerJSON(`{"values":[{}]}`)))
	_, err := newClient(t, full.base()).Schedules.Create(t.Context(), repo, noon)
	require.ErrorIs(t, err, pipelines.ErrTooManySchedules)
	require.Len(t, full.seen(), 2)

	expired := record(t, refused)
	_, err = newClient(t, expired.base()).Schedules.Create(t.Context(), repo, noon)
	require.ErrorIs(t, err, pipelines.ErrUnauthorized)
	require.NotErrorIs(t, err, pipelines.ErrTooManySchedules)
}

func TestSchedulesThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	for says, request := range map[string]pipelines.ScheduleRequest{
		"has 0 fields":         {Target: noon.Target},
		"has 5 fields":         {Target: noon.Target, CronPattern: "0 12 * * *"},
		"has 8 fields":         {Target: noon.Target, CronPattern: "0 0 12 * * ? * *"},
		"target is a branch":   {Target: pipelines.CommitTarget("abc"), CronPattern: noon.CronPattern},
		"no reference name":    {Target: pipelines.BranchTarget(""), CronPattern: noon.CronPattern},
		"selector has no type": {Target: noon.Target.With(pipelines.Selector{}), CronPattern: noon.CronPattern},
	} {
		_, err := c.Schedules.Create(t.Context(), repo, request)
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		assert.ErrorContains(t, err, says)
	}
	_, err := c.Schedules.Update(t.Context(), repo, "{s}", pipelines.ScheduleUpdate{})
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.Empty(t, srv.seen())
}

func TestExecutionsAreReadInEveryPlausibleForm(t *testing.T) {
	srv := record(t, answerJSON(`{"values":[
		{"type":"pipeline_schedule_execution_executed","pipeline":{"uuid":"{p}","build_number":7}},
		{"type":"pipeline_schedule_execution_errored","error":{"key":"k","message":"no branch"}},
		{"type":"pipeline_schedule_execution_executed","pipeline":"{q}"},
		{"type":"pipeline_schedule_execution_errored","error":"no yml"},
		{"type":"pipeline_schedule_execution_dreamt","pipeline":null,"error":null,"moon":"full"}]}`))
	all, err := newClient(t, srv.base()).Schedules.ListExecutions(t.Context(), repo, "{s}", nil).Collect()
	require.NoError(t, err)
	require.Len(t, all, 5)
	require.Equal(t, &pipelines.Pipeline{UUID: "{p}", BuildNumber: 7}, all[0].Pipeline)
	require.Equal(t, "no branch", all[1].Error.String())
	require.Equal(t, "{q}", all[2].Pipeline.UUID)
	require.Equal(t, "no yml", all[3].Error.String())
	require.Nil(t, all[4].Pipeline)
	require.Nil(t, all[4].Error)
	require.Contains(t, string(all[4].Raw), `"moon":"full"`, "nothing is lost")
}

func TestDownloadFollowsTheContentURI(t *testing.T) {
	content := noise(200_000)
	expired := answer(403, "application/xml", "<Error/>")
	for name, tc := range map[string]struct {
		storage http.HandlerFunc
		asked   int // for the URI
	}{
		"at once":                {serveLog(content, `"v1"`), 1},
		"across connections":     {sequence(cut(5_000, serveLog(content, `"v1"`)), cut(90_000, serveLog(content, `"v1"`)), serveLog(content, `"v1"`)), 3},
		"though the URI expired": {sequence(expired, cut(5_000, serveLog(content, "")), expired, serveLog(content, "")), 4},
	} {
		t.Run(name, func(t *testing.T) {
			storage := record(t, tc.storage)
			api := record(t, func(w http.ResponseWriter, req *http.Request) {
				answerJSON(fmt.Sprintf(`{"uri":"%s/cache?sig=s3cret"}`, storage.URL))(w, req)
			})
			var got bytes.Buffer
			n, err := newClient(t, api.base()).Caches.Download(t.Context(), repo, "{c}", &got)
			require.NoError(t, err)
			require.EqualValues(t, len(content), n)
			require.True(t, bytes.Equal(content, got.Bytes()))
			require.Len(t, api.seen(), tc.asked)
			require.Equal(t, "/2.0/repositories/acme/site/pipelines-config/caches/%7Bc%7D/content-uri", api.seen()[0].Path)
			for _, req := range storage.seen() {
				require.Empty(t, req.Header.Get("Authorization"))
				require.Equal(t, "sig=s3cret", req.Query)
			}
		})
	}
}

func TestDownloadOfAURIAtTheAPIsOwnOriginSendsCredentials(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/content-uri") {
			answerJSON(`{"uri":"/2.0/content/1"}`)(w, req)
			return
		}
		_, _ = io.WriteString(w, "cache")
	})
	var got bytes.Buffer
	_, err := newClient(t, srv.base()).Caches.Download(t.Context(), repo, "{c}", &got)
	require.NoError(t, err)
	require.Equal(t, "cache", got.String())
	require.Equal(t, "Bearer t0ken", srv.seen()[1].Header.Get("Authorization"))
}

func TestContentURIsThatCannotBeAreErrors(t *testing.T) {
	for name, body := range map[string]string{
		"none": `{}`, "a file": `{"uri":"file:///etc/passwd"}`, "with credentials": `{"uri":"http://u:s3cret@127.0.0.1/"}`, "no URI": `{"uri":"http://[s3cret"}`,
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, answerJSON(body))
			n, err := newClient(t, srv.base()).Caches.Download(t.Context(), repo, "{c}", io.Discard)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "s3cret")
			require.Zero(t, n)
			require.Len(t, srv.seen(), 1)
		})
	}
	gone := record(t, answer(404, "text/plain", ""))
	_, err := newClient(t, gone.base()).Caches.Download(t.Context(), repo, "{c}", io.Discard)
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}

func TestDownloadFromAHostThatAlwaysRefusesEnds(t *testing.T) {
	storage := record(t, answer(403, "application/xml", "<Error/>"))
	api := record(t, func(w http.ResponseWriter, req *http.Request) {
		answerJSON(fmt.Sprintf(`{"uri":"%s/cache?sig=s3cret"}`, storage.URL))(w, req)
	})
	_, err := newClient(t, api.base()).Caches.Download(t.Context(), repo, "{c}", io.Discard)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.ErrorContains(t, err, "refuses the link")
	require.NotContains(t, err.Error(), "s3cret")
	require.Len(t, storage.seen(), 3)
}

func TestATestReportThatIsEmptyIsNotFound(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{"as documented": answer(404, "text/plain", ""), "as reported": answerJSON(" ")} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, handle)
			_, err := newClient(t, srv.base()).Steps.GetTestReport(t.Context(), repo, "8", "{s}")
			require.ErrorIs(t, err, pipelines.ErrNotFound)
			require.Len(t, srv.seen(), 1)
		})
	}
}

func TestDurationsOfTestCasesAreRead(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"PT0.9589264S"`: 958926400, `"PT1H2M3.5S"`: time.Hour + 2*time.Minute + 3500*time.Millisecond, `"P1DT1S"`: 24*time.Hour + time.Second,
		`"P2W"`: 14 * 24 * time.Hour, `"PT0,5S"`: 500 * time.Millisecond, `"-PT1S"`: -time.Second, `"PT-1S"`: -time.Second, `1.5`: 1500 * time.Millisecond, `null`: 0, `"PT0S"`: 0,
		`""`: 0, `"soon"`: 0, `"P"`: 0, `"P1Y"`: 0, `"PT1D"`: 0, `"PTT1S"`: 0, `"PT1"`: 0, `"PTS"`: 0, `"PT1.2.3S"`: 0, `"PT99999999999999999999S"`: 0, `1e300`: 0, `{}`: 0, `[1]`: 0,
	} {
		srv := record(t, answerJSON(`{"values":[{"name":"a","duration":`+text+`}]}`))
		one, err := newClient(t, srv.base()).Steps.ListTestCases(t.Context(), repo, "8", "{s}", nil).First()
		require.NoError(t, err)
		require.Equal(t, want, one.Duration, text)
		require.Equal(t, "a", one.Name)
	}
}

func TestReasonsAreReadInEveryPlausibleForm(t *testing.T) {
	want := []*pipelines.TestCaseReason{{Message: "m", StackTrace: "s"}}
	for name, body := range map[string]string{
		"a page":                 `{"values":[{"message":"m","stack_trace":"s"}],"size":1}`,
		"a bare list":            `[{"message":"m","stack_trace":"s"}]`,
		"one alone":              `{"message":"m","stack_trace":"s"}`,
		"within another member":  `{"values":[{"reason":{"message":"m","stack_trace":"s"}}]}`,
		"a stack trace of lines": `{"values":[{"message":"m","stack_trace":["s"]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, answerJSON(body))
			got, err := newClient(t, srv.base()).Steps.ListTestCaseReasons(t.Context(), repo, "8", "{s}", "{c}", nil).Collect()
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.NotEmpty(t, got[0].Raw)
			got[0].Raw = nil
			require.Equal(t, want, got)
		})
	}
	for name, body := range map[string]string{"an empty page": `{"page":1,"values":[],"size":0,"pagelen":0}`, "an empty list": `[]`, "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, answerJSON(body))
			got, err := newClient(t, srv.base()).Steps.ListTestCaseReasons(t.Context(), repo, "8", "{s}", "{c}", nil).Collect()
			require.NoError(t, err)
			require.Empty(t, got)
		})
	}
	text := record(t, answerJSON(`["it broke", 7]`))
	got, err := newClient(t, text.base()).Steps.ListTestCaseReasons(t.Context(), repo, "8", "{s}", "{c}", nil).Collect()
	require.NoError(t, err)
	require.Equal(t, "it broke", got[0].Message)
	require.Equal(t, "7", string(got[1].Raw))
}

func TestOIDCDocumentsAreAskedForWithoutCredentialsFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		handlers []http.HandlerFunc
		sent     []string // Authorization
		is       error
	}{
		"public":                {[]http.HandlerFunc{answerJSON(`{"issuer":"i","keys":[{"kid":"k"}]}`)}, []string{""}, nil},
		"refused anonymously":   {[]http.HandlerFunc{answer(401, "text/plain", ""), answerJSON(`{"issuer":"i","keys":[{"kid":"k"}]}`)}, []string{"", "Bearer t0ken"}, nil},
		"refused to API tokens": {[]http.HandlerFunc{answer(403, "text/plain", "")}, []string{"", "Bearer t0ken"}, pipelines.ErrForbidden},
		"not used yet":          {[]http.HandlerFunc{answer(404, "text/plain", "")}, []string{""}, pipelines.ErrNotFound},
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
				srv := record(t, sequence(tc.handlers...))
				require.ErrorIs(t, call(newClient(t, srv.base())), tc.is)
				var sent []string
				for _, req := range srv.seen() {
					sent = append(sent, req.Header.Get("Authorization"))
					require.Equal(t, "/2.0/workspaces/acme/pipelines-config/identity/oidc"+path, req.Path)
				}
				require.Equal(t, tc.sent, sent)
			}
		})
	}
	anonymous := record(t, answer(403, "text/plain", ""))
	c, err := pipelines.NewClient(pipelines.WithBaseURL(anonymous.base()))
	require.NoError(t, err)
	_, err = c.OIDC.GetKeys(t.Context(), "acme")
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.Len(t, anonymous.seen(), 1)
}

func TestIssuerIsBelowTheBaseURL(t *testing.T) {
	c, err := pipelines.NewClient()
	require.NoError(t, err)
	require.Equal(t, "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", c.OIDC.Issuer("acme"))
	require.Empty(t, c.OIDC.Issuer(".."))
}

func TestJSONWebKeysBecomePublicKeys(t *testing.T) {
	code := base64.RawURLEncoding.EncodeToString
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := ecKey.PublicKey.Bytes()
	require.NoError(t, err)
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	good := []struct {
		key  pipelines.JSONWebKey
		want any
	}{
		{pipelines.JSONWebKey{Kty: "RSA", N: code(rsaKey.N.Bytes()), E: "AQAB"}, &rsaKey.PublicKey},
		{pipelines.JSONWebKey{Kty: "EC", Crv: "P-256", X: code(point[1:33]), Y: code(point[33:])}, &ecKey.PublicKey},
		{pipelines.JSONWebKey{Kty: "OKP", Crv: "Ed25519", X: code(edKey)}, edKey},
	}
	for _, tc := range good {
		got, err := tc.key.PublicKey()
		require.NoError(t, err)
		require.Equal(t, tc.want, got)
	}
	tooLarge := code(new(big.Int).Lsh(big.NewInt(1), 20_000).Bytes())
	for says, key := range map[string]pipelines.JSONWebKey{
		"unknown type":          {Kid: "k1", Kty: "oct"},
		`"n" is not base64url`:  {Kty: "RSA", N: "???", E: "AQAB"},
		`"e" is not base64url`:  {Kty: "RSA", N: good[0].key.N},
		"exponent":              {Kty: "RSA", N: good[0].key.N, E: code([]byte{1})},
		"exponent ":             {Kty: "RSA", N: good[0].key.N, E: code(bytes.Repeat([]byte{255}, 9))},
		"modulus of 8 bits":     {Kty: "RSA", N: code([]byte{200}), E: "AQAB"},
		"modulus of 20001 bits": {Kty: "RSA", N: tooLarge, E: "AQAB"},
		"unknown curve":         {Kty: "EC", Crv: "secp256k1"},
		`"x" is not base64url`:  {Kty: "EC", Crv: "P-256"},
		`"y" is not base64url`:  {Kty: "EC", Crv: "P-256", X: good[1].key.X},
		"another length":        {Kty: "EC", Crv: "P-384", X: good[1].key.X, Y: good[1].key.Y},
		"not on the curve":      {Kty: "EC", Crv: "P-256", X: good[1].key.X, Y: good[1].key.X},
		`curve "X25519"`:        {Kty: "OKP", Crv: "X25519", X: good[2].key.X},
		`"x" is not base64url `: {Kty: "OKP", Crv: "Ed25519", X: "="},
	} {
		_, err := key.PublicKey()
		require.ErrorContains(t, err, strings.TrimSpace(says))
	}
}

const edKeyLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

func TestParseKnownHosts(t *testing.T) {
	hosts, err := pipelines.ParseKnownHosts(strings.NewReader("# example.com:22 SSH-2.0-OpenSSH\n\nexample.com,192.0.2.1 " + edKeyLine + " a comment\n[example.com]:2222\t" + edKeyLine + "\r\n"))
	require.NoError(t, err)
	require.Len(t, hosts, 3)
	key := strings.Fields(edKeyLine)[1]
	for i, name := range []string{"example.com", "192.0.2.1", "[example.com]:2222"} {
		require.Equal(t, pipelines.KnownHostRequest{Hostname: name, KeyType: "ssh-ed25519", Key: key}, hosts[i])
	}
	none, err := pipelines.ParseKnownHosts(strings.NewReader("# nothing\n"))
	require.NoError(t, err)
	require.Empty(t, none)

	for line, says := range map[string]string{
		"@cert-authority *.example.com " + edKeyLine:                                "marker",
		"|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= " + edKeyLine: "hashed",
		"example.com ssh-ed25519":                                                   "not of the form",
		"*.example.com " + edKeyLine:                                                "not the name of one host",
		"example.com,, " + edKeyLine:                                                "not the name of one host",
		"example.com ssh-ed25519 !!":                                                "not base64",
		"example.com ssh-ed25519 AAA=":                                              "too short",
		"example.com ssh-rsa " + strings.Fields(edKeyLine)[1]:                       "not one of type ssh-rsa",
		"example.com ssh-rsa /////w==":                                              "not one of type ssh-rsa",
	} {
		_, err := pipelines.ParseKnownHosts(strings.NewReader("\n" + line + "\n"))
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument, line)
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, "line 2")
	}
	_, err = pipelines.ParseKnownHosts(strings.NewReader(strings.Repeat("x", 1<<20)))
	require.ErrorContains(t, err, "too long")
}

func TestRequestsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
	c := newClient(t, srv.base())
	ctx := t.Context()
	for says, call := range map[string]func() error{
		"no private key": func() error { _, err := c.SSH.SetKeyPair(ctx, repo, pipelines.KeyPair{PublicKey: "p"}); return err },
		"no public key": func() error {
			_, err := c.SSH.SetKeyPair(ctx, repo, pipelines.KeyPair{PrivateKey: "s3cret"})
			return err
		},
		"no hostname": func() error {
			_, err := c.SSH.CreateKnownHost(ctx, repo, pipelines.KnownHostRequest{KeyType: "ssh-ed25519", Key: "AAAA"})
			return err
		},
		"no key type": func() error {
			_, err := c.SSH.UpdateKnownHost(ctx, repo, "{h}", pipelines.KnownHostRequest{Hostname: "h", Key: "AAAA"})
			return err
		},
		"environment has no name": func() error {
			_, err := c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{})
			return err
		},
		"has no type": func() error {
			_, err := c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "e"})
			return err
		},
		"update changes nothing": func() error { return c.Deployments.UpdateEnvironment(ctx, repo, "{e}", pipelines.EnvironmentUpdate{}) },
		"name is empty": func() error {
			return c.Deployments.UpdateEnvironment(ctx, repo, "{e}", pipelines.EnvironmentUpdate{Name: new("")})
		},
		"update changes nothing ": func() error { _, err := c.Config.Update(ctx, repo, pipelines.ConfigUpdate{}); return err },
		"is not positive":         func() error { _, err := c.Config.SetNextBuildNumber(ctx, repo, 0); return err },
		"cache name is empty":     func() error { return c.Caches.DeleteByName(ctx, repo, "") },
		"runner has no name": func() error {
			_, err := c.Runners.InRepository(repo).Create(ctx, pipelines.RunnerRequest{})
			return err
		},
		"update changes nothing  ": func() error {
			_, err := c.Runners.InWorkspace("acme").Update(ctx, "{r}", pipelines.RunnerUpdate{})
			return err
		},
	} {
		err := call()
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, says)
		assert.ErrorContains(t, err, strings.TrimSpace(says))
		assert.NotContains(t, err.Error(), "s3cret")
	}
	require.Empty(t, srv.seen())
}

func TestDeploymentsAndRunnersAnswerQuestions(t *testing.T) {
	var none pipelines.DeploymentState
	require.Equal(t, []any{false, false, ""}, []any{none.Done(), none.Succeeded(), none.String()})
	done := pipelines.DeploymentState{Name: pipelines.StateCompleted, Status: &pipelines.DeploymentStatus{Name: pipelines.ResultSuccessful}}
	require.Equal(t, []any{true, true, "SUCCESSFUL"}, []any{done.Done(), done.Succeeded(), done.String()})
	waiting := pipelines.DeploymentState{Name: pipelines.StateUndeployed}
	require.Equal(t, []any{false, false, "UNDEPLOYED"}, []any{waiting.Done(), waiting.Succeeded(), waiting.String()})

	var unknown pipelines.RunnerState
	require.Equal(t, []any{false, false, ""}, []any{unknown.Online(), unknown.TakesSteps(), unknown.String()})
	cordoned := pipelines.RunnerState{Status: pipelines.RunnerOnline, Cordoned: true}
	require.Equal(t, []any{true, false, "ONLINE"}, []any{cordoned.Online(), cordoned.TakesSteps(), cordoned.String()})
	require.True(t, pipelines.RunnerState{Status: pipelines.RunnerOnline}.TakesSteps())
}

func TestDeploymentFiltersAreSent(t *testing.T) {
	srv := record(t, answerJSON(`{"values":[]}`))
	_, err := newClient(t, srv.base()).Deployments.List(t.Context(), repo, &pipelines.ListDeploymentsOptions{
		Sort: pipelines.SortLastStarted, Environment: "11111111-2222-4333-8444-555555555555", State: pipelines.StateInProgress, PageLen: 50,
	}).Collect()
	require.NoError(t, err)
	require.Equal(t, "environment=%7B11111111-2222-4333-8444-555555555555%7D&pagelen=50&sort=-state.started_on&state.name=IN_PROGRESS", srv.only(t).Query)
}
