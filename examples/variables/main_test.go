package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/examples/cli/clitest"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// call runs the program, and returns its output.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	return status, out.String(), errs.String()
}

// serve points the program's environment at a fake service.
func serve(t *testing.T, options ...pipelinestest.ServerOption) (*pipelinestest.Server, *pipelinestest.Repository) {
	t.Helper()
	clitest.SetCredentials(t, "t0ken")
	srv := pipelinestest.NewServer(append(options, pipelinestest.WithToken("t0ken"))...)
	t.Cleanup(srv.Close)
	t.Setenv("BITBUCKET_BASE_URL", srv.URL())
	return srv, srv.AddRepository("acme", "site")
}

func write(t *testing.T, name, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func values(variables []pipelines.Variable) map[string]string {
	all := map[string]string{}
	for _, v := range variables {
		all[v.Key] = v.Value
		if v.Secured {
			all[v.Key] += " (secured)"
		}
	}
	return all
}

func TestPlanApplyAndExportOfARepository(t *testing.T) {
	srv, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "OLD", Value: "1"})
	t.Setenv("MY_TOKEN", "from-env")
	file := write(t, "v.yaml", "variables:\n  LEVEL: debug\n  YES: yes\n  VERSION: 1.10\n  EMPTY: \"\"\n  TOKEN: {secured: true, env: MY_TOKEN}\n"+
		"  KEY: {secured: true, command: [echo, from-command]}\n")

	status, stdout, stderr := call(t, "plan", "--repo", "acme/site", "--file", file, "--prune")
	require.Equal(t, cli.Failure, status, stderr)
	require.Contains(t, stdout, `+ VERSION = "1.10"`)
	require.Contains(t, stdout, "- OLD\n6 to create, 0 to change, 1 to delete, 0 unchanged")
	require.NotContains(t, stdout, "from-")

	status, stdout, _ = call(t, "apply", "--dry-run", "--repo", "acme/site", "--file", file, "--prune")
	require.Equal(t, cli.Success, status)
	require.Contains(t, stdout, "nothing was changed")
	require.Len(t, r.Variables(), 1)

	status, _, stderr = call(t, "apply", "--repo", "acme/site", "--file", file, "--prune")
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{
		"LEVEL": "debug", "YES": "yes", "VERSION": "1.10", "EMPTY": "", "TOKEN": "from-env (secured)", "KEY": "from-command (secured)",
	}, values(r.Variables()))

	srv.ClearRequests()
	status, stdout, _ = call(t, "plan", "--repo", "acme/site", "--file", file, "--prune", "--keep-secured")
	require.Equal(t, cli.Success, status, stdout)
	require.Len(t, srv.Requests(), 1)
}

