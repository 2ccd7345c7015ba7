package pipelines_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestPollingOptionsThatCannotWorkAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, _ *pipelinestest.Repository, c *pipelines.Client) {
		_, err := c.Pipelines.Wait(t.Context(), repo, "1", &pipelines.WaitOptions{RequestsPerHour: -1})
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		for _, o := range []pipelines.WatchOptions{{RequestsPerHour: -1}, {Logs: -2}} {
			for e, err := range c.Pipelines.Watch(t.Context(), repo, "1", &o) {
				require.Nil(t, e)
				require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			}
		}
		_, err = c.Pipelines.Wait(t.Context(), repo, "", nil)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		require.Empty(t, srv.Requests())
	})
}

func TestPollsComeSoonAfterAChangeAndSeldomInQuiet(t *testing.T) {
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		r.Script("", pipelinestest.Script{Parsing: 5 * time.Minute, Steps: []pipelinestest.Step{{Duration: 10 * time.Minute}}})
		id := start(t, c).UUID
		begin := time.Now()
		srv.ClearRequests()
		_, err := c.Pipelines.Wait(t.Context(), repo, id, nil)
		require.NoError(t, err)
		var at []time.Duration
		for _, req := range srv.Requests() {
			at = append(at, req.Time.Sub(begin))
		}
		change := 0 // the first poll that saw the run going
		for at[change] < 5*time.Minute {
			change++
		}
		require.Equal(t, 2*time.Second, at[1]-at[0])
		require.Equal(t, 30*time.Second, at[change]-at[change-1])
		require.Equal(t, 2*time.Second, at[change+1]-at[change])
		require.Equal(t, 3*time.Second, at[change+2]-at[change+1])
	})
}

func TestPollsWaitForAQuotaThatIsUsedUp(t *testing.T) {
	for name, follow := range map[string]func(*testing.T, *pipelines.Client, string){
		"by Wait": func(t *testing.T, c *pipelines.Client, id string) {
			t.Helper()
			p, err := c.Pipelines.Wait(t.Context(), repo, id, nil)
			require.NoError(t, err)
			require.True(t, p.State.Succeeded())
		},
		"by Watch": func(t *testing.T, c *pipelines.Client, id string) {
			t.Helper()
			seen, err := collect(t, t.Context(), c, id)
			require.NoError(t, err)
			require.Equal(t, lines("b", 100), seen.logs["Build"].String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pipelinestest.NewServer(pipelinestest.WithQuota(40))
				defer srv.Close()
				r := srv.AddRepository("acme", "site")
				r.Script("", pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 3 * time.Hour, Log: lines("b", 100)}}})
				c := srv.Client(pipelines.WithBasicAuth("me@example.com", "token")) // the service doesn't tell them the quota
				follow(t, c, start(t, c).UUID)
				refused := 0
				for _, req := range srv.Requests() {
					if req.Status == http.StatusTooManyRequests {
						refused++
					}
				}
				require.Positive(t, refused)
				require.LessOrEqual(t, refused, 3*12+1, "one look each five minutes")
			})
		})
	}
}
