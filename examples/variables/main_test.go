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
func serve(t *testing.T) (*pipelinestest.Server, *pipelinestest.Repository) {
	t.Helper()
	clitest.SetCredentials(t, "t0ken")
	srv := pipelinestest.NewServer(pipelinestest.WithToken("t0ken"))
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

	status, stdout, stderr := call(t, "plan", "-repo", "acme/site", "-file", file, "-prune")
	require.Equal(t, cli.Failure, status, stderr)
	require.Contains(t, stdout, `+ VERSION = "1.10"`)
	require.Contains(t, stdout, "- OLD\n6 to create, 0 to change, 1 to delete, 0 unchanged")
	require.NotContains(t, stdout, "from-")

	status, stdout, _ = call(t, "apply", "-dry-run", "-repo", "acme/site", "-file", file, "-prune")
	require.Equal(t, cli.Success, status)
	require.Contains(t, stdout, "nothing was changed")
	require.Len(t, r.Variables(), 1)

	status, _, stderr = call(t, "apply", "-repo", "acme/site", "-file", file, "-prune")
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{
		"LEVEL": "debug", "YES": "yes", "VERSION": "1.10", "EMPTY": "", "TOKEN": "from-env (secured)", "KEY": "from-command (secured)",
	}, values(r.Variables()))

	srv.ClearRequests()
	status, stdout, _ = call(t, "plan", "-repo", "acme/site", "-file", file, "-prune", "-keep-secured")
	require.Equal(t, cli.Success, status, stdout)
	require.Len(t, srv.Requests(), 1)

	exported := filepath.Join(t.TempDir(), "exported.yaml")
	status, _, stderr = call(t, "export", "-repo", "acme/site", "-file", exported)
	require.Equal(t, cli.Success, status, stderr)
	status, _, stderr = call(t, "export", "-repo", "acme/site", "-file", exported)
	require.Equal(t, cli.Trouble, status, "an existing file is not overwritten")
	require.Contains(t, stderr, "exists")
	t.Setenv("TOKEN", "x")
	t.Setenv("KEY", "y")
	status, stdout, stderr = call(t, "plan", "-repo", "acme/site", "-file", exported, "-keep-secured")
	require.Equal(t, cli.Success, status, "what was exported is what is there: %s%s", stdout, stderr)
}

func TestScopesAndDotenv(t *testing.T) {
	srv, r := serve(t)
	staging := r.AddEnvironment("Staging", pipelines.EnvironmentStaging)
	workspace := srv.AddWorkspace("acme")
	file := write(t, ".env", "# comment\nA=1\nexport B=\"two words\"\n")
	status, _, stderr := call(t, "apply", "-repo", "acme/site", "-environment", "staging", "-file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{"A": "1", "B": "two words"}, values(staging.Variables()))
	status, _, stderr = call(t, "apply", "-workspace", "acme", "-file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Len(t, workspace.Variables(), 2)
	workspace.AddVariable(pipelines.Variable{Key: "S", Value: "x", Secured: true})

	exported := filepath.Join(t.TempDir(), "prod.env")
	status, _, stderr = call(t, "export", "-workspace", "acme", "-file", exported)
	require.Equal(t, cli.Success, status, stderr)
	text, err := os.ReadFile(exported)
	require.NoError(t, err)
	require.Equal(t, "A=1\nB=\"two words\"\n# S is secured, and its value can't be read\n", string(text))
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
		status, stdout, stderr := call(t, "apply", "-repo", "acme/site", "-file", write(t, file.name, file.text))
		require.Equal(t, cli.Success, status, stderr)
		require.Equal(t, map[string]string{"TOKEN": file.want}, values(r.Variables()), file.text)
		if strings.HasSuffix(file.want, "(secured)") {
			require.NotContains(t, stdout, strings.Fields(file.want)[0])
		}
	}
}

func TestAnEmptyValueForASecuredVariableIsRefused(t *testing.T) {
	srv, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
	file := write(t, ".env", "TOKEN=\nOTHER=1\n")
	status, _, stderr := call(t, "apply", "-repo", "acme/site", "-file", file)
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, `variables: secured variable "TOKEN" has no value`)
	require.Len(t, srv.Requests(), 1, "the list, and no change")

	status, _, stderr = call(t, "apply", "-repo", "acme/site", "-file", file, "-keep-secured")
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{"TOKEN": "old (secured)", "OTHER": "1"}, values(r.Variables()))
}