func TestScopesAndDotenv(t *testing.T) {
	srv, r := serve(t, pipelinestest.WithLateVariables(0))
	staging := r.AddEnvironment("Staging", pipelines.EnvironmentStaging)
	workspace := srv.AddWorkspace("acme")
	file := write(t, ".env", "\ufeff# comment\nA=1\nexport B=\"two words\"\n")
	status, _, stderr := call(t, "apply", "--repo", "acme/site", "--environment", "staging", "--file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{"A": "1", "B": "two words"}, values(staging.Variables()))
	status, _, stderr = call(t, "apply", "--workspace", "acme", "--file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Len(t, workspace.Variables(), 2)
	for _, id := range []string{staging.UUID(), strings.Trim(staging.UUID(), "{}"), strings.ToUpper(staging.UUID())} {
		status, stdout, stderr := call(t, "plan", "--repo", "acme/site", "--environment", id, "--file", file)
		require.Equal(t, cli.Success, status, stderr)
		require.Contains(t, stdout, "2 unchanged")
	}
}

func TestTheNameOfAnEnvironmentIsExactIfTwoDifferOnlyInCase(t *testing.T) {
	_, r := serve(t, pipelinestest.WithLateVariables(0))
	upper, lower := r.AddEnvironment("Staging", pipelines.EnvironmentStaging), r.AddEnvironment("staging", pipelines.EnvironmentTest)
	file := write(t, ".env", "A=1\n")
	status, _, stderr := call(t, "apply", "--repo", "acme/site", "--environment", "staging", "--file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Empty(t, upper.Variables())
	require.Len(t, lower.Variables(), 1)
	status, _, stderr = call(t, "apply", "--repo", "acme/site", "--environment", "STAGING", "--file", file)
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "differ only in upper and lower case")
}

func TestASecuredVariableStaysSecuredUnlessTheFileSaysOtherwise(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
	for _, file := range []struct{ name, text, want string }{
		{".env", "TOKEN=rotated\n", "rotated (secured)"},
		{"v.yaml", "variables: {TOKEN: again}\n", "again (secured)"},
		{"v.yaml", "variables: {TOKEN: {env: MY_TOKEN}}\n", "from-env (secured)"},
		{"v.yaml", "variables: {TOKEN: {secured: false, value: opened}}\n", "opened"},
		{"v.yaml", "variables: {TOKEN: still open}\n", "still open"},
	} {
		t.Setenv("MY_TOKEN", "from-env")
		status, stdout, stderr := call(t, "apply", "--repo", "acme/site", "--file", write(t, file.name, file.text))
		require.Equal(t, cli.Success, status, stderr)
		require.Equal(t, map[string]string{"TOKEN": file.want}, values(r.Variables()), file.text)
		if strings.HasSuffix(file.want, "(secured)") {
			require.NotContains(t, stdout, strings.Fields(file.want)[0])
		}
	}
}

func TestTheFlagSecuredSaysWhatTheFileLeavesOpen(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
	env, yaml := write(t, ".env", "TOKEN=t\nOPEN=o\n"), write(t, "v.yaml", "variables: {TOKEN: {value: t, secured: true}, OPEN: o}")
	for _, c := range []struct {
		args []string
		want map[string]string
	}{
		{[]string{"--file", env}, map[string]string{"TOKEN": "t (secured)", "OPEN": "o"}},
		{[]string{"--file", env, "--secured"}, map[string]string{"TOKEN": "t (secured)", "OPEN": "o (secured)"}},
		{[]string{"--file", yaml, "--secured=false"}, map[string]string{"TOKEN": "t (secured)", "OPEN": "o"}},
		{[]string{"--file", env, "--secured=false"}, map[string]string{"TOKEN": "t", "OPEN": "o"}},
	} {
		status, stdout, stderr := call(t, append([]string{"apply", "--repo", "acme/site"}, c.args...)...)
		require.Equal(t, cli.Success, status, stdout+stderr)
		require.Equal(t, c.want, values(r.Variables()), c.args)
	}
}

func TestAFileWithoutVariablesNeverDeletesAll(t *testing.T) {
	srv, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "A", Value: "1"})
	for name, texts := range map[string][]string{
		"v.yaml": {"variables: {}", "variables: {} # none\n", "", "# none\n", "variables:\n"}, ".env": {"", "\n \t\r\n", "# none\n#A=1", "\ufeff"},
	} {
		for _, text := range texts {
			status, stdout, stderr := call(t, "apply", "--repo", "acme/site", "--file", write(t, name, text), "--prune")
			require.Equal(t, cli.Trouble, status, "%q: %s", text, stdout)
			require.Regexp(t, `no variables|"variables:"`, stderr)
		}
	}
	require.Empty(t, srv.Requests())
	require.Len(t, r.Variables(), 1)
	status, stdout, _ := call(t, "apply", "--repo", "acme/site", "--file", write(t, "v.yaml", "variables: {}"))
	require.Equal(t, cli.Success, status)
	require.Contains(t, stdout, "0 to create, 0 to change, 0 to delete")
}

func TestPruneKeepsSecuredVariablesThatAnExportedDotenvFileLacks(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
	r.AddVariable(pipelines.Variable{Key: "A", Value: "1"})
	r.AddVariable(pipelines.Variable{Key: "OLD", Value: "1"})
	status, stdout, stderr := call(t, "apply", "--repo", "acme/site", "--file", write(t, ".env", "A=1\n"), "--prune")
	require.Equal(t, cli.Success, status, stderr)
	require.Contains(t, stdout, "0 to create, 0 to change, 1 to delete")
	require.Contains(t, stdout, "TOKEN")
	require.Equal(t, map[string]string{"TOKEN": "old (secured)", "A": "1"}, values(r.Variables()))
	status, _, stderr = call(t, "apply", "--repo", "acme/site", "--file", write(t, "v.yaml", "variables: {A: 1}"), "--prune")
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{"A": "1"}, values(r.Variables()))
}

