package pipelines_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// apiError is what a GET answered so comes back as.
func apiError(t *testing.T, status int, header http.Header, body string, opts ...pipelines.Option) *pipelines.APIError {
	t.Helper()
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		for key, values := range header {
			w.Header()[key] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
	opts = append([]pipelines.Option{pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})}, opts...)
	_, err := newClient(t, srv.base(), opts...).Pipelines.Get(t.Context(), repo, "7")
	var e *pipelines.APIError
	require.ErrorAs(t, err, &e)
	return e
}

func TestEveryFormOfErrorBodyIsRead(t *testing.T) {
	jsonType := http.Header{"Content-Type": {"application/json"}}
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		want   pipelines.APIError
		text   string // what Error says after the path
	}{
		"the standard form": {
			404, jsonType, `{"type":"error","error":{"message":"Resource not found","detail":"There is no API hosted at this URL"}}`,
			pipelines.APIError{Message: "Resource not found", Detail: "There is no API hosted at this URL"},
			"404 Not Found: Resource not found: There is no API hosted at this URL",
		},
		"without its type": {
			400, jsonType, `{"error":{"message":"Bad request"}}`,
			pipelines.APIError{Message: "Bad request"}, "400 Bad Request",
		},
		"of the pipelines service": {
			400, jsonType, `{"error":{"message":"Bad request","detail":"Nope.","data":{"key":"result-service.pipeline-id.not-found","arguments":{"id":"7"}}}}`,
			pipelines.APIError{
				Message: "Bad request", Detail: "Nope.", Key: "result-service.pipeline-id.not-found",
				Data: map[string]any{"key": "result-service.pipeline-id.not-found", "arguments": map[string]any{"id": "7"}},
			},
			"400 Bad Request: Nope.; id: 7",
		},
		"with the key as its message": {
			400, jsonType, `{"error":{"message":"hostname-not-allowed"}}`,
			pipelines.APIError{Message: "hostname-not-allowed", Key: "hostname-not-allowed"}, "400 Bad Request: hostname-not-allowed",
		},
		"with fields as text and lists": {
			400, jsonType, `{"error":{"message":"Bad","fields":{"b":["x","y"],"a":"z","c":7}}}`,
			pipelines.APIError{Message: "Bad", Fields: map[string][]string{"a": {"z"}, "b": {"x", "y"}, "c": {"7"}}}, "400 Bad Request: Bad; a: z; b: x, y; c: 7",
		},
		"of a missing scope": {
			403, jsonType, `{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes.","detail":{"required":["pipeline:write"],"granted":["pipeline"]}}}`,
			pipelines.APIError{
				Message: "Your credentials lack one or more required privilege scopes.", Detail: "required scopes: pipeline:write; granted: pipeline",
				Data: map[string]any{"required": []string{"pipeline:write"}, "granted": []string{"pipeline"}},
			},
			"403 Forbidden: Your credentials lack one or more required privilege scopes.: required scopes: pipeline:write; granted: pipeline",
		},
		"with a detail of another shape": {
			403, jsonType, `{"error":{"message":"No","detail":{"why":1}}}`,
			pipelines.APIError{Message: "No", Detail: `{"why":1}`}, `403 Forbidden: No: {"why":1}`,
		},
		"with an ID": {
			500, jsonType, `{"type":"error","error":{"message":"Something went wrong","id":"f00d"}}`,
			pipelines.APIError{Message: "Something went wrong", RequestID: "f00d"}, "500 Internal Server Error: Something went wrong",
		},
		"without the envelope": {
			500, jsonType, `{"message":"There was an error","arguments":{"a":"b"},"key":"rest-service.error"}`,
			pipelines.APIError{Message: "There was an error", Key: "rest-service.error", Data: map[string]any{"arguments": map[string]any{"a": "b"}}},
			"500 Internal Server Error: There was an error; a: b",
		},
		"of the token endpoint": {
			400, jsonType, `{"error":"invalid_grant","error_description":"No such client"}`,
			pipelines.APIError{Message: "No such client", Key: "invalid_grant"}, "400 Bad Request: No such client",
		},
		"as text": {
			429, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, "Rate limit for this resource has been exceeded\n",
			pipelines.APIError{Message: "Rate limit for this resource has been exceeded"}, "429 Too Many Requests: Rate limit for this resource has been exceeded",
		},
		"as a page": {
			404, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "<!DOCTYPE html><title>Not here</title>",
			pipelines.APIError{Message: "Not Found"}, "404 Not Found",
		},
		"as a page that says it is text": {
			502, http.Header{"Content-Type": {"text/plain"}}, "<html>", pipelines.APIError{Message: "Bad Gateway"}, "502 Bad Gateway",
		},
		"as text that says it is JSON": {
			401, jsonType, "Unauthorized; scope does not match", pipelines.APIError{Message: "Unauthorized; scope does not match"}, "401 Unauthorized: Unauthorized; scope does not match",
		},
		"as text that says it is a page": {
			403, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "Access denied", pipelines.APIError{Message: "Access denied"}, "403 Forbidden: Access denied",
		},
		"as words and a page":  {502, http.Header{"Content-Type": {"text/html"}}, "oops <p>no</p>", pipelines.APIError{Message: "Bad Gateway"}, "502 Bad Gateway"},
		"as an image":          {502, http.Header{"Content-Type": {"image/png"}}, "\x89PNG", pipelines.APIError{Message: "Bad Gateway"}, "502 Bad Gateway"},
		"JSON without words":   {400, jsonType, `null`, pipelines.APIError{Message: "Bad Request"}, "400 Bad Request"},
		"empty":                {503, nil, "", pipelines.APIError{Message: "Service Unavailable"}, "503 Service Unavailable"},
		"JSON of another kind": {400, jsonType, `[7, null]`, pipelines.APIError{Message: "Bad Request"}, "400 Bad Request"},
		"JSON that ends early": {400, jsonType, `{"error":{"message":"B`, pipelines.APIError{Message: "Bad Request"}, "400 Bad Request"},
		"with the request's own ID": {
			404, http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"r-1"}}, `{"error":{"message":"No","id":"x"}}`,
			pipelines.APIError{Message: "No", RequestID: "r-1"}, "404 Not Found: No",
		},
		"with a Retry-After": {
			429, http.Header{"Content-Type": {"text/plain"}, "Retry-After": {"90"}}, "Slow down",
			pipelines.APIError{Message: "Slow down", RetryAfter: 90 * time.Second}, "429 Too Many Requests: Slow down; retry after 1m30s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := apiError(t, tc.status, tc.header, tc.body)
			want := tc.want
			want.Operation, want.Method, want.Path = "Pipelines.Get", "GET", "/repositories/acme/site/pipelines/7"
			want.StatusCode, want.Attempts, want.Body = tc.status, 1, []byte(tc.body)
			require.Equal(t, &want, got)
			require.EqualError(t, got, "pipelines: Pipelines.Get: GET /repositories/acme/site/pipelines/7: "+tc.text)
		})
	}
}

