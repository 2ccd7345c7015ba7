package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// Apply sends many requests, so it has a fault matrix of its own: each of its requests meets each fault, and what Apply reports is
// compared with the state of the server.

// applied is an Apply of a plan with each kind of change, on the variables of one owner.
type applied struct {
	srv   *pipelinestest.Server
	owner variableSeed
	path  http.RoundTripper
	set   *pipelines.VariableSet // over path
	plan  *pipelines.SyncPlan
}

type variableSeed interface {
	AddVariable(pipelines.Variable) *pipelines.Variable
	Variables() []pipelines.Variable
}

var (
	appliedWanted  = []pipelines.VariableRequest{plain("NEW_1", "1"), {Key: "NEW_2", Value: "s3cret", Secured: new(true)}, plain("LEVEL", "debug"), plain("SAME", "1")}
	appliedOptions = &pipelines.SyncOptions{Prune: true, Verify: true, Secured: pipelines.SecuredIfMissing}
)

func newApplied(t *testing.T, late bool) *applied {
	t.Helper()
	a := &applied{srv: pipelinestest.NewServer(pipelinestest.WithInProcess())}
	t.Cleanup(a.srv.Close)
	r := a.srv.AddRepository("acme", "site")
	client := a.srv.Client(pipelines.WithRetry(matrixRetries), pipelines.WithStallTimeout(matrixStall), pipelines.WithHTTPClient(&http.Client{
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) { return a.path.RoundTrip(req) }),
	}))
	a.owner, a.set, a.path = r, client.Variables.InRepository(repo), a.srv.Transport()
	if late {
		e := r.AddEnvironment("Test", pipelines.EnvironmentTest)
		a.owner, a.set = e, client.Variables.InEnvironment(repo, e.UUID())
	}
	for _, key := range []string{"LEVEL", "OLD_1", "OLD_2"} {
		a.owner.AddVariable(pipelines.Variable{Key: key, Value: "info"})
	}
	a.owner.AddVariable(pipelines.Variable{Key: "SAME", Value: "1"})
	a.makePlan(t)
	return a
}

func (a *applied) makePlan(t *testing.T) {
	t.Helper()
	plan, err := a.set.Plan(t.Context(), appliedWanted, appliedOptions)
	require.NoError(t, err)
	a.plan = plan
	a.srv.ClearRequests()
}

// meets makes the request of an index meet the fault, and the later ones too if it stays.
func (a *applied) meets(f fault, index int, stays bool) {
	if f.server != nil {
		injected := *f.server
		injected.Skip = index
		if !stays {
			injected.Times = 1
		}
		a.srv.Inject(injected)
	}
	n := -1
	inner := a.srv.Transport()
	a.path = roundTripper(func(req *http.Request) (*http.Response, error) {
		n++
		if f.wire == nil || n < index || n > index && !stays {
			return inner.RoundTrip(req)
		}
		return f.wire(req, func() (*http.Response, error) { return inner.RoundTrip(req) })
	})
}

func (a *applied) state() map[string]pipelines.Variable {
	all := map[string]pipelines.Variable{}
	for _, v := range a.owner.Variables() {
		all[v.Key] = v
	}
	return all
}

// requireTrue compares what a SyncError reports with the state of the server.
func (a *applied) requireTrue(t *testing.T, reported *pipelines.SyncError, before map[string]pipelines.Variable, about string) {
	t.Helper()
	now := a.state()
	for _, one := range reported.Done {
		v, there := now[one.Key]
		require.Equal(t, one.Action != "delete", there, "%s: %v is done", about, one)
		require.True(t, !there || v.UUID == one.UUID && v.Value != before[one.Key].Value, "%s: %v is done", about, one)
	}
	for _, one := range reported.Left {
		require.Equal(t, before[one.Key], now[one.Key], "%s: %v is not tried", about, one)
	}
	for _, one := range reported.Failed {
		require.Error(t, one.Err, about)
		if one.Action != "delete" {
			require.Contains(t, now, "OLD_1", "%s: nothing is deleted", about)
			require.Contains(t, now, "OLD_2", "%s: nothing is deleted", about)
		}
	}
	require.Equal(t, 5, len(reported.Done)+len(reported.Failed)+len(reported.Left), about)
}

func (a *applied) check(t *testing.T, f fault, index int, stays bool) {
	t.Helper()
	about := fmt.Sprintf("request %d under %s", index, f.title(stays))
	before := a.state()
	a.meets(f, index, stays)
	ctx := t.Context()
	if f.deadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, matrixDeadline)
		defer cancel()
	}
	err := a.set.Apply(ctx, a.plan)
	var reported *pipelines.SyncError
	switch {
	case errors.As(err, &reported):
		a.requireTrue(t, reported, before, about)
	case err != nil: // verifying failed
		require.NotErrorIs(t, err, pipelines.ErrPlanStale, about)
		require.Equal(t, before, a.state(), about)
	default:
		a.requireWanted(t, about)
	}

	a.srv.ClearFaults()
	a.path = a.srv.Transport()
	time.Sleep(time.Hour)
	a.makePlan(t)
	require.NoError(t, a.set.Apply(t.Context(), a.plan), about)
	a.requireWanted(t, about)
	time.Sleep(time.Minute)
	a.makePlan(t)
	require.True(t, a.plan.Empty(), about)
}

func (a *applied) requireWanted(t *testing.T, about string) {
	t.Helper()
	require.Equal(t, wantedLines(appliedWanted), variablesOf(a.owner.Variables()), about)
}

func TestApplyReportsTheTruthUnderEveryFault(t *testing.T) {
	t.Parallel()
	const requests = 1 + 2 + 1 + 2 // the list, creations, the update, deletions
	for name, late := range map[string]bool{"repository": false, "environment": true} {
		t.Run(name, func(t *testing.T) {
			for _, f := range matrixFaults() {
				for index := range requests {
					for _, stays := range []bool{false, true} {
						if f.inStorage || f.deadToken {
							continue
						}
						synctest.Test(t, func(t *testing.T) { newApplied(t, late).check(t, f, index, stays) })
					}
				}
			}
		})
	}
}
