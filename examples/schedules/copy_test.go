package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// lists makes the service list schedules of acme/site by this JSON.
func lists(s *clitest.Fixture, schedules ...string) {
	s.Inject(pipelinestest.Fault{
		Method: http.MethodGet, Path: "/repositories/acme/site/pipelines_config/schedules",
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"values": [` + strings.Join(schedules, ", ") + `]}`,
	})
}

func TestACopyHasTheTypesThatTheOriginalLacks(t *testing.T) {
	main := pipelines.BranchTarget("main")
	ownPipeline := pipelines.Selector{Type: pipelines.SelectorBranches, Pattern: "main"}
	for target, want := range map[string]pipelines.Target{
		`{"ref_type": "branch", "ref_name": "main"}`:                                                                   main.With(ownPipeline),
		`{"ref_name": "main", "type": null, "ref_type": null, "selector": null, "commit": null}`:                       main.With(ownPipeline),
		`{"type": "", "ref_type": "branch", "ref_name": "main", "selector": {"type": "custom", "pattern": "nightly"}}`: main.With(pipelines.CustomSelector("nightly")),
		`{"ref_name": "main", "selector": {"type": "default"}}`:                                                        main.With(pipelines.Selector{Type: pipelines.SelectorDefault}),
		`{"ref_name": "main", "selector": {"type": null, "pattern": null}}`:                                            main.With(ownPipeline),
		`{"ref_name": "main", "selector": {"type": "branches"}}`:                                                       main.With(ownPipeline),
		`{"ref_name": "main", "selector": {"pattern": "main"}}`:                                                        main.With(ownPipeline),
		`{"ref_name": "main", "selector": {"type": "branches", "pattern": "ma*"}, "commit": {"hash": "0123456789"}}`:   main.With(pipelines.Selector{Type: pipelines.SelectorBranches, Pattern: "ma*"}),
	} {
		t.Run(target, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *clitest.Fixture, _, shop *pipelinestest.Repository) {
				lists(s, `{"uuid": "{c1}", "enabled": true, "cron_pattern": "0 0 6 * * ? *", "target": `+target+`}`)
				require.Equal(t, cli.Success, s.Run("-repo acme/site -copy-to acme/shop"), s.Errs.String())
				copies := shop.Schedules()
				require.Len(t, copies, 1)
				copies[0].Target.Commit = nil
				require.Equal(t, want, copies[0].Target)

				require.Equal(t, cli.Success, s.Run("-repo acme/site -copy-to acme/shop"), s.Errs.String())
				require.Contains(t, s.Out.String(), "is there already: ")
				require.Len(t, shop.Schedules(), 1)
			})
		})
	}
}

func TestWhatCannotBeCopiedIsExplainedAndTheRestIsCopied(t *testing.T) {
	const good = `{"uuid": "{good}", "enabled": true, "cron_pattern": "0 0 6 * * ? *", "target": {"ref_name": "main"}}`
	for schedule, want := range map[string]string{
		`{"cron_pattern": "0 0 6 * * ? *"}`:                                                                                                  "can't be copied: ?, 0 0 6 * * ? *: it names no branch\n",
		`{"cron_pattern": "0 0 6 * * ? *", "target": null, "uuid": null, "enabled": null}`:                                                   "can't be copied: ?, 0 0 6 * * ? *: it names no branch\n",
		`{"cron_pattern": null, "target": {"ref_name": "old"}}`:                                                                              "can't be copied: old, no pattern: its pattern has 0 fields instead of 7\n",
		`{"cron_pattern": "@daily", "target": {"ref_name": "old"}}`:                                                                          "can't be copied: old, @daily: its pattern has 1 field instead of 7\n",
		`{"cron_pattern": "0 6 * * *", "target": {"ref_name": "old"}}`:                                                                       "can't be copied: old, 0 6 * * *: its pattern has 5 fields instead of 7\n",
		`{"cron_pattern": "0 0 6 * * ? *", "target": {"source": "feature", "destination": "main", "pullrequest": {"id": 7}}}`:                "can't be copied: pull request 7 (feature to main), 0 0 6 * * ? *: a new schedule can only be of a branch\n",
		`{"cron_pattern": "0 0 6 * * ? *", "target": {"type": "pipeline_pullrequest_target"}}`:                                               "can't be copied: pipeline_pullrequest_target, 0 0 6 * * ? *: a new schedule can only be of a branch\n",
		`{"cron_pattern": "0 0 6 * * ? *", "target": {"commit": {"hash": "abc"}, "selector": {"type": "custom", "pattern": "nightly"}}}`:     "can't be copied: nightly on commit abc, 0 0 6 * * ? *: a new schedule can only be of a branch\n",
		`{"cron_pattern": "0 0 6 * * ? *", "target": {"type": "pipeline_merge_queue_ref_target", "ref_name": "q", "target_branch": "main"}}`: "can't be copied: q, 0 0 6 * * ? *: a new schedule can only be of a branch\n",
		`{"cron_pattern": "0 0 6 * * ? *", "target": {"ref_name": "main", "selector": {"pattern": "nightly"}}}`:                              "can't be copied: main, 0 0 6 * * ? *: what pipeline \"nightly\" means is unknown, because its selector has no type\n",
		`{"cron_pattern": "0 0 6 * * ? *", "target": {"ref_name": "main", "selector": {"type": "custom"}}}`:                                  "can't be copied: ? on main, 0 0 6 * * ? *: it doesn't name its custom pipeline\n",
	} {
		t.Run(schedule, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *clitest.Fixture, _, shop *pipelinestest.Repository) {
				lists(s, schedule, good)
				require.Equal(t, cli.Trouble, s.Run("-repo acme/site -copy-to acme/shop -dry-run"))
				require.Contains(t, s.Out.String(), want)
				require.Contains(t, s.Out.String(), "1 schedule of 2 would be copied to acme/shop\n")
				require.Empty(t, s.Changes())

				require.Equal(t, cli.Trouble, s.Run("-repo acme/site -copy-to acme/shop"))
				require.Contains(t, s.Out.String(), want)
				require.Contains(t, s.Out.String(), "1 schedule of 2 copied to acme/shop\n")
				require.Equal(t, "schedules: 1 schedule can't be copied\n", s.Errs.String())
				require.Len(t, shop.Schedules(), 1)

				s.Run("-repo acme/site")
				require.NotContains(t, s.Out.String(), "%!")
			})
		})
	}
}

func TestWhatTheServiceRefusesToCopyIsExplainedAndTheRestIsCopied(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _, shop *pipelinestest.Repository) {
		s.Inject(pipelinestest.Fault{Method: http.MethodPost, Status: http.StatusBadRequest, Times: 1})
		require.Equal(t, cli.Trouble, s.Run("-repo acme/site -copy-to acme/shop"))
		require.Regexp(t, `(?m)^can't be copied: .*: POST /.*400 Bad Request`, s.Out.String())
		require.Contains(t, s.Out.String(), "3 schedules of 4 copied to acme/shop\n")
		require.Equal(t, "schedules: 1 schedule can't be copied\n", s.Errs.String())
		require.Len(t, shop.Schedules(), 3)
	})
}

