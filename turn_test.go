package pipelines_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestRunsThatTakeTurnsDoNotHoldUpARetry(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
		script := pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 10 * time.Minute}}}
		var ids []string
		for range 10 {
			ids = append(ids, r.AddRun(script, time.Now()).UUID)
		}
		for range 150 { // so that the others aren't on the list of the newest
			r.AddRun(script, time.Now())
		}
		srv.Inject(pipelinestest.Fault{Path: "/repositories/{workspace}/{repo_slug}/pipelines/{uuid}", Status: 503, Skip: 12, Times: 20})
		var resp *http.Response
		begin := time.Now()
		_, err := c.Pipelines.WaitAll(t.Context(), repo, ids, nil, pipelines.WithResponse(&resp))
		require.NoError(t, err)
		require.Less(t, time.Since(begin), time.Hour)
	})
}
