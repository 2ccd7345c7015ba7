package pipelines_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// isRunList reports whether a request is one for a list of runs.
func isRunList(path string) bool { return strings.HasSuffix(path, "/pipelines") }

func TestRunsThatAreDueTogetherShareOneList(t *testing.T) {
	t.Parallel()
	for _, latency := range []time.Duration{0, 200 * time.Millisecond} {
		bubble(t, func(t *testing.T, srv *pipelinestest.Server, r *pipelinestest.Repository, c *pipelines.Client) {
			srv.Inject(pipelinestest.Fault{Latency: latency})
			f, err := c.NewFollower(&pipelines.FollowerOptions{WithoutSteps: true})
			require.NoError(t, err)
			script := pipelinestest.Script{Steps: []pipelinestest.Step{{Name: "Build", Duration: 10 * time.Minute}}}
			for range 20 {
				require.NoError(t, f.Add(repo, r.AddRun(script, time.Now()).UUID, pipelines.Cursor{}))
			}
			for _, err := range f.Events(t.Context()) {
				require.NoError(t, err)
				if f.Len() == 0 {
					break
				}
			}
			lists := 0
			for _, req := range srv.Requests() {
				if isRunList(req.Path) {
					lists++
				}
			}
			require.LessOrEqual(t, lists, 70)
		})
	}
}

func TestAListThatWasOvertakenTakesNoRunBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		r := srv.AddRepository("acme", "site")
		c := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: &firstListLate{RoundTripper: srv.Transport()}}))
		script := pipelinestest.Script{Pending: 10 * time.Second, Steps: []pipelinestest.Step{{Name: "Build", Duration: time.Minute}}}
		f, err := c.NewFollower(&pipelines.FollowerOptions{WithoutSteps: true})
		require.NoError(t, err)
		first := r.AddRun(script, time.Now()).UUID
		require.NoError(t, f.Add(repo, first, pipelines.Cursor{}))
		time.AfterFunc(9900*time.Millisecond, func() {
			for range 2 { // whose first list comes after the next look at the first run
				assert.NoError(t, f.Add(repo, r.AddRun(script, time.Now()).UUID, pipelines.Cursor{}))
			}
		})
		var told []string
		for e, err := range f.Events(t.Context()) {
			require.NoError(t, err)
			if e.PipelineUUID == first {
				told = append(told, e.Pipeline.State.String())
			}
			if f.Len() == 0 {
				break
			}
		}
		require.Equal(t, []string{"PENDING", "RUNNING", "SUCCESSFUL"}, told)
	})
}

// firstListLate delivers the first list of runs late.
type firstListLate struct {
	http.RoundTripper
	lists atomic.Int64
}

func (l *firstListLate) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(req)
	if isRunList(req.URL.Path) && l.lists.Add(1) == 1 {
		time.Sleep(5 * time.Second)
	}
	return resp, err
}
