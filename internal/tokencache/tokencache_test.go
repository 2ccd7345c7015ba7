package tokencache_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines/internal/tokencache"
)

// source counts how often it is asked for a token, and returns one after a second that is valid for an hour.
type source struct{ asked int }

func (s *source) fetch(ctx context.Context) (*oauth2.Token, error) {
	s.asked++
	select {
	case <-time.After(time.Second):
		return &oauth2.Token{AccessToken: string(rune('a' + s.asked - 1)), Expiry: time.Now().Add(time.Hour)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestATokenIsFetchedOnceForAllAndKeptUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := tokencache.New(s.fetch, true)
		for range 20 {
			go func() {
				token, err := c.Get(t.Context())
				if err != nil || token.AccessToken != "a" {
					t.Errorf("got %v, %v, want token a", token, err)
				}
			}()
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		require.Equal(t, 1, s.asked, "requests for a token")
		time.Sleep(31 * time.Minute)
		token, err := c.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, "b", token.AccessToken)
	})
}

func TestADroppedTokenIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := tokencache.New(s.fetch, true)
		c.Drop(func(*oauth2.Token) bool { t.Error("there is no token to drop"); return true })
		first, err := c.Get(t.Context())
		require.NoError(t, err)
		c.Drop(func(token *oauth2.Token) bool { return token.AccessToken != first.AccessToken })
		kept, err := c.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, "a", kept.AccessToken)
		c.Drop(func(token *oauth2.Token) bool { return token.AccessToken == first.AccessToken })
		second, err := c.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, "b", second.AccessToken)
	})
}

func TestTheFetchEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := tokencache.New(s.fetch, true)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := c.Get(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		token, err := c.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, "b", token.AccessToken, "a new fetch")
	})
}

func TestAFetchThatCannotBeCancelledIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := tokencache.New(func(context.Context) (*oauth2.Token, error) { return s.fetch(context.Background()) }, false)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := c.Get(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		token, err := c.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, "a", token.AccessToken)
		require.Equal(t, 1, s.asked, "requests for a token")
	})
}

func TestACallersEndDoesNotEndTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := tokencache.New(s.fetch, true)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		go func() { _, _ = c.Get(ctx) }()
		synctest.Wait()
		token, err := c.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, "a", token.AccessToken)
	})
}

func TestASourceWithoutATokenIsAnError(t *testing.T) {
	for name, fetch := range map[string]func(context.Context) (*oauth2.Token, error){
		"neither token nor error": func(context.Context) (*oauth2.Token, error) { return nil, nil }, //nolint:nilnil // on purpose
		"a goroutine that ends":   func(context.Context) (*oauth2.Token, error) { runtime.Goexit(); return nil, nil },
	} {
		_, err := tokencache.New(fetch, true).Get(t.Context())
		require.EqualError(t, err, "token source returned a nil token", name)
	}
	failure := errors.New("no network")
	_, err := tokencache.New(func(context.Context) (*oauth2.Token, error) { return nil, failure }, true).Get(t.Context())
	require.ErrorIs(t, err, failure)
}
