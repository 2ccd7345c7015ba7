package main

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// reports is what the service writes below the output of a step.
const reports = "Searching for test report files in directories named [test-results, failsafe-reports, test-reports] down to a depth of 4\n" +
	"Finished scanning for test reports. Found 0 test report files.\nMerged test suites, total number tests is 0, with 0 failures and 0 errors.\n"

// lastLines runs a step that fails, with and without --quiet, and returns the lines of its log that are repeated at the end, and their heading.
func lastLines(t *testing.T, log string, commands ...string) (heading string, lines []string) {
	t.Helper()
	var before []string
	synctest.Test(t, func(t *testing.T) {
		for _, args := range [][]string{nil, {"-quiet"}} {
			s := newFixture(t, pipelinestest.Step{Name: "Test", Duration: time.Minute, Log: log, Commands: commands, Result: pipelines.ResultFailed})
			s.env.Colours = args == nil
			require.Equal(t, cli.Failure, s.run(t.Context(), args...), s.errs.String())
			_, end, found := strings.Cut(withoutColours(s.out.String()), "\nTest FAILED; ")
			require.True(t, found)
			all := strings.Split(end, "\n")
			lines = nil
			for _, line := range all[1:] {
				if text, ok := strings.CutPrefix(line, "│ "); ok {
					lines = append(lines, text)
				}
			}
			if heading != "" {
				require.Equal(t, []any{heading, before}, []any{all[0], lines}, "--quiet shows the same")
			}
			heading, before = all[0], lines
		}
	})
	return heading, lines
}

func TestTheLastLinesOfAFailedStepAreThoseBeforeItsTeardown(t *testing.T) {
	heading, lines := lastLines(t, "+ make build\nbuilt\n+ make test\n"+count(300)+"\x1b[31mFAIL: Total() = 41.99\x1b[0m\n"+reports+strings.Repeat("Uploaded a file\n", 50),
		"make build", "make test")
	require.Equal(t, "its last lines before the teardown:", heading)
	require.Len(t, lines, tailLines)
	require.Equal(t, []string{"line 282", "FAIL: Total() = 41.99"}, []string{lines[0], lines[tailLines-1]})
}

func TestTheLastLinesOfAFailedStepIncludeThoseBeforeItsAfterScript(t *testing.T) {
	heading, lines := lastLines(t, "+ make build\nbuilt\n+ make test\n"+count(300)+"FAIL: Total() = 41.99\n+ make clean\n"+strings.Repeat("removed\n", 40)+"cleaned\n"+reports,
		"make build", "make test")
	require.Equal(t, "its last lines before the teardown:", heading)
	require.Contains(t, lines, "FAIL: Total() = 41.99")
	require.Contains(t, lines, "line 300")
	require.Equal(t, "cleaned", lines[len(lines)-1])
	require.Contains(t, lines, "…", "lines that are left out")
	require.Len(t, lines, tailLines+1)

	_, lines = lastLines(t, "+ make test\n"+count(300)+"FAIL\n+ make clean\ncleaned\n", "make test")
	require.Len(t, lines, tailLines)
	require.Equal(t, []string{"line 284", "FAIL", "+ make clean", "cleaned"}, []string{lines[0], lines[17], lines[18], lines[19]})
}

func TestTheLastLinesOfAFailedStepKnowACommandThatTheAfterScriptRepeats(t *testing.T) {
	_, lines := lastLines(t, "+ make build\nbuilt\n+ make test\nFAIL\n+ make build\n"+count(40)+reports, "make build", "make test", "make deploy")
	require.Contains(t, lines, "FAIL")
	require.Equal(t, "line 40", lines[len(lines)-1])
}

func TestTheLastLinesOfAFailedStepKeepTheEndOfWhatIsTraced(t *testing.T) {
	_, lines := lastLines(t, "+ bash -x deploy.sh\n+ echo 1\n1\n+ upload\n"+count(30)+"upload: denied\n", "bash -x deploy.sh")
	require.Equal(t, "upload: denied", lines[len(lines)-1])
	require.Equal(t, "+ bash -x deploy.sh", lines[0])
}

