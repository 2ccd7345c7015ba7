package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/htmlreport"
)

func TestAFileThatCantBeWrittenIsRefusedBeforeAnythingIsRead(t *testing.T) {
	for _, flag := range []string{"--o", "--json"} {
		s := newFixture(t, true)
		file := filepath.Join(t.TempDir(), "none", "report")
		require.Equal(t, cli.Trouble, s.run(t.Context(), "--repo", "acme/site", flag, file))
		require.Contains(t, s.errs.String(), flag+": "+file+": no such file or directory")
		require.Empty(t, s.srv.Requests(), "they count")
	}
}

func TestOfOlderRunsAtMostOnePageIsRead(t *testing.T) {
	for _, days := range []int{8, 9, 10, 14} { // 169, 193, 217 and 313 runs
		synctest.Test(t, func(t *testing.T) { // its days begin at midnight
			s := newFixture(t, true)
			for i := range 1000 {
				s.repo.AddPipeline(pipelines.Pipeline{CreatedOn: time.Now().Add(-time.Duration(i) * time.Hour)})
			}
			rep := s.report(t, cli.Success, "-days", strconv.Itoa(days))
			require.Equal(t, (days-1)*24+1, rep.Counts.Runs)

			pages := rep.Counts.Runs/100 + 1
			read := len(s.srv.RequestsTo("GET", "/repositories/{workspace}/{repo_slug}/pipelines"))
			if pages < 3 { // from the third page on, the SDK reads one ahead
				require.Equal(t, pages, read, days)
			} else {
				require.GreaterOrEqual(t, read, pages, days)
				require.LessOrEqual(t, read, pages+1, days)
			}
		})
	}
}

func TestADayWithoutMidnightBeginsWhenClocksChange(t *testing.T) {
	for name, date := range map[string]string{"America/Havana": "2026-03-08", "Asia/Beirut": "2026-03-29", "Africa/Cairo": "2026-04-24", "Europe/Berlin": "2026-03-29"} {
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		day, err := time.Parse(time.DateOnly, date)
		require.NoError(t, err)
		for days := range 3 {
			since := startOfDay(time.Date(day.Year(), day.Month(), day.Day()+days, 9, 30, 0, 0, zone), days+1)
			require.Equal(t, date, since.Format(time.DateOnly), name)
			require.NotEqual(t, date, since.Add(-time.Second).Format(time.DateOnly), name)
		}
	}
}

func TestAPageNamesSomeOfTheStepsInWhichATestIsFlaky(t *testing.T) {
	test := FlakyTest{Test: "a"}
	for i := range 30 {
		test.Steps = append(test.Steps, fmt.Sprintf("step %d", i))
	}
	cell := flakySection([]FlakyTest{test}).Tables[0].Rows[0][0]
	require.Equal(t, []string{"step 0", "step 1", "step 2", "step 3", "step 4", "and 25 more steps"}, cell.Notes)
	require.Len(t, test.Steps, 30, "the JSON has all")
	test.Steps = test.Steps[:6]
	require.Equal(t, test.Steps, flakySection([]FlakyTest{test}).Tables[0].Rows[0][0].Notes)
}

func TestATableThatIsCutSaysSo(t *testing.T) {
	rep := Report{Counts: Counts{Runs: 12}}
	for i := range 12 {
		name, took := strconv.Itoa(i), Percentiles{Count: 1, P90: 5}
		rep.Pipelines = append(rep.Pipelines, PipelineStats{Name: name, Wait: took})
		rep.Steps = append(rep.Steps, StepStats{Name: name, Duration: took})
		rep.Flaky = append(rep.Flaky, FlakyTest{Test: name})
	}
	page := htmlPage(rep)
	for _, heading := range []string{"Duration by pipeline", "Build time by step", "The slowest steps", "Waiting before start"} {
		i := slices.IndexFunc(page.Sections, func(s htmlreport.Section) bool { return s.Heading == heading })
		require.Regexp(t, "^The JSON has 2 more (steps|pipelines).$", page.Sections[i].Tables[0].After, heading)
	}
	var summary strings.Builder
	summarize(&summary, rep)
	require.Equal(t, 2, strings.Count(summary.String(), "\nand 7 more\n"), "pipelines and flaky tests: the others are the most by their headings")
}
