package pipelinestest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestEveryResponseHasItsOwnRequestID(t *testing.T) {
	f := setup(t)
	first, second := f.get("/nothing").Header.Get("X-Request-Id"), f.get("/nothing").Header.Get("X-Request-Id")
	require.NotEmpty(t, first)
	require.NotEqual(t, first, second)
}

func TestResponsesHaveTheDateOfTheServersClock(t *testing.T) {
	f := setup(t)
	f.clock.Advance(time.Hour)
	require.Equal(t, "Sun, 01 Mar 2026 13:00:00 GMT", f.get("/nothing").Header.Get("Date"))
}

func TestTheHandlerWorksInAnotherServer(t *testing.T) {
	f := setup(t)
	own := httptest.NewServer(f.srv.Handler())
	defer own.Close()
	path := f.started()
	f.clock.Advance(time.Minute)
	a := f.get(own.URL + "/2.0" + path + "?x=y")
	require.True(t, strings.HasPrefix(a.At("links.self.href").(string), own.URL+"/2.0/"))
	log := f.get(own.URL + "/2.0" + f.step(path, 0) + "/log")
	require.Equal(t, http.StatusTemporaryRedirect, log.StatusCode)
	require.Equal(t, http.StatusOK, f.get(log.Header.Get("Location"), "Authorization", "").StatusCode)
}

func TestAClosedServerStaysClosed(t *testing.T) {
	opened, neverOpened := pipelinestest.NewServer(nil), pipelinestest.NewServer()
	first := opened.URL()
	require.Equal(t, first, opened.URL())
	for _, srv := range []*pipelinestest.Server{opened, neverOpened} {
		srv.Close()
		srv.Close()
		url := srv.URL()
		require.Equal(t, url, srv.URL())
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		require.Error(t, err)
	}
	require.Equal(t, first, opened.URL())
}

func TestInvalidClientOptionsPanic(t *testing.T) {
	require.PanicsWithValue(t, "pipelinestest: invalid options for Server.Client: pipelines: "+pipelines.ErrInvalidArgument.Error()+": limiter is nil", func() {
		pipelinestest.NewServer(pipelinestest.WithInProcess()).Client(pipelines.WithLimiter(nil))
	})
}

func TestTheClientDecodesTheResponsesOfTheServer(t *testing.T) {
	for name, opts := range map[string][]pipelinestest.ServerOption{
		"over a socket": nil,
		"in process":    {pipelinestest.WithInProcess()},
		"with a token":  {pipelinestest.WithToken("secret", "pipeline:write")},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, opts...)
			f.repo.Script("deploy", logged)
			client := f.srv.Client()
			run, err := client.Pipelines.Run(t.Context(), f.repo.Repo(), pipelines.RunRequest{
				Target:    pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy")),
				Variables: []pipelines.VariableRequest{{Key: "TOKEN", Value: "hidden", Secured: new(true)}},
			})
			require.NoError(t, err)
			require.Equal(t, "PARSING", run.State.String())
			require.Equal(t, "hidden", f.repo.Pipelines()[0].Variables[0].Value)

			f.clock.Advance(time.Minute)
			steps, err := client.Steps.List(t.Context(), f.repo.Repo(), run.UUID, nil).Collect()
			require.NoError(t, err)
			require.Len(t, steps, 2)
			log, err := client.Steps.GetLog(t.Context(), f.repo.Repo(), run.UUID, steps[0].UUID, nil)
			require.NoError(t, err)
			defer log.Close()
			text, err := io.ReadAll(log)
			require.NoError(t, err)
			require.Equal(t, logged.Steps[0].Log, string(text))

			err = client.Pipelines.Stop(t.Context(), f.repo.Repo(), run.UUID)
			require.ErrorIs(t, err, pipelines.ErrInvalidRequest)
		})
	}
}
