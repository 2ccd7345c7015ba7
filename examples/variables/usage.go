package main

const usage = `variables keeps Pipelines variables as code.

  variables plan   [flags]   show what apply would do; status 1 if there are changes
  variables apply  [flags]   apply the changes; an error reports what was done, and what failed
  variables export [flags]   write the current variables to a file

Whose variables:
  -repo workspace/slug       a repository's
  -repo ... -environment E   those of its deployment environment with that name or UUID
  -workspace W               a workspace's

Flags:
  -file F         the file: YAML, or a .env file by its name; "-" is standard input or output (default variables.yaml)
  -prune          delete variables that aren't in the file
  -keep-secured   leave existing secured variables unchanged; they can't be compared, so they are rewritten otherwise
  -dry-run        make apply behave like plan
  -demo           use a fake service, as without credentials in the environment

The file:
  variables:
    LOG_LEVEL: debug
    API_TOKEN: {secured: true, env: MY_API_TOKEN}            # from this program's environment
    DEPLOY_KEY: {secured: true, command: [pass, show, key]}  # output of a command, without the final newline
  Without "secured", and in a .env file, a secured variable stays secured; {secured: false, ...} makes it readable.

Credentials come from the environment: BITBUCKET_TOKEN, or BITBUCKET_EMAIL and BITBUCKET_API_TOKEN. They need the scope
pipeline:variable, an API token read:pipeline:bitbucket and admin:pipeline:bitbucket.

Status: 0 done, or no changes; 1 plan has changes; 2 an error; 130 interrupted.
`