func TestALongErrorBodyIsCut(t *testing.T) {
	e := apiError(t, 500, http.Header{"Content-Type": {"text/plain"}}, strings.Repeat("ä", 1<<20))
	require.Len(t, e.Body, 4<<10)
	require.Less(t, len(e.Error()), 1000)
}

func TestErrorsDoNotObeyTheServicesControlCharacters(t *testing.T) {
	e := apiError(t, 400, http.Header{"Content-Type": {"text/plain"}}, "a\x1b[2Jb\r\nc\xff\u0085d\u2028e")
	require.NotContains(t, e.Error(), "\x1b")
	require.NotContains(t, e.Error(), "\n")
	require.Contains(t, e.Error(), "b  c\uFFFD d e")
}

func TestErrorsNeverRepeatCredentials(t *testing.T) {
	for name, tc := range map[string]struct {
		option pipelines.Option
		echo   string
		secret string
	}{
		"a token":                      {pipelines.WithToken("s3cret"), "you sent Authorization: Bearer s3cret", "s3cret"},
		"a password":                   {pipelines.WithBasicAuth("a@b.c", "s3cret"), "you sent a@b.c:s3cret", "s3cret"},
		"a password in its coded form": {pipelines.WithBasicAuth("a", "s3cret"), "Basic YTpzM2NyZXQ=", "YTpzM2NyZXQ="},
	} {
		t.Run(name, func(t *testing.T) {
			e := apiError(t, 400, http.Header{"Content-Type": {"text/plain"}}, tc.echo, tc.option)
			require.NotContains(t, e.Error(), tc.secret)
			require.NotContains(t, string(e.Body), tc.secret)
		})
	}
}

