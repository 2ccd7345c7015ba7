package pipelines_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// These tests prove that a poll which was granted, and then not sent, keeps nothing from other following.

// moodyLimiter lets requests for logs pass only while it is told to.
type moodyLimiter struct{ wait func(context.Context) error }

func (l *moodyLimiter) Wait(ctx context.Context) error {
	if op, _ := pipelines.OperationFromContext(ctx); op.Name == "Steps.GetLog" && l.wait != nil {
		return l.wait(ctx)
	}
	return nil
}

// requireStillFollows requires that a run of the service is followed to its end.
func requireStillFollows(t *testing.T, c *pipelines.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	_, err := c.Pipelines.Wait(ctx, repo, "1", nil)
	require.NoError(t, err, "nothing is granted any more")
}

func TestALogThatCannotBeFollowedLeavesItsPlaceToOthers(t *testing.T) {
	for name, wait := range map[string]func(context.Context) error{
		"the limiter fails":              func(context.Context) error { return errors.New("no") },
		"its context ends":               func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"the limiter panics":             func(context.Context) error { panic("boom") },
		"the limiter ends its goroutine": func(context.Context) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limiter := &moodyLimiter{wait}
				hc := &http.Client{Transport: hosts{"http://api.example": serveJSON(`{"state":{"name":"COMPLETED"}}`)}}
				c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithLimiter(limiter))
				for range 5 {
					followLogToItsEnd(t, c)
				}
				requireStillFollows(t, c)
			})
		})
	}
}

// followLogToItsEnd follows a log for a second at most, in a goroutine of its own, whatever becomes of that.
func followLogToItsEnd(t *testing.T, c *pipelines.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = recover() }()
		_ = readAll(c.Steps.FollowLog(ctx, repo, "1", "{s}", nil))
	}()
	<-ended
}

func TestALogThatCannotGoOnLeavesItsPlaceToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := &moodyLimiter{}
		hc := &http.Client{Transport: hosts{"http://api.example": func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, "/log") {
				w.Header().Set("Content-Length", "6")
				_, _ = io.WriteString(w, "cut")
				return
			}
			serveJSON(`{"state":{"name":"COMPLETED"}}`)(w, req)
		}}}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc), pipelines.WithLimiter(limiter))
		for range 5 {
			limiter.wait = nil
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			r, err := c.Steps.FollowLog(ctx, repo, "1", "{s}", nil)
			require.NoError(t, err)
			limiter.wait = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
			_, err = io.ReadAll(r)
			require.Error(t, err)
			require.NoError(t, r.Close())
			cancel()
		}
		requireStillFollows(t, c)
	})
}
