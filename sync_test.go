package pipelines_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// scopes are the variables of each kind of owner, with what the service has of them.
func scopes(srv *pipelinestest.Server, c *pipelines.Client) map[string]struct {
	set  *pipelines.VariableSet
	have func() []pipelines.Variable
} {
	type scope = struct {
		set  *pipelines.VariableSet
		have func() []pipelines.Variable
	}
	r := srv.AddRepository("acme", "site")
	e := r.AddEnvironment("Staging", pipelines.EnvironmentStaging)
	return map[string]scope{
		"repository":  {c.Variables.InRepository(repo), r.Variables},
		"workspace":   {c.Variables.InWorkspace("acme"), srv.AddWorkspace("acme").Variables},
		"environment": {c.Variables.InEnvironment(repo, e.UUID()), e.Variables},
		"team":        {c.Variables.InTeam("crew"), srv.AddTeam("crew").Variables},
		"user":        {c.Variables.InUser("ada"), srv.AddUser("ada").Variables},
	}
}

func wanted(n int) []pipelines.VariableRequest {
	all := make([]pipelines.VariableRequest, n)
	for i := range all {
		all[i] = pipelines.VariableRequest{Key: fmt.Sprintf("KEY_%03d", i), Value: fmt.Sprint("value ", i), Secured: new(i%10 == 9)}
	}
	return all
}

// syncVariables plans and applies.
func syncVariables(t *testing.T, set *pipelines.VariableSet, desired []pipelines.VariableRequest, o *pipelines.SyncOptions) (*pipelines.SyncPlan, error) {
	t.Helper()
	plan, err := set.Plan(t.Context(), desired, o)
	require.NoError(t, err)
	return plan, set.Apply(t.Context(), plan)
}

func TestAPlanMakesAScopeHaveTheWantedVariables(t *testing.T) {
	for _, name := range []string{"repository", "workspace", "environment", "team", "user"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pipelinestest.NewServer()
				defer srv.Close()
				s := scopes(srv, srv.Client())[name]
				ifMissing := &pipelines.SyncOptions{Prune: true, Secured: pipelines.SecuredIfMissing}

				plan, err := syncVariables(t, s.set, wanted(500), ifMissing)
				require.NoError(t, err)
				require.Len(t, plan.Create, 500)
				require.Len(t, s.have(), 500)
				time.Sleep(time.Minute) // an environment's show late

				srv.ClearRequests()
				plan, err = syncVariables(t, s.set, wanted(500), ifMissing)
				require.NoError(t, err)
				require.True(t, plan.Empty(), plan)
				require.Len(t, srv.Requests(), 5, "reads of 100, and no writes")

				changed := wanted(499)
				changed[0].Value, changed[1].Secured = "another", new(true)
				srv.ClearRequests()
				plan, err = syncVariables(t, s.set, changed, ifMissing)
				require.NoError(t, err)
				require.Len(t, plan.Update, 2)
				require.Len(t, plan.Delete, 1)
				require.Len(t, srv.Requests(), 5+3)
				have := map[string]pipelines.Variable{}
				for _, v := range s.have() {
					have[v.Key] = v
				}
				require.Len(t, have, 499)
				require.Equal(t, "another", have["KEY_000"].Value)
				require.True(t, have["KEY_001"].Secured)
			})
		})
	}
}

func TestAPlanIsADiffWithSecuredValuesMasked(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	for _, v := range []pipelines.Variable{
		{Key: "SAME", Value: "1"}, {Key: "OTHER", Value: "old"}, {Key: "TOKEN", Value: "s3cret-1", Secured: true}, {Key: "OPEN", Value: "s3cret-2"},
		{Key: "CLOSED", Value: "s3cret-3", Secured: true}, {Key: "GONE", Value: "x"}, {Key: "AWAY", Value: "x"},
	} {
		r.AddVariable(v)
	}
	desired := []pipelines.VariableRequest{
		{Key: "NEW", Value: "1\n2"}, {Key: "SECRET", Value: "s3cret-4", Secured: new(true)}, {Key: "SAME", Value: "1"}, {Key: "OTHER", Value: "new"},
		{Key: "TOKEN", Value: "s3cret-5", Secured: new(true)}, {Key: "OPEN", Value: "s3cret-2", Secured: new(true)}, {Key: "CLOSED", Value: "open", Secured: new(false)},
	}
	set := srv.Client().Variables.InRepository(repo)
	plan, err := set.Plan(t.Context(), desired, &pipelines.SyncOptions{Prune: true})
	require.NoError(t, err)
	want := `+ NEW = "1\n2"
+ SECRET = ****** (secured)
~ OTHER = "old" -> "new"
~ TOKEN = ****** (secured), rewritten
~ OPEN = ****** (secured), was not secured
~ CLOSED = "open", was secured
- AWAY
- GONE
2 to create, 4 to change, 2 to delete, 1 unchanged`
	require.Equal(t, want, plan.String())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		require.Equal(t, want, fmt.Sprintf(verb, plan))
	}

	plan, err = set.Plan(t.Context(), desired, nil)
	require.NoError(t, err)
	require.Empty(t, plan.Delete, "nothing is deleted that wasn't asked for")
}

