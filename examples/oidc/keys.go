package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"github.com/seed-85ed9bfd/pipelines"
)

// How long keys are used. A withdrawn key is dropped after keysFresh, or after keysUsable while the service is unavailable.
const (
	keysFresh    = time.Hour
	keysUsable   = 24 * time.Hour
	fetchEvery   = 30 * time.Second // on average
	fetchBurst   = 3
	fetchTimeout = 10 * time.Second
)

// algorithms are the accepted signing algorithms: the only one of the service, and neither "none" nor one with a shared secret.
var algorithms = []jose.SignatureAlgorithm{jose.RS256}

var (
	errUnknownKey  = errors.New("no key of the issuer has the name that the token gives")
	errUnavailable = errors.New("the issuer's keys can't be read at present")
)

// keySet caches the keys of a workspace. It reads them again when they are old, and when a token has an unknown key ID. Tokens with
// invented IDs can't cause more requests than the limiter allows.
type keySet struct {
	fetch   func(context.Context) (*pipelines.JSONWebKeySet, error)
	limiter *rate.Limiter

	fetching chan struct{} // capacity 1: held while reading; requests with a known key don't wait

	mu      sync.Mutex
	keys    map[string]crypto.PublicKey
	fetched time.Time // zero: never
	trouble error     // of the last read
}

func newKeySet(client *pipelines.Client, workspace string) *keySet {
	return &keySet{
		fetch: func(ctx context.Context) (*pipelines.JSONWebKeySet, error) {
			return client.OIDC.GetKeys(ctx, workspace)
		},
		limiter:  rate.NewLimiter(rate.Every(fetchEvery), fetchBurst),
		fetching: make(chan struct{}, 1),
	}
}

// key returns the key with an ID.
func (k *keySet) key(ctx context.Context, kid string) (crypto.PublicKey, error) {
	key, fetched := k.look(kid)
	if key != nil && time.Since(fetched) < keysFresh {
		return key, nil
	}
	k.refresh(ctx, fetched)
	switch key, fetched = k.look(kid); {
	case fetched.IsZero() || time.Since(fetched) > keysUsable:
		return nil, k.unavailable()
	case key == nil:
		return nil, errUnknownKey
	}
	return key, nil
}

func (k *keySet) look(kid string) (crypto.PublicKey, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[kid], k.fetched
}

func (k *keySet) unavailable() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.trouble == nil {
		return errUnavailable
	}
	return fmt.Errorf("%w: %w", errUnavailable, k.trouble)
}

// refresh reads the keys, unless another goroutine has done so meanwhile or the limiter refuses.
func (k *keySet) refresh(ctx context.Context, seen time.Time) {
	select {
	case k.fetching <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-k.fetching }()
	if _, fetched := k.look(""); fetched.After(seen) || !k.limiter.Allow() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout) // other requests wait for it too
	defer cancel()
	set, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trouble = err
	if err == nil {
		k.keys, k.fetched = usable(set), time.Now()
	}
}

// usable returns the keys that can verify a token, by ID.
func usable(set *pipelines.JSONWebKeySet) map[string]crypto.PublicKey {
	keys := map[string]crypto.PublicKey{}
	for _, webKey := range set.Keys {
		if webKey.Kid == "" || webKey.Use != "" && webKey.Use != "sig" {
			continue
		}
		if key, err := webKey.PublicKey(); err == nil {
			keys[webKey.Kid] = key
		}
	}
	return keys
}

// attempt is the key set for one request. It implements [github.com/coreos/go-oidc/v3/oidc.KeySet]. It keeps its error, because the
// verifier returns only the text.
type attempt struct {
	keys *keySet
	err  error
}

// VerifySignature returns the payload of a token that one of the keys has signed.
func (a *attempt) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	payload, a.err = a.keys.verify(ctx, token)
	return payload, a.err
}

func (k *keySet) verify(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, err
	}
	key, err := k.key(ctx, jws.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, errors.New("the signature isn't that of the issuer's key")
	}
	return payload, nil
}
