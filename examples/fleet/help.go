package main

import (
	"strings"

	"github.com/seed-85ed9bfd/pipelines/examples/cli"
)

const intro = `fleet makes one change to thousands of repositories, or reads one row of a report from each. The work waits in Redis (asynq's queues); any number of workers on any number of hosts do it and share one quota. An interrupted campaign can be continued.`

// general is what fleet -h prints.
var general = cli.Help{
	Intro: intro,
	Usage: []cli.Item{
		{"fleet plan --campaign NAME --workspace W|--repos FILE ACTION", "what start would do, and how long it would take"},
		{"fleet start --campaign NAME --workspace W|--repos FILE ACTION", "put the repositories into Redis; again: the missing ones"},
		{"fleet work --campaign NAME", "work on them until none is left"},
		{"fleet status --campaign NAME [--wait]", "progress; failures, and why"},
		{"fleet results --campaign NAME", "one line of CSV for each repository"},
		{"fleet forget --campaign NAME", "remove it from Redis"},
		{"fleet run [flags of start and work] [ACTION]", "start, work and status in one; without --redis in memory only"},
		{"fleet audit --workspace W", "what all repositories have, and the build time of their runs; without Redis"},
		{"fleet COMMAND -h", "all flags of a command"},
	},
	Notes:       actionsHelp,
	Credentials: "plan and start with --workspace, work, run and audit need them; without them run and audit are demos on a fake service within the program.",
	Scopes:      strings.TrimSuffix(scopes, ".") + "; repository, pipeline and runner for audit.",
	Statuses:    statuses,
}

const actionsHelp = `ACTION comes last, after the flags:

  variable KEY VALUE  set a repository variable; with --value-env NAME in place of VALUE each worker
                      reads the value from its own environment, which --secured requires; a secured
                      variable stays secured
  pipelines on|off    switch Pipelines on or off
  schedules on|off    switch all schedules of each repository on or off
  report              read each repository's last run`

const scopes = "Scopes: repository for --workspace; pipeline:variable for variable; repository:admin for pipelines; pipeline:write for schedules; " +
	"pipeline for report."

var statuses = []cli.Item{
	{"0", "all repositories are done; start: they are in Redis; work: none is left"},
	{"1", "some have failed (status, results, run), or a part of one can't be read (audit)"},
	{"2", "wrong usage, an error on the way, or repositories are left"},
	cli.InterruptedStatus,
}

// commandHelp is what fleet COMMAND -h prints.
func commandHelp(command string) cli.Help {
	help := cli.Help{
		Groups: []cli.Group{
			{"Repositories", "workspace", "repos", "demo"},
			{"Variable", "value-env", "secured"},
			{"Quota", "quota", "per", "share"},
			{"Work", "attempts", "retry-failed", "dry-run", "concurrency", "retry-delay", "wait"},
			{"Campaign", "campaign", "redis", "log"},
		},
		Credentials: cli.NotNeeded, Statuses: statuses,
	}
	for _, item := range general.Usage {
		if strings.HasPrefix(item[0], "fleet "+command+" ") {
			help.Usage = []cli.Item{{item[0]}}
			help.Intro = "fleet " + command + ": " + item[1] + "."
		}
	}
	switch command {
	case "plan", "start":
		help.Notes, help.Scopes = actionsHelp, scopes
		help.Credentials = "They are needed for --workspace."
	case "work":
		help.Scopes, help.Credentials = scopes, cli.Refused
	case "run":
		help.Notes, help.Scopes = actionsHelp, scopes
		help.Credentials = cli.DemoRuns + " The demo's Redis is in memory, its quota is 60 requests in 1s unless --quota or --per says otherwise, and its action is variable GREETING hello."
	}
	return help
}
