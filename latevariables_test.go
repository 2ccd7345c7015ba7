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

func TestALateVariableIsTheOneAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pipelinestest.NewServer()
		defer srv.Close()
		srv.AddRepository("acme", "site").AddEnvironment("Test", pipelines.EnvironmentTest)
		mine, other := srv.Client(), srv.Client()
		env, err := mine.Deployments.ListEnvironments(t.Context(), repo, nil).First()
		require.NoError(t, err)
		set := mine.Variables.InEnvironment(repo, env.UUID)
		created, err := set.Create(t.Context(), pipelines.VariableRequest{Key: "A", Value: "1"})
		require.NoError(t, err)
		_, err = set.Update(t.Context(), created.UUID, pipelines.VariableUpdate{Key: "B", Value: new("2")})
		require.NoError(t, err)
		found, err := set.GetByKey(t.Context(), "B")
		require.NoError(t, err)
		require.Equal(t, "2", found.Value)
		_, err = set.GetByKey(t.Context(), "A")
		require.ErrorIs(t, err, pipelines.ErrNotFound)

		require.NoError(t, other.Variables.InEnvironment(repo, env.UUID).Delete(t.Context(), created.UUID))
		again, err := set.Set(t.Context(), pipelines.VariableRequest{Key: "B", Value: "3"})
		require.NoError(t, err)
		require.NotEqual(t, created.UUID, again.UUID)
	})
}

func TestALateVariableThatIsDeletedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &variableStore{late: 5 * time.Second}
		hc := &http.Client{Transport: hosts{"http://api.example": store.ServeHTTP}}
		set := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Variables.InEnvironment(repo, "{e}")
		created, err := set.Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: "1"})
		require.NoError(t, err)
		_, err = set.GetByKey(t.Context(), "K")
		require.NoError(t, err, "though it is not listed yet")
		require.NoError(t, set.Delete(t.Context(), created.UUID))
		_, err = set.GetByKey(t.Context(), "K")
		require.ErrorIs(t, err, pipelines.ErrNotFound)

		_, err = set.Create(t.Context(), pipelines.VariableRequest{Key: "L", Value: "1"})
		require.NoError(t, err)
		store.mu.Lock()
		store.variables = nil // somebody else deletes it
		store.mu.Unlock()
		time.Sleep(time.Minute)
		_, err = set.GetByKey(t.Context(), "L")
		require.ErrorIs(t, err, pipelines.ErrNotFound, "the memory is short")
	})
}

// Without a UUID it cannot be recognized in the list.
func TestALateVariableWithoutAUUIDIsNotRemembered(t *testing.T) {
	listed := `{"values":[]}`
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			serve(201, "application/json", `{"key":"K","value":"v"}`)(w, req)
			return
		}
		serveJSON(listed)(w, req)
	})
	variables := newClient(t, srv.base()).Variables.InEnvironment(repo, "{e}")
	_, err := variables.Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: "v"})
	require.NoError(t, err)
	_, err = variables.GetByKey(t.Context(), "K")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	listed = `{"values":[{"uuid":"{1}","key":"K","value":"v"}]}`
	plan, err := variables.Plan(t.Context(), []pipelines.VariableRequest{{Key: "K", Value: "v"}}, nil)
	require.NoError(t, err)
	require.Len(t, plan.Unchanged, 1)
	require.Empty(t, plan.Create)
}

func TestALateVariableIsInAPlan(t *testing.T) {
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

func TestAPartialResponseLeavesNothingOutOfALateVariable(t *testing.T) {
	partial := pipelines.WithQuery("fields", "uuid")
	request := pipelines.VariableRequest{Key: "K", Value: "1", Secured: new(true)}
	for name, write := range map[string]func(*pipelines.VariableSet) error{
		"of a creation": func(set *pipelines.VariableSet) error { return second(set.Create(t.Context(), request, partial)) },
		"of an update": func(set *pipelines.VariableSet) error {
			created, err := set.Create(t.Context(), request)
			require.NoError(t, err)
			return second(set.Update(t.Context(), created.UUID, pipelines.VariableUpdate{Value: new("2")}, partial))
		},
		"of an update of everything": func(set *pipelines.VariableSet) error {
			created, err := set.Create(t.Context(), pipelines.VariableRequest{Key: "J", Value: "1"})
			require.NoError(t, err)
			update := pipelines.VariableUpdate{Key: "K", Value: new("2"), Secured: new(true)}
			return second(set.Update(t.Context(), created.UUID, update, partial))
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, func(w http.ResponseWriter, req *http.Request) {
				switch {
				case req.Method == http.MethodGet:
					serveJSON(`{"values":[],"size":0}`)(w, req)
				case req.URL.Query().Has("fields"):
					serveJSON(`{"uuid":"{1}"}`)(w, req)
				default:
					serveJSON(`{"uuid":"{1}","key":"K","secured":true}`)(w, req)
				}
			})
			set := newClient(t, srv.base()).Variables.InEnvironment(repo, "{e}")
			require.NoError(t, write(set))
			_, err := set.Set(t.Context(), pipelines.VariableRequest{Key: "K", Value: "3"})
			require.NoError(t, err)
			seen := srv.seen()
			last := seen[len(seen)-1]
			require.Equal(t, http.MethodPut, last.Method, "it exists already")
			require.Contains(t, last.Body, `"secured":true`, "the secret stays one")
		})
	}
}

