// Package tokencache keeps an OAuth access token for as long as it is valid, and gets a new one once for all who wait for it.
package tokencache

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/oauth2"
)

// Cache gets its tokens from a function. It is safe for concurrent use.
type Cache struct {
	fetch func(context.Context) (*oauth2.Token, error)
	obeys bool

	mu     sync.Mutex
	token  *oauth2.Token
	flight *flight // the request that is being made
}

// flight is one call of fetch, and the callers who wait for it.
type flight struct {
	done    chan struct{}
	waiters int
	cancel  context.CancelFunc
	token   *oauth2.Token
	err     error
}

// New returns an empty Cache. obeys tells whether fetch returns when its context ends.
func New(fetch func(context.Context) (*oauth2.Token, error), obeys bool) *Cache {
	return &Cache{fetch: fetch, obeys: obeys}
}

// Get returns a valid token. It waits for one until ctx ends.
func (c *Cache) Get(ctx context.Context) (*oauth2.Token, error) {
	c.mu.Lock()
	if c.token.Valid() && !c.token.Expiry.IsZero() {
		defer c.mu.Unlock()
		return c.token, nil
	}
	f := c.flight
	if f == nil {
		f = c.start(ctx)
	}
	f.waiters++
	c.mu.Unlock()

	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		c.leave(f)
		return nil, ctx.Err()
	}
}

// Drop forgets the token if refused reports that it is no longer valid. Another caller may have replaced it already.
func (c *Cache) Drop(refused func(*oauth2.Token) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != nil && refused(c.token) {
		c.token = nil
	}
}

// start calls fetch. It goes on when ctx ends, for the other callers, until the last of them has left.
func (c *Cache) start(ctx context.Context) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel}
	c.flight = f
	go func() {
		defer cancel()
		defer c.land(f) // also if fetch ends its goroutine
		f.token, f.err = c.fetch(ctx)
	}()
	return f
}

// land hands the token to the callers who wait for it.
func (c *Cache) land(f *flight) {
	if f.err == nil && f.token == nil {
		f.err = errors.New("token source returned a nil token")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight == f {
		c.flight = nil
		c.token = f.token
	}
	close(f.done)
}

func (c *Cache) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	if f.waiters > 0 || !c.obeys { // later callers join a fetch that can't be cancelled
		return
	}
	f.cancel()
	if c.flight == f {
		c.flight = nil
	}
}
