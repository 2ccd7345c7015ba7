package pipelines_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// spaced is a limiter that lets requests pass one after the other, in the order in which they came.
type spaced struct {
	every time.Duration

	mu   sync.Mutex
	next time.Time
}

func (l *spaced) Wait(ctx context.Context) error {
	l.mu.Lock()
	at := time.Now()
	if l.next.After(at) {
		at = l.next
	}
	l.next = at.Add(l.every)
	l.mu.Unlock()
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestAStopWaitsForFewPollsThoughTheLimiterIsSlow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, _ *pipelines.Client) {
		c := srv.Client(pipelines.WithLimiter(&spaced{every: 10 * time.Second}))
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for range 60 {
			id := startAt(t, srv.Client(), r, pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 24 * time.Hour}}})
			waiting.Go(func() {
				_, err := c.Pipelines.Wait(ctx, repo, id, nil)
				assert.ErrorIs(t, err, context.Canceled)
			})
		}
		time.Sleep(20 * time.Minute)
		begin := time.Now()
		require.NoError(t, c.Pipelines.Stop(t.Context(), repo, "1"))
		require.LessOrEqual(t, time.Since(begin), 50*time.Second, "four polls are before it, and 10 seconds between two requests")
		cancel()
		waiting.Wait()
	})
}

// followedFor follows 60 runs in repositories of their own for some hours and returns how many requests arrived and were refused.
func followedFor(t *testing.T, srv *pipelinestest.Server, d time.Duration, opts ...pipelines.Option) (sent, refused int) {
	t.Helper()
	c := srv.Client(opts...)
	f := newFollower(t, c, nil)
	for range 60 {
		r := srv.AddRepository("acme", "site-"+time.Now().Format("150405.000"))
		following(t, f, r.Repo(), startAt(t, c, r, pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 2 * d}}}))
		time.Sleep(time.Millisecond)
	}
	srv.ClearRequests()
	ctx := after(t, d)
	for range f.Events(ctx) {
	}
	for _, req := range srv.Requests() {
		if sent++; req.Status == http.StatusTooManyRequests {
			refused++
		}
	}
	return sent, refused
}

func TestFollowingUsesTheQuotaThatTheServiceTells(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		quota       int
		opts        []pipelines.Option
		least, most int // in an hour
	}{
		"more than usual":              {10_000, nil, 2500, 9500},
		"less than usual":              {200, nil, 100, 200},
		"not told":                     {10_000, []pipelines.Option{pipelines.WithBasicAuth("me@example.com", "token")}, 800, 1000},
		"more than the program allows": {10_000, []pipelines.Option{pipelines.WithFollowBudget(100)}, 90, 115},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pipelinestest.NewServer(pipelinestest.WithQuota(tc.quota))
				defer srv.Close()
				sent, refused := followedFor(t, srv, time.Hour, tc.opts...)
				require.Zero(t, refused)
				require.GreaterOrEqual(t, sent, tc.least)
				require.LessOrEqual(t, sent, tc.most)
			})
		})
	}
}

func TestA429LowersTheBudgetOfFollowing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithQuota(300)) // which it doesn't tell
		defer srv.Close()
		sent, refused := followedFor(t, srv, 5*time.Hour, pipelines.WithBasicAuth("me@example.com", "token"))
		require.GreaterOrEqual(t, sent, 750)
		require.LessOrEqual(t, refused, 50, "of %d", sent)
	})
}

func TestAnOutageCostsFewRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		time.AfterFunc(time.Hour, func() {
			srv.ClearRequests()
			srv.Inject(pipelinestest.Fault{Method: http.MethodGet, Status: 503})
		})
		sent, _ := followedFor(t, srv, 2*time.Hour)
		require.LessOrEqual(t, sent, 150, "of 60 runs in an hour")
	})
}

func TestManyOtherCallsUseUpTheBudgetOfFollowing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer(pipelinestest.WithQuota(1000))
		defer srv.Close()
		r := srv.AddRepository("acme", "busy")
		c := srv.Client()
		ctx := after(t, 4*time.Hour)
		var sweep sync.WaitGroup
		sweep.Go(func() { // which takes its time
			for ctx.Err() == nil {
				if _, err := c.Config.Get(ctx, r.Repo()); ctx.Err() == nil {
					assert.NoError(t, err)
				}
				time.Sleep(8 * time.Second)
			}
		})
		f := newFollower(t, c, nil)
		for i := range 30 {
			at := srv.AddRepository("acme", "site-"+string(rune('a'+i)))
			following(t, f, at.Repo(), startAt(t, c, at, pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 24 * time.Hour}}}))
		}
		for range f.Events(ctx) {
		}
		sweep.Wait()
		polls := 0
		for _, req := range srv.Requests() {
			require.NotEqual(t, http.StatusTooManyRequests, req.Status)
			if req.Path != "/2.0/repositories/acme/busy/pipelines_config" {
				polls++
			}
		}
		require.Greater(t, polls, 4*300)
	})
}
