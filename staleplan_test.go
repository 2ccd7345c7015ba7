package pipelines_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// edited are variables of each kind that a plan knows: to create, to update, to open, to delete and to leave.
var edited = []pipelines.VariableRequest{
	{Key: "NEW", Value: "1"}, {Key: "LEVEL", Value: "debug"}, {Key: "OPEN", Value: "1", Secured: new(false)}, {Key: "SAME", Value: "1"},
}

func seedEdited(r *pipelinestest.Repository) {
	for _, v := range []pipelines.Variable{
		{Key: "LEVEL", Value: "info"}, {Key: "OPEN", Value: "s3cret", Secured: true}, {Key: "SAME", Value: "1"}, {Key: "OLD", Value: "1"},
	} {
		r.AddVariable(v)
	}
}

var verifying = &pipelines.SyncOptions{Prune: true, Verify: true}

func TestAVerifiedPlanThatIsStaleChangesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*testing.T, *pipelinestest.Repository, *pipelines.VariableSet)
		says string
	}{
		"created":           {add(pipelines.Variable{Key: "NEW", Value: "hers-1"}), `"NEW" exists already`},
		"changed":           {add(pipelines.Variable{Key: "LEVEL", Value: "hers-2"}), `"LEVEL" has another value`},
		"secured":           {add(pipelines.Variable{Key: "LEVEL", Value: "hers-3", Secured: true}), `"LEVEL" is now secured`},
		"opened":            {add(pipelines.Variable{Key: "OPEN", Value: "hers-4"}), `"OPEN" is no longer secured`},
		"in use again":      {add(pipelines.Variable{Key: "OLD", Value: "hers-5"}), `"OLD" has another value`},
		"what was the same": {add(pipelines.Variable{Key: "SAME", Value: "hers-6"}), `"SAME" has another value`},
		"renamed":           {add(pipelines.Variable{Key: "old", Value: "1"}), `"OLD" is now called "old"`},
		"deleted":           {remove("LEVEL"), `"LEVEL" is gone`},
		"created anew": {func(t *testing.T, r *pipelinestest.Repository, set *pipelines.VariableSet) {
			t.Helper()
			remove("OLD")(t, r, set)
			r.AddVariable(pipelines.Variable{Key: "OLD", Value: "1"})
		}, `"OLD" is gone`},
		"several": {func(t *testing.T, r *pipelinestest.Repository, set *pipelines.VariableSet) {
			t.Helper()
			remove("OLD")(t, r, set)
			r.AddVariable(pipelines.Variable{Key: "NEW", Value: "hers-7", Secured: true})
		}, `"NEW" exists already, "OLD" is gone`},
	} {
		t.Run(name, func(t *testing.T) {
			srv := pipelinestest.NewServer()
			defer srv.Close()
			r := srv.AddRepository("acme", "site")
			seedEdited(r)
			set := srv.Client().Variables.InRepository(repo)
			planned, err := set.Plan(t.Context(), edited, verifying)
			require.NoError(t, err)
			there, err := set.List(t.Context(), nil).Collect()
			require.NoError(t, err)
			pure, err := pipelines.PlanVariables(there, edited, verifying)
			require.NoError(t, err)
			tc.edit(t, r, set)
			before := r.Variables()
			for _, plan := range []*pipelines.SyncPlan{planned, pure} {
				srv.ClearRequests()
				err := set.Apply(t.Context(), plan)
				require.ErrorIs(t, err, pipelines.ErrPlanStale)
				require.ErrorContains(t, err, "Variables.Apply: the plan is stale: "+tc.says)
				require.NotContains(t, err.Error(), "hers")
				require.Len(t, srv.Requests(), 1, "one list")
				require.Equal(t, before, r.Variables())
			}
		})
	}
}

func add(v pipelines.Variable) func(*testing.T, *pipelinestest.Repository, *pipelines.VariableSet) {
	return func(_ *testing.T, r *pipelinestest.Repository, _ *pipelines.VariableSet) { r.AddVariable(v) }
}

func remove(key string) func(*testing.T, *pipelinestest.Repository, *pipelines.VariableSet) {
	return func(t *testing.T, _ *pipelinestest.Repository, set *pipelines.VariableSet) {
		t.Helper()
		one, err := set.GetByKey(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, set.Delete(t.Context(), one.UUID))
	}
}