func TestPlansThatCannotBeAreRefused(t *testing.T) {
	srv := record(t, answerJSON(`{"values":[]}`))
	c := newClient(t, srv.base())
	set := c.Variables.InRepository(repo)
	_, err := set.Plan(t.Context(), []pipelines.VariableRequest{{Value: "1"}}, nil)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	_, err = set.Plan(t.Context(), []pipelines.VariableRequest{{Key: "A"}, {Key: "A"}}, nil)
	require.ErrorContains(t, err, `"A" twice`)
	require.ErrorIs(t, set.Apply(t.Context(), nil), pipelines.ErrInvalidArgument)
	require.ErrorIs(t, set.Apply(t.Context(), &pipelines.SyncPlan{}), pipelines.ErrInvalidArgument)
	require.Empty(t, srv.seen())
	plan, err := set.Plan(t.Context(), nil, nil)
	require.NoError(t, err)
	require.ErrorContains(t, c.Variables.InWorkspace("acme").Apply(t.Context(), plan), "made for other variables")
}

func TestApplyStopsAtTheFirstErrorAndASecondRunFinishesTheRest(t *testing.T) {
	for name, tc := range map[string]struct {
		fault   pipelinestest.Fault
		unknown bool
	}{
		"refused":                         {pipelinestest.Fault{Status: 403}, false},
		"unknown, and nothing to be seen": {pipelinestest.Fault{Status: 502}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pipelinestest.NewServer()
				defer srv.Close()
				r := srv.AddRepository("acme", "site")
				r.AddVariable(pipelines.Variable{Key: "OLD"})
				set := srv.Client().Variables.InRepository(repo)
				plan, err := set.Plan(t.Context(), wanted(5), &pipelines.SyncOptions{Prune: true})
				require.NoError(t, err)
				tc.fault.Method, tc.fault.Times, tc.fault.Skip = http.MethodPost, 1, 2
				srv.Inject(tc.fault)
				err = set.Apply(t.Context(), plan)
				var stopped *pipelines.SyncError
				require.ErrorAs(t, err, &stopped)
				require.Equal(t, []string{"create KEY_000", "create KEY_001"}, stopped.Done)
				require.Equal(t, "create KEY_002", stopped.Failed)
				require.Equal(t, 3, stopped.Left)
				if tc.unknown {
					require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
				}
				require.ErrorContains(t, err, "done before: create KEY_000, create KEY_001; 3 not tried")

				plan, err = syncVariables(t, set, wanted(5), &pipelines.SyncOptions{Prune: true})
				require.NoError(t, err)
				require.Len(t, plan.Create, 3)
				requireValues(t, wanted(5), r.Variables())
			})
		})
	}
}

func requireValues(t *testing.T, want []pipelines.VariableRequest, have []pipelines.Variable) {
	t.Helper()
	require.Len(t, have, len(want))
	for i := range want {
		assert.Equal(t, want[i].Key, have[i].Key)
		assert.Equal(t, want[i].Value, have[i].Value)
	}
}

func TestApplyCreatesNoKeyTwice(t *testing.T) {
	for name, fault := range map[string]pipelinestest.Fault{
		"whose answer is lost":    {Drop: pipelinestest.DropAfter},
		"whose answer is cut off": {Cut: true, After: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pipelinestest.NewServer()
				defer srv.Close()
				r := srv.AddRepository("acme", "site")
				set := srv.Client().Variables.InRepository(repo)
				fault.Method = http.MethodPost
				srv.Inject(fault)
				_, err := syncVariables(t, set, wanted(3), nil)
				require.NoError(t, err, "it looks, and finds what it created")
				requireValues(t, wanted(3), r.Variables())
			})
		})
	}
}

func TestAPlanThatHasGrownOldDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		r := srv.AddRepository("acme", "site")
		for _, key := range []string{"KEY_000", "KEY_001", "OLD"} {
			r.AddVariable(pipelines.Variable{Key: key, Value: "old"})
		}
		set := srv.Client().Variables.InRepository(repo)
		plan, err := set.Plan(t.Context(), wanted(4), &pipelines.SyncOptions{Prune: true})
		require.NoError(t, err)
		for _, key := range []string{"KEY_001", "OLD"} {
			one, err := set.GetByKey(t.Context(), key)
			require.NoError(t, err)
			require.NoError(t, set.Delete(t.Context(), one.UUID))
		}
		r.AddVariable(pipelines.Variable{Key: "KEY_002", Value: "somebody else's"})
		require.NoError(t, set.Apply(t.Context(), plan))
		require.NoError(t, set.Apply(t.Context(), plan), "twice")
		have := map[string]string{}
		for _, v := range r.Variables() {
			have[v.Key] = v.Value
		}
		require.Equal(t, map[string]string{"KEY_000": "value 0", "KEY_001": "value 1", "KEY_002": "value 2", "KEY_003": "value 3"}, have)
	})
}

func TestAPlanKnowsWhatWasCreatedAMomentAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &variableStore{late: 5 * time.Second}
		hc := &http.Client{Transport: hosts{"http://api.example": store.ServeHTTP}}
		set := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Variables.InEnvironment(repo, "{e}")
		for range 3 {
			_, err := syncVariables(t, set, []pipelines.VariableRequest{{Key: "K", Value: "1"}}, nil)
			require.NoError(t, err)
		}
		require.Equal(t, []string{"K=1"}, store.values())
	})
}
