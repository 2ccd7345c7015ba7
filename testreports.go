package pipelines

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-85ed9bfd/pipelines/internal/isoduration"
)

const (
	testReportPath      = stepPath + "/test_reports"
	testCasesPath       = testReportPath + "/test_cases"
	testCaseReasonsPath = testCasesPath + "/{test_case_uuid}/test_case_reasons"
)

// The service documents a 404 for a step without a test report. An empty 200 was reported too. It documents no format for reasons.
var (
	opStepsTestReport      = op("Steps.GetTestReport", http.MethodGet, testReportPath, idempotent).orEmpty()
	opStepsTestCases       = op("Steps.ListTestCases", http.MethodGet, testCasesPath, idempotent).orEmpty()
	opStepsTestCaseReasons = op("Steps.ListTestCaseReasons", http.MethodGet, testCaseReasonsPath, idempotent).orEmpty().orBare()
)

// TestReport counts the test cases of a step by status.
type TestReport struct {
	NumberOfTestCases           int    `json:"number_of_test_cases,omitzero"`
	NumberOfSuccessfulTestCases int    `json:"number_of_successful_test_cases,omitzero"`
	NumberOfFailedTestCases     int    `json:"number_of_failed_test_cases,omitzero"`
	NumberOfErrorTestCases      int    `json:"number_of_error_test_cases,omitzero"`
	NumberOfSkippedTestCases    int    `json:"number_of_skipped_test_cases,omitzero"`
	StepUUID                    string `json:"step_uuid,omitzero"`
}

// TestStatus is how a test case ended.
type TestStatus string

// The known statuses of a test case. The service does not list test cases that passed.
const (
	TestFailed  TestStatus = "FAILED"
	TestError   TestStatus = "ERROR"
	TestPassed  TestStatus = "PASSED"
	TestSkipped TestStatus = "SKIPPED"
	TestUnknown TestStatus = "UNKNOWN"
)

// TestCase is a test case that did not pass.
type TestCase struct {
	UUID               string
	Name               string
	FullyQualifiedName string
	ClassName          string
	SuiteName          string
	PackageName        string
	Status             TestStatus
	Duration           time.Duration   // zero if the response has none that can be read
	Reason             *TestCaseReason // nil if the response has none
}

// testCaseBody is the JSON form of a TestCase.
type testCaseBody struct {
	UUID               string          `json:"uuid,omitzero"`
	Name               string          `json:"name,omitzero"`
	FullyQualifiedName string          `json:"fully_qualified_name,omitzero"`
	ClassName          string          `json:"class_name,omitzero"`
	SuiteName          string          `json:"suite_name,omitzero"`
	PackageName        string          `json:"package_name,omitzero"`
	Status             TestStatus      `json:"status,omitzero"`
	Duration           jsontext.Value  `json:"duration,omitzero"` // ISO 8601; a number counts as seconds
	Reason             *TestCaseReason `json:"reason,omitzero"`
}

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (t *TestCase) UnmarshalJSON(data []byte) error {
	var body testCaseBody
	if err := models.Unmarshal(data, &body); err != nil {
		return err
	}
	*t = TestCase{
		body.UUID, body.Name, body.FullyQualifiedName, body.ClassName, body.SuiteName, body.PackageName, body.Status,
		readDuration(body.Duration), body.Reason,
	}
	return nil
}

// MarshalJSON implements [encoding/json.Marshaler]. It encodes the test case as the service does.
func (t TestCase) MarshalJSON() ([]byte, error) {
	body := testCaseBody{
		t.UUID, t.Name, t.FullyQualifiedName, t.ClassName, t.SuiteName, t.PackageName, t.Status, nil, t.Reason,
	}
	if t.Duration != 0 {
		body.Duration = jsontext.Value(`"` + isoduration.Format(t.Duration) + `"`)
	}
	return json.Marshal(body, jsontext.AllowInvalidUTF8(true))
}

// TestCaseReason says why a test case did not pass. The service documents no format for it: Message and StackTrace are empty if
// the JSON has none, and Raw is the JSON itself.
type TestCaseReason struct {
	Message    string
	StackTrace string
	Raw        []byte // JSON
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]. It reads an object, an object nested in the member "reason", or a string.
func (r *TestCaseReason) UnmarshalJSON(data []byte) error {
	*r = TestCaseReason{Raw: bytes.Clone(data)}
	switch jsontext.Value(data).Kind() {
	case jsontext.KindString:
		return json.Unmarshal(data, &r.Message, decodeOptions)
	case jsontext.KindBeginObject:
		body, err := readReason(jsontext.NewDecoder(bytes.NewReader(data), decodeOptions))
		r.Message, r.StackTrace = body.message, body.stackTrace
		return err
	default: // only Raw
		return nil
	}
}