func TestAVerifiedPlanOfVariablesThatAreAsTheyWereIsApplied(t *testing.T) {
	for name, edit := range map[string]func(*testing.T, *pipelinestest.Repository, *pipelines.VariableSet){
		"nobody edits":                      add(pipelines.Variable{Key: "LEVEL", Value: "info"}),
		"a secured value, which can't show": add(pipelines.Variable{Key: "OPEN", Value: "another", Secured: true}),
		"one that the plan doesn't name":    add(pipelines.Variable{Key: "OTHER", Value: "1"}),
	} {
		t.Run(name, func(t *testing.T) {
			srv := pipelinestest.NewServer()
			defer srv.Close()
			r := srv.AddRepository("acme", "site")
			seedEdited(r)
			set := srv.Client().Variables.InRepository(repo)
			plan, err := set.Plan(t.Context(), edited, verifying)
			require.NoError(t, err)
			edit(t, r, set)
			srv.ClearRequests()
			require.NoError(t, set.Apply(t.Context(), plan))
			require.Len(t, srv.Requests(), 1+4, "one list, then the writes")
			require.ErrorIs(t, set.Apply(t.Context(), plan), pipelines.ErrPlanStale, "twice")

			plan, err = set.Plan(t.Context(), edited, &pipelines.SyncOptions{Verify: true})
			require.NoError(t, err)
			srv.ClearRequests()
			require.NoError(t, set.Apply(t.Context(), plan))
			require.Empty(t, srv.Requests(), "there is nothing to do")
		})
	}
}

func TestAVerifiedPlanOverwritesNoVariableThatIsCreatedAfterTheList(t *testing.T) {
	for name, tc := range map[string]struct {
		hers    pipelines.Variable
		refused bool
	}{
		"another value":         {pipelines.Variable{Key: "NEW", Value: "hers"}, true},
		"secured":               {pipelines.Variable{Key: "NEW", Value: "hers", Secured: true}, true},
		"what the plan creates": {pipelines.Variable{Key: "NEW", Value: "1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
			r := srv.AddRepository("acme", "site")
			seedEdited(r)
			set := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPost {
					r.AddVariable(tc.hers)
				}
				return srv.Transport().RoundTrip(req)
			})})).Variables.InRepository(repo)
			_, err := syncVariables(t, set, edited, verifying)
			have, getErr := set.GetByKey(t.Context(), "LEVEL")
			require.NoError(t, getErr)
			require.Equal(t, "debug", have.Value, "the other changes are made")
			if !tc.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, pipelines.ErrConflict)
			var failed *pipelines.SyncError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, []string{"create NEW"}, names(failed.Failed))
			require.Equal(t, []string{"delete OLD"}, names(failed.Left))
			for _, v := range r.Variables() {
				if v.Key == "NEW" {
					require.Equal(t, tc.hers.Value, v.Value)
					require.Equal(t, tc.hers.Secured, v.Secured)
				}
			}
		})
	}
}

func TestAVerifiedPlanIsNotAppliedIfTheListCannotBeRead(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	seedEdited(srv.AddRepository("acme", "site"))
	set := srv.Client().Variables.InRepository(repo)
	plan, err := set.Plan(t.Context(), edited, verifying)
	require.NoError(t, err)
	require.ErrorIs(t, set.Apply(t.Context(), plan, pipelines.WithQuery("fields", "values.uuid")), pipelines.ErrInvalidArgument)
	srv.Inject(pipelinestest.Fault{Status: 403, Method: http.MethodGet})
	srv.ClearRequests()
	err = set.Apply(t.Context(), plan)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.NotErrorIs(t, err, pipelines.ErrPlanStale)
	require.Len(t, srv.Requests(), 1)
}

// What a lost answer leaves open is whether the variable there is the plan's own: one with another value isn't.
func TestAVerifiedPlanOverwritesNoVariableOfSomebodyElseAfterALostAnswer(t *testing.T) {
	for name, hers := range map[string]pipelines.Variable{
		"another value": {Key: "NEW", Value: "hers"}, "secured": {Key: "NEW", Value: "hers", Secured: true},
	} {
		t.Run(name, func(t *testing.T) {
			srv := pipelinestest.NewServer(pipelinestest.WithInProcess())
			r := srv.AddRepository("acme", "site")
			seedEdited(r)
			set := srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPost {
					r.AddVariable(hers)
					return nil, errors.New("connection reset")
				}
				return srv.Transport().RoundTrip(req)
			})})).Variables.InRepository(repo)
			_, err := syncVariables(t, set, edited, verifying)
			require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
			for _, v := range r.Variables() {
				if v.Key == "NEW" {
					require.Equal(t, hers.Value, v.Value)
					require.Equal(t, hers.Secured, v.Secured)
				}
			}
		})
	}
}
