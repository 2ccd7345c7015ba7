package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// CachesService manages the caches of a repository's pipelines.
type CachesService struct{ client *Client }

const (
	cachesPath = repositoryPath + "/pipelines-config/caches"
	cachePath  = cachesPath + "/{cache_uuid}"
)

var (
	opCachesList         = op("Caches.List", http.MethodGet, cachesPath, idempotent)
	opCachesDelete       = op("Caches.Delete", http.MethodDelete, cachePath, idempotent)
	opCachesDeleteByName = op("Caches.DeleteByName", http.MethodDelete, cachesPath, idempotent)
	opCachesContentURI   = op("Caches.GetContentURI", http.MethodGet, cachePath+"/content-uri", idempotent)
	// Its URL comes from the service.
	opCachesDownload = op("Caches.Download", http.MethodGet, "", idempotent)
)

// Cache is a cache of a pipeline's files. The service deletes it after a week.
type Cache struct {
	Type          string    `json:"type,omitzero"`
	UUID          string    `json:"uuid,omitzero"`
	Name          string    `json:"name,omitzero"`
	PipelineUUID  string    `json:"pipeline_uuid,omitzero"` // of the run that created it
	StepUUID      string    `json:"step_uuid,omitzero"`
	KeyHash       string    `json:"key_hash,omitzero"`
	Path          string    `json:"path,omitzero"`
	FileSizeBytes int64     `json:"file_size_bytes,omitzero"`
	CreatedOn     time.Time `json:"created_on,omitzero"`
}

// List lists the caches of a repository.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines-config/caches
//
// Scope: pipeline.
func (s *CachesService) List(
	ctx context.Context, repo Repo, q *ListOptions, opts ...CallOption,
) *Pager[Cache] {
	return list[Cache](ctx, s.client, opCachesList.at(repo.Workspace, repo.Slug), q.params(), opts)
}

// Delete deletes one cache. The error is an [ErrNotFound] if it doesn't exist.
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines-config/caches/{cache_uuid}
//
// Scope: pipeline:write.
func (s *CachesService) Delete(ctx context.Context, repo Repo, id string, opts ...CallOption) error {
	return exec(ctx, s.client, opCachesDelete.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// DeleteByName deletes every version of the cache with a name. For a name that doesn't exist the service documents a 404, which is
// an [ErrNotFound], but it may also return no error.
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines-config/caches
//
// Scope: pipeline:write.
func (s *CachesService) DeleteByName(ctx context.Context, repo Repo, name string, opts ...CallOption) error {
	var err error
	if name == "" {
		err = invalidArgument("cache name is empty")
	}
	at := opCachesDeleteByName.at(repo.Workspace, repo.Slug).with(url.Values{"name": {name}}).withError(err)
	return exec(ctx, s.client, at, nil, opts)
}

// GetContentURI returns the URI of a cache's content, which expires after a while. It may be signed: keep it as secret as the
// content. The error is an [ErrNotFound] if the cache doesn't exist.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines-config/caches/{cache_uuid}/content-uri
//
// Scope: pipeline.
func (s *CachesService) GetContentURI(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (string, error) {
	content, err := send[struct {
		URI string `json:"uri"`
	}](ctx, s.client, opCachesContentURI.at(repo.Workspace, repo.Slug, id), nil, opts)
	switch {
	case err != nil:
		return "", err
	case content.URI == "":
		return "", fmt.Errorf("pipelines: %s: the service named no URI", opCachesContentURI.Name)
	}
	return content.URI, nil
}

// Download copies the content of a cache, a compressed archive, to w and returns how many bytes it wrote. It doesn't keep the
// content in memory. If a connection is lost or stalls, or if the URI expires, Download resumes at the next byte. It returns an
// error if a later URI has other content. A Content-Encoding of the storage host is decoded. Credentials are sent only if the
// content is at the API's own origin. opts apply to the requests for the URI.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines-config/caches/{cache_uuid}/content-uri
//
// Scope: pipeline.
func (s *CachesService) Download(
	ctx context.Context, repo Repo, id string, w io.Writer, opts ...CallOption,
) (int64, error) {
	k, err := s.client.newCall(ctx, endpoint{op: opCachesDownload}, nil, opts) // not sent, as in logSource
	if err != nil {
		return 0, err
	}
	source := k.contentSource(func(ctx context.Context, header http.Header) (*http.Response, error) {
		uri, err := s.GetContentURI(ctx, repo, id, opts...)
		if err != nil {
			return nil, err
		}
		return s.client.openURL(ctx, uri, header)
	})
	source.Retry = linkExpired
	r, err := rangereader.Open(ctx, source, rangereader.Range{})
	if err != nil {
		return 0, err
	}
	n, err := r.WriteTo(w) // which closes r if w panics
	_ = r.Close()          // err is the error that matters
	return n, err
}

// linkExpired reports whether a storage host refused a link that the service returned. Another link may work.
func linkExpired(err error) bool {
	var link *expiredLinkError
	return errors.As(err, &link) && link.direct
}

// openURL requests the content of a cache at a URI from the service.
func (c *Client) openURL(ctx context.Context, uri string, header http.Header) (*http.Response, error) {
	k, err := c.newCall(ctx, endpoint{op: opCachesDownload}, nil, nil)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(uri)
	if err != nil { // it would show the URI
		return nil, k.wrap(errors.New("the service's URI is malformed"))
	}
	u = c.base.ResolveReference(u)
	if u.User != nil || (u.Scheme != "https" && u.Scheme != c.base.Scheme) {
		return nil, k.wrap(errors.New("the service's URI is neither https nor of the base URL's scheme"))
	}
	k.url = u
	return k.fetch(ctx, header)
}
