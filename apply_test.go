package pipelines_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// names are the changes as "action KEY".
func names(changes []pipelines.SyncChange) []string {
	var all []string
	for _, one := range changes {
		all = append(all, one.String())
	}
	return all
}

func TestApplyStopsAtWhatConcernsEveryChangeAndASecondRunFinishesTheRest(t *testing.T) {
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
				require.Equal(t, []string{"create KEY_000", "create KEY_001"}, names(stopped.Done))
				require.Equal(t, []string{"create KEY_002"}, names(stopped.Failed))
				require.Equal(t, []string{"create KEY_003", "create KEY_004", "delete OLD"}, names(stopped.Left))
				if tc.unknown {
					require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
				}
				require.ErrorContains(t, err, "(done: create KEY_000, create KEY_001; 3 not tried)")

				plan, err = syncVariables(t, set, wanted(5), &pipelines.SyncOptions{Prune: true})
				require.NoError(t, err)
				require.Len(t, plan.Create, 3)
				requireValues(t, wanted(5), r.Variables())
			})
		})
	}
}

// seeded is a server with variables to create, to update and to delete.
func seeded(t *testing.T) (*pipelinestest.Server, *pipelinestest.Repository, *pipelines.VariableSet, []pipelines.VariableRequest) {
	t.Helper()
	srv := pipelinestest.NewServer()
	t.Cleanup(srv.Close)
	r := srv.AddRepository("acme", "site")
	for _, key := range []string{"KEY_000", "KEY_001", "OLD_1", "OLD_2"} {
		r.AddVariable(pipelines.Variable{Key: key, Value: "old"})
	}
	return srv, r, srv.Client().Variables.InRepository(repo), wanted(8)
}

func TestOneRefusedChangeStarvesNoOther(t *testing.T) {
	for name, tc := range map[string]struct {
		fault  pipelinestest.Fault
		failed string
	}{
		"a creation that is invalid":       {pipelinestest.Fault{Status: 400, Method: http.MethodPost, Skip: 2}, "create KEY_004"},
		"a creation that is unprocessable": {pipelinestest.Fault{Status: 422, Method: http.MethodPost, Skip: 2}, "create KEY_004"},
		"a creation in conflict":           {pipelinestest.Fault{Status: 409, Method: http.MethodPost, Skip: 2}, "create KEY_004"},
		"an update that is invalid":        {pipelinestest.Fault{Status: 400, Method: http.MethodPut}, "update KEY_000"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, r, set, want := seeded(t)
			tc.fault.Times = 1
			srv.Inject(tc.fault)
			_, err := syncVariables(t, set, want, &pipelines.SyncOptions{Prune: true})
			var failed *pipelines.SyncError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, []string{tc.failed}, names(failed.Failed))
			require.ErrorContains(t, err, tc.failed+": Variables.")
			refusal, ok := errors.AsType[*pipelines.APIError](failed.Failed[0].Err)
			require.True(t, ok)
			require.Equal(t, tc.fault.Status, refusal.StatusCode)
			require.Len(t, failed.Done, 7)
			require.Equal(t, []string{"delete OLD_1", "delete OLD_2"}, names(failed.Left), "nothing is deleted that may still be needed")
			have := map[string]string{}
			for _, v := range r.Variables() {
				have[v.Key] = v.UUID
			}
			for _, one := range slices.Concat(failed.Done, failed.Left) {
				require.NotEmpty(t, one.UUID)
				require.Equal(t, have[one.Key], one.UUID, one.Key)
			}

			_, err = syncVariables(t, set, want, &pipelines.SyncOptions{Prune: true})
			require.NoError(t, err)
			plan, err := set.Plan(t.Context(), want, &pipelines.SyncOptions{Prune: true})
			require.NoError(t, err)
			require.True(t, plan.Empty(), plan)
		})
	}
}

func TestASyncErrorHasTheErrorOfEveryChangeThatFailed(t *testing.T) {
	srv, _, set, want := seeded(t)
	srv.Inject(pipelinestest.Fault{Status: 400, Method: http.MethodPost, Times: 2})
	srv.Inject(pipelinestest.Fault{Status: 422, Method: http.MethodPut, Times: 1})
	srv.Inject(pipelinestest.Fault{Status: 403, Method: http.MethodPost, Skip: 2})
	_, err := syncVariables(t, set, want, nil)
	var failed *pipelines.SyncError
	require.ErrorAs(t, err, &failed)
	require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.Equal(t, []string{"create KEY_002", "create KEY_003", "create KEY_006"}, names(failed.Failed))
	for i, status := range []int{400, 400, 403} {
		refusal, ok := errors.AsType[*pipelines.APIError](failed.Failed[i].Err)
		require.True(t, ok)
		require.Equal(t, status, refusal.StatusCode)
		require.ErrorContains(t, err, failed.Failed[i].String()+": ")
	}
	require.Equal(t, []string{"create KEY_004", "create KEY_005"}, names(failed.Done))
	require.Equal(t, []string{"create KEY_007", "update KEY_000", "update KEY_001"}, names(failed.Left))
}

