package pipelines_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestASecuredVariableIsOpenedOnlyOnPurpose(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	set := srv.Client().Variables.InRepository(repo)
	secret := func() pipelines.Variable { return r.Variables()[0] }
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "s3cret", Secured: true})

	_, err := set.Set(t.Context(), pipelines.VariableRequest{Key: "TOKEN", Value: "another"})
	require.NoError(t, err)
	require.Equal(t, pipelines.Variable{Type: "pipeline_variable", UUID: secret().UUID, Key: "TOKEN", Value: "another", Secured: true}, secret())
	plan, err := set.Plan(t.Context(), []pipelines.VariableRequest{{Key: "TOKEN", Value: "third"}}, nil)
	require.NoError(t, err)
	require.Equal(t, []pipelines.VariableChange{{
		Before: pipelines.Variable{Type: "pipeline_variable", UUID: secret().UUID, Key: "TOKEN", Secured: true},
		After:  pipelines.VariableRequest{Key: "TOKEN", Value: "third", Secured: new(true)},
	}}, plan.Update)
	require.NoError(t, set.Apply(t.Context(), plan))
	require.True(t, secret().Secured)
	require.Equal(t, "third", secret().Value)

	_, err = set.Set(t.Context(), pipelines.VariableRequest{Key: "TOKEN", Value: "open", Secured: new(false)})
	require.NoError(t, err)
	require.False(t, secret().Secured)
}

func TestAnEmptyValueForASecuredVariableIsRefused(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "s3cret", Secured: true})
	set := srv.Client().Variables.InRepository(repo)
	read, err := set.GetByKey(t.Context(), "TOKEN")
	require.NoError(t, err)
	asRead := pipelines.VariableRequest{Key: read.Key, Value: read.Value}
	for name, write := range map[string]func() error{
		"Set":  func() error { _, err := set.Set(t.Context(), asRead); return err },
		"Plan": func() error { _, err := set.Plan(t.Context(), []pipelines.VariableRequest{asRead}, nil); return err },
		"Create": func() error {
			_, err := set.Create(t.Context(), pipelines.VariableRequest{Key: "NEW", Secured: new(true)})
			return err
		},
		"Run": func() error {
			_, err := srv.Client().Pipelines.Run(t.Context(), repo, pipelines.RunRequest{
				Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{{Key: "K", Secured: new(true)}},
			})
			return err
		},
		"Set of a new one": func() error {
			_, err := set.Set(t.Context(), pipelines.VariableRequest{Key: "NEW", Secured: new(true)})
			return err
		},
		"Plan of a missing one": func() error {
			_, err := set.Plan(t.Context(), []pipelines.VariableRequest{{Key: "NEW", Secured: new(true)}}, &pipelines.SyncOptions{Secured: pipelines.SecuredIfMissing})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := write()
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			require.ErrorContains(t, err, "has no value")
			require.Len(t, r.Variables(), 1)
			require.Equal(t, "s3cret", r.Variables()[0].Value)
		})
	}
	_, err = set.Update(t.Context(), read.UUID, pipelines.VariableUpdate{Value: &read.Value, Secured: &read.Secured})
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.Equal(t, "s3cret", r.Variables()[0].Value)
	plan, err := set.Plan(t.Context(), []pipelines.VariableRequest{asRead}, &pipelines.SyncOptions{Secured: pipelines.SecuredIfMissing})
	require.NoError(t, err)
	require.True(t, plan.Empty(), "it is there, and not written")
}

func TestTheSecretsOfOneRepositoryAreNotBlankedInAnother(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	from, to := srv.AddRepository("acme", "site"), srv.AddRepository("acme", "copy")
	from.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "a", Secured: true})
	to.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "b", Secured: true})
	c := srv.Client()
	var wanted []pipelines.VariableRequest
	for v, err := range c.Variables.InRepository(from.Repo()).List(t.Context(), nil).All() {
		require.NoError(t, err)
		wanted = append(wanted, pipelines.VariableRequest{Key: v.Key, Value: v.Value, Secured: &v.Secured})
	}
	_, err := c.Variables.InRepository(to.Repo()).Plan(t.Context(), wanted, nil)
	require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
	require.Equal(t, "b", to.Variables()[0].Value)
}

func TestARequestsValueShowsOnlyWhereItIsNotSecured(t *testing.T) {
	for _, test := range []struct {
		request pipelines.VariableRequest
		shows   bool
	}{
		{pipelines.VariableRequest{Key: "K", Value: "v4lue"}, false},
		{pipelines.VariableRequest{Key: "K", Value: "v4lue", Secured: new(true)}, false},
		{pipelines.VariableRequest{Key: "K", Value: "v4lue", Secured: new(false)}, true},
	} {
		marshalled, err := json.Marshal(test.request)
		require.NoError(t, err)
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "request", test.request)
		for _, text := range []string{fmt.Sprintf("%v", test.request), fmt.Sprintf("%+v", &test.request), fmt.Sprintf("%#v", test.request), string(marshalled), log.String()} {
			require.Equal(t, test.shows, strings.Contains(text, "v4lue"), "%s", text)
		}
	}
}

// betweenTimes is a client for which something happens once, right before its first request with a method.
func betweenTimes(t *testing.T, srv *pipelinestest.Server, method string, happens func()) *pipelines.Client {
	t.Helper()
	var once sync.Once
	inner := srv.Transport()
	return srv.Client(pipelines.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method == method {
			once.Do(happens)
		}
		return inner.RoundTrip(req)
	})}))
}

func TestASecretThatIsDeletedMeanwhileIsNotCreatedInTheClear(t *testing.T) {
	srv := pipelinestest.NewServer()
	defer srv.Close()
	r := srv.AddRepository("acme", "site")
	uuid := r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "s3cret", Secured: true}).UUID
	c := betweenTimes(t, srv, http.MethodPut, func() {
		require.NoError(t, srv.Client().Variables.InRepository(repo).Delete(t.Context(), uuid))
	})
	set, err := c.Variables.InRepository(repo).Set(t.Context(), pipelines.VariableRequest{Key: "TOKEN", Value: "another"})
	require.NoError(t, err)
	require.NotEqual(t, uuid, set.UUID)
	require.True(t, set.Secured)
	require.True(t, r.Variables()[0].Secured)
}

func TestUnsecuredVariablesAreCreatedAsSuch(t *testing.T) {
	srv := record(t, serve(201, "application/json", `{"uuid":"{u}","key":"K"}`))
	c := newClient(t, srv.base())
	for _, set := range []*pipelines.VariableSet{
		c.Variables.InRepository(repo), c.Variables.InWorkspace("acme"), c.Variables.InTeam("acme"), c.Variables.InUser("acme"),
		c.Variables.InEnvironment(repo, "{e}"),
	} {
		_, err := set.Create(t.Context(), pipelines.VariableRequest{Key: "K", Value: "v"})
		require.NoError(t, err)
	}
	_, err := c.Pipelines.Run(t.Context(), repo, pipelines.RunRequest{
		Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{{Key: "K", Value: "v"}},
	})
	require.NoError(t, err)
	for i, req := range srv.seen() {
		require.Contains(t, req.Body, `{"key":"K","value":"v","secured":false}`, fmt.Sprint(i))
	}
}
