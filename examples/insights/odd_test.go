package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

// object is a JSON object of the service.
type object = map[string]any

// oddService sends any JSON: what a service sends that isn't as documented.
type oddService struct {
	runs  []object
	steps []object
	tests []object
	odd   map[string]int // status by the end of a path
}

func (s *oddService) RoundTrip(r *http.Request) (*http.Response, error) {
	list := s.runs
	switch {
	case strings.HasSuffix(r.URL.Path, "/test_cases"):
		list = s.tests
	case strings.HasSuffix(r.URL.Path, "/steps"), strings.HasSuffix(r.URL.Path, "/steps/"):
		list = s.steps
	}
	status := http.StatusOK
	for end, odd := range s.odd {
		if strings.HasSuffix(r.URL.Path, end) {
			status = odd
		}
	}
	body, err := json.Marshal(object{"values": list, "page": 1, "pagelen": 100, "size": len(list)})
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(body))), Request: r,
	}, err
}

func (s *oddService) fixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, true)
	f.env.Options = []pipelines.Option{
		pipelines.WithHTTPClient(&http.Client{Transport: s}), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1}),
	}
	return f
}

// ago is a time as the service writes it.
func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }

func completed(result string) object {
	return object{"name": "COMPLETED", "result": object{"name": result}}
}

// ordinary is a run as documented.
func ordinary(number int) object {
	return object{
		"uuid": fmt.Sprintf("{run-%d}", number), "build_number": number, "created_on": ago(time.Duration(100-number) * time.Minute),
		"duration_in_seconds": 120, "build_seconds_used": 60, "state": completed("SUCCESSFUL"),
		"target": object{
			"type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main", "selector": object{"type": "default"},
			"commit": object{"hash": "0123456789abcdef"},
		},
	}
}

func ordinaryStep(result string) object {
	return object{
		"uuid": "{step}", "name": "Test", "state": completed(result), "started_on": ago(time.Minute), "duration_in_seconds": 60, "build_seconds_used": 60,
	}
}

// without returns a copy without a member.
func without(o object, member string) object { return with(o, member, nil) }

// with returns a copy with another value of a member; nil: without it.
func with(o object, member string, value any) object {
	o = maps.Clone(o)
	if o[member] = value; value == nil {
		delete(o, member)
	}
	return o
}

func TestARunWithoutATimeIsCountedAndTheReportGoesOn(t *testing.T) {
	for name, odd := range map[string]any{
		"missing": nil, "no time": "yesterday", "a number": 5, "the zero time": "0001-01-01T00:00:00Z", "next year": ago(-9000 * time.Hour), "a list": []int{1},
	} {
		t.Run(name, func(t *testing.T) {
			f := (&oddService{
				runs:  []object{with(ordinary(4), "created_on", odd), ordinary(3), with(ordinary(2), "created_on", odd), ordinary(1)},
				steps: []object{ordinaryStep("SUCCESSFUL")},
			}).fixture(t)
			rep := f.report(t, cli.Success)
			require.Equal(t, 2, rep.Counts.Runs)
			require.Equal(t, 2, rep.Undated)
			const said = "2 runs are left out: the service doesn't say when they were created."
			require.Contains(t, f.errs.String(), said)
			require.Contains(t, f.page(t), strings.ReplaceAll(said, "'", "&#39;"))
		})
	}
}

// TestARunOfLongAgoAmongNewOnesDoesNotEndReading is about a time that is wrong: older ones follow where reading ends.
func TestARunOfLongAgoAmongNewOnesDoesNotEndReading(t *testing.T) {
	for _, odd := range []string{"1970-01-01T00:00:00Z", "0001-01-01T00:00:01Z"} {
		runs := []object{with(ordinary(9), "created_on", odd)}
		for n := 8; n > 0; n-- {
			runs = append(runs, ordinary(n))
		}
		rep := (&oddService{runs: runs, steps: []object{ordinaryStep("SUCCESSFUL")}}).fixture(t).report(t, cli.Success)
		require.Equal(t, 8, rep.Counts.Runs, odd)
	}
}

func TestRunsWithoutAnyTimeHaveAReport(t *testing.T) {
	f := (&oddService{runs: []object{without(ordinary(1), "created_on")}}).fixture(t)
	rep := f.report(t, cli.Success)
	require.Zero(t, rep.Counts.Runs)
	require.Contains(t, f.errs.String(), "1 run is left out")
	require.Contains(t, f.page(t), "1 run is left out")
}