func TestTheTextOfASyncErrorNamesTenChangesOfEachKind(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	srv.AddRepository("acme", "site")
	set := srv.Client().Variables.InRepository(repo)
	srv.Inject(pipelinestest.Fault{Status: 400, Method: http.MethodPost, Skip: 200})
	_, err := syncVariables(t, set, wanted(500), nil)
	require.ErrorContains(t, err, "create KEY_209: ")
	require.NotContains(t, err.Error(), "KEY_210")
	require.ErrorContains(t, err, "; 290 more (done: create KEY_000, ")
	require.ErrorContains(t, err, ", create KEY_009, 190 more; 0 not tried)")
	_, err = syncVariables(t, set, wanted(500), nil)
	require.ErrorContains(t, err, "; 290 more (done: update KEY_009, ", "secured values are written again")
	require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
}

func TestAChangeIsLoggedWithItsError(t *testing.T) {
	var out strings.Builder
	logger := slog.New(slog.NewTextHandler(&out, nil))
	logger.Info("done", "change", pipelines.SyncChange{Action: "create", Key: "A", UUID: "{1}"})
	require.Contains(t, out.String(), "change.action=create change.key=A change.uuid={1}\n")
	logger.Info("failed", "change", pipelines.SyncChange{Action: "create", Key: "B\x1b", Err: errors.New("refused")})
	require.Contains(t, out.String(), `change.key="B " change.uuid="" change.error=refused`)
}

func TestApplyDeletesNothingMoreOnceADeletionIsRefused(t *testing.T) {
	srv, r, set, _ := seeded(t)
	srv.Inject(pipelinestest.Fault{Status: 400, Method: http.MethodDelete, Times: 1, Skip: 1})
	plan, err := syncVariables(t, set, nil, &pipelines.SyncOptions{Prune: true})
	var failed *pipelines.SyncError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, []string{"delete KEY_000"}, names(failed.Done))
	require.Equal(t, plan.Delete[0].UUID, failed.Done[0].UUID)
	require.Equal(t, plan.Delete[1].UUID, failed.Failed[0].UUID)
	require.Equal(t, []string{"delete OLD_1", "delete OLD_2"}, names(failed.Left))
	require.Len(t, r.Variables(), 3)
}

// What follows a conflict is no refusal of one variable.
func TestApplyStopsIfItCannotListAfterAConflict(t *testing.T) {
	srv, _, set, want := seeded(t)
	plan, err := set.Plan(t.Context(), want, nil)
	require.NoError(t, err)
	srv.Inject(pipelinestest.Fault{Status: 409, Method: http.MethodPost, Times: 1})
	srv.Inject(pipelinestest.Fault{Status: 403, Method: http.MethodGet})
	err = set.Apply(t.Context(), plan)
	var failed *pipelines.SyncError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, []string{"create KEY_002"}, names(failed.Failed))
	require.Len(t, failed.Left, 7)
}

func TestTheChangesOfAPlanAreAppliedOneByOne(t *testing.T) {
	srv, r, set, want := seeded(t)
	plan, err := set.Plan(t.Context(), want, &pipelines.SyncOptions{Prune: true, Verify: true})
	require.NoError(t, err)
	srv.Inject(pipelinestest.Fault{Status: 403, Method: http.MethodPost, Times: 1, Skip: 1})
	var failures []string
	n := 0
	for change := range plan.Changes() {
		n++
		require.Equal(t, 1, len(change.Create)+len(change.Update)+len(change.Delete))
		if err := set.Apply(t.Context(), change); err != nil {
			failures = append(failures, err.Error())
		}
	}
	require.Equal(t, 10, n)
	require.Len(t, failures, 1)
	require.Contains(t, failures[0], "create KEY_003")
	require.Len(t, r.Variables(), 7, "all but one were created, and the deletions done")

	for change := range plan.Changes() {
		require.Len(t, change.Create, 1, "creations come first")
		require.ErrorIs(t, set.Apply(t.Context(), change), pipelines.ErrPlanStale, "a part is verified as the whole is")
		require.ErrorIs(t, srv.Client().Variables.InWorkspace("acme").Apply(t.Context(), change), pipelines.ErrInvalidArgument)
		break
	}
	for range (*pipelines.SyncPlan)(nil).Changes() {
		require.Fail(t, "there is none")
	}
}