func TestAPlanComparesALateVariableWithWhatWasRequested(t *testing.T) {
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			serveJSON(`{"values":[],"size":0}`)(w, req)
			return
		}
		serveJSON(`{"uuid":"{1}"}`)(w, req)
	})
	set := newClient(t, srv.base()).Variables.InEnvironment(repo, "{e}")
	partial := pipelines.WithQuery("fields", "uuid")
	_, err := set.Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: "1"}, partial)
	require.NoError(t, err)
	for _, value := range []string{"1", ""} {
		plan, err := set.Plan(t.Context(), []pipelines.VariableRequest{{Key: "K", Value: value}}, nil)
		require.NoError(t, err)
		require.Len(t, plan.Unchanged, 1, "value %q", value)
		_, err = set.Update(t.Context(), "{1}", pipelines.VariableUpdate{Value: new("")}, partial)
		require.NoError(t, err)
	}
}

// A variable that was created without its UUID being read could not be told from another one in the list.
func TestALateVariableIsNotCreatedByAResponseWithoutItsUUID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &variableStore{late: 5 * time.Second}
		hc := &http.Client{Transport: hosts{"http://api.example": srv.ServeHTTP}}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
		set := c.Variables.InEnvironment(repo, "{e}")
		request := pipelines.VariableRequest{Key: "K", Value: "1"}
		plan, err := set.Plan(t.Context(), []pipelines.VariableRequest{request}, nil)
		require.NoError(t, err)
		partial := pipelines.WithQuery("fields", "values.uuid,values.key,values.secured")
		_, err = set.Set(t.Context(), request, partial)
		require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
		require.ErrorContains(t, err, "leaves uuid out")
		require.ErrorIs(t, set.Apply(t.Context(), plan, partial), pipelines.ErrInvalidArgument)
		require.NotContains(t, srv.requests, http.MethodPost)

		_, err = set.Set(t.Context(), request, partial, pipelines.WithQuery("fields", "uuid"))
		require.NoError(t, err)
		require.Equal(t, []string{"K=1"}, srv.values())
	})
}

// A program that is restarted doesn't know what it has just created, and the service doesn't list it yet.
func TestALateVariableOfAnotherClientIsFoundByItsConflict(t *testing.T) {
	for name, tc := range map[string]struct {
		first, second pipelines.VariableRequest
		writes        []string
	}{
		"as wanted":     {pipelines.VariableRequest{Key: "K", Value: "1"}, pipelines.VariableRequest{Key: "K", Value: "1"}, []string{"POST"}},
		"another value": {pipelines.VariableRequest{Key: "K", Value: "1"}, pipelines.VariableRequest{Key: "K", Value: "2"}, []string{"POST", "PUT"}},
		"empty":         {pipelines.VariableRequest{Key: "K"}, pipelines.VariableRequest{Key: "K"}, []string{"POST", "PUT"}},
		"secured": {
			pipelines.VariableRequest{Key: "K", Value: "1", Secured: new(true)}, pipelines.VariableRequest{Key: "K", Value: "1", Secured: new(true)},
			[]string{"POST", "PUT"},
		},
		"secured, and to stay as it is": {
			pipelines.VariableRequest{Key: "K", Value: "1", Secured: new(true)}, pipelines.VariableRequest{Key: "K", Value: "1"}, []string{"POST", "PUT"},
		},
		"to be secured": {
			pipelines.VariableRequest{Key: "K", Value: "1"}, pipelines.VariableRequest{Key: "K", Value: "1", Secured: new(true)}, []string{"POST", "PUT"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pipelinestest.NewServer()
				defer srv.Close()
				e := srv.AddRepository("acme", "site").AddEnvironment("Test", pipelines.EnvironmentTest)
				_, err := syncVariables(t, srv.Client().Variables.InEnvironment(repo, e.UUID()), []pipelines.VariableRequest{tc.first}, nil)
				require.NoError(t, err)
				srv.ClearRequests()
				restarted := srv.Client().Variables.InEnvironment(repo, e.UUID())
				plan, err := syncVariables(t, restarted, []pipelines.VariableRequest{tc.second}, nil)
				require.NoError(t, err)
				require.Len(t, plan.Create, 1, "it isn't listed yet")
				var writes []string
				for _, req := range srv.Requests() {
					if req.Method != http.MethodGet {
						writes = append(writes, req.Method)
					}
				}
				require.Equal(t, tc.writes, writes)
				require.Len(t, e.Variables(), 1)
				require.Equal(t, tc.second.Value, e.Variables()[0].Value)
				require.Equal(t, tc.first.Secured != nil || tc.second.Secured != nil, e.Variables()[0].Secured)
			})
		})
	}
}