func TestWhatTheServiceRefusesToPauseIsExplainedAndTheRestIsPaused(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusNotFound} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *clitest.Fixture, site, _ *pipelinestest.Repository) {
				s.Inject(pipelinestest.Fault{Method: http.MethodPut, Status: status, Times: 1})
				require.Equal(t, cli.Trouble, s.Run("-repo acme/site -pause"))
				require.Regexp(t, `(?m)^can't be paused: .*: PUT /.*`+http.StatusText(status), s.Out.String())
				require.Contains(t, s.Out.String(), "2 schedules of 4 paused\n")
				require.Equal(t, "schedules: 1 schedule can't be paused\n", s.Errs.String())
				require.Equal(t, "{c1}", enabled(site))
			})
		})
	}
}

func TestAScheduleWithoutAnIDIsNotPausedAndTheOthersAre(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, site, _ *pipelinestest.Repository) {
		lists(s, `{"enabled": true, "cron_pattern": "0 0 6 * * ? *", "target": {"ref_name": "main"}}`, `{"enabled": true, "uuid": "{c1}"}`)
		require.Equal(t, cli.Trouble, s.Run("-repo acme/site -pause"))
		require.Contains(t, s.Out.String(), "can't be paused: main, 0 0 6 * * ? *: the service sent no ID of it\npaused {c1}: ?, no pattern\n1 schedule of 2 paused\n")
		require.Equal(t, "schedules: 1 schedule can't be paused\n", s.Errs.String())
		require.Equal(t, "{c2} {c3}", enabled(site))
	})
}

func TestAPauseThatTheServiceIgnoresIsAnError(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _, _ *pipelinestest.Repository) {
		s.Inject(pipelinestest.Fault{
			Method: http.MethodPut, Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"uuid": "{c1}", "enabled": true}`,
		})
		require.Equal(t, cli.Trouble, s.Run("-repo acme/site -pause"))
		require.Contains(t, s.Out.String(), "0 schedules of 4 paused\n")
		require.Contains(t, s.Errs.String(), "{c1}: the service accepted the change and left it enabled")
	})
}

// The service enables each new schedule, and disabling it is another request. What an interrupt leaves between them looks like a whole copy.
func TestACopyThatIsEnabledThoughTheOriginalIsPausedIsNamed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *clitest.Fixture, _, shop *pipelinestest.Repository) {
		s.Inject(pipelinestest.Fault{Method: http.MethodPut, Status: http.StatusForbidden, Times: 1})
		require.Equal(t, cli.Trouble, s.Run("-repo acme/site -copy-to acme/shop -id c4"))
		id := enabled(shop)
		require.NotEmpty(t, id)
		require.Equal(t, cli.Success, s.Run("-repo acme/site -copy-to acme/shop -id c4"))
		require.Contains(t, s.Out.String(), "is there already, but enabled, while the original is paused: old[2J, 0 0 12 * * ? *; "+
			"to pause it: schedules --repo acme/shop --pause --id "+cli.BareUUID(id)+"\n")
		require.Equal(t, id, enabled(shop), "it may be meant to be enabled")
	})
}

func TestIDsMayHaveSpacesAroundThem(t *testing.T) {
	var list ids
	require.NoError(t, list.Set("c1, {c2} "))
	require.Equal(t, ids{"c1", "{c2}"}, list)
}
