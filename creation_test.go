package pipelines_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// creations are the calls that create something.
var creations = map[string]func(context.Context, *pipelines.Client, ...pipelines.CallOption) (any, error){
	"Pipelines.Run": func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (any, error) {
		return c.Pipelines.Run(ctx, repo, mainBranch, opts...)
	},
	"Pipelines.RunOnDemand": func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (any, error) {
		return c.Pipelines.RunOnDemand(ctx, repo, pipelines.OnDemandRequest{RunRequest: mainBranch, YAML: []byte("pipelines: {}")}, opts...)
	},
	"Variables.Create": func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (any, error) {
		return c.Variables.InWorkspace("acme").Create(ctx, pipelines.VariableRequest{Key: "K", Value: "v"}, opts...)
	},
	"Variables.Create of an environment": func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (any, error) {
		return c.Variables.InEnvironment(repo, "{e}").Create(ctx, pipelines.VariableRequest{Key: "K", Value: "v"}, opts...)
	},
	"Deployments.CreateEnvironment": func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (any, error) {
		return c.Deployments.CreateEnvironment(ctx, repo, pipelines.EnvironmentRequest{Name: "E", EnvironmentType: pipelines.EnvironmentTest}, opts...)
	},
	"Schedules.Create": func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (any, error) {
		return c.Schedules.Create(ctx, repo, pipelines.ScheduleRequest{Target: pipelines.BranchTarget("main"), CronPattern: "0 0 12 * * ? *"}, opts...)
	},
	"SSH.CreateKnownHost": func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (any, error) {
		return c.SSH.CreateKnownHost(ctx, repo, trustedHost, opts...)
	},
	"Runners.Create": func(ctx context.Context, c *pipelines.Client, opts ...pipelines.CallOption) (any, error) {
		return c.Runners.InRepository(repo).Create(ctx, pipelines.RunnerRequest{Name: "r"}, opts...)
	},
}

func TestACreationWhoseResponseNamesNothingIsUnknown(t *testing.T) {
	for name, create := range creations {
		for _, status := range []int{200, 201, 202} {
			for _, body := range []string{
				`{}`, `{"message":"maintenance"}`, `{"type":"error","error":{"message":"oops"}}`, `{"values":[]}`, `{"uuid":null,"type":"pipeline"}`, `{"uuid":""}`,
				`{"uuid":12}`, `[]`, `[{"uuid":"{1}"}]`, `null`, `"{1}"`, ``, `{"state":{"name":"PENDING"}}`, `{"build_number":0}`,
			} {
				t.Run(fmt.Sprintf("%s: %d with %s", name, status, body), func(t *testing.T) {
					sent := 0
					c := inProcess(t, 3, func(req *http.Request) *http.Response {
						sent++
						return respond(req, status, body)
					})
					got, err := create(t.Context(), c)
					require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown, "%s %s", name, body)
					require.ErrorContains(t, err, fmt.Sprint("answered ", status))
					if body == `{}` {
						require.ErrorContains(t, err, "response identifies no created resource")
					}
					require.Nil(t, got)
					require.Equal(t, 1, sent, "requests sent")
				})
			}
		}
	}
}

func TestACreationIsNamedByLittle(t *testing.T) {
	for name, create := range creations {
		bodies := []string{`{"uuid":"{1}"}`}
		switch name {
		case "Pipelines.Run", "Pipelines.RunOnDemand":
			bodies = append(bodies, `{"build_number":7}`, `{"build_number":"7","state":null}`)
		case "Variables.Create", "Variables.Create of an environment":
			bodies = append(bodies, `{"key":"K"}`, `{"key":"K","value":"v","secured":false}`)
		}
		for _, body := range bodies {
			srv := record(t, serve(201, "application/json", body))
			_, err := create(t.Context(), newClient(t, srv.base()))
			require.NoError(t, err, "%s %s", name, body)
		}
	}
}

func TestAPartialResponseToACreationIsNamedByWhatWasAskedFor(t *testing.T) {
	for _, tc := range []struct {
		fields, body string
		unknown      bool
	}{
		{"build_number", `{"build_number":7}`, false},
		{"uuid", `{"uuid":"{1}"}`, false},
		{"links", `{"links":{}}`, false},
		{"state.name,type", `{}`, false},
		{"-uuid,-build_number", `{"type":"pipeline"}`, false},
		{"build_number", `{"message":"maintenance"}`, true},
		{"state, uuid", `{}`, true},
		{"*", `{}`, true},
		{"-links", `{}`, true},
		{"-target,-links", `{"message":"maintenance"}`, true},
		{"+repository.website", `{}`, true},
	} {
		srv := record(t, serve(201, "application/json", tc.body))
		_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, mainBranch, pipelines.WithQuery("fields", tc.fields))
		if tc.unknown {
			require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown, tc.fields)
		} else {
			require.NoError(t, err, tc.fields)
		}
		srv.only(t)
	}
}

func TestACreationWhoseResponseIsNoPipelineIsUnknown(t *testing.T) {
	for _, body := range []string{"null", " null ", "", "<html>"} {
		srv := record(t, serve(201, "application/json", body))
		_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, mainBranch)
		require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown, body)
	}
	srv := record(t, serve(204, "", ""))
	_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
}

func TestAnOddResponseToACreationIsUnknown(t *testing.T) {
	srv := record(t, serve(201, "application/json", `{"uuid":4711}`))
	_, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, mainBranch)
	require.ErrorIs(t, err, pipelines.ErrOutcomeUnknown)
	require.ErrorContains(t, err, `"/uuid"`)
	srv.only(t)
}
