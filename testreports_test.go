package pipelines_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestATestReportThatIsEmptyIsNotFound(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{"as documented": serve(404, "text/plain", ""), "as reported": serveJSON(" ")} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, handle)
			_, err := newClient(t, srv.base()).Steps.GetTestReport(t.Context(), repo, "8", "{s}")
			require.ErrorIs(t, err, pipelines.ErrNotFound)
			srv.requireSent(t, 1)
		})
	}
}

func TestTestReportReadsTheDurationsOfTestCases(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"PT0.9589264S"`: 958926400, `"PT1H2M3.5S"`: time.Hour + 2*time.Minute + 3500*time.Millisecond, `"P1DT1S"`: 24*time.Hour + time.Second,
		`"P2W"`: 14 * 24 * time.Hour, `"PT0,5S"`: 500 * time.Millisecond, `"-PT1S"`: -time.Second, `"PT-1S"`: -time.Second, `1.5`: 1500 * time.Millisecond, `null`: 0, `"PT0S"`: 0,
		`""`: 0, `"soon"`: 0, `"P"`: 0, `"P1Y"`: 0, `"PT1D"`: 0, `"PTT1S"`: 0, `"PT1"`: 0, `"PTS"`: 0, `"PT1.2.3S"`: 0, `"PT99999999999999999999S"`: 0, `1e300`: 0, `{}`: 0, `[1]`: 0,
	} {
		t.Run(text, func(t *testing.T) {
			srv := record(t, serveJSON(`{"values":[{"name":"a","duration":`+text+`}]}`))
			one, err := newClient(t, srv.base()).Steps.ListTestCases(t.Context(), repo, "8", "{s}", nil).First()
			require.NoError(t, err)
			require.Equal(t, want, one.Duration, text)
			require.Equal(t, "a", one.Name)
		})
	}
}

func TestTestReportReadsReasonsInEveryPlausibleForm(t *testing.T) {
	want := []*pipelines.TestCaseReason{{Message: "m", StackTrace: "s"}}
	for name, body := range map[string]string{
		"a page":                 `{"values":[{"message":"m","stack_trace":"s"}],"size":1}`,
		"a bare list":            `[{"message":"m","stack_trace":"s"}]`,
		"one alone":              `{"message":"m","stack_trace":"s"}`,
		"within another member":  `{"values":[{"reason":{"message":"m","stack_trace":"s"}}]}`,
		"a stack trace of lines": `{"values":[{"message":"m","stack_trace":["s"]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveJSON(body))
			got, err := newClient(t, srv.base()).Steps.ListTestCaseReasons(t.Context(), repo, "8", "{s}", "{c}", nil).Collect()
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.NotEmpty(t, got[0].Raw)
			got[0].Raw = nil
			require.Equal(t, want, got)
		})
	}
	for name, body := range map[string]string{"an empty page": `{"page":1,"values":[],"size":0,"pagelen":0}`, "an empty list": `[]`, "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveJSON(body))
			got, err := newClient(t, srv.base()).Steps.ListTestCaseReasons(t.Context(), repo, "8", "{s}", "{c}", nil).Collect()
			require.NoError(t, err)
			require.Empty(t, got)
		})
	}
	text := record(t, serveJSON(`["it broke", 7]`))
	got, err := newClient(t, text.base()).Steps.ListTestCaseReasons(t.Context(), repo, "8", "{s}", "{c}", nil).Collect()
	require.NoError(t, err)
	require.Equal(t, "it broke", got[0].Message)
	require.Equal(t, "7", string(got[1].Raw))
}

func TestTestReportsAndReasonsComeInOtherShapes(t *testing.T) {
	body := ""
	c := inProcess(t, 1, func(req *http.Request) *http.Response { return respond(req, 200, body) })
	body = `{"number_of_test_cases":"7","number_of_failed_test_cases":1.0,"number_of_error_test_cases":[],"step_uuid":7}`
	report, err := c.Steps.GetTestReport(t.Context(), repo, "1", "{s}")
	require.NoError(t, err)
	require.Equal(t, &pipelines.TestReport{NumberOfTestCases: 7, NumberOfFailedTestCases: 1, StepUUID: "7"}, report)

	body = `{"values":[{"uuid":"{1}","name":7,"status":[],"duration":{},"reason":7},{"uuid":"{2}","reason":{"message":7,"stack_trace":{}}}],"size":2}`
	cases, err := c.Steps.ListTestCases(t.Context(), repo, "1", "{s}", nil).Collect()
	require.NoError(t, err)
	require.Len(t, cases, 2)
	require.Equal(t, "7", cases[0].Name)
	require.Equal(t, "{2}", cases[1].UUID)

	body = `{"values":[{"type":7,"pipeline":{"uuid":7,"created_on":"x","build_number":"3"},"error":{"key":{},"message":"m"}}]}`
	execution, err := c.Schedules.ListExecutions(t.Context(), repo, "{s}", nil).First()
	require.NoError(t, err)
	require.Equal(t, &pipelines.Pipeline{UUID: "7", BuildNumber: 3}, execution.Pipeline, "it only informs")
	require.Equal(t, &pipelines.ErrorDetail{Message: "m"}, execution.Error)
}

func TestTestReportHasNoTestCasesWhereTheBodyIsEmpty(t *testing.T) {
	for name, empty := range map[string]http.HandlerFunc{
		"200": serveJSON(""), "200 without a type": serve(200, "", ""), "200 with spaces": serveJSON(" \r\n"), "204": serve(204, "", ""),
	} {
		srv := record(t, empty)
		c := newClient(t, srv.base())
		for _, parallel := range []int{0, 4} {
			cases, err := c.Steps.ListTestCases(t.Context(), repo, "1", "{s}", nil).Parallel(parallel).Collect()
			require.NoError(t, err, name)
			require.Empty(t, cases)
			reasons, err := c.Steps.ListTestCaseReasons(t.Context(), repo, "1", "{s}", "{t}", nil).Parallel(parallel).Collect()
			require.NoError(t, err, name)
			require.Empty(t, reasons)
		}
		srv.requireSent(t, 4, "an empty body is valid the first time")
		for list, read := range everyList(t.Context(), c, 0) {
			if strings.HasPrefix(list, "test case") {
				continue
			}
			_, err := read()
			require.ErrorContains(t, err, "it is empty", list)
		}
	}
}
