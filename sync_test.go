package pipelines_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

func TestAPlanMakesAScopeHaveTheWantedVariables(t *testing.T) {
	t.Parallel()
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
		t.Run(verb, func(t *testing.T) {
			require.Equal(t, want, fmt.Sprintf(verb, plan))
		})
	}

	plan, err = set.Plan(t.Context(), desired, nil)
	require.NoError(t, err)
	require.Empty(t, plan.Delete, "nothing is deleted that wasn't asked for")
}

func TestInvalidPlansAreRefused(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[]}`))
	c := newClient(t, srv.base())
	set := c.Variables.InRepository(repo)
	_, err := set.Plan(t.Context(), []pipelines.VariableRequest{{Value: "1"}}, nil)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	_, err = set.Plan(t.Context(), []pipelines.VariableRequest{{Key: "A"}, {Key: "A"}}, nil)
	require.ErrorContains(t, err, `"A" twice`)
	require.ErrorIs(t, set.Apply(t.Context(), nil), pipelines.ErrInvalidArgument)
	require.ErrorIs(t, set.Apply(t.Context(), &pipelines.SyncPlan{}), pipelines.ErrInvalidArgument)
	srv.requireSent(t, 0)
	plan, err := set.Plan(t.Context(), nil, nil)
	require.NoError(t, err)
	require.ErrorContains(t, c.Variables.InWorkspace("acme").Apply(t.Context(), plan), "made for other variables")
}

func TestPlanDeletesNoVariableWhoseKeyCannotBeRead(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[{"uuid":"{1}","key":"A"},{"uuid":"{2}","key":{"name":"B"}}]}`))
	variables := newClient(t, srv.base()).Variables.InRepository(repo)
	all, err := variables.List(t.Context(), nil).Collect()
	require.NoError(t, err)
	require.Len(t, all, 2)
	_, err = variables.Plan(t.Context(), nil, &pipelines.SyncOptions{Prune: true})
	require.ErrorContains(t, err, `"{2}" is listed without a key`)
}

func TestAPlanNeedsTheMembersThatItCompares(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[{"uuid":"{1}","key":"K"}],"size":1}`))
	set := newClient(t, srv.base()).Variables.InRepository(repo)
	for fields, sent := range map[string]int{
		"values.uuid,values.key,values.secured": 0, "-values.value": 0, "values.key": 0, "size": 0, "-values": 0,
		"values": 1, "*": 1, "values.*": 1, "+values.x": 1, "values.uuid,values.key, values.value,values.secured": 1, "-values.type": 1,
	} {
		before := len(srv.seen())
		_, err := set.Plan(t.Context(), []pipelines.VariableRequest{{Key: "K"}}, nil, pipelines.WithQuery("fields", fields))
		if sent == 0 {
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument, fields)
		} else {
			require.NoError(t, err, fields)
		}
		require.Len(t, srv.seen(), before+sent, fields)
	}
}

func TestPlanVariablesPlansWhatASetOfTheSameListDoes(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	for _, v := range []pipelines.Variable{
		{Key: "KEY_000", Value: "old"}, {Key: "KEY_001", Value: "value 1"}, {Key: "KEY_009", Value: "s3cret", Secured: true}, {Key: "OLD", Value: "1"},
	} {
		r.AddVariable(v)
	}
	set := srv.Client().Variables.InRepository(repo)
	there, err := set.List(t.Context(), nil).Collect()
	require.NoError(t, err)
	for _, o := range []*pipelines.SyncOptions{nil, {Prune: true}, {Secured: pipelines.SecuredIfMissing, Verify: true}} {
		srv.ClearRequests()
		pure, err := pipelines.PlanVariables(there, wanted(12), o)
		require.NoError(t, err)
		require.Empty(t, srv.Requests())
		plan, err := set.Plan(t.Context(), wanted(12), o)
		require.NoError(t, err)
		require.Equal(t, plan.String(), pure.String())
		require.Equal(t, plan.Unchanged, pure.Unchanged)
		require.Equal(t, plan.Update, pure.Update)
	}
	pure, err := pipelines.PlanVariables(there, wanted(12), &pipelines.SyncOptions{Prune: true})
	require.NoError(t, err)
	require.NoError(t, set.Apply(t.Context(), pure))
	require.Len(t, r.Variables(), 12)
}

func TestVariablesOfAnEnvironmentThatDoesNotExistYetArePlanned(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	plan, err := pipelines.PlanVariables(nil, wanted(3), &pipelines.SyncOptions{Prune: true, Verify: true})
	require.NoError(t, err)
	require.Len(t, plan.Create, 3)
	for _, name := range []string{"Staging", "Production"} {
		e := r.AddEnvironment(name, pipelines.EnvironmentStaging)
		require.NoError(t, srv.Client().Variables.InEnvironment(repo, e.UUID()).Apply(t.Context(), plan), "any set applies it")
		requireValues(t, wanted(3), e.Variables())
	}
}

func TestPlanVariablesRefusesWhatCannotBePlanned(t *testing.T) {
	for name, tc := range map[string]struct {
		there  []*pipelines.Variable
		wanted []pipelines.VariableRequest
		says   string
	}{
		"a variable that is nil":    {[]*pipelines.Variable{nil}, nil, "there[0] has no key"},
		"a variable without a key":  {[]*pipelines.Variable{{Key: "A"}, {UUID: "{1}"}}, nil, "there[1] has no key"},
		"a request without a key":   {nil, []pipelines.VariableRequest{{Value: "1"}}, "wanted[0] has no key"},
		"a key that is twice there": {nil, []pipelines.VariableRequest{{Key: "A"}, {Key: "A"}}, `"A" twice`},
		"a secret without a value":  {nil, []pipelines.VariableRequest{{Key: "A", Secured: new(true)}}, "has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pipelines.PlanVariables(tc.there, tc.wanted, nil)
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			require.ErrorContains(t, err, "pipelines: PlanVariables: ")
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestAVariableWithoutAUUIDIsNeitherUpdatedNorDeleted(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[]}`))
	set := newClient(t, srv.base()).Variables.InRepository(repo)
	there := []*pipelines.Variable{{Key: "A", Value: "1"}, {Key: "B", Value: "1"}}
	for says, request := range map[string]pipelines.VariableRequest{
		`"A" to update has no UUID`: {Key: "A", Value: "2"}, `"B" to delete has no UUID`: {Key: "A", Value: "1"},
	} {
		plan, err := pipelines.PlanVariables(there, []pipelines.VariableRequest{request}, &pipelines.SyncOptions{Prune: true, Verify: true})
		require.NoError(t, err)
		err = set.Apply(t.Context(), plan)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		require.ErrorContains(t, err, says)
	}
	srv.requireSent(t, 0)
}