func TestAPlanMayBeFilteredBeforeItIsApplied(t *testing.T) {
	srv, r, set, want := seeded(t)
	plan, err := set.Plan(t.Context(), want, &pipelines.SyncOptions{Prune: true, Verify: true})
	require.NoError(t, err)
	plan.Create = slices.DeleteFunc(plan.Create, func(v pipelines.VariableRequest) bool { return v.Key != "KEY_003" })
	plan.Update = plan.Update[:1]
	plan.Delete = nil
	srv.ClearRequests()
	require.NoError(t, set.Apply(t.Context(), plan))
	require.Len(t, srv.Requests(), 1+2, "a list and two writes")
	have := map[string]string{}
	for _, v := range r.Variables() {
		have[v.Key] = v.Value
	}
	require.Equal(t, map[string]string{"KEY_000": "value 0", "KEY_001": "old", "KEY_003": "value 3", "OLD_1": "old", "OLD_2": "old"}, have)
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
		"whose response is lost":    {Drop: pipelinestest.DropAfter},
		"whose response is cut off": {Cut: true, After: 1},
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

func TestApplyWithoutAccessReportsNoDeletionAsDone(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	for _, key := range []string{"A", "B", "C"} {
		r.AddVariable(pipelines.Variable{Key: key, Value: "1"})
	}
	set := srv.Client().Variables.InRepository(repo)
	plan, err := set.Plan(t.Context(), nil, &pipelines.SyncOptions{Prune: true})
	require.NoError(t, err)
	require.Len(t, plan.Delete, 3)
	srv.Inject(pipelinestest.Fault{Status: http.StatusNotFound, Body: "Not Found"})
	err = set.Apply(t.Context(), plan)
	var failed *pipelines.SyncError
	require.ErrorAs(t, err, &failed)
	require.Empty(t, failed.Done)
	require.Equal(t, []string{"delete A"}, names(failed.Failed))
	require.Len(t, failed.Left, 2)
	require.ErrorContains(t, err, "whether the variable is gone is unknown")
	require.Len(t, r.Variables(), 3)
}

func TestApplyCountsADeletionThatFindsNothingOnceAListShowsIt(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	for i := range 5 {
		r.AddVariable(pipelines.Variable{Key: fmt.Sprint("K", i), Value: "1"})
	}
	set := srv.Client().Variables.InRepository(repo)
	plan, err := set.Plan(t.Context(), nil, &pipelines.SyncOptions{Prune: true})
	require.NoError(t, err)
	for _, one := range plan.Delete[:4] {
		require.NoError(t, set.Delete(t.Context(), one.UUID))
	}
	srv.ClearRequests()
	require.NoError(t, set.Apply(t.Context(), plan))
	require.Empty(t, r.Variables())
	require.Len(t, srv.Requests(), 5+1, "one list for all that were gone")
}

func TestApplyDoesNotSeeThatAVariableIsGoneInAPartialListWithoutUUIDs(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	r.AddVariable(pipelines.Variable{Key: "A", Value: "1"})
	set := srv.Client().Variables.InRepository(repo)
	plan, err := set.Plan(t.Context(), nil, &pipelines.SyncOptions{Prune: true})
	require.NoError(t, err)
	srv.Inject(pipelinestest.Fault{Method: http.MethodDelete, Status: http.StatusNotFound, Body: "Not Found"})
	err = set.Apply(t.Context(), plan, pipelines.WithQuery("fields", "values.key,next"))
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.Len(t, r.Variables(), 1)
}

func TestApplySeesNoDeletionInAListWithoutUUIDs(t *testing.T) {
	deleting := false
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case req.Method == http.MethodDelete:
			deleting = true
			w.WriteHeader(http.StatusNotFound)
		case deleting:
			fmt.Fprint(w, `{"values":[{"uuid":7,"key":"A","value":"1"}]}`)
		default:
			fmt.Fprint(w, `{"values":[{"uuid":"{a}","key":"A","value":"1"}]}`)
		}
	})
	set := newClient(t, srv.base()).Variables.InRepository(repo)
	plan, err := set.Plan(t.Context(), nil, &pipelines.SyncOptions{Prune: true})
	require.NoError(t, err)
	err = set.Apply(t.Context(), plan)
	require.ErrorContains(t, err, "whether the variable is gone is unknown")
}

