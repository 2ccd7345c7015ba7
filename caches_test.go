package pipelines_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestCacheDownloadFollowsTheContentURI(t *testing.T) {
	content := noise(200_000)
	expired := serve(403, "application/xml", "<Error/>")
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
				serveJSON(fmt.Sprintf(`{"uri":"%s/cache?sig=s3cret"}`, storage.URL))(w, req)
			})
			var got bytes.Buffer
			n, err := newClient(t, api.base()).Caches.Download(t.Context(), repo, "{c}", &got)
			require.NoError(t, err)
			require.EqualValues(t, len(content), n)
			require.True(t, bytes.Equal(content, got.Bytes()))
			api.requireSent(t, tc.asked)
			require.Equal(t, "/2.0/repositories/acme/site/pipelines-config/caches/%7Bc%7D/content-uri", api.seen()[0].Path)
			for _, req := range storage.seen() {
				require.Empty(t, req.Header.Get("Authorization"))
				require.Equal(t, "sig=s3cret", req.Query)
			}
		})
	}
}

func TestCacheDownloadFromTheAPIsOwnOriginSendsCredentials(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/content-uri") {
			serveJSON(`{"uri":"/2.0/content/1"}`)(w, req)
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

func TestInvalidCacheContentURIsAreErrors(t *testing.T) {
	for name, body := range map[string]string{
		"none": `{}`, "a file": `{"uri":"file:///etc/passwd"}`, "with credentials": `{"uri":"http://u:s3cret@127.0.0.1/"}`, "no URI": `{"uri":"http://[s3cret"}`,
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveJSON(body))
			n, err := newClient(t, srv.base()).Caches.Download(t.Context(), repo, "{c}", io.Discard)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "s3cret")
			require.Zero(t, n)
			srv.requireSent(t, 1)
		})
	}
	gone := record(t, serve(404, "text/plain", ""))
	_, err := newClient(t, gone.base()).Caches.Download(t.Context(), repo, "{c}", io.Discard)
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}

func TestCacheDownloadFromAHostThatAlwaysRefusesEnds(t *testing.T) {
	storage := record(t, serve(403, "application/xml", "<Error/>"))
	api := record(t, func(w http.ResponseWriter, req *http.Request) {
		serveJSON(fmt.Sprintf(`{"uri":"%s/cache?sig=s3cret"}`, storage.URL))(w, req)
	})
	_, err := newClient(t, api.base()).Caches.Download(t.Context(), repo, "{c}", io.Discard)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.ErrorContains(t, err, "refuses the link")
	require.NotContains(t, err.Error(), "s3cret")
	storage.requireSent(t, 3)
}

func TestCacheRequestsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	requireRefused(t, map[string]func(context.Context, *pipelines.Client) error{
		"cache name is empty": func(ctx context.Context, c *pipelines.Client) error {
			return c.Caches.DeleteByName(ctx, repo, "")
		},
	})
}
