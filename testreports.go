package pipelines

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	testReportPath = stepPath + "/test_reports"
	testCasesPath  = testReportPath + "/test_cases"
)

var (
	opStepsTestReport      = op("Steps.GetTestReport", http.MethodGet, testReportPath, idempotent)
	opStepsTestCases       = op("Steps.ListTestCases", http.MethodGet, testCasesPath, idempotent)
	opStepsTestCaseReasons = op("Steps.ListTestCaseReasons", http.MethodGet, testCasesPath+"/{test_case_uuid}/test_case_reasons", idempotent)
)

// TestReport counts the tests that a step has run.
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

// The known statuses of a test case. The service lists no test that passed.
const (
	TestFailed  TestStatus = "FAILED"
	TestError   TestStatus = "ERROR"
	TestPassed  TestStatus = "PASSED"
	TestSkipped TestStatus = "SKIPPED"
	TestUnknown TestStatus = "UNKNOWN"
)

// TestCase is a test that did not pass.
type TestCase struct {
	UUID               string
	Name               string
	FullyQualifiedName string
	ClassName          string
	SuiteName          string
	PackageName        string
	Status             TestStatus
	Duration           time.Duration   // zero where the service's text is no duration
	Reason             *TestCaseReason // nil: none given
}

// testCaseBody is a TestCase as the service sends it.
type testCaseBody struct {
	UUID               string          `json:"uuid,omitzero"`
	Name               string          `json:"name,omitzero"`
	FullyQualifiedName string          `json:"fully_qualified_name,omitzero"`
	ClassName          string          `json:"class_name,omitzero"`
	SuiteName          string          `json:"suite_name,omitzero"`
	PackageName        string          `json:"package_name,omitzero"`
	Status             TestStatus      `json:"status,omitzero"`
	Duration           jsontext.Value  `json:"duration,omitzero"` // ISO 8601 text; a number counts as seconds
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
		looseDuration(body.Duration), body.Reason,
	}
	return nil
}

// MarshalJSON implements [encoding/json.Marshaler], in the service's form.
func (t TestCase) MarshalJSON() ([]byte, error) {
	body := testCaseBody{
		t.UUID, t.Name, t.FullyQualifiedName, t.ClassName, t.SuiteName, t.PackageName, t.Status, nil, t.Reason,
	}
	if t.Duration != 0 {
		body.Duration = jsontext.Value(`"` + formatISODuration(t.Duration) + `"`)
	}
	return json.Marshal(body, jsontext.AllowInvalidUTF8(true))
}

// TestCaseReason says why a test did not pass. The service documents no format for it: Message and StackTrace are empty if they
// aren't found, and Raw is the JSON that it sent.
type TestCaseReason struct {
	Message    string
	StackTrace string
	Raw        []byte // JSON
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]. It takes an object, one within the member "reason", or a text.
func (r *TestCaseReason) UnmarshalJSON(data []byte) error {
	*r = TestCaseReason{Raw: bytes.Clone(data)}
	switch jsontext.Value(data).Kind() {
	case jsontext.KindString:
		return json.Unmarshal(data, &r.Message, decodeOptions)
	case jsontext.KindBeginObject:
		body, err := readReason(jsontext.NewDecoder(bytes.NewReader(data), decodeOptions))
		r.Message, r.StackTrace = body.message, body.stackTrace
		return err
	default: // Raw has it
		return nil
	}
}

// reasonBody is what an object says of a reason.
type reasonBody struct{ message, stackTrace string }

// readReason reads an object in one pass, however deep the reasons in it are nested. What is within the member "reason" counts
// where the object has neither a message nor a stack trace.
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

// readLines reads a text or a list of its lines. Anything else is none.
func readLines(dec *jsontext.Decoder) (string, error) {
	value, err := dec.ReadValue()
	return strings.Join(looseStrings(value), "\n"), err
}

// MarshalJSON implements [encoding/json.Marshaler]: what came, or an object.
func (r TestCaseReason) MarshalJSON() ([]byte, error) {
	if jsontext.Value(r.Raw).IsValid(decodeOptions) {
		return r.Raw, nil
	}
	return json.Marshal(struct {
		Message    string `json:"message,omitzero"`
		StackTrace string `json:"stack_trace,omitzero"`
	}{r.Message, r.StackTrace}, jsontext.AllowInvalidUTF8(true))
}

