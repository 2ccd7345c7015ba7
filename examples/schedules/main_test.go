package main

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// inBubble runs a test on Saturday, 2000-01-01, midnight UTC, with four schedules in acme/site and none in acme/shop.
func inBubble(t *testing.T, test func(t *testing.T, s *clitest.Fixture, site, shop *pipelinestest.Repository)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := clitest.New(t, run)
		site, shop := s.AddRepository("acme", "site"), s.AddRepository("acme", "shop")
		main, old := pipelines.BranchTarget("main"), pipelines.BranchTarget("old\x1b[2J")
		nightly := main.With(pipelines.CustomSelector("nightly"))
		nightly.Commit = &pipelines.Commit{Type: "commit", Hash: "0123456789"}
		for _, one := range []pipelines.Schedule{
			{UUID: "{c1}", Target: nightly, CronPattern: "0 15 2 * * ? *", Enabled: true},
			{UUID: "{c2}", Target: main, CronPattern: "0 0 6 1 3 ? *", Enabled: true},
			{UUID: "{c3}", Target: main, CronPattern: "0 30 0 * * ? *", Enabled: true},
			{UUID: "{c4}", Target: old, CronPattern: "0 0 12 * * ? *"},
		} {
			site.AddSchedule(one)
		}
		test(t, s, site, shop)
	})
}

func enabled(repo *pipelinestest.Repository) string {
	var all []string
	for _, s := range repo.Schedules() {
		if s.Enabled {
			all = append(all, s.UUID)
		}
	}
	return strings.Join(all, " ")
}

func TestItShowsTheNextTimesInWordsAndInLocalTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _, _ *pipelinestest.Repository) {
		require.Equal(t, cli.Success, s.Run("-repo acme/site -zone Europe/Berlin"), s.Errs.String())
		require.Equal(t, `RUNS             PATTERN (UTC)   NEXT                   LOCAL TIME                ID
main             0 30 0 * * ? *  in 30 minutes          Sat 2000-01-01 01:30 CET  {c3}
nightly on main  0 15 2 * * ? *  in 2 hours 15 minutes  Sat 2000-01-01 03:15 CET  {c1}
main             0 0 6 1 3 ? *   in 60 days             Wed 2000-03-01 07:00 CET  {c2}
old[2J           0 0 12 * * ? *  paused                 -                         {c4}

4 schedules, 1 paused. Now it is Sat 2000-01-01 01:00 CET.
`, s.Out.String())
	})
}

func TestItShowsSeveralTimesOfSomeSchedules(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, site, _ *pipelinestest.Repository) {
		time.Sleep(29*time.Minute + 50*time.Second)
		site.AddSchedule(pipelines.Schedule{UUID: "{c5}", CronPattern: "0 0 12 1 1 ? 1999", Enabled: true})
		site.AddSchedule(pipelines.Schedule{UUID: "{c6}", CronPattern: "0 0 99 1 1 ? 1999", Enabled: true})
		require.Equal(t, cli.Success, s.Run("-repo acme/site -zone UTC -next 2 -id c6,{C3} -id c5"), s.Errs.String())
		out := s.Out.String()
		require.Regexp(t, `(?m)^main +0 30 0 \* \* \? \* +within a minute +Sat 2000-01-01 00:30 UTC +\{c3\}
 +in 1 day +Sun 2000-01-02 00:30 UTC
`, out)
		require.Regexp(t, `unknown: hour: 99 is not from 0 to 23 +- +\{c6\}`, out)
		require.Regexp(t, `never +- +\{c5\}`, out)
		require.NotContains(t, out, "{c1}")
	})
}

func TestHowFarOffATimeIs(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	for want, d := range map[string]time.Duration{
		"within a minute": 29 * time.Second, "in 1 minute": time.Minute, "in 1 hour": time.Hour - time.Second, "in 2 hours 1 minute": 121 * time.Minute,
		"in 1 day": day, "in 1 day 23 hours": 2*day - time.Hour, "in 2 days": 2*day + 59*time.Minute, "in 7 days": 7*day + 5*time.Hour, "in 1,200 days": 1200 * day,
	} {
		require.Equal(t, want, words(now.Add(d), now))
	}
}

