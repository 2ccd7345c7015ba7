package pipelines_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-85ed9bfd/pipelines"
)

// TestAContextThatEndsJustAsARequestMayBeSentIsNoUnknownOutcome lets it end when nobody waits for it any more. net/http then asks for no
// connection, as transports that report nothing.
func TestAContextThatEndsJustAsARequestMayBeSentIsNoUnknownOutcome(t *testing.T) {
	for name, option := range map[string]func(end func()) pipelines.Option{
		"after the limiter": func(end func()) pipelines.Option {
			return pipelines.WithLimiter(limiterFunc(func(context.Context) error {
				end()
				return nil
			}))
		},
		"with the token": func(end func()) pipelines.Option {
			return pipelines.WithTokenSource(tokenSource(func() (*oauth2.Token, error) {
				defer end()
				return &oauth2.Token{AccessToken: "a"}, nil
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveJSON(`{}`))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := newClient(t, srv.base(), option(cancel)).Pipelines.Run(ctx, repo, mainBranch)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			srv.requireSent(t, 0)
		})
	}
}