func TestErrorsPrintTheirTextUnderEveryVerb(t *testing.T) {
	e := apiError(t, 404, nil, `{"error":{"message":"No","data":{"key":"a.b"}}}`)
	unknown := &pipelines.OutcomeUnknownError{Operation: "Pipelines.Run", Err: e}
	for _, err := range []error{e, unknown} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			require.Equal(t, err.Error(), fmt.Sprintf(verb, err), verb)
		}
		require.Equal(t, fmt.Sprintf("%q", err.Error()), fmt.Sprintf("%q", err))
	}
	require.Equal(t, "pipelines: Pipelines.Run: the request may have taken effect: "+e.Error(), unknown.Error())
	require.ErrorIs(t, unknown, pipelines.ErrOutcomeUnknown)
	require.ErrorIs(t, unknown, pipelines.ErrNotFound)
	require.Equal(t, e, errors.Unwrap(unknown))
	require.Equal(t, "pipelines: X: the request may have taken effect: unknown cause", (&pipelines.OutcomeUnknownError{Operation: "X"}).Error())

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Error("failed", "err", e, "unknown", unknown)
	var line map[string]any
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	require.Equal(t, map[string]any{
		"operation": "Pipelines.Get", "status": 404.0, "message": "No", "key": "a.b", "request_id": "", "attempts": 1.0,
	}, line["err"])
	require.Equal(t, unknown.Error(), line["unknown"])
}

// secrets are values that carry one each.
var secrets = []any{
	pipelines.Variable{Key: "K", Value: "s3cret", Secured: true},
	&pipelines.Variable{Key: "K", Value: "s3cret", Secured: true},
	[]pipelines.Variable{{Key: "K", Value: "s3cret", Secured: true}},
	map[string]*pipelines.Variable{"a": {Value: "s3cret", Secured: true}},
	pipelines.RunRequest{Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{{Key: "K", Value: "s3cret", Secured: new(true)}}},
	pipelines.OnDemandRequest{RunRequest: pipelines.RunRequest{Variables: []pipelines.VariableRequest{{Value: "s3cret", Secured: new(true)}}}, YAML: []byte("s3cret")},
	&pipelines.Pipeline{Variables: []pipelines.Variable{{Value: "s3cret", Secured: true}}},
	pipelines.VariableRequest{Key: "K", Value: "s3cret"},
	&pipelines.VariableRequest{Key: "K", Value: "s3cret", Secured: new(true)},
	[]pipelines.VariableRequest{{Key: "K", Value: "s3cret"}},
	pipelines.Image{Name: "i", Username: "u", Password: "s3cret"},
	pipelines.Step{Image: &pipelines.Image{Password: "s3cret"}},
}

func TestSecretsNeverShow(t *testing.T) {
	c, err := pipelines.NewClient(pipelines.WithToken("s3cret"))
	require.NoError(t, err)
	basic, err := pipelines.NewClient(pipelines.WithBasicAuth("s3cret", "s3cret"))
	require.NoError(t, err)
	for _, v := range append(secrets, c, basic, c.Pipelines, c.Steps, c.Pipelines.List(t.Context(), repo, nil), pipelines.WithToken("s3cret")) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			got := fmt.Sprintf(verb, v)
			assert.NotContains(t, got, "s3cret", "%T under %s", v, verb)
			assert.NotContains(t, strings.ToLower(got), "733363726574", "%T under %s", v, verb)
			assert.NotContains(t, got, "czNjcmV0", "%T under %s", v, verb)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		assert.NotContains(t, log.String(), "s3cret", "%T", v)
	}
	require.Contains(t, fmt.Sprintf("%+v", pipelines.Variable{Key: "K", Value: "plain"}), "Value:plain")
	require.Contains(t, fmt.Sprintf("%+v", secrets[0]), "Value:******")
	require.Equal(t, "pipelines.Client(https://api.bitbucket.org/2.0)", fmt.Sprint(c))
}

func TestMarshallingAVariableLeavesASecuredValueOut(t *testing.T) {
	for want, v := range map[string]pipelines.Variable{
		`{"key":"K","secured":true}`: {Key: "K", Value: "s3cret", Secured: true},
		`{"key":"K","value":"v"}`:    {Key: "K", Value: "v"},
	} {
		got, err := json.Marshal(v)
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
}