func TestAPlanMasksWhatIsNotInTheFileUnlessItSaysThatItIsNoSecret(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "CHANGED", Value: "old"})
	t.Setenv("SOURCE", "hush \"$\" 1")
	file := write(t, "v.yaml", "variables:\n  NEW: {env: SOURCE}\n  CHANGED: {command: [printf, 'hush\n2']}\n  OPENED: {command: [echo, shown], secured: false}\n  PLAIN: written\n")
	status, stdout, stderr := call(t, "apply", "--repo", "acme/site", "--file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.NotContains(t, stdout, "hush")
	require.Contains(t, stdout, "+ NEW = ******\n+ OPENED = \"shown\"\n+ PLAIN = \"written\"\n~ CHANGED = ****** -> ******\n", "the old value may be a secret from there, too")
	require.Equal(t, "hush \"$\" 1", values(r.Variables())["NEW"])

	r.AddVariable(pipelines.Variable{Key: "NEW", Value: "hush", Secured: true})
	status, stdout, stderr = call(t, "apply", "--repo", "acme/site", "--file", file, "--secured=false")
	require.Equal(t, cli.Success, status, stderr)
	require.Contains(t, stdout, "~ NEW = ******, was secured\n")
	require.NotContains(t, stdout, "hush")
}

func TestKeepingSecuredVariablesNeedsNoValuesForThoseThatExist(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
	t.Setenv("NEW_TOKEN", "x")
	file := write(t, "v.yaml", "variables:\n  TOKEN: {secured: true, env: NOT_THERE}\n  NEW: {secured: true, env: NEW_TOKEN}\n")
	status, _, stderr := call(t, "apply", "--repo", "acme/site", "--file", file)
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "line 2: TOKEN: the environment variable NOT_THERE is not set")
	status, _, stderr = call(t, "apply", "--repo", "acme/site", "--file", file, "--keep-secured")
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{"TOKEN": "old (secured)", "NEW": "x (secured)"}, values(r.Variables()))

	file = write(t, "v.yaml", "variables: {OTHER: {secured: true, env: NOT_THERE}}")
	status, _, stderr = call(t, "apply", "--repo", "acme/site", "--file", file, "--keep-secured")
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "OTHER has no value, which it needs")
	file = write(t, "v.yaml", "variables: {TOKEN: {env: NOT_THERE}}")
	status, _, stderr = call(t, "apply", "--repo", "acme/site", "--file", file, "--keep-secured")
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "NOT_THERE is not set")
}

func TestAnEmptyValueForASecuredVariableIsRefused(t *testing.T) {
	srv, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
	file := write(t, ".env", "TOKEN=\nOTHER=1\n")
	status, _, stderr := call(t, "apply", "--repo", "acme/site", "--file", file)
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "TOKEN is secured, and its value is empty")
	require.Len(t, srv.Requests(), 1, "the list, and no change")

	status, _, stderr = call(t, "apply", "--repo", "acme/site", "--file", file, "--keep-secured")
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{"TOKEN": "old (secured)", "OTHER": "1"}, values(r.Variables()))
}

func TestAnEmptySecretIsRefusedBeforeAnythingIsSent(t *testing.T) {
	srv, _ := serve(t)
	t.Setenv("EMPTY", "")
	for _, args := range [][]string{
		{"--file", write(t, "v.yaml", "variables: {TOKEN: {secured: true, env: EMPTY}}")},
		{"--file", write(t, "v.yaml", "variables: {TOKEN: {secured: true, command: [\"true\"]}}")},
		{"--file", write(t, ".env", "TOKEN="), "--secured"},
	} {
		status, _, stderr := call(t, append([]string{"apply", "--repo", "acme/site"}, args...)...)
		require.Equal(t, cli.Trouble, status)
		require.Contains(t, stderr, "TOKEN has to be secured, but its value is empty")
	}
	require.Empty(t, srv.Requests())
}

func TestAnErrorReportsWhatWasDoneAndASecondRunFinishesTheRest(t *testing.T) {
	srv, r := serve(t)
	file := write(t, "v.yaml", "variables: {A: 1, B: 2, C: 3}\n")
	srv.Inject(pipelinestest.Fault{Method: "POST", Status: 403, Skip: 1, Times: 1})
	status, _, stderr := call(t, "apply", "--repo", "acme/site", "--file", file)
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "create B: ")
	require.Contains(t, stderr, "(done: create A; 1 not tried)")
	status, _, stderr = call(t, "apply", "--repo", "acme/site", "--file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{"A": "1", "B": "2", "C": "3"}, values(r.Variables()))
}