func TestNegativeDurationsAreNoDurations(t *testing.T) {
	f := (&oddService{
		runs:  []object{with(with(ordinary(2), "duration_in_seconds", -5), "build_seconds_used", -600), ordinary(1)},
		steps: []object{with(ordinaryStep("SUCCESSFUL"), "duration_in_seconds", -1), ordinaryStep("SUCCESSFUL")},
	}).fixture(t)
	rep := f.report(t, cli.Success)
	require.Equal(t, Percentiles{Count: 1, P50: 120, P90: 120, P99: 120, Max: 120}, rep.Duration)
	require.InDelta(t, 1, rep.Build, 0)
	require.Equal(t, 4, rep.Negative, "of a run twice, and of two steps")
	require.Contains(t, f.page(t), "4 times are left out: the service says that they are negative.")
}

func TestEnormousDurationsDontOverflow(t *testing.T) {
	f := (&oddService{
		runs:  []object{with(with(ordinary(2), "duration_in_seconds", 1<<60), "build_seconds_used", 1<<60), ordinary(1)},
		steps: []object{with(ordinaryStep("SUCCESSFUL"), "duration_in_seconds", 1<<60)},
	}).fixture(t)
	rep := f.report(t, cli.Success)
	require.Positive(t, rep.Build)
	require.Positive(t, rep.Duration.Max)
	require.Positive(t, rep.Steps[0].Duration.Max)
}

func TestAnUnknownResultIsNotCalledStopped(t *testing.T) {
	for name, odd := range map[string]any{
		"no state": nil, "no result": object{"name": "COMPLETED"}, "no name": object{"name": "COMPLETED", "result": object{}}, "unknown": completed("VANISHED"),
	} {
		t.Run(name, func(t *testing.T) {
			f := (&oddService{
				runs: []object{with(ordinary(2), "state", odd), ordinary(1)}, steps: []object{with(ordinaryStep(""), "state", odd), ordinaryStep("SUCCESSFUL")},
			}).fixture(t)
			rep := f.report(t, cli.Success)
			require.Equal(t, Counts{Runs: 2, Successful: 1, Unknown: 1}, rep.Counts)
			require.Equal(t, 2, rep.StepsRead)
			require.Contains(t, f.page(t), "1 with an unknown result")
			require.Contains(t, f.errs.String(), "1 with an unknown result")
		})
	}
}

func TestRunsWithoutNumbersAreToldApartByTheirUUIDs(t *testing.T) {
	f := (&oddService{
		runs:  []object{without(ordinary(4), "build_number"), without(ordinary(3), "build_number"), without(without(ordinary(2), "build_number"), "uuid"), ordinary(1)},
		steps: []object{ordinaryStep("SUCCESSFUL")},
	}).fixture(t)
	rep := f.report(t, cli.Trouble)
	require.Equal(t, 4, rep.Counts.Runs)
	require.Equal(t, 3, rep.StepsRead)
	require.Contains(t, rep.Incomplete, "the steps of 1 run could not be read: it has neither a number nor a UUID")
}

func TestAFlakyTestOfRunsWithoutNumbersIsFound(t *testing.T) {
	steps := []Step{{Name: "Test", Result: broken, Failed: []string{"A"}}}
	rep := analyse([]Run{{Commit: "c", Created: noon, Steps: []Step{{Name: "Test", Result: passed}}}, {Commit: "c", Created: noon, Steps: steps}}, noon, noon)
	require.Len(t, rep.Flaky, 1)
}

func TestAFailedStepWithoutAUUIDHasNoTests(t *testing.T) {
	f := (&oddService{runs: []object{ordinary(1)}, steps: []object{without(ordinaryStep("FAILED"), "uuid")}}).fixture(t)
	rep := f.report(t, cli.Success)
	require.Equal(t, 1, rep.Steps[0].Counts.Failed)
}

func TestOneRunThatCannotBeReadDoesNotEndTheReport(t *testing.T) {
	for name, status := range map[string]int{"server error": 500, "bad request": 400, "gone": 410} {
		t.Run(name, func(t *testing.T) {
			f := (&oddService{
				runs: []object{ordinary(4), ordinary(3), ordinary(2), ordinary(1)}, steps: []object{ordinaryStep("SUCCESSFUL")},
				odd: map[string]int{"/pipelines/4/steps": status},
			}).fixture(t)
			rep := f.report(t, cli.Trouble, "-parallel", "1")
			require.Equal(t, 3, rep.StepsRead)
			require.Contains(t, rep.Incomplete, "the steps of 1 run could not be read: ")
			require.Contains(t, rep.Incomplete, fmt.Sprint(status))
		})
	}
}

func TestReadingEndsWhereRunAfterRunFails(t *testing.T) {
	service := &oddService{odd: map[string]int{"/steps": 500}}
	for n := 90; n > 0; n-- {
		service.runs = append(service.runs, ordinary(n))
	}
	rep := service.fixture(t).report(t, cli.Trouble, "-parallel", "1")
	require.Equal(t, 1+mostFailures, rep.Requests)
	require.Equal(t, 90, rep.Counts.Runs)
	require.Contains(t, rep.Incomplete, "500")
}

