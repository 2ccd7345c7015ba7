package main

import "github.com/seed-85ed9bfd/pipelines/examples/cli"

var help = cli.Help{
	Intro: "variables keeps Pipelines variables as code: those of a repository, of one of its deployment environments, or of a workspace.",
	Usage: []cli.Item{
		{"variables plan --repo WORKSPACE/SLUG", "show what apply would do"},
		{"variables apply --repo WORKSPACE/SLUG --environment NAME", "apply the changes; an error says what was done and what failed"},
		{"variables export --workspace WORKSPACE", "write the current variables to a new file"},
		{"variables apply --demo", "a demo on a fake service"},
	},
	Groups: []cli.Group{
		{"Whose variables", "repo", "environment", "workspace"},
		{"The file", "file"},
		{"Of plan and apply", "prune", "secured", "keep-secured", "dry-run"},
	},
	Notes: `
A YAML file:
  variables:
    LOG_LEVEL: debug
    VERSION: 1.10                                            # a text as it is written
    API_TOKEN: {secured: true, env: MY_API_TOKEN}            # from this program's environment
    DEPLOY_KEY: {secured: true, command: [pass, show, key]}  # the output without its last newline
    OPENED: {secured: false, value: readable now}

A .env file:
  LOG_LEVEL=debug                          # a comment
  GREETING='literally: $HOME \n'
  LINES="in double quotes: \n \" \\ \$"

In a .env file nothing is put in for a $: outside of single quotes it is refused, unless it is written as \$ in double quotes. In both, a name that
is there twice, or has no value, is refused.

A secured variable stays secured, and a new one isn't, unless YAML or --secured says otherwise. A plan doesn't show secured values, nor
those from the environment or a command unless YAML says "secured: false". With --prune and a .env file, secured variables
that it lacks are kept: export can't write them to such a file.

The service lists a new variable of an environment some seconds late. apply waits for that, 20 seconds at most, so that the next plan or export has it.
`,
	Credentials: cli.DemoRuns,
	Scopes: "Scopes: pipeline:variable (API token: read:pipeline:bitbucket and admin:pipeline:bitbucket); for plan and export, pipeline " +
		"(read:pipeline:bitbucket).",
	Statuses: []cli.Item{
		{"0", "done; plan: there is nothing to do"}, {"1", "plan: there are changes"}, cli.TroubleStatus, cli.InterruptedStatus,
	},
}