func TestTheLastLinesOfAFailedStep(t *testing.T) {
	for name, tt := range map[string]struct {
		log      string
		commands []string
		want     []string
	}{
		"empty lines":                   {"\n\n+ make test\n\nFAIL\n\n\x1b[0m\n" + reports, []string{"make test"}, []string{"", "", "+ make test", "", "FAIL"}},
		"an after-script":               {"+ make test\nFAIL\n\n+ make clean\ncleaned\n\n" + reports, []string{"make test"}, []string{"+ make test", "FAIL", "+ make clean", "cleaned"}},
		"a silent after-script":         {"+ make test\nFAIL\n+ make clean\n", []string{"make test"}, []string{"+ make test", "FAIL", "+ make clean"}},
		"short":                         {"+ make test\nFAIL\n", []string{"make test"}, []string{"+ make test", "FAIL"}},
		"unknown commands":              {"+ make test\nFAIL\n+ make clean\nok\n", nil, []string{"+ make test", "FAIL", "+ make clean", "ok"}},
		"a command of several lines":    {"+ for a in b; do\nfalse\ndone\nFAIL\n" + reports, []string{"for a in b; do\n  false\ndone"}, []string{"+ for a in b; do", "false", "done", "FAIL"}},
		"nothing but teardown":          {reports, []string{"make test"}, strings.Split(strings.TrimSuffix(reports, "\n"), "\n")},
		"the words before the command":  {reports + "+ make test\nFAIL\n", []string{"make test"}, append(strings.Split(strings.TrimSuffix(reports, "\n"), "\n"), "+ make test", "FAIL")},
		"the service's teardown itself": {"+ make test\nFAIL\n+ echo \"Processing test reports\"\nProcessing test reports\n", []string{"make test"}, []string{"+ make test", "FAIL"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, lines := lastLines(t, tt.log, tt.commands...)
			require.Equal(t, tt.want, lines)
		})
	}
}

func TestTheLastLinesOfAStepThatRanAgainAreThoseOfItsLastRun(t *testing.T) {
	o := newOptions()
	f := newFollower(&job{options: o, screen: newScreen(cli.Env{Stdout: io.Discard}), hidden: newSecrets(nil)}, &pipelines.Pipeline{})
	ended := pipelines.StepState{Name: pipelines.StateCompleted, Result: &pipelines.Result{Name: pipelines.ResultFailed}}
	for run, reason := range []string{"the network", "the test"} {
		step := &pipelines.Step{UUID: "{a}", RunNumber: run + 1, ScriptCommands: []pipelines.Command{{Command: "make test"}}}
		f.take(&pipelines.Event{Kind: pipelines.EventLog, Step: step, Log: []byte("+ make test\nFAIL: " + reason + "\nand no end")})
		done := *step
		done.State = ended
		if run > 0 { // the end of the first run may not be seen
			f.take(&pipelines.Event{Kind: pipelines.EventStep, Step: &done})
		}
	}
	require.Len(t, f.steps, 1)
	tail, _ := f.tailOf(f.steps[0])
	require.Equal(t, []string{"+ make test", "FAIL: the test", "and no end"}, tail)
	require.Contains(t, strings.Join(f.lines, "\n"), "FAIL: the network\n")
}

func TestEmptyLinesAreNoLastLines(t *testing.T) {
	_, lines := lastLines(t, strings.Repeat("\n", 300)+reports, "make test")
	require.Equal(t, strings.Split(strings.TrimSpace(reports), "\n"), lines)

	synctest.Test(t, func(t *testing.T) {
		s := newFixture(t, pipelinestest.Step{Name: "Test", Duration: time.Minute, Log: strings.Repeat(" \n", 300), Result: pipelines.ResultFailed})
		require.Equal(t, cli.Failure, s.run(t.Context(), "-quiet"))
		require.Contains(t, s.out.String(), "\nTest FAILED\n\nFAILED after")
	})
}