// GetTestReport returns the test report of a step. A step that has none is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/test_reports
//
// Scope: pipeline.
func (s *StepsService) GetTestReport(
	ctx context.Context, repo Repo, pipelineID, stepID string, opts ...CallOption,
) (*TestReport, error) {
	at := opStepsTestReport.at(repo.Workspace, repo.Slug, pipelineID, stepID)
	at.emptyOK = true // no report is a 404 by the documentation, but an empty 200 was reported too
	report, err := send[*TestReport](ctx, s.client, at, nil, opts)
	if err != nil {
		return nil, err
	}
	if *report == nil {
		return nil, fmt.Errorf("pipelines: %s: the step has no test report: %w", at.op.Name, ErrNotFound)
	}
	return *report, nil
}

// ListTestCases lists the tests of a step that did not pass; the service leaves out those that did. A step without a report is
// an [ErrNotFound], or an empty list: the service documents the one and may do the other.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/test_reports/test_cases
//
// Scope: pipeline.
func (s *StepsService) ListTestCases(
	ctx context.Context, repo Repo, pipelineID, stepID string, q *ListOptions, opts ...CallOption,
) *Pager[TestCase] {
	at := opStepsTestCases.at(repo.Workspace, repo.Slug, pipelineID, stepID)
	at.emptyOK = true // as for the report: an empty 200 was reported too
	return list[TestCase](ctx, s.client, at, q.params(), opts)
}

// ListTestCaseReasons lists why a test did not pass.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/test_reports/test_cases/{test_case_uuid}/test_case_reasons
//
// Scope: pipeline.
func (s *StepsService) ListTestCaseReasons(
	ctx context.Context, repo Repo, pipelineID, stepID, testCaseID string, q *ListOptions, opts ...CallOption,
) *Pager[TestCaseReason] {
	at := opStepsTestCaseReasons.at(repo.Workspace, repo.Slug, pipelineID, stepID, testCaseID)
	at.emptyOK = true
	pager := list[TestCaseReason](ctx, s.client, at, q.params(), opts)
	pager.loose = true
	return pager
}

// looseDuration reads a duration as ISO 8601 text or as a number of seconds. What is neither is zero.
func looseDuration(v jsontext.Value) time.Duration {
	var text string
	if v.Kind() == '"' && json.Unmarshal(v, &text, decodeOptions) == nil {
		return parseISODuration(text)
	}
	var seconds float64
	if v.Kind() == '0' && json.Unmarshal(v, &seconds) == nil {
		return toDuration(seconds, time.Second)
	}
	return 0
}

// toDuration is n units, or zero where that is more than a Duration holds.
func toDuration(n float64, unit time.Duration) time.Duration {
	product := n * float64(unit)
	if product >= 1<<63 || product <= -1<<63 || product != product {
		return 0
	}
	return time.Duration(product)
}

// isoUnits are the units of ISO 8601 whose length is known, of the date and, after "T", of the time.
var isoUnits = map[bool]map[byte]time.Duration{
	false: {'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour},
	true:  {'H': time.Hour, 'M': time.Minute, 'S': time.Second},
}

// parseISODuration reads the ISO 8601 durations that need no calendar, such as "PT0.9589264S". Anything else is zero.
func parseISODuration(s string) time.Duration {
	negative := strings.HasPrefix(s, "-")
	s, ok := strings.CutPrefix(strings.TrimLeft(s, "+-"), "P")
	if !ok {
		return 0
	}
	var sum time.Duration
	inTime := false
	for s != "" {
		if rest, found := strings.CutPrefix(s, "T"); found && !inTime {
			s, inTime = rest, true
			continue
		}
		end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != ',' && r != '-' })
		if end < 1 {
			return 0
		}
		n, err := strconv.ParseFloat(strings.Replace(s[:end], ",", ".", 1), 64)
		unit, known := isoUnits[inTime][s[end]]
		if err != nil || !known {
			return 0
		}
		sum += toDuration(n, unit)
		s = s[end+1:]
	}
	if negative {
		return -sum
	}
	return sum
}

func formatISODuration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	return sign + "PT" + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "S"
}