func TestWhatTheCommandLineCantMeanIsRefusedBeforeAnythingIsSent(t *testing.T) {
	srv, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "A", Value: "1"})
	directory := t.TempDir()
	for _, c := range []struct {
		want string
		args []string
	}{
		{"the first argument is missing: plan, apply or export", nil},
		{"the first argument is missing: plan, apply or export", []string{"--repo", "acme/site", "plan"}},
		{`the first argument is plan, apply or export, not "sync"`, []string{"sync"}},
		{"the first argument is missing: plan, apply or export", []string{""}},
		{"1 argument", []string{"plan", "--repo", "acme/site", "extra"}},
		{"one of --repo and --workspace is needed", []string{"plan"}},
		{"--repo and --workspace are both given", []string{"plan", "--repo", "acme/site", "--workspace", "acme"}},
		{"--repo is empty", []string{"plan", "--repo="}},
		{"--workspace is empty", []string{"plan", "--workspace="}},
		{"--file is empty", []string{"plan", "--repo", "acme/site", "--file="}},
		{"--environment is empty", []string{"plan", "--repo", "acme/site", "--environment", " "}},
		{"--environment goes with --repo", []string{"plan", "--workspace", "acme", "--environment", "b"}},
		{"not of the form workspace/slug", []string{"plan", "--repo", "acme"}},
		{"--prone", []string{"plan", "--prone"}},
		{"--secured", []string{"plan", "--repo", "acme/site", "--secured=perhaps"}},
		{"export has no --dry-run and --prune", []string{"export", "--repo", "acme/site", "--prune", "--dry-run"}},
		{"no such file", []string{"plan", "--repo", "acme/site", "--environment", "e", "--file", filepath.Join(directory, "none.yaml")}},
		{"is a directory", []string{"plan", "--repo", "acme/site", "--file", directory}},
		{"exists already", []string{"export", "--repo", "acme/site", "--file", directory}},
	} {
		status, stdout, stderr := call(t, c.args...)
		require.Equal(t, cli.Trouble, status, c.want)
		require.Contains(t, stderr, c.want)
		require.Empty(t, stdout)
		require.NotContains(t, stderr, " -r", "flags have two dashes")
	}
	require.Empty(t, srv.Requests())
	status, _, stderr := call(t, "plan", "--repo", "acme/site", "--environment", "nowhere", "--file", write(t, ".env", "A=1"))
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, `acme/site has no environment "nowhere"`)
}

func TestTheDemoNeedsNoCredentials(t *testing.T) {
	clitest.SetCredentials(t, "")
	for _, args := range [][]string{{"apply", "--repo", "acme/site"}, {"export", "--workspace", "acme"}, {"plan", "--environment", "Staging"}} {
		status, _, stderr := call(t, args...)
		require.Equal(t, cli.Trouble, status, "nobody takes the demo for what was to be done")
		require.Contains(t, stderr, "needs credentials")
	}
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile(defaultFile, []byte("variables: {MINE: 1}"), 0o600))
	status, stdout, stderr := call(t, "plan", "--file", defaultFile)
	require.Equal(t, cli.Failure, status, stderr)
	require.Contains(t, stdout, "+ MINE")
	status, stdout, stderr = call(t, "apply", "--prune")
	require.Equal(t, cli.Success, status, stderr)
	require.Contains(t, stderr, "No credentials")
	require.Contains(t, stdout, "Done.")
	require.NotContains(t, strings.ReplaceAll(stdout, demoFile, ""), "a-secret-from")
	_, stdout, _ = call(t, "plan", "--demo", "--workspace", "acme")
	require.Contains(t, stdout, "\nThe plan for the workspace acme:\n\n+ LOG_LEVEL")
	status, _, stderr = call(t, "plan", "--demo", "--workspace", "other")
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "--workspace: the demo has acme, but not other")
}

func TestHelp(t *testing.T) {
	help := clitest.RequireHelp(t, run)
	require.Contains(t, help, "BITBUCKET_CLIENT_SECRET (an OAuth consumer)")
	for command := range commands {
		require.Equal(t, help, clitest.RequireHelp(t, run, command))
	}
}

func TestTheFilesInHelpAreRight(t *testing.T) {
	_, notes, _ := strings.Cut(help.Notes, "A YAML file:\n")
	text, notes, _ := strings.Cut(notes, "A .env file:\n")
	root, err := parseDocument(text)
	require.NoError(t, err)
	entries, err := entriesOf(root)
	require.NoError(t, err)
	require.Len(t, entries, 5)
	require.Equal(t, "1.10", *entries[1].value)
	text, _, _ = strings.Cut(notes, "In a .env file")
	wanted, err := parseDotenv(text)
	require.NoError(t, err)
	require.Equal(t, []pipelines.VariableRequest{
		{Key: "LOG_LEVEL", Value: "debug"}, {Key: "GREETING", Value: `literally: $HOME \n`}, {Key: "LINES", Value: "in double quotes: \n \" \\ $"},
	}, wanted)
}
