package pipelines_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// variableStore is a list of variables that becomes visible late.
type variableStore struct {
	mu        sync.Mutex
	late      time.Duration
	variables []storedVariable
	faults    []http.HandlerFunc // taken by POSTs, one each; nil: none
	requests  []string
}

type storedVariable struct {
	pipelines.Variable
	at time.Time
}

func (s *variableStore) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, req.Method)
	var in struct {
		Key, Value string
		Secured    bool
	}
	data, _ := io.ReadAll(req.Body)
	_ = json.Unmarshal(data, &in, json.MatchCaseInsensitiveNames(true))
	switch req.Method {
	case http.MethodGet:
		var values []string
		for _, v := range s.variables {
			if time.Since(v.at) >= s.late {
				values = append(values, fmt.Sprintf(`{"uuid":%q,"key":%q,"secured":%t}`, v.UUID, v.Key, v.Secured))
			}
		}
		answerJSON(fmt.Sprintf(`{"values":[%s]}`, strings.Join(values, ",")))(w, req)
	case http.MethodPost:
		var fault http.HandlerFunc
		if len(s.faults) > 0 {
			fault, s.faults = s.faults[0], s.faults[1:]
		}
		for _, v := range s.variables {
			if v.Key == in.Key {
				answer(409, "application/json", `{"error":{"message":"exists"}}`)(w, req)
				return
			}
		}
		id := fmt.Sprintf("{%d}", len(s.variables)+1)
		s.variables = append(s.variables, storedVariable{pipelines.Variable{UUID: id, Key: in.Key, Value: in.Value, Secured: in.Secured}, time.Now()})
		if fault != nil {
			fault(w, req)
			return
		}
		answer(201, "application/json", fmt.Sprintf(`{"uuid":%q,"key":%q,"secured":%t}`, id, in.Key, in.Secured))(w, req)
	case http.MethodPut:
		for i := range s.variables {
			if strings.HasSuffix(req.URL.Path, s.variables[i].UUID) {
				s.variables[i].Value, s.variables[i].Secured = in.Value, in.Secured
			}
		}
		answerJSON(fmt.Sprintf(`{"key":%q}`, in.Key))(w, req)
	case http.MethodDelete:
		s.variables = nil
		w.WriteHeader(http.StatusNoContent)
	}
}

// values are the stored ones, as "KEY=value".
func (s *variableStore) values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, v := range s.variables {
		all = append(all, v.Key+"="+v.Value)
	}
	return all
}

func TestSetCreatesOrUpdates(t *testing.T) {
	for name, tc := range map[string]struct {
		late   time.Duration
		faults []http.HandlerFunc
	}{
		"a variable that shows at once":                       {},
		"a variable that shows late":                          {late: 5 * time.Second},
		"after a creation of unknown outcome":                 {faults: []http.HandlerFunc{answer(502, "text/html", "")}},
		"after a creation of unknown outcome that shows late": {late: 5 * time.Second, faults: []http.HandlerFunc{answer(502, "text/html", "")}},
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
		store := &variableStore{late: time.Hour, faults: []http.HandlerFunc{answer(502, "text/html", "")}}
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

func TestSetSaysThatTheOutcomeIsUnknownWhereItCannotLookEither(t *testing.T) {
	srv := record(t, sequence(answerJSON(`{"values":[]}`), answer(502, "text/html", ""), answer(403, "text/plain", "")))
	_, err := newClient(t, srv.base()).Variables.InRepository(repo).Set(t.Context(), pipelines.VariableRequest{Key: "K", Value: "1"})
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.ErrorIs(t, err, pipelines.ErrForbidden)
	require.Len(t, srv.seen(), 3)
}

func TestADeletedVariableIsForgotten(t *testing.T) {
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

func TestARememberedVariableIsTheOneAsItIs(t *testing.T) {
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

func TestVariablesThatCannotBeAreRefused(t *testing.T) {
	srv := record(t, answerJSON(`{}`))
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
		err := call()
		assert.ErrorIs(t, err, pipelines.ErrInvalidArgument, name)
		assert.NotContains(t, err.Error(), "s3cret")
	}
	require.Empty(t, srv.seen())
}

func TestVariableUpdatesSendWhatTheyChange(t *testing.T) {
	for want, update := range map[string]pipelines.VariableUpdate{
		`{"key":"K"}`:                  {Key: "K"},
		`{"value":""}`:                 {Value: new("")},
		`{"value":"v","secured":true}`: {Value: new("v"), Secured: new(true)},
		`{"secured":false}`:            {Secured: new(false)},
	} {
		srv := record(t, answerJSON(`{"key":"K"}`))
		v, err := newClient(t, srv.base()).Variables.InWorkspace("acme").Update(t.Context(), "{v}", update)
		require.NoError(t, err)
		require.Equal(t, "K", v.Key)
		require.Equal(t, want, srv.only(t).Body)
		require.Equal(t, "/2.0/workspaces/acme/pipelines-config/variables/%7Bv%7D", srv.only(t).Path)
	}
}