// reasonBody is the readable part of a TestCaseReason.
type reasonBody struct{ message, stackTrace string }

// readReason reads an object in a single pass, however deep it is nested. The nested member "reason" counts if the object itself
// has neither a message nor a stack trace.
func readReason(dec *jsontext.Decoder) (reasonBody, error) {
	var own, inner reasonBody
	if _, err := dec.ReadToken(); err != nil { // the brace
		return own, err
	}
	for dec.PeekKind() == jsontext.KindString {
		name, err := dec.ReadToken()
		if err != nil {
			return own, err
		}
		switch name.String() {
		case "message":
			own.message, err = readLines(dec)
		case "stack_trace":
			own.stackTrace, err = readLines(dec)
		case "reason":
			inner, err = readInnerReason(dec)
		default:
			err = dec.SkipValue()
		}
		if err != nil {
			return own, err
		}
	}
	_, err := dec.ReadToken() // the brace
	if own == (reasonBody{}) {
		own = inner
	}
	return own, err
}

func readInnerReason(dec *jsontext.Decoder) (reasonBody, error) {
	if dec.PeekKind() == jsontext.KindBeginObject {
		return readReason(dec)
	}
	message, err := readLines(dec)
	return reasonBody{message: message}, err
}

// readLines reads a string, or an array of lines. Anything else is "".
func readLines(dec *jsontext.Decoder) (string, error) {
	value, err := dec.ReadValue()
	if err != nil {
		return "", err
	}
	var text string
	var lines []string
	switch {
	case value.Kind() == '"' && json.Unmarshal(value, &text, decodeOptions) == nil:
		return text, nil
	case value.Kind() == '[' && json.Unmarshal(value, &lines, decodeOptions) == nil:
		return strings.Join(lines, "\n"), nil
	}
	return "", nil
}

// MarshalJSON implements [encoding/json.Marshaler]. It returns Raw if that is valid JSON, and else an object of the two texts.
func (r TestCaseReason) MarshalJSON() ([]byte, error) {
	if jsontext.Value(r.Raw).IsValid(decodeOptions) {
		return r.Raw, nil
	}
	return json.Marshal(struct {
		Message    string `json:"message,omitzero"`
		StackTrace string `json:"stack_trace,omitzero"`
	}{r.Message, r.StackTrace}, jsontext.AllowInvalidUTF8(true))
}

// GetTestReport returns the test report of a step. If the step has none, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/test_reports
//
// Scope: pipeline.
func (s *StepsService) GetTestReport(
	ctx context.Context, repo Repo, pipelineID, stepID string, opts ...CallOption,
) (*TestReport, error) {
	at := opStepsTestReport.at(repo.Workspace, repo.Slug, pipelineID, stepID)
	report, err := send[*TestReport](ctx, s.client, at, nil, opts)
	if err != nil {
		return nil, err
	}
	if *report == nil {
		return nil, fmt.Errorf("pipelines: %s: the step has no test report: %w", at.op.Name, ErrNotFound)
	}
	return *report, nil
}

// ListTestCases lists the test cases of a step that did not pass. The service leaves out those that passed. For a step without
// a report the service documents a 404, which is an [ErrNotFound], but it may return an empty list.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/test_reports/test_cases
//
// Scope: pipeline.
func (s *StepsService) ListTestCases(
	ctx context.Context, repo Repo, pipelineID, stepID string, q *ListOptions, opts ...CallOption,
) *Pager[TestCase] {
	return list[TestCase](ctx, s.client, opStepsTestCases.at(repo.Workspace, repo.Slug, pipelineID, stepID), q.params(), opts)
}

// ListTestCaseReasons lists the reasons why a test case did not pass.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/test_reports/test_cases/{test_case_uuid}/test_case_reasons
//
// Scope: pipeline.
func (s *StepsService) ListTestCaseReasons(
	ctx context.Context, repo Repo, pipelineID, stepID, testCaseID string, q *ListOptions, opts ...CallOption,
) *Pager[TestCaseReason] {
	at := opStepsTestCaseReasons.at(repo.Workspace, repo.Slug, pipelineID, stepID, testCaseID)
	return list[TestCaseReason](ctx, s.client, at, q.params(), opts)
}

// readDuration reads an ISO 8601 string, or a number of seconds. Anything else is zero.
func readDuration(v jsontext.Value) time.Duration {
	var text string
	if v.Kind() == '"' && json.Unmarshal(v, &text, decodeOptions) == nil {
		return isoduration.Parse(text)
	}
	var seconds float64
	if v.Kind() == '0' && json.Unmarshal(v, &seconds) == nil {
		return isoduration.FromSeconds(seconds)
	}
	return 0
}