func TestRewriteDecidesForEachSecuredVariable(t *testing.T) {
	there := []*pipelines.Variable{
		{UUID: "{1}", Key: "STALE", Secured: true}, {UUID: "{2}", Key: "FRESH", Secured: true}, {UUID: "{3}", Key: "ASIS", Secured: true},
		{UUID: "{4}", Key: "CLOSE", Value: "1"}, {UUID: "{5}", Key: "OPEN", Secured: true}, {UUID: "{6}", Key: "PLAIN", Value: "1"},
	}
	requests := []pipelines.VariableRequest{
		{Key: "STALE", Value: "new", Secured: new(true)}, {Key: "FRESH", Secured: new(true)}, {Key: "ASIS", Value: "3"},
		{Key: "CLOSE", Value: "1", Secured: new(true)}, {Key: "OPEN", Value: "1", Secured: new(false)}, {Key: "PLAIN", Value: "1"},
		{Key: "MISSING", Value: "1", Secured: new(true)},
	}
	for _, policy := range []pipelines.SecuredSync{pipelines.SecuredAlways, pipelines.SecuredIfMissing} {
		var asked []string
		plan, err := pipelines.PlanVariables(there, requests, &pipelines.SyncOptions{
			Secured: policy,
			Rewrite: func(there pipelines.Variable, wanted pipelines.VariableRequest) bool {
				require.Equal(t, wanted.Key, there.Key)
				asked = append(asked, there.UUID+" "+wanted.Value)
				return there.Key == "STALE"
			},
		})
		require.NoError(t, err)
		require.Equal(t, []string{"{1} new", "{2} ", "{3} 3"}, asked, "the others differ or are the same for certain")
		require.Equal(t, `+ MISSING = ****** (secured)
~ STALE = ****** (secured), rewritten
~ CLOSE = ****** (secured), was not secured
~ OPEN = "1", was secured
1 to create, 3 to change, 0 to delete, 3 unchanged`, plan.String())
	}
	_, err := pipelines.PlanVariables(there, requests, &pipelines.SyncOptions{
		Rewrite: func(pipelines.Variable, pipelines.VariableRequest) bool { return true },
	})
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument, "FRESH has no value to write")
}

// The value of a variable that becomes secured often is the secret already.
func TestAChangeThatSecuresAVariableShowsNoValue(t *testing.T) {
	plan, err := pipelines.PlanVariables([]*pipelines.Variable{{UUID: "{1}", Key: "TOKEN", Value: "s3cret-old"}},
		[]pipelines.VariableRequest{{Key: "TOKEN", Value: "s3cret-new", Secured: new(true)}}, nil)
	require.NoError(t, err)
	var logged strings.Builder
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(handler).Info("change", "change", plan.Update[0], "plan", plan)
	}
	for _, shown := range []string{
		fmt.Sprintf("%v", plan.Update), fmt.Sprintf("%+v", *plan), fmt.Sprintf("%#v", plan.Update[0]), fmt.Sprintf("%#v", plan), logged.String(),
	} {
		require.NotContains(t, shown, "s3cret")
		require.Contains(t, shown, "TOKEN")
	}
}