func TestWhatWasListedIsReadIfTheListFails(t *testing.T) {
	s := newFixture(t, true)
	for range 150 {
		s.repo.AddRun(script(tested(time.Second)), time.Now().Add(-time.Minute))
	}
	s.srv.Inject(brokenList)
	rep := s.report(t, cli.Trouble, "-days", "2")
	require.Equal(t, 100, rep.Counts.Runs)
	require.Equal(t, 100, rep.StepsRead)
	require.Contains(t, rep.Incomplete, "502")
}

func TestTestsThatCannotBeReadLeaveTheSteps(t *testing.T) {
	f := (&oddService{
		runs: []object{ordinary(1)}, steps: []object{ordinaryStep("FAILED")}, odd: map[string]int{"/test_cases": 500},
	}).fixture(t)
	rep := f.report(t, cli.Trouble)
	require.Equal(t, 1, rep.Steps[0].Counts.Failed)
	require.Contains(t, rep.Incomplete, "500")
}

func TestARunOfTheServicesTomorrowCountsForToday(t *testing.T) {
	f := (&oddService{runs: []object{with(ordinary(1), "created_on", ago(-23*time.Hour))}}).fixture(t)
	rep := f.report(t, cli.Success, "-days", "2")
	require.Equal(t, 1, rep.Counts.Runs)
	require.Equal(t, 1, rep.Days[1].Counts.Runs)
}

func TestRunsWithoutAPipelineAreExplained(t *testing.T) {
	target := without(ordinary(1)["target"].(object), "selector")
	for name, odd := range map[string]any{"no selector": target, "an empty one": with(target, "selector", object{}), "no target": nil} {
		t.Run(name, func(t *testing.T) {
			f := (&oddService{runs: []object{with(ordinary(2), "target", odd), ordinary(1)}}).fixture(t)
			rep := f.report(t, cli.Success)
			require.Equal(t, "default", rep.Pipelines[0].Name)
			require.Equal(t, noPipeline, rep.Pipelines[1].Name)
			require.Contains(t, f.page(t), "mostly because of an error in bitbucket-pipelines.yml")
			require.Contains(t, f.errs.String(), "mostly because of an error in bitbucket-pipelines.yml")
			require.NotContains(t, f.page(t)+f.errs.String(), "unknown")
		})
	}
}

// TestNothingOddEndsTheReport changes members at random. States and UUIDs of other kinds are errors of the client, and tested elsewhere.
func TestNothingOddEndsTheReport(t *testing.T) {
	const rounds = 100
	random := rand.New(rand.NewPCG(15, 6))
	f := newFixture(t, true)
	file := filepath.Join(t.TempDir(), "report.json")
	for round := range rounds {
		service := &oddService{}
		for n := 9; n > 0; n-- {
			service.runs = append(service.runs, mutated(random, ordinary(n)))
		}
		for _, result := range []string{"SUCCESSFUL", "FAILED", "FAILED", "ERROR"} {
			service.steps = append(service.steps, mutated(random, ordinaryStep(result)))
			service.tests = append(service.tests, mutated(random, object{"name": "test", "fully_qualified_name": "a.test", "status": "FAILED"}))
		}
		f.env.Options = []pipelines.Option{pipelines.WithHTTPClient(&http.Client{Transport: service}), pipelines.WithRetry(pipelines.RetryPolicy{MaxAttempts: 1})}
		f.out.Reset()
		f.errs.Reset()
		status := f.run(t.Context(), "-repo", "acme/site", "-days", "2", "-json", file)
		sent, _ := json.Marshal(service.runs)
		require.Contains(t, []int{cli.Success, cli.Trouble}, status)
		require.FileExists(t, file, "round %d: %s %s", round, f.errs.String(), sent)
		for _, wrong := range []string{"NaN", "Inf", "%!", "=\"-"} {
			_, body, _ := strings.Cut(strings.ReplaceAll(f.page(t), `x="-8"`, ""), "</head>")
			require.NotContains(t, body, wrong, "round %d: %s", round, sent)
		}
	}
}

// mutated returns a copy in which some members are missing or odd.
func mutated(random *rand.Rand, o object) object {
	values := []any{
		nil, "", "x", " \x00\x1b[2J", "-1", -1, 0, 1e18, -1e18, 1.5, true, []any{}, []any{nil}, object{}, object{"type": "x", "name": nil}, "9999-12-31T23:59:59Z",
	}
	o = maps.Clone(o)
	for _, member := range slices.Sorted(maps.Keys(o)) {
		if inner, ok := o[member].(object); ok {
			o[member] = mutated(random, inner)
		}
		if random.IntN(5) > 0 {
			continue
		}
		if value := values[random.IntN(len(values))]; value == nil || !slices.Contains([]string{"state", "uuid", "result", "name"}, member) {
			o[member] = value
		}
	}
	return o
}
