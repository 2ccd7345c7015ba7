package main

import (
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
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
