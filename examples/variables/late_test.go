package main

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// inEnvironment runs a test with an environment whose new variables are listed after a delay. Each run of the program has a client of its own.
func inEnvironment(t *testing.T, delay time.Duration, test func(t *testing.T, s *clitest.Fixture, staging *pipelinestest.Environment, args string)) {
	synctest.Test(t, func(t *testing.T) {
		s := clitest.New(t, run, pipelinestest.WithLateVariables(delay))
		staging := s.AddRepository("acme", "site").AddEnvironment("Staging", pipelines.EnvironmentStaging)
		test(t, s, staging, " --repo acme/site --environment Staging --file "+write(t, "v.yaml", "variables: {A: 1, B: 2, C: 3}"))
	})
}

func TestAProgramThatRunsRightAfterApplySeesWhatItCreated(t *testing.T) {
	inEnvironment(t, 5*time.Second, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Environment, args string) {
		start := time.Now()
		require.Equal(t, cli.Success, s.Run("apply"+args), s.Errs.String())
		require.Equal(t, "Waiting until the service lists what was created, some seconds: A, B, C\n", s.Errs.String())
		require.Less(t, time.Since(start), 8*time.Second)
		s.ClearRequests()

		require.Equal(t, cli.Success, s.Run("plan"+args), s.Out.String())
		require.Equal(t, cli.Success, s.Run("apply"+args))
		require.Contains(t, s.Out.String(), "0 to create, 0 to change, 0 to delete, 3 unchanged")
		require.Empty(t, s.Changes())
		file := filepath.Join(t.TempDir(), "exported.yaml")
		require.Equal(t, cli.Success, s.Run("export --repo acme/site --environment Staging --file "+file))
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Contains(t, string(text), "A: \"1\"\n")
		require.Equal(t, "Wrote 3 variables of the environment Staging of acme/site to "+file+".\n", s.Out.String())
	})
}

func TestApplyWaitsNoLongerThanUntilAllAreListed(t *testing.T) {
	inEnvironment(t, 0, func(t *testing.T, s *clitest.Fixture, _ *pipelinestest.Environment, args string) {
		start := time.Now()
		require.Equal(t, cli.Success, s.Run("apply"+args))
		require.Empty(t, s.Errs.String())
		require.Zero(t, time.Since(start))
	})
}

func TestApplySaysThatTheServiceDoesNotListWhatItCreated(t *testing.T) {
	inEnvironment(t, time.Hour, func(t *testing.T, s *clitest.Fixture, staging *pipelinestest.Environment, args string) {
		start := time.Now()
		require.Equal(t, cli.Success, s.Run("apply"+args), "all was done")
		require.Contains(t, s.Errs.String(), "The service doesn't list A, B, C yet")
		require.Less(t, time.Since(start), 30*time.Second)
		require.Len(t, staging.Variables(), 3)
	})
}

func TestApplyWaitsForWhatItCreatedBeforeAnError(t *testing.T) {
	inEnvironment(t, 5*time.Second, func(t *testing.T, s *clitest.Fixture, staging *pipelinestest.Environment, args string) {
		s.Inject(pipelinestest.Fault{Method: "POST", Status: 403, Skip: 1, Times: 1})
		require.Equal(t, cli.Trouble, s.Run("apply"+args))
		require.Contains(t, s.Errs.String(), "(done: create A; 1 not tried). Run apply again for the rest")
		require.Equal(t, cli.Success, s.Run("apply"+args), s.Errs.String())
		require.Contains(t, s.Out.String(), "2 to create, 0 to change, 0 to delete, 1 unchanged")
		require.Len(t, staging.Variables(), 3)
	})
}

func TestAnInterruptedApplySaysWhatItDid(t *testing.T) {
	inEnvironment(t, 5*time.Second, func(t *testing.T, s *clitest.Fixture, staging *pipelinestest.Environment, args string) {
		s.Inject(pipelinestest.Fault{Method: "POST", Skip: 1, Times: 1, Latency: time.Minute})
		require.Equal(t, cli.Interrupted, s.RunFor(10*time.Second, "apply"+args))
		require.Contains(t, s.Errs.String(), "variables: interrupted: create B: ")
		require.Contains(t, s.Errs.String(), "(done: create A; 1 not tried). Run apply again for the rest")
		require.Len(t, staging.Variables(), 1)
		time.Sleep(time.Minute)
		require.Equal(t, cli.Success, s.Run("apply"+args), s.Errs.String())
		require.Len(t, staging.Variables(), 3)
	})
}

func TestAnInterruptWhileWaitingSaysThatAllWasDone(t *testing.T) {
	inEnvironment(t, 5*time.Second, func(t *testing.T, s *clitest.Fixture, staging *pipelinestest.Environment, args string) {
		require.Equal(t, cli.Interrupted, s.RunFor(3*time.Second, "apply"+args))
		require.Contains(t, s.Errs.String(), "interrupted: all changes were made, but the service doesn't list A, B, C yet")
		require.Len(t, staging.Variables(), 3)
	})
}

// TestAKeyThatExistsInOtherLettersIsExplained is about a refusal that another apply doesn't end.
func TestAKeyThatExistsInOtherLettersIsExplained(t *testing.T) {
	_, repo := serve(t)
	repo.AddVariable(pipelines.Variable{Key: "LEVEL", Value: "1"})
	for _, flags := range [][]string{nil, {"--prune"}} {
		args := append([]string{"apply", "--repo", "acme/site", "--file", write(t, ".env", "NEW=1\nlevel=2\n")}, flags...)
		status, _, stderr := call(t, args...)
		require.Equal(t, cli.Trouble, status)
		require.Contains(t, stderr, ". For the service, level is the same as LEVEL, which exists: delete LEVEL first, or call it so in the file\n")
		require.NotContains(t, stderr, "Run apply again")
	}
	require.Equal(t, map[string]string{"LEVEL": "1", "NEW": "1"}, values(repo.Variables()))
}
