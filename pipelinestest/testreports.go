package pipelinestest

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/seed-85ed9bfd/pipelines"
)

// TestReport is the test report of a [Step]. It exists once the step has run to its end.
type TestReport struct {
	// Passed is the number of passed tests that aren't among Cases. The API shows only their number.
	Passed int
	// Cases are the other tests. One without a status is FAILED. The API lists those that aren't PASSED.
	Cases []pipelines.TestCase
}

// numberedCases returns the cases with UUIDs and statuses.
func (t *TestReport) numberedCases(s *Server) []pipelines.TestCase {
	if t == nil {
		return nil
	}
	cases := slices.Clone(t.Cases)
	for i := range cases {
		cases[i].UUID = cmp.Or(cases[i].UUID, s.newUUID())
		cases[i].Status = cmp.Or(cases[i].Status, pipelines.TestFailed)
	}
	return cases
}

const (
	testReportPath = stepPath + "/test_reports"
	testCasesPath  = testReportPath + "/test_cases"
)

var testReportRoutes = []route{
	{http.MethodGet, testReportPath, readPipeline, (*call).testReport},
	{http.MethodGet, testCasesPath, readPipeline, (*call).testCases},
	{http.MethodGet, testCasesPath + "/{test_case_uuid}/test_case_reasons", readPipeline, (*call).testCaseReasons},
}

// stepWithReport finds the step in the path if it has a report.
func (c *call) stepWithReport() (*step, *response) {
	r, i, errResp := c.step()
	if errResp != nil {
		return nil, errResp
	}
	s, planned := r.steps[i], r.plan().spans[i]
	cut := planned.result == pipelines.ResultNotRun || planned.result == pipelines.ResultStopped
	if s.script.TestReport == nil || cut || !planned.done(c.now) {
		return nil, serviceError(http.StatusNotFound, "test-report-service.report.not-found",
			"There is no test report of step "+s.uuid+".", map[string]string{"stepId": s.uuid})
	}
	return s, nil
}

// testReportJSON is the JSON of a report. Unlike the model it has counts of zero.
type testReportJSON struct {
	Total      int    `json:"number_of_test_cases"`
	Successful int    `json:"number_of_successful_test_cases"`
	Failed     int    `json:"number_of_failed_test_cases"`
	Error      int    `json:"number_of_error_test_cases"`
	Skipped    int    `json:"number_of_skipped_test_cases"`
	StepUUID   string `json:"step_uuid"`
}

func (c *call) testReport() *response {
	s, errResp := c.stepWithReport()
	if errResp != nil {
		return errResp
	}
	passed := s.script.TestReport.Passed
	report := testReportJSON{Total: passed + len(s.cases), Successful: passed, StepUUID: s.uuid}
	for _, test := range s.cases {
		switch test.Status {
		case pipelines.TestPassed:
			report.Successful++
		case pipelines.TestError:
			report.Error++
		case pipelines.TestSkipped:
			report.Skipped++
		default:
			report.Failed++
		}
	}
	return c.json(http.StatusOK, report)
}

// maxTestCases is the largest page length that a known client of the service requests.
const maxTestCases = 300

func (c *call) testCases() *response {
	s, errResp := c.stepWithReport()
	if errResp != nil {
		return errResp
	}
	var listed []pipelines.TestCase
	for _, test := range s.cases {
		if test.Status != pipelines.TestPassed {
			listed = append(listed, test)
		}
	}
	return pageUpTo(maxTestCases, c, listed, func(test pipelines.TestCase) any { return test })
}

func (c *call) testCaseReasons() *response {
	s, errResp := c.stepWithReport()
	if errResp != nil {
		return errResp
	}
	id := c.params["test_case_uuid"]
	i := slices.IndexFunc(s.cases, func(test pipelines.TestCase) bool { return test.UUID == id })
	if i < 0 {
		return serviceError(http.StatusNotFound, "test-report-service.test-case.not-found",
			"There is no test case "+id+".", map[string]string{"testCaseId": id})
	}
	var reasons []pipelines.TestCaseReason
	if reason := s.cases[i].Reason; reason != nil {
		reasons = append(reasons, *reason)
	}
	return page(c, reasons, func(reason pipelines.TestCaseReason) any { return reason })
}
