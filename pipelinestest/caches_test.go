package pipelinestest_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestCachesAreDeletedByNameAndByUUID(t *testing.T) {
	f := setup(t)
	path := site + "/pipelines-config/caches"
	for name, content := range map[string]string{"pip": "x", "maven": ""} {
		f.repo.AddCache(name, []byte(content))
	}
	first := f.repo.AddCache("node", []byte("one"))
	second := f.repo.AddCache("node", []byte("two"))
	require.NotEqual(t, first.KeyHash, second.KeyHash, "two versions of a cache")
	require.Len(t, f.get(path).Values("uuid"), 4)

	bare := f.send(http.MethodDelete, path, "")
	require.Equal(t, http.StatusBadRequest, bare.StatusCode)
	require.Empty(t, bare.text)
	require.Equal(t, http.StatusNotFound, f.send(http.MethodDelete, path+"?name=other", "").StatusCode)
	require.Equal(t, http.StatusNoContent, f.send(http.MethodDelete, path+"?name=node", "").StatusCode)
	require.Equal(t, http.StatusNotFound, f.send(http.MethodDelete, path+"?name=node", "").StatusCode)
	require.Len(t, f.repo.Caches(), 2)
	last := f.repo.Caches()[0]
	require.Equal(t, http.StatusNoContent, f.send(http.MethodDelete, path+"/"+escape(last.UUID), "").StatusCode)
	require.NotContains(t, f.repo.Caches(), last)
	a := f.repo.AddCache("empty", nil)
	require.EqualValues(t, 0, f.get(path+"?fields=values.file_size_bytes,values.name&pagelen=100").At("values.1.file_size_bytes"))
	require.Equal(t, "empty", a.Name)
}

func TestCacheContentIsServedByTheStorage(t *testing.T) {
	f := setup(t, pipelinestest.WithLinkLifetime(time.Minute))
	cache := f.repo.AddCache("node", []byte("node modules"))
	path := site + "/pipelines-config/caches/" + escape(cache.UUID)
	link := f.get(path + "/content-uri").At("uri").(string)
	require.NotEqual(t, strings.Split(f.srv.URL(), "/")[2], strings.Split(link, "/")[2], "another origin")
	a := f.get(link, "Authorization", "")
	require.Equal(t, "node modules", a.text)
	require.NotEmpty(t, a.Header.Get("Etag"))
	part := f.get(link, "Authorization", "", "Range", "bytes=5-", "If-Range", a.Header.Get("Etag"))
	require.Equal(t, http.StatusPartialContent, part.StatusCode)
	require.Equal(t, "modules", part.text)
	require.Equal(t, http.StatusBadRequest, f.get(link).StatusCode, "two credentials")

	f.clock.Advance(time.Minute)
	require.Equal(t, http.StatusForbidden, f.get(link, "Authorization", "").StatusCode)
	link = f.get(path + "/content-uri").At("uri").(string)
	f.send(http.MethodDelete, path, "")
	require.Equal(t, http.StatusNotFound, f.get(link, "Authorization", "").StatusCode)
}

func TestTheClientDownloadsCaches(t *testing.T) {
	for _, opts := range [][]pipelinestest.ServerOption{nil, {pipelinestest.WithInProcess()}} {
		f := setup(t, opts...)
		content := bytes.Repeat([]byte("node modules\n"), 100_000)
		f.repo.AddCache("node", content)
		f.srv.Inject(pipelinestest.Fault{Storage: true, Cut: true, After: 1000, Times: 1})
		ctx, client, repo := t.Context(), f.srv.Client().Caches, f.repo.Repo()
		cache, err := client.List(ctx, repo, nil).First()
		require.NoError(t, err)
		require.EqualValues(t, len(content), cache.FileSizeBytes)
		var got bytes.Buffer
		n, err := client.Download(ctx, repo, cache.UUID, &got)
		require.NoError(t, err)
		require.EqualValues(t, len(content), n)
		require.True(t, bytes.Equal(content, got.Bytes()))
		require.NoError(t, client.DeleteByName(ctx, repo, "node"))
		require.ErrorIs(t, client.DeleteByName(ctx, repo, "node"), pipelines.ErrNotFound)
		require.ErrorIs(t, client.Delete(ctx, repo, cache.UUID), pipelines.ErrNotFound)
	}
}

func TestASeededCacheMayBeOld(t *testing.T) {
	f := setup(t)
	old := f.clock.Now().Add(-48 * time.Hour)
	require.Equal(t, old, f.repo.AddCache("node", []byte("x"), old.In(time.FixedZone("", 3600))).CreatedOn)
	require.Equal(t, f.clock.Now(), f.repo.AddCache("node", []byte("y")).CreatedOn)
	require.Equal(t, []any{"2026-02-27T12:00:00Z", "2026-03-01T12:00:00Z"}, f.get(site+"/pipelines-config/caches").Values("created_on"))
}
