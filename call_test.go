package pipelines_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestCallSendsItsHeaders(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base()+"/", pipelines.WithUserAgent("deploy-bot/1.4"))
	_, err := c.Pipelines.Get(t.Context(), repo, "7")
	require.NoError(t, err)
	got := srv.only(t)
	require.Equal(t, "/2.0/repositories/acme/site/pipelines/7", got.Path)
	require.Equal(t, "Bearer t0ken", got.Header.Get("Authorization"))
	require.Equal(t, "application/json", got.Header.Get("Accept"))
	require.Equal(t, "deploy-bot/1.4 pipelines-go/"+pipelines.Version, got.Header.Get("User-Agent"))
	require.Empty(t, got.Header.Get("Content-Type"))
	require.Empty(t, got.Query)
}

func TestABodyIsTheCallersAgainOnceTheCallHasReturned(t *testing.T) {
	for name, call := range map[string]func(*pipelines.Client, []byte) error{
		"Do": func(c *pipelines.Client, body []byte) error {
			return c.Do(t.Context(), http.MethodPost, "/x", body, nil)
		},
		"RunOnDemand": func(c *pipelines.Client, body []byte) error {
			_, err := c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: mainBranch, YAML: body})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var kept io.ReadCloser
			c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
				kept = req.Body
				return respond(req, 400, ""), nil
			})
			body := []byte("pipelines: {}")
			require.ErrorIs(t, call(c, body), pipelines.ErrInvalidRequest)
			copy(body, "XXXXXXXXXXXXX")
			sent, err := io.ReadAll(kept)
			require.NoError(t, err)
			require.Equal(t, "pipelines: {}", string(sent))
		})
	}
}

func TestCallRefusesANilContext(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	var none context.Context
	_, err := c.Pipelines.Wait(none, repo, "1", nil)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	for _, err := range c.Pipelines.Watch(none, repo, "1", nil) {
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	}
	_, err = c.Steps.FollowLog(none, repo, "1", "{s}", nil)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	_, err = c.Pipelines.List(none, repo, nil).Parallel(4).Collect()
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	_, err = c.Caches.Download(none, repo, "{c}", io.Discard)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	srv.requireSent(t, 0)
}

func TestCallSendsNothingOnceItsContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	srv := record(t, serveJSON(`{}`))
	for _, verb := range verbs {
		t.Run(verb.name, func(t *testing.T) {
			err := verb.call(ctx, newClient(t, srv.base()))
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		})
	}
	srv.requireSent(t, 0)
}

func TestCallReturnsTheCauseOfItsContextsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errShutdown := errors.New("shutting down")
		limited := pipelines.WithLimiter(limiterFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
		for name, opts := range map[string][]pipelines.Option{"waiting": nil, "held by the limiter": {limited}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errShutdown) })
			c := viaFunc(t, func(req *http.Request) (*http.Response, error) {
				resp := respond(req, 503, "")
				resp.Header.Set("Retry-After", "30")
				return resp, nil
			}, opts...)
			for call, do := range map[string]func() error{
				"Get":  func() error { _, err := c.Pipelines.Get(ctx, repo, "1"); return err },
				"Wait": func() error { _, err := c.Pipelines.Wait(ctx, repo, "1", nil); return err },
				"Watch": func() error {
					for _, err := range c.Pipelines.Watch(ctx, repo, "1", nil) {
						return err
					}
					return nil
				},
			} {
				err := do()
				require.ErrorIs(t, err, context.Canceled, "%s %s", call, name)
				require.ErrorIs(t, err, errShutdown, "%s %s", call, name)
			}
		}
	})
}

func TestCallWhoseContextEndsAfterSendingHasAnUnknownOutcome(t *testing.T) {
	for _, verb := range verbs {
		t.Run(verb.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			srv := record(t, func(_ http.ResponseWriter, req *http.Request) {
				cancel()
				<-req.Context().Done()
			})
			err := verb.call(ctx, newClient(t, srv.base()))
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, verb.once, errors.Is(err, pipelines.ErrOutcomeUnknown))
			srv.requireSent(t, 1)
		})
	}
}

func TestDeleteThatFindsNothingAfterAnUnknownOutcomeHasSucceeded(t *testing.T) {
	notFound := serve(404, "application/json", `{"error":{"message":"gone"}}`)
	for name, tc := range map[string]struct {
		handlers []http.HandlerFunc
		succeeds bool
	}{
		"after a dropped connection": {[]http.HandlerFunc{drop, notFound}, true},
		"after a 500":                {[]http.HandlerFunc{serve(500, "text/plain", ""), notFound}, true},
		"at once":                    {[]http.HandlerFunc{notFound}, false},
		"after a 429":                {[]http.HandlerFunc{serve(429, "text/plain", ""), notFound}, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, sequence(tc.handlers...))
			err := newClient(t, srv.base()).Do(t.Context(), http.MethodDelete, "/a", nil, nil)
			if tc.succeeds {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, pipelines.ErrNotFound)
			}
			srv.requireSent(t, len(tc.handlers))
		})
	}
}

func TestDeleteThatFindsNothingAfterAnAttemptThatWasNeverSentHasFailed(t *testing.T) {
	srv := record(t, serve(404, "text/plain", ""))
	first := true
	c := newClient(t, srv.base(), pipelines.WithLimiter(limiterFunc(func(context.Context) error {
		if first {
			first = false
			return errors.New("not now")
		}
		return nil
	})))
	require.ErrorIs(t, c.Do(t.Context(), http.MethodDelete, "/a", nil, nil), pipelines.ErrNotFound)
}

func TestGetThatFindsNothingAfterAnUnknownOutcomeHasFailed(t *testing.T) {
	srv := record(t, sequence(drop, serve(404, "text/plain", "")))
	_, err := newClient(t, srv.base()).Pipelines.Get(t.Context(), repo, "1")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
}
