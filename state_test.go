package pipelines_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestPipelineAndStepStateMethods(t *testing.T) {
	stage := func(name pipelines.StageName) *pipelines.Stage { return &pipelines.Stage{Name: name} }
	result := func(name pipelines.ResultName) *pipelines.Result { return &pipelines.Result{Name: name} }
	for _, tc := range []struct {
		state                   pipelines.PipelineState
		done, succeeded, paused bool
		word                    string
	}{
		{pipelines.PipelineState{}, false, false, false, ""},
		{pipelines.PipelineState{Name: "PARSING", Stage: stage("PARSING")}, false, false, false, "PARSING"},
		{pipelines.PipelineState{Name: "PENDING"}, false, false, false, "PENDING"},
		{pipelines.PipelineState{Name: "IN_PROGRESS", Stage: stage("RUNNING")}, false, false, false, "RUNNING"},
		{pipelines.PipelineState{Name: "IN_PROGRESS", Stage: stage("PAUSED")}, false, false, true, "PAUSED"},
		{pipelines.PipelineState{Name: "IN_PROGRESS", Stage: stage("HALTED")}, false, false, true, "HALTED"},
		{pipelines.PipelineState{Name: "DREAMING"}, false, false, false, "DREAMING"},
		{pipelines.PipelineState{Name: "COMPLETED", Result: result("SUCCESSFUL")}, true, true, false, "SUCCESSFUL"},
		{pipelines.PipelineState{Name: "COMPLETED", Result: result("FAILED"), Stage: stage("PAUSED")}, true, false, false, "FAILED"},
		{pipelines.PipelineState{Name: "COMPLETED"}, true, false, false, "COMPLETED"},
	} {
		t.Run(tc.word, func(t *testing.T) {
			s := tc.state
			assert.Equal(t, []any{tc.done, tc.succeeded, tc.paused, tc.word}, []any{s.Done(), s.Succeeded(), s.Paused(), s.String()})
			step := pipelines.StepState(s)
			assert.Equal(t, []any{tc.done, tc.succeeded, tc.paused, tc.word}, []any{step.Done(), step.Succeeded(), step.Paused(), step.String()})
		})
	}
	require.Equal(t, "m", pipelines.ErrorDetail{Key: "k", Message: "m"}.String())
	require.Equal(t, "k", pipelines.ErrorDetail{Key: "k"}.String())
}
