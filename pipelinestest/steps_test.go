package pipelinestest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAStepHasSetupAndTeardownCommands(t *testing.T) {
	f := setup(t)
	path := f.started()
	hash := f.get(path).At("target.commit.hash").(string)
	step := f.get(f.step(path, 0))
	require.Equal(t, "umask 000", step.At("setup_commands.0.command"))
	for _, command := range step.At("setup_commands").([]any) {
		require.Equal(t, at(command, "name"), at(command, "command"))
		require.Equal(t, "user", at(command, "commandType"), "the service marks its own setup commands like this")
	}
	require.Contains(t, step.text, "git reset --hard "+hash)
	require.Contains(t, step.text, "git clone --branch=\\\"main\\\"")
	require.Equal(t, map[string]any{
		"commandType": "system", "action": "UPLOAD_METRICS", "name": "Upload Metrics", "command": `echo "Uploading metrics"`,
	}, step.At("teardown_commands.0"))
	require.Equal(t, "PROCESS_TEST_REPORTS", step.At("teardown_commands.1.action"))
}

func TestTheListOfStepsIsOnePage(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: make([]pipelinestest.Step, 130)})
	path := f.started()
	for _, query := range []string{"", "?pagelen=5", "?pagelen=x"} {
		a := f.get(path + "/steps" + query)
		require.Len(t, a.At("values"), 130)
		require.EqualValues(t, 130, a.At("size"))
		require.Nil(t, a.At("next"))
	}
	require.Empty(t, f.get(path+"/steps?page=2").At("values"))
}