func TestAnErrorReportsWhatWasDoneAndASecondRunFinishesTheRest(t *testing.T) {
	srv, r := serve(t)
	file := write(t, "v.yaml", "variables: {A: 1, B: 2, C: 3}\n")
	srv.Inject(pipelinestest.Fault{Method: "POST", Status: 403, Skip: 1, Times: 1})
	status, _, stderr := call(t, "apply", "-repo", "acme/site", "-file", file)
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "create B: ")
	require.Contains(t, stderr, "(done: create A; 1 not tried)")
	status, _, stderr = call(t, "apply", "-repo", "acme/site", "-file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, map[string]string{"A": "1", "B": "2", "C": "3"}, values(r.Variables()))
}

func TestInvalidInputIsRejected(t *testing.T) {
	srv, _ := serve(t)
	for want, args := range map[string][]string{
		"is none of plan, apply and export":       {"sync"},
		"one of -repo and -workspace":             {"plan"},
		"-repo is empty":                          {"plan", "-repo="},
		"-environment goes with -repo":            {"plan", "-workspace", "a", "-environment", "b"},
		"not of the form workspace/slug":          {"plan", "-repo", "acme"},
		"no environment":                          {"plan", "-repo", "acme/site", "-environment", "nowhere"},
		"-prone":                                  {"plan", "-prone"},
		"none of value, env, command and secured": {"plan", "-repo", "acme/site", "-file", write(t, "a.yaml", "variables: {A: {secret: x}}")},
		"one of value, env and command":           {"plan", "-repo", "acme/site", "-file", write(t, "b.yaml", "variables: {A: {value: x, env: y}}")},
		"the environment has no NOT_THERE":        {"plan", "-repo", "acme/site", "-file", write(t, "c.yaml", "variables: {A: {env: NOT_THERE}}")},
		"and command is needed":                   {"plan", "-repo", "acme/site", "-file", write(t, "d.yaml", "variables: {A: }")},
		`has "A" twice`:                           {"plan", "-repo", "acme/site", "-file", write(t, "e.yaml", "variables:\n  A: 1\n  A: 2\n")},
		`no list "variables:"`:                    {"plan", "-repo", "acme/site", "-file", write(t, "f.yaml", "variables: 7")},
		"command false":                           {"plan", "-repo", "acme/site", "-file", write(t, "g.yaml", "variables: {A: {command: [\"false\"]}}")},
		"KEY=value":                               {"plan", "-repo", "acme/site", "-file", write(t, ".env", "not one")},
	} {
		status, _, stderr := call(t, args...)
		require.Equal(t, cli.Trouble, status, want)
		require.Contains(t, stderr, want)
	}
	for _, req := range srv.Requests() {
		require.Equal(t, "GET", req.Method)
	}
}

func TestTheDemoNeedsNoCredentials(t *testing.T) {
	clitest.SetCredentials(t, "")
	for _, args := range [][]string{{"apply", "-repo", "acme/site"}, {"export", "-workspace", "acme"}} {
		status, _, stderr := call(t, args...)
		require.Equal(t, cli.Trouble, status, "nobody takes the demo for what was to be done")
		require.Contains(t, stderr, "needs credentials")
	}
	status, stdout, stderr := call(t, "apply", "-prune")
	require.Equal(t, cli.Success, status, stderr)
	require.Contains(t, stderr, "No credentials")
	require.Contains(t, stdout, "Done.")
	require.NotContains(t, strings.ReplaceAll(stdout, demoFile, ""), "a-secret-from")
	status, stdout, _ = call(t, "-h")
	require.Equal(t, cli.Success, status)
	require.Equal(t, usage, stdout)
}
