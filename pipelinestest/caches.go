package pipelinestest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

type cache struct {
	pipelines.Cache
	content string
}

func (c *cache) id() string { return c.UUID }

// object returns the path of the content in the storage.
func (c *cache) object() string { return "/caches/" + bare(c.UUID) }

// AddCache adds a cache and returns it as stored. If a cache of this name exists, it adds another version. The cache was created at
// createdOn, by default now. Caches never expire.
func (r *Repository) AddCache(name string, content []byte, createdOn ...time.Time) *pipelines.Cache {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	created := r.server.now()
	if len(createdOn) > 0 {
		created = createdOn[0].UTC()
	}
	stored := &cache{pipelines.Cache{
		Type: "pipeline_cache", UUID: r.server.newUUID(), Name: name, KeyHash: fmt.Sprintf("%x", sha256.Sum256(content)),
		Path: "~/." + name, FileSizeBytes: int64(len(content)), CreatedOn: created,
	}, string(content)}
	r.caches = append(r.caches, stored)
	c := stored.Cache
	return &c
}

// Caches returns the caches in the order in which they were added.
func (r *Repository) Caches() []pipelines.Cache {
	return copies(r.server, &r.caches, func(c *cache) pipelines.Cache { return c.Cache })
}

// removeCaches removes the caches that match, with their content, and reports whether there were any.
func (r *Repository) removeCaches(match func(*cache) bool) bool {
	before := len(r.caches)
	r.caches = slices.DeleteFunc(r.caches, func(c *cache) bool {
		if !match(c) {
			return false
		}
		delete(r.server.objects, c.object())
		return true
	})
	return len(r.caches) < before
}

const (
	cachesPath = repositoryPath + "/pipelines-config/caches"
	cachePath  = cachesPath + "/{cache_uuid}"
)

var caches = kind[*cache]{"cache", "cache-service", func(c *call) (*collection[*cache], *response) {
	return &c.repo.caches, nil
}, encodeCache}

var cacheRoutes = []route{
	{http.MethodGet, cachesPath, readPipeline, caches.list},
	{http.MethodDelete, cachesPath, writePipeline, (*call).deleteCachesByName},
	{http.MethodDelete, cachePath, writePipeline, (*call).deleteCache},
	{http.MethodGet, cachePath + "/content-uri", readPipeline, (*call).cacheContentURI},
}

// cacheJSON is the JSON of a cache. Unlike the model it has a size of zero.
type cacheJSON struct {
	pipelines.Cache
	FileSizeBytes int64 `json:"file_size_bytes"`
}

func encodeCache(_ *call, c *cache) any { return cacheJSON{c.Cache, c.FileSizeBytes} }

func (c *call) deleteCache() *response {
	id := c.params["cache_uuid"]
	if !c.repo.removeCaches(func(one *cache) bool { return one.UUID == id }) {
		return caches.notFound(id)
	}
	return emptyResponse(http.StatusNoContent)
}

func (c *call) deleteCachesByName() *response {
	name := c.query.Get("name")
	if name == "" {
		return emptyResponse(http.StatusBadRequest)
	}
	if !c.repo.removeCaches(func(one *cache) bool { return one.Name == name }) {
		return caches.notFound(name)
	}
	return emptyResponse(http.StatusNoContent)
}

func (c *call) cacheContentURI() *response {
	found, errResp := caches.find(c)
	if errResp != nil {
		return errResp
	}
	link := c.store(found.object(), newObject(found.UUID, found.content))
	return c.json(http.StatusOK, map[string]string{"uri": link})
}
