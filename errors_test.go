package pipelines_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestErrorsDoNotObeyTheServicesControlCharacters(t *testing.T) {
	e := apiError(t, 400, http.Header{"Content-Type": {"text/plain"}}, "a\x1b[2Jb\r\nc\xff\u0085d\u2028e")
	require.NotContains(t, e.Error(), "\x1b")
	require.NotContains(t, e.Error(), "\n")
	require.Contains(t, e.Error(), "b  c\uFFFD d e")
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

func TestErrorsOfNetHTTPShowNoControlCharacters(t *testing.T) {
	var logs bytes.Buffer
	srv := record(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n \x1b[2J\u202eno header\r\n\r\n")
	})
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorContains(t, err, "no header")
	require.NotContains(t, err.Error(), "\x1b")
	require.NotContains(t, err.Error(), "\u202e")

	cause := errors.Join(&quotingError{"one\r"}, &quotingError{"two"})
	hc := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, cause })}
	logger := slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, err = newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithLogger(logger)).Pipelines.Get(t.Context(), repo, "1")
	require.EqualError(t, err, "pipelines: Pipelines.Get: GET /repositories/acme/site/pipelines/1: cannot send one  cannot send two (after 3 attempts)")
	require.ErrorIs(t, err, cause)
	var quoting *quotingError
	require.ErrorAs(t, err, &quoting, "there is no secret in it")
	require.Contains(t, logs.String(), "cannot send one  cannot send two")
}

func TestAnErrorSaysWhatWasNotFound(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"message":"Not found","data":{"key":"result-service.pipeline-id.not-found"}}}`:                                     "pipeline",
		`{"error":{"message":"Not found","data":{"key":"variable-service.variable.not-found"}}}`:                                      "variable",
		`{"error":{"message":"Not found","data":{"key":"result-service.repository.not-found"}}}`:                                      "repository",
		`{"type":"error","error":{"message":"Repository variable not found"}}`:                                                        "",
		`{"type":"error","error":{"message":"Repository acme/site not found"}}`:                                                       "repository",
		`{"type":"error","error":{"message":"You may not have access to this repository or it no longer exists in this workspace."}}`: "repository",
		`{"type":"error","error":{"message":"The requested repository either does not exist or you do not have access."}}`:            "repository",
		`{"type":"error","error":{"message":"No workspace with identifier 'acme'."}}`:                                                 "workspace",
		`{"type":"error","error":{"message":"Resource not found"}}`:                                                                   "",
		`<html>`: "",
	} {
		t.Run(body, func(t *testing.T) {
			c := newClient(t, record(t, serve(404, "application/json", body)).base())
			_, err := c.Pipelines.Get(t.Context(), repo, "1")
			var e *pipelines.APIError
			require.ErrorAs(t, err, &e)
			require.Equal(t, want, e.NotFound(), body)
			require.ErrorIs(t, err, pipelines.ErrNotFound)
			require.Equal(t, want == "repository", errors.Is(err, pipelines.ErrRepositoryNotFound), body)
		})
	}
}
