package pipelines_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestOperationPathElementsAreEscapedOrRefused(t *testing.T) {
	for element, want := range map[string]string{
		"":                                       "pipeline_uuid is empty",
		".":                                      `pipeline_uuid is "."`,
		"..":                                     `pipeline_uuid is ".."`,
		"a/b":                                    "a%2Fb",
		"../x":                                   "..%2Fx",
		"?q=1":                                   "%3Fq=1",
		"#f":                                     "%23f",
		"%2F":                                    "%252F",
		"%2e%2e":                                 "%252e%252e",
		"a b":                                    "a%20b",
		"ä":                                      "%C3%A4",
		"{a}":                                    "%7Ba%7D",
		"\x00\n":                                 "%00%0A",
		"a;b":                                    "a%3Bb",
		"//":                                     "%2F%2F",
		"a\\b":                                   "a%5Cb",
		"42":                                     "42",
		"long" + strings.Repeat("x", 10<<10):     "long" + strings.Repeat("x", 10<<10),
		"0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21":   "%7B0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21%7D",
		"{0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21}": "%7B0de2bcf3-2b9c-4a3c-9b6e-1c5d0a7f8e21%7D",
	} {
		t.Run(element[:min(len(element), 40)], func(t *testing.T) {
			srv := record(t, answerJSON(`{}`))
			c := newClient(t, srv.base())
			_, err := c.Pipelines.Get(t.Context(), repo, element)
			if strings.HasPrefix(want, "pipeline_uuid") {
				require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
				require.EqualError(t, err, "pipelines: Pipelines.Get: invalid argument: "+want)
				srv.requireSent(t, 0)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "/2.0/repositories/acme/site/pipelines/"+want, srv.only(t).Path)
		})
	}
}

func TestOperationIsOnEveryRequestsContext(t *testing.T) {
	srv := record(t, answerJSON(`{"access_token":"a","expires_in":7200,"token_type":"bearer"}`))
	var names []string
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		o, ok := pipelines.OperationFromContext(req.Context())
		assert.True(t, ok)
		names = append(names, o.Name+" "+o.Method+" "+o.Path)
		return http.DefaultTransport.RoundTrip(req)
	})}
	c := newClient(t, srv.base(), pipelines.WithHTTPClient(hc), pipelines.WithClientCredentials("id", "secret"))
	_, err := c.Pipelines.Get(t.Context(), repo, "1")
	require.NoError(t, err)
	require.NoError(t, c.Do(t.Context(), http.MethodGet, "/user", nil, nil))
	require.Equal(t, []string{
		"OAuth.Token POST /site/oauth2/access_token",
		"Pipelines.Get GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}",
		"Do GET ",
	}, names)
	_, ok := pipelines.OperationFromContext(t.Context())
	require.False(t, ok)
}

func TestOperationAndAttemptAreInNoOtherContext(t *testing.T) {
	_, ok := pipelines.AttemptFromContext(t.Context())
	require.False(t, ok)
}

func TestOperationTellsRequestsToStorageHosts(t *testing.T) {
	storage := record(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a log\n") })
	api := record(t, http.RedirectHandler(storage.base()+"/log", http.StatusTemporaryRedirect).ServeHTTP)
	want := pipelines.Operation{
		Name: "Steps.GetLog", Method: "GET", Path: "/repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log",
	}
	var got []pipelines.Operation
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		o, _ := pipelines.OperationFromContext(req.Context())
		got = append(got, o)
		return http.DefaultTransport.RoundTrip(req)
	})}
	log, err := newClient(t, api.base(), pipelines.WithHTTPClient(hc)).Steps.GetLog(t.Context(), repo, "1", "{s}", nil)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	toStorage := want
	toStorage.Storage = true
	require.Equal(t, []pipelines.Operation{want, toStorage}, got)
}
