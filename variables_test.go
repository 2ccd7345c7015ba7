package pipelines_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestSetCreatesOrUpdates(t *testing.T) {
	for name, tc := range map[string]struct {
		late   time.Duration
		faults []http.HandlerFunc
	}{
		"a variable that shows at once":                       {},
		"a variable that shows late":                          {late: 5 * time.Second},
		"after a creation of unknown outcome":                 {faults: []http.HandlerFunc{serve(502, "text/html", "")}},
		"after a creation of unknown outcome that shows late": {late: 5 * time.Second, faults: []http.HandlerFunc{serve(502, "text/html", "")}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &variableStore{late: tc.late, faults: tc.faults}
				hc := &http.Client{Transport: hosts{"http://api.example": store.ServeHTTP}}
				set := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Variables.InEnvironment(repo, "{e}")
				for _, value := range []string{"1", "2", "3"} {
					_, err := set.Set(t.Context(), pipelines.VariableRequest{Key: "K", Value: value})
					require.NoError(t, err)
				}
				require.Equal(t, []string{"K=3"}, store.values())
				found, err := set.GetByKey(t.Context(), "K")
				require.NoError(t, err)
				require.Equal(t, "{1}", found.UUID)
				got, err := set.Get(t.Context(), "{1}")
				require.NoError(t, err)
				require.Equal(t, "K", got.Key)
			})
		})
	}
}

func TestSetByTwoClientsAtOnceCreatesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &variableStore{late: 5 * time.Second}
		hc := &http.Client{Transport: hosts{"http://api.example": store.ServeHTTP}}
		for i := range 2 { // another client knows nothing of what the first one has just created
			set := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc)).Variables.InEnvironment(repo, "{e}")
			_, err := set.Set(t.Context(), pipelines.VariableRequest{Key: "K", Value: fmt.Sprint(i)})
			require.NoError(t, err)
		}
		require.Equal(t, []string{"K=1"}, store.values())
	})
}

func TestSetSaysWhereNothingCanBeKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &variableStore{late: time.Hour, faults: []http.HandlerFunc{serve(502, "text/html", "")}}
		hc := &http.Client{Transport: hosts{"http://api.example": store.ServeHTTP}}
		c := newClient(t, "http://api.example", pipelines.WithHTTPClient(hc))
		start := time.Now()
		_, err := c.Variables.InEnvironment(repo, "{e}").Set(t.Context(), pipelines.VariableRequest{Key: "K", Value: "1"})
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
		require.Less(t, time.Since(start), 20*time.Second)

		_, err = c.Variables.InRepository(repo).Set(t.Context(), pipelines.VariableRequest{Key: "K", Value: "1"})
		require.ErrorIs(t, err, pipelines.ErrConflict, "somebody else has it, and it can't be seen")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Variables.InEnvironment(repo, "{e}").Set(ctx, pipelines.VariableRequest{Key: "K", Value: "1"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, pipelines.ErrConflict, "what was waited for")
	})
}

func TestSetReturnsAnUnknownOutcomeWhereItCannotListEither(t *testing.T) {
	srv := record(t, sequence(serveJSON(`{"values":[]}`), serve(502, "text/html", ""), serve(403, "text/plain", "")))
	_, err := newClient(t, srv.base()).Variables.InRepository(repo).Set(t.Context(), pipelines.VariableRequest{Key: "K", Value: "1"})
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	srv.requireSent(t, 3)
}