func TestLocalTimesNameTheirOffsetBeforeAndAfterAChangeOfTheClocks(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, site, _ *pipelinestest.Repository) {
		site.AddSchedule(pipelines.Schedule{UUID: "{spring}", CronPattern: "0 30 0,1 26 3 ? 2000", Enabled: true})
		site.AddSchedule(pipelines.Schedule{UUID: "{autumn}", CronPattern: "0 30 0,1 29 10 ? 2000", Enabled: true})
		require.Equal(t, cli.Success, s.Run("-repo acme/site -zone Europe/Berlin -next 3 -id spring"), s.Errs.String())
		require.Regexp(t, `Sun 2000-03-26 01:30 CET +\{spring\}\n.* Sun 2000-03-26 03:30 CEST *\n\n`, s.Out.String())
		require.Equal(t, cli.Success, s.Run("-repo acme/site -zone Europe/Berlin -next 3 -id autumn"), s.Errs.String())
		require.Regexp(t, `Sun 2000-10-29 02:30 CEST +\{autumn\}\n.* Sun 2000-10-29 02:30 CET *\n\n`, s.Out.String())
		require.Equal(t, cli.Success, s.Run("-repo acme/site -zone America/Sao_Paulo -id spring"), s.Errs.String())
		require.Contains(t, s.Out.String(), "Sat 2000-03-25 21:30 -03", "a zone without letters")
	})
}

func TestItPausesAllAndResumesWhatItPaused(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, site, _ *pipelinestest.Repository) {
		require.Equal(t, cli.Success, s.Run("-repo acme/site -pause -dry-run"))
		require.Contains(t, s.Out.String(), "3 schedules of 4 would be paused\n")
		require.Equal(t, "{c1} {c2} {c3}", enabled(site))
		require.Empty(t, s.Changes())

		require.Equal(t, cli.Success, s.Run("-repo acme/site -pause"))
		require.Empty(t, enabled(site))
		_, resume, found := strings.Cut(s.Out.String(), "To resume what was paused: schedules ")
		require.True(t, found)
		require.NotContains(t, s.Out.String(), "\x1b")

		require.Equal(t, cli.Success, s.Run(resume), s.Errs.String())
		require.Equal(t, "{c1} {c2} {c3}", enabled(site), "the one that was paused before stays so")
		require.Equal(t, cli.Success, s.Run("-repo acme/site -resume"))
		require.Contains(t, s.Out.String(), "1 schedule of 4 resumed\n")
		require.Equal(t, "{c1} {c2} {c3} {c4}", enabled(site))
	})
}

func TestAFailedPauseReportsWhatItPaused(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, site, _ *pipelinestest.Repository) {
		s.Inject(pipelinestest.Fault{Method: http.MethodPut, Skip: 1, Status: http.StatusForbidden})
		require.Equal(t, cli.Trouble, s.Run("-repo acme/site -pause"))
		require.Contains(t, s.Out.String(), "1 schedule of 4 paused\nTo resume what was paused: schedules --repo acme/site --resume --id c1\n")
		require.Contains(t, s.Errs.String(), "don't allow this")
		require.Equal(t, "{c2} {c3}", enabled(site))
	})
}

func TestItCopiesWhatIsMissing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _, shop *pipelinestest.Repository) {
		main := pipelines.BranchTarget("main").With(pipelines.Selector{Type: pipelines.SelectorBranches, Pattern: "main"})
		shop.AddSchedule(pipelines.Schedule{UUID: "{there}", Target: main, CronPattern: "0  0 6 1 3 ? *"})
		args := "-repo acme/site -copy-to acme/shop"
		require.Equal(t, cli.Success, s.Run(args+" -dry-run"))
		require.Contains(t, s.Out.String(), "3 schedules of 4 would be copied to acme/shop\n")
		require.Empty(t, s.Changes())

		require.Equal(t, cli.Success, s.Run(args), s.Errs.String())
		require.Equal(t, "copied: nightly on main, 0 15 2 * * ? *\nis there already: main, 0 0 6 1 3 ? *\ncopied: main, 0 30 0 * * ? *\n"+
			"copied: old[2J, 0 0 12 * * ? *, paused\n3 schedules of 4 copied to acme/shop\n", s.Out.String())
		copies := shop.Schedules()
		require.Len(t, copies, 4)
		require.Equal(t, "nightly", copies[1].Target.Selector.Pattern)
		require.Nil(t, copies[1].Target.Commit, "the commit is one of the other repository")
		require.True(t, copies[1].Enabled)
		require.False(t, copies[3].Enabled)

		require.Equal(t, cli.Success, s.Run(args))
		require.Contains(t, s.Out.String(), "0 schedules of 4 copied")
		require.Len(t, shop.Schedules(), 4)
	})
}

func TestADuplicateScheduleIsCopiedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, site, shop *pipelinestest.Repository) {
		site.AddSchedule(site.Schedules()[2])
		require.Equal(t, cli.Success, s.Run("-repo acme/site -copy-to acme/shop"), s.Errs.String())
		require.Contains(t, s.Out.String(), "4 schedules of 5 copied to acme/shop\n")
		require.Len(t, shop.Schedules(), 4)
	})
}

func TestACopyBeyondTheLimitFails(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _, shop *pipelinestest.Repository) {
		for range 8 {
			shop.AddSchedule(pipelines.Schedule{})
		}
		require.Equal(t, cli.Trouble, s.Run("-repo acme/site -copy-to acme/shop"))
		require.Contains(t, s.Out.String(), "2 schedules of 4 copied to acme/shop\n")
		require.Contains(t, s.Errs.String(), "too many schedules")
		require.NotContains(t, s.Errs.String(), "credentials", "which are right")
	})
}

func TestAMissingScheduleIsAnError(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, site, _ *pipelinestest.Repository) {
		require.Equal(t, cli.Trouble, s.Run("-repo acme/site -pause -id c1,nope"))
		require.Equal(t, "schedules: there is no schedule nope\n", s.Errs.String())
		require.Equal(t, "{c1} {c2} {c3}", enabled(site))
		require.Equal(t, cli.Success, s.Run("-repo acme/shop"))
		require.Equal(t, "acme/shop has no schedules.\n", s.Out.String())
		require.Equal(t, cli.Interrupted, s.RunInterrupted("-repo acme/site -pause"))
	})
}

func TestInvalidUsageIsRejected(t *testing.T) {
	for args, want := range map[string]string{
		"-repo acme/site -pause -resume":            "exclude each other",
		"-repo acme/site -dry-run":                  "--dry-run goes with",
		"-repo acme/site -next 11":                  "--next is not",
		"-repo acme/site -zone Mars/Olympus":        `--zone: there is no time zone "Mars/Olympus": its name has the form`,
		"-repo acme/site -zone ../etc":              "--zone: there is no time zone",
		"-repo acme/site -copy-to shop":             "--copy-to: repository",
		"-repo acme/site -copy-to acme/site":        "is the repository itself",
		"-demo -copy-to acme/docs":                  "--copy-to: the demo has acme/site and acme/shop, but not acme/docs",
		"-repo acme/site -pause -id=":               "--id: an ID is empty",
		"-repo acme/site -pause -id c1,":            "--id: an ID is empty",
		"-repo acme/site -pause -id {}":             "--id: an ID is empty",
		"-pause":                                    "-repo is missing",
		"-repo acme/site -pause c1":                 "1 argument too many",
		"-repo acme/site -copy-to acme/shop -pause": "exclude each other",
	} {
		s := clitest.New(t, run)
		s.Refuses(args, want)
	}
	status, _, errs := clitest.Demo(t, run, "-copy-to acme/shop")
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, errs, "-copy-to needs credentials")
}

func TestTheDemoRunsWithoutCredentials(t *testing.T) {
	status, out, errs := clitest.Demo(t, run, "-next 2")
	require.Equal(t, cli.Success, status)
	require.Contains(t, errs, "demo")
	require.Contains(t, out, "nightly on main")
	clitest.RequireDemo(t, run, "-demo -copy-to acme/shop", "4 schedules of 4 copied to acme/shop")
	require.Contains(t, clitest.RequireHelp(t, run), "pipeline:write")
}
