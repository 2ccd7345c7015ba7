package pipelinestest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

var tested = pipelinestest.Script{Steps: []pipelinestest.Step{
	{Name: "Test", Duration: time.Minute, Result: pipelines.ResultFailed, TestReport: &pipelinestest.TestReport{Passed: 3, Cases: []pipelines.TestCase{
		{Name: "adds", Duration: 1500 * time.Millisecond, Reason: &pipelines.TestCaseReason{Message: "2 is not 3", StackTrace: "at adds"}},
		{Name: "breaks", Status: pipelines.TestError},
		{Name: "waits", Status: pipelines.TestSkipped},
		{Name: "passes", Status: pipelines.TestPassed},
	}}},
	{Name: "Never", TestReport: &pipelinestest.TestReport{Passed: 1}},
}}

func TestATestReportExistsOnceTheStepHasEnded(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", tested)
	path := f.started()
	report := f.step(path, 0) + "/test_reports"
	missing := f.get(report)
	require.Equal(t, http.StatusNotFound, missing.StatusCode)
	require.NotEmpty(t, missing.At("error.data.key"))
	require.Equal(t, http.StatusNotFound, f.get(report+"/test_cases").StatusCode)
	require.Equal(t, http.StatusNotFound, f.get(report+"/test_cases/%7B1%7D/test_case_reasons").StatusCode)

	f.clock.Advance(time.Minute)
	require.Equal(t, map[string]any{
		"number_of_test_cases": 7., "number_of_successful_test_cases": 4., "number_of_failed_test_cases": 1.,
		"number_of_error_test_cases": 1., "number_of_skipped_test_cases": 1., "step_uuid": f.get(f.step(path, 0)).At("uuid"),
	}, f.get(report).JSON())
	cases := f.get(report + "/test_cases")
	require.Equal(t, []any{"adds", "breaks", "waits"}, cases.Values("name"))
	require.Equal(t, "FAILED", cases.At("values.0.status"))
	require.Equal(t, "PT1.5S", cases.At("values.0.duration"))
	uuids := cases.Values("uuid")
	reasons := f.get(report + "/test_cases/" + escape(uuids[0].(string)) + "/test_case_reasons")
	require.Equal(t, []any{map[string]any{"message": "2 is not 3", "stack_trace": "at adds"}}, reasons.JSON()["values"])
	require.Empty(t, f.get(report+"/test_cases/"+escape(uuids[1].(string))+"/test_case_reasons").Values("message"))
	require.Equal(t, http.StatusNotFound, f.get(report+"/test_cases/%7B1%7D/test_case_reasons").StatusCode)
	require.Equal(t, http.StatusNotFound, f.get(f.step(path, 1)+"/test_reports").StatusCode, "the step never ran")
	require.Equal(t, http.StatusNotFound, f.get(path+"/steps/%7B1%7D/test_reports").StatusCode)
}

func TestAllTestsPassed(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{TestReport: &pipelinestest.TestReport{Passed: 1354}}}})
	cases := f.get(f.step(f.started(), 0) + "/test_reports/test_cases")
	require.Equal(t, map[string]any{"page": 1., "values": []any{}, "size": 0., "pagelen": 0.}, cases.JSON())
}

// A client of the service requests 300.
func TestTestCasesHaveLongPages(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{TestReport: &pipelinestest.TestReport{Cases: make([]pipelines.TestCase, 301)}}}})
	cases := f.step(f.started(), 0) + "/test_reports/test_cases"
	a := f.get(cases + "?pagelen=300")
	require.Len(t, a.Values("uuid"), 300)
	require.Len(t, f.get(a.At("next").(string)).Values("uuid"), 1)
	require.Len(t, f.get(cases).Values("uuid"), 10)
	require.Equal(t, http.StatusBadRequest, f.get(cases+"?pagelen=301").StatusCode)
}

func TestAStoppedStepHasNoTestReport(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", tested)
	path := f.started()
	f.send(http.MethodPost, path+"/stopPipeline", "")
	f.clock.Advance(time.Hour)
	require.Equal(t, http.StatusNotFound, f.get(f.step(path, 0)+"/test_reports").StatusCode)
}

func TestTheClientReadsTestReports(t *testing.T) {
	f := setup(t)
	f.repo.Script("main", tested)
	f.started()
	f.clock.Advance(time.Minute)
	ctx, steps, repo := t.Context(), f.srv.Client().Steps, f.repo.Repo()
	step, err := steps.List(ctx, repo, "1", nil).First()
	require.NoError(t, err)
	report, err := steps.GetTestReport(ctx, repo, "1", step.UUID)
	require.NoError(t, err)
	require.Equal(t, 7, report.NumberOfTestCases)
	cases, err := steps.ListTestCases(ctx, repo, "1", step.UUID, nil).Collect()
	require.NoError(t, err)
	require.Len(t, cases, 3)
	require.Equal(t, 1500*time.Millisecond, cases[0].Duration)
	reasons, err := steps.ListTestCaseReasons(ctx, repo, "1", step.UUID, cases[0].UUID, nil).Collect()
	require.NoError(t, err)
	require.Equal(t, "at adds", reasons[0].StackTrace)
}