func TestInvalidVariablesAreRefused(t *testing.T) {
	srv := record(t, serveJSON(`{}`))
	c := newClient(t, srv.base())
	set := c.Variables.InRepository(repo)
	calls := map[string]func() error{
		"Create without a key": func() error {
			_, err := set.Create(t.Context(), pipelines.VariableRequest{Value: "s3cret"})
			return err
		},
		"Set without a key": func() error { _, err := set.Set(t.Context(), pipelines.VariableRequest{Value: "s3cret"}); return err },
		"GetByKey of none":  func() error { _, err := set.GetByKey(t.Context(), ""); return err },
		"Update of nothing": func() error { _, err := set.Update(t.Context(), "{v}", pipelines.VariableUpdate{}); return err },
		"Get of an environment's without an ID": func() error {
			_, err := c.Variables.InEnvironment(repo, "{e}").Get(t.Context(), "")
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			err := call()
			assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, name)
			assert.NotContains(t, err.Error(), "s3cret")
		})
	}
	srv.requireSent(t, 0)
}

func TestAVariableThatIsNotListedIsNamed(t *testing.T) {
	c := newClient(t, record(t, serveJSON(`{"values":[{"uuid":"{0}","key":"A"}]}`)).base())
	_, err := c.Variables.InRepository(repo).GetByKey(t.Context(), "B")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.EqualError(t, err, `pipelines: Variables.GetByKey: variable "B": not found`)
	_, err = c.Variables.InEnvironment(repo, "{e}").Get(t.Context(), "{1}")
	require.ErrorIs(t, err, pipelines.ErrNotFound)
	require.EqualError(t, err, `pipelines: Variables.Get: variable "{1}": not found`)
}

func TestVariableUpdatesSendWhatTheyChange(t *testing.T) {
	for want, update := range map[string]pipelines.VariableUpdate{
		`{"key":"K"}`:                  {Key: "K"},
		`{"value":""}`:                 {Value: new("")},
		`{"value":"v","secured":true}`: {Value: new("v"), Secured: new(true)},
		`{"secured":false}`:            {Secured: new(false)},
	} {
		t.Run(want, func(t *testing.T) {
			srv := record(t, serveJSON(`{"key":"K"}`))
			v, err := newClient(t, srv.base()).Variables.InWorkspace("acme").Update(t.Context(), "{v}", update)
			require.NoError(t, err)
			require.Equal(t, "K", v.Key)
			require.Equal(t, want, srv.only(t).Body)
			require.Equal(t, "/2.0/workspaces/acme/pipelines-config/variables/%7Bv%7D", srv.only(t).Path)
		})
	}
}

func TestMarshallingAVariableLeavesASecuredValueOut(t *testing.T) {
	for want, v := range map[string]pipelines.Variable{
		`{"key":"K","secured":true}`: {Key: "K", Value: "s3cret", Secured: true},
		`{"key":"K","value":"v"}`:    {Key: "K", Value: "v"},
	} {
		t.Run(want, func(t *testing.T) {
			got, err := json.Marshal(v)
			require.NoError(t, err)
			require.JSONEq(t, want, string(got))
		})
	}
}

func TestASecondPageThatIsNotThereDoesNotMakeAVariableAbsent(t *testing.T) {
	var wrote bool
	srv := record(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Method != http.MethodGet:
			wrote = true
			serveJSON(`{"uuid":"{1}","key":"B"}`)(w, req)
		case req.URL.Query().Get("page") == "2":
			noPages["404"](w, req)
		default:
			serveJSON(`{"size":2,"values":[{"uuid":"{0}","key":"A"}]}`)(w, req)
		}
	})
	set := newClient(t, srv.base()).Variables.InRepository(repo)
	_, err := set.GetByKey(t.Context(), "B")
	require.Error(t, err)
	require.NotErrorIs(t, err, pipelines.ErrNotFound)
	var refused *pipelines.APIError
	require.ErrorAs(t, err, &refused)
	_, err = set.Set(t.Context(), pipelines.VariableRequest{Key: "B", Value: "x"})
	require.Error(t, err)
	require.False(t, wrote, "nothing is created where the list could not be read")
	_, err = set.Plan(t.Context(), []pipelines.VariableRequest{{Key: "B", Value: "x"}}, nil)
	require.Error(t, err)
}

