package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
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
	// The content lies where the service says.
	opCachesDownload = op("Caches.Download", http.MethodGet, "", idempotent)
)

// Cache is a cache of a pipeline's files. The service deletes it after a week.
type Cache struct {
	Type          string    `json:"type,omitzero"`
	UUID          string    `json:"uuid,omitzero"`
	Name          string    `json:"name,omitzero"`
	PipelineUUID  string    `json:"pipeline_uuid,omitzero"` // the run that made it
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

// Delete deletes one cache. One that does not exist is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines-config/caches/{cache_uuid}
//
// Scope: pipeline:write.
func (s *CachesService) Delete(ctx context.Context, repo Repo, id string, opts ...CallOption) error {
	return exec(ctx, s.client, opCachesDelete.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// DeleteByName deletes every version of the cache with a name. A name that does not exist is an [ErrNotFound], or no error
// at all: the service documents the one and may do the other.
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

// GetContentURI returns where the content of a cache can be downloaded for a while. The URI may be signed: keep it as secret as
// the content. A cache that does not exist is an [ErrNotFound].
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

// Download copies the content of a cache, a compressed archive, to w and returns how many bytes it wrote. Nothing of it is
// kept in memory; a connection that is lost or stalls is replaced, and an expired URI too. It ends with an error if a later URI
// leads to other content. A Content-Encoding of the storage host is undone. Credentials go along only if the content lies at
// the API's own origin. The options are those of the request for the URI.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines-config/caches/{cache_uuid}/content-uri
//
// Scope: pipeline.
func (s *CachesService) Download(
	ctx context.Context, repo Repo, id string, w io.Writer, opts ...CallOption,
) (int64, error) {
	var r rangeReader
	err := r.open(ctx, s.client.policyFor(opts), opCachesDownload.Name, LogOptions{}, func(ctx context.Context, header http.Header) (*http.Response, error) {
		uri, err := s.GetContentURI(ctx, repo, id, opts...)
		if err != nil {
			return nil, err
		}
		return s.client.openURL(ctx, opCachesDownload, uri, header)
	})
	if err != nil {
		return 0, err
	}
	n, err := r.WriteTo(w) // which closes r if w panics
	_ = r.Close()          // all that it has to tell is in err
	return n, err
}

// openURL sends a GET to a URL that the service gave.
func (c *Client) openURL(ctx context.Context, o *operation, uri string, header http.Header) (*http.Response, error) {
	k, err := c.newCall(ctx, endpoint{op: o}, nil, nil)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(uri)
	if err != nil { // which would show it
		return nil, k.wrap(errors.New("the service's URI is malformed"))
	}
	u = c.base.ResolveReference(u)
	if u.User != nil || (u.Scheme != "https" && u.Scheme != c.base.Scheme) {
		return nil, k.wrap(errors.New("the service's URI is neither https nor of the base URL's scheme"))
	}
	k.url = u
	return k.fetch(ctx, header)
}
