package pipelines_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	repositoryUUID  = "{11111111-2222-4333-8444-555555555555}"
	environmentUUID = "{aaaaaaaa-BBBB-4ccc-8ddd-eeeeeeeeeeee}"
	stepUUID        = "{99999999-2222-4333-8444-555555555555}"
)

// allClaims is a token's payload with every claim that was seen, and one that wasn't.
const allClaims = `{
	"iss": "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc",
	"sub": "` + repositoryUUID + ":" + environmentUUID + ":" + stepUUID + `",
	"aud": "ari:cloud:bitbucket::workspace/77777777-2222-4333-8444-555555555555",
	"iat": 1795432640, "exp": 1795436240.5,
	"workspaceUuid": "{77777777-2222-4333-8444-555555555555}", "repositoryUuid": "` + repositoryUUID + `",
	"pipelineUuid": "{33333333-2222-4333-8444-555555555555}", "stepUuid": "` + stepUUID + `",
	"accountUuid": "{44444444-2222-4333-8444-555555555555}", "branchName": "feature/é",
	"deploymentEnvironmentUuid": "` + environmentUUID + `", "later": [1]
}`

// unmarshalers are the packages that programs decode claims with.
var unmarshalers = map[string]func(string, any) error{
	"encoding/json":      func(text string, v any) error { return json.Unmarshal([]byte(text), v) },
	"go-json-experiment": func(text string, v any) error { return jsonv2.Unmarshal([]byte(text), v) },
}

func TestStepClaimsAreDecodedAndEncodedAgain(t *testing.T) {
	want := pipelines.StepClaims{
		Issuer:   "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc",
		Subject:  repositoryUUID + ":" + environmentUUID + ":" + stepUUID,
		Audience: []string{"ari:cloud:bitbucket::workspace/77777777-2222-4333-8444-555555555555"},
		IssuedAt: time.Unix(1795432640, 0).UTC(), Expiry: time.Unix(1795436240, 500e6).UTC(),
		WorkspaceUUID: "{77777777-2222-4333-8444-555555555555}", RepositoryUUID: repositoryUUID,
		PipelineUUID: "{33333333-2222-4333-8444-555555555555}", StepUUID: stepUUID,
		AccountUUID: "{44444444-2222-4333-8444-555555555555}", BranchName: "feature/é", DeploymentEnvironmentUUID: environmentUUID,
	}
	for name, unmarshal := range unmarshalers {
		t.Run(name, func(t *testing.T) {
			var got pipelines.StepClaims
			require.NoError(t, unmarshal(allClaims, &got))
			require.Equal(t, want, got)
		})
	}
	again, err := json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, strings.Replace(allClaims, `, "later": [1]`, "", 1), string(again))
	require.Contains(t, string(again), `"iat":1795432640,`, "whole seconds stay whole, without an exponent")
	none, err := json.Marshal(pipelines.StepClaims{})
	require.NoError(t, err)
	require.Equal(t, `{}`, string(none))
}

func TestStepClaimsHaveOneAudienceOrSeveral(t *testing.T) {
	for text, want := range map[string]struct {
		audience []string
		encoded  string
	}{
		`{"aud":"a"}`:       {[]string{"a"}, `{"aud":"a"}`},
		`{"aud":["a"]}`:     {[]string{"a"}, `{"aud":"a"}`},
		`{"aud":["a","b"]}`: {[]string{"a", "b"}, `{"aud":["a","b"]}`},
		`{"aud":[]}`:        {[]string{}, `{"aud":[]}`},
		`{"aud":null}`:      {nil, `{}`},
		`{}`:                {nil, `{}`},
	} {
		for name, unmarshal := range unmarshalers {
			t.Run(name+" "+text, func(t *testing.T) {
				claims := pipelines.StepClaims{Audience: []string{"of another token"}, Issuer: "of another token"}
				require.NoError(t, unmarshal(text, &claims))
				require.Equal(t, pipelines.StepClaims{Audience: want.audience}, claims, "nothing is left of what was there before")
				again, err := json.Marshal(claims)
				require.NoError(t, err)
				require.Equal(t, want.encoded, string(again))
			})
		}
	}
}

