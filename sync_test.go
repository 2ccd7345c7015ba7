package pipelines_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
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
	require.Equal(t, "delete A", failed.Failed)
	require.Equal(t, 2, failed.Left)
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

func TestPlanDeletesNoVariableWhoseKeyCannotBeRead(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[{"uuid":"{1}","key":"A"},{"uuid":"{2}","key":{"name":"B"}}]}`))
	variables := newClient(t, srv.base()).Variables.InRepository(repo)
	all, err := variables.List(t.Context(), nil).Collect()
	require.NoError(t, err)
	require.Len(t, all, 2)
	_, err = variables.Plan(t.Context(), nil, &pipelines.SyncOptions{Prune: true})
	require.ErrorContains(t, err, `"{2}" is listed without a key`)
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

	long := &pipelines.SyncError{Done: []string{"create " + strings.Repeat("A", 700), "create B\r"}, Failed: "create C\x00", Err: errors.Join(errors.New("one"), errors.New("two"))}
	require.Equal(t, "pipelines: Variables.Apply: create C : one two (done before: create "+strings.Repeat("A", 700)+", create B ; 0 not tried)", long.Error())
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