func TestAListWithoutKeysDoesNotMakeAVariableAbsent(t *testing.T) {
	for name, tc := range map[string]struct{ fields, body string }{
		"a partial list":          {"values.uuid", `{"values":[{"uuid":"{1}"}],"size":1}`},
		"without keys":            {"-values.key", `{"values":[{"uuid":"{1}","value":"1"}],"size":1}`},
		"without items":           {"uuid", `{"size":1}`},
		"a key that is not a key": {"", `{"values":[{"uuid":"{1}","key":[7]}],"size":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveJSON(tc.body))
			set := newClient(t, srv.base()).Variables.InRepository(repo)
			var opts []pipelines.CallOption
			if tc.fields != "" {
				opts = append(opts, pipelines.WithQuery("fields", tc.fields))
			}
			_, getErr := set.GetByKey(t.Context(), "K", opts...)
			_, setErr := set.Set(t.Context(), pipelines.VariableRequest{Key: "K", Value: "2"}, opts...)
			_, planErr := set.Plan(t.Context(), []pipelines.VariableRequest{{Key: "K", Value: "2"}}, nil, opts...)
			for _, err := range []error{getErr, setErr, planErr} {
				require.Error(t, err)
				require.NotErrorIs(t, err, pipelines.ErrNotFound)
			}
			for _, req := range srv.seen() {
				require.Equal(t, http.MethodGet, req.Method)
			}
		})
	}
	odd := `{"values":[{"uuid":"{1}","key":[7]},{"uuid":"{2}","key":"K"}],"size":2}`
	found, err := newClient(t, record(t, serveJSON(odd)).base()).Variables.InRepository(repo).GetByKey(t.Context(), "K")
	require.NoError(t, err, "another one's key doesn't matter")
	require.Equal(t, "{2}", found.UUID)
}

func TestGetOfAnEnvironmentsVariableNeedsListedUUIDs(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[{"key":"K"}],"size":1}`))
	set := newClient(t, srv.base()).Variables.InEnvironment(repo, "{e}")
	_, err := set.Get(t.Context(), "{1}", pipelines.WithQuery("fields", "values.key"))
	require.ErrorContains(t, err, `variable "K" is listed without a UUID`)
	require.NotErrorIs(t, err, pipelines.ErrNotFound)
}

// A partial response without the member looks like one of a variable that isn't secured.
func TestAPartialListOpensNoSecuredVariable(t *testing.T) {
	partial := pipelines.WithQuery("fields", "values.uuid,values.key,uuid")
	list := `{"values":[{"uuid":"{1}","key":"K"}],"size":1}`
	request := pipelines.VariableRequest{Key: "K", Value: "2"}

	srv := record(t, serveJSON(list))
	set := newClient(t, srv.base()).Variables.InRepository(repo)
	_, err := set.Set(t.Context(), request, partial)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.ErrorContains(t, err, "leaves values.secured out")
	_, err = set.Plan(t.Context(), []pipelines.VariableRequest{request}, nil, partial)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	srv.requireSent(t, 0)

	conflict := serve(409, "application/json", `{"error":{"message":"exists"}}`)
	srv = record(t, sequence(serveJSON(`{"values":[],"size":0}`), conflict, serveJSON(list)))
	set = newClient(t, srv.base()).Variables.InRepository(repo)
	plan, err := set.Plan(t.Context(), []pipelines.VariableRequest{request}, nil)
	require.NoError(t, err)
	require.ErrorIs(t, set.Apply(t.Context(), plan, partial), pipelines.ErrConflict)
	srv.requireSent(t, 2)

	request.Secured = new(true)
	srv = record(t, sequence(serveJSON(list), serveJSON(`{"uuid":"{1}"}`)))
	_, err = newClient(t, srv.base()).Variables.InRepository(repo).Set(t.Context(), request, partial)
	require.NoError(t, err, "a request that says it needs no list that does")
	srv.requireSent(t, 2)
}