// Access is granted by claims: what can be read in two ways is not read at all.
func TestStepClaimsThatAreDoubtfulAreRefused(t *testing.T) {
	for _, text := range []string{
		`{"iss":"a","iss":"b"}`, `{"aud":"a","aud":"b"}`, `{"iss":7}`, `{"aud":7}`, `{"aud":{"a":"b"}}`, `{"aud":["a",7]}`, `{"aud":[["a"]]}`,
		`{"exp":"1795436240"}`, `{"exp":1e300}`, `{"exp":253402300800}`, `{"exp":253402300799.9999}`, `{"iat":-1e300}`, `{"exp":true}`,
		"{\"branchName\":\"\xff\"}", `[]`, `"a"`, `7`,
	} {
		for name, unmarshal := range unmarshalers {
			t.Run(name+" "+text, func(t *testing.T) {
				claims := pipelines.StepClaims{BranchName: "before"}
				require.Error(t, unmarshal(text, &claims))
				require.Equal(t, pipelines.StepClaims{BranchName: "before"}, claims)
			})
		}
	}
	for name, unmarshal := range unmarshalers {
		t.Run(name+" with names in another case", func(t *testing.T) {
			var claims pipelines.StepClaims
			require.NoError(t, unmarshal(`{"ISS":"a","RepositoryUUID":"b","Aud":"c"}`, &claims))
			require.Zero(t, claims, "they are other claims")
		})
	}
}

func TestStepClaimsHaveAZeroTimeWhereItIsAbsent(t *testing.T) {
	var claims pipelines.StepClaims
	require.NoError(t, json.Unmarshal([]byte(`{"exp":0}`), &claims))
	require.True(t, claims.IssuedAt.IsZero())
	require.Equal(t, time.Unix(0, 0).UTC(), claims.Expiry)
	text, err := json.Marshal(claims)
	require.NoError(t, err)
	require.Equal(t, `{"exp":0}`, string(text))
}

func TestParseSubjectWithAndWithoutAnEnvironment(t *testing.T) {
	for text, want := range map[string]pipelines.Subject{
		repositoryUUID + ":" + stepUUID:                         {RepositoryUUID: repositoryUUID, StepUUID: stepUUID},
		repositoryUUID + ":" + environmentUUID + ":" + stepUUID: {RepositoryUUID: repositoryUUID, EnvironmentUUID: environmentUUID, StepUUID: stepUUID},
	} {
		t.Run(text, func(t *testing.T) {
			got, err := pipelines.ParseSubject(text)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, text, got.String())
		})
	}
}

func TestParseSubjectRefusesWhatIsNoSubject(t *testing.T) {
	bare := strings.Trim(repositoryUUID, "{}")
	for _, text := range []string{
		"", ":", "::", repositoryUUID, repositoryUUID + ":", ":" + stepUUID, repositoryUUID + "::" + stepUUID,
		repositoryUUID + ":" + environmentUUID + ":" + stepUUID + ":", repositoryUUID + ":" + environmentUUID + ":" + stepUUID + ":" + stepUUID,
		bare + ":" + stepUUID, repositoryUUID + ":" + bare, "[" + bare + "]:" + stepUUID, "{" + bare + ":" + stepUUID, "x" + bare + "x:" + stepUUID,
		repositoryUUID + " : " + stepUUID, repositoryUUID + ":" + stepUUID + "\n", repositoryUUID + ":{*}", repositoryUUID + ":" + stepUUID[:37] + "é",
		"repo:acme/site:ref:refs/heads/main", strings.Repeat(repositoryUUID+":", 1<<16),
	} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			got, err := pipelines.ParseSubject(text)
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument, "%.200q", text)
			require.Zero(t, got)
			if text != "" && text != ":" {
				assert.NotContains(t, err.Error(), text, "it may be a token")
			}
		})
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, s := range []string{repositoryUUID + ":" + stepUUID, repositoryUUID + ":" + environmentUUID + ":" + stepUUID, "", "::", "{}:{}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := pipelines.ParseSubject(s)
		if err != nil {
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			return
		}
		require.Equal(t, s, got.String())
	})
}

func FuzzStepClaims(f *testing.F) {
	for _, s := range []string{allClaims, `{"aud":["a","b"],"exp":1e3}`, `{"exp":-0.0005}`, `{"aud":[]}`, `null`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var claims, again pipelines.StepClaims
		if json.Unmarshal([]byte(text), &claims) != nil {
			require.Zero(t, claims)
			return
		}
		encoded, err := json.Marshal(claims)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(encoded, &again))
		require.Equal(t, claims, again)
	})
}