func TestAnOldPlanOpensNoVariableThatWasSecuredSince(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	set := srv.Client().Variables.InRepository(repo)
	for name, secured := range map[string]*bool{"as it is": nil, "opened": new(false)} {
		t.Run(name, func(t *testing.T) {
			plan, err := set.Plan(t.Context(), []pipelines.VariableRequest{{Key: name, Value: "new", Secured: secured}}, nil)
			require.NoError(t, err)
			r.AddVariable(pipelines.Variable{Key: name, Value: "s3cret", Secured: true})
			require.NoError(t, set.Apply(t.Context(), plan))
			for _, v := range r.Variables() {
				if v.Key == name {
					require.Equal(t, secured == nil, v.Secured)
					require.Equal(t, "new", v.Value)
				}
			}
		})
	}
}

func TestASecretThatIsCreatedAfterThePlanIsNotOpened(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	set := srv.Client().Variables.InRepository(repo)
	for key, opens := range map[string]*bool{"ASIS": nil, "OPEN": new(false)} {
		t.Run(key, func(t *testing.T) {
			plan, err := set.Plan(t.Context(), []pipelines.VariableRequest{{Key: key, Value: "1"}}, nil)
			require.NoError(t, err)
			if opens != nil {
				plan, err = set.Plan(t.Context(), []pipelines.VariableRequest{{Key: key, Value: "1", Secured: opens}}, nil)
				require.NoError(t, err)
			}
			require.Equal(t, "+ "+key+" = \"1\"\n1 to create, 0 to change, 0 to delete, 0 unchanged", plan.String())
			r.AddVariable(pipelines.Variable{Key: key, Value: "s3cret", Secured: true})
			require.NoError(t, set.Apply(t.Context(), plan))
			there, err := set.GetByKey(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, opens == nil, there.Secured, key)
		})
	}
}

func TestASyncErrorShowsNoControlCharacters(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			serveJSON(`{"values":[]}`)(w, req)
			return
		}
		serve(400, "text/plain", "no\x1b[2J\nway")(w, req)
	})
	variables := newClient(t, srv.base()).Variables.InRepository(repo)
	plan, err := variables.Plan(t.Context(), []pipelines.VariableRequest{{Key: "K\x1b[2J\n\u202eX", Value: "v"}}, nil)
	require.NoError(t, err)
	err = variables.Apply(t.Context(), plan)
	var stopped *pipelines.SyncError
	require.ErrorAs(t, err, &stopped)
	require.NotContains(t, err.Error(), "\x1b")
	require.NotContains(t, err.Error(), "\n")
	require.NotContains(t, err.Error(), "\u202e")
	require.Equal(t, 1, strings.Count(err.Error(), "pipelines: "), err)

	long := &pipelines.SyncError{
		Done:   []pipelines.SyncChange{{Action: "create", Key: strings.Repeat("A", 700)}, {Action: "create", Key: "B\r"}},
		Failed: []pipelines.SyncChange{{Action: "create", Key: "C\x00", Err: errors.Join(errors.New("one"), errors.New("two"))}},
	}
	require.Equal(t, "pipelines: Variables.Apply: create C : one two (done: create "+strings.Repeat("A", 700)+", create B ; 0 not tried)", long.Error())
}

func TestApplySeesNoDeletionInAListWithoutItems(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Method == http.MethodDelete:
			serve(404, "text/plain", "Not Found")(w, req)
		case req.URL.Query().Has("fields"):
			serveJSON(`{"size":1}`)(w, req)
		default:
			serveJSON(`{"values":[{"uuid":"{1}","key":"A","value":"1"}],"size":1}`)(w, req)
		}
	})
	set := newClient(t, srv.base()).Variables.InRepository(repo)
	plan, err := set.Plan(t.Context(), nil, &pipelines.SyncOptions{Prune: true})
	require.NoError(t, err)
	err = set.Apply(t.Context(), plan, pipelines.WithQuery("fields", "size"))
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.ErrorContains(t, err, "whether the variable is gone is unknown")
}

func TestAnApplyErrorDoesNotDenyWhatMayHaveTakenEffect(t *testing.T) {
	failed := pipelines.SyncChange{Action: "create", Key: "A", Err: &pipelines.OutcomeUnknownError{Operation: "Variables.Create", Err: errors.New("connection lost")}}
	unknown := &pipelines.SyncError{Failed: []pipelines.SyncChange{failed}}
	require.ErrorContains(t, unknown, "(nothing else was done; 0 not tried)")
	failed.Err = errors.New("refused")
	require.ErrorContains(t, &pipelines.SyncError{Failed: []pipelines.SyncChange{failed}}, "(nothing was done; 0 not tried)")
}
