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
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestExportSaysWhatItWroteAndSoDoesTheFile(t *testing.T) {
	_, r := serve(t)
	for _, v := range []pipelines.Variable{{Key: "B", Value: "two words"}, {Key: "A", Value: "1"}, {Key: "S", Value: "x", Secured: true}} {
		r.AddVariable(v)
	}
	file := filepath.Join(t.TempDir(), "prod.env")
	status, stdout, stderr := call(t, "export", "--repo", "acme/site", "--file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, "Wrote 3 variables of acme/site to "+file+".\n"+
		"Secured, so the service returns no value, and the file has only a comment: S\n", stdout)
	require.Empty(t, stderr)
	requireContent(t, file, `# Variables of acme/site. The service doesn't return secured values, so secured variables are only named here.
# To set one, write NAME=value: it stays secured, unless the program has the flag --secured=false.
A=1
B='two words'
# S is secured
`)

	file = filepath.Join(t.TempDir(), "v.yaml")
	status, stdout, stderr = call(t, "export", "--repo", "acme/site", "--file", file)
	require.Equal(t, cli.Success, status, stderr)
	require.Equal(t, "Wrote 3 variables of acme/site to "+file+".\n"+
		"Secured, so the service returns no value, and the file takes it from the environment variable of that name: S\n", stdout)
	requireContent(t, file, `# Variables of acme/site. The service doesn't return secured values: the program takes them from environment variables.
# A variable stays secured until its entry has "secured: false", or no "secured" and the program the flag --secured=false.
variables:
  A: "1"
  B: two words
  S: {secured: true, env: S}
`)
	status, stdout, stderr = call(t, "plan", "--repo", "acme/site", "--file", file, "--keep-secured", "--prune")
	require.Equal(t, cli.Success, status, "what was exported is what is there: %s%s", stdout, stderr)

	status, stdout, stderr = call(t, "export", "--repo", "acme/site", "--file", "-")
	require.Equal(t, cli.Success, status)
	require.True(t, strings.HasSuffix(stdout, "{secured: true, env: S}\n"), "only the file is on the standard output: %s", stdout)
	require.Contains(t, stderr, "Wrote 3 variables of acme/site to the standard output.")
}

func requireContent(t *testing.T, file, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(text))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	others, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, others, 1, "nothing else is left there")
}

func TestWhatExportWritesToStandardOutputIsReadFromStandardInput(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "A", Value: "$B\n# 'x'"})
	_, exported, _ := call(t, "export", "--repo", "acme/site", "--file", "-")
	var out, errs bytes.Buffer
	status := run(t.Context(), []string{"plan", "--repo", "acme/site", "--file", "-"}, cli.Env{Stdin: strings.NewReader(exported), Stdout: &out, Stderr: &errs})
	require.Equal(t, cli.Success, status, out.String()+errs.String())
	status = run(t.Context(), []string{"plan", "--repo", "acme/site", "--file", "-"}, cli.Env{Stdin: strings.NewReader("A=1\n"), Stdout: &out, Stderr: &errs})
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, errs.String(), "the standard input, which has to be YAML: ")
}

func TestExportOverwritesNothingAndLeavesNoPartOfAFile(t *testing.T) {
	srv, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "A", Value: "1"})
	file := write(t, "v.yaml", "mine")
	for _, existing := range []string{file, filepath.Join(filepath.Dir(file), "link.yaml")} {
		if existing != file {
			require.NoError(t, os.Symlink("nowhere", existing))
		}
		status, _, stderr := call(t, "export", "--repo", "acme/site", "--file", existing)
		require.Equal(t, cli.Trouble, status)
		require.Contains(t, stderr, " exists already")
	}
	require.Empty(t, srv.Requests())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))

	directory := t.TempDir()
	srv.Inject(pipelinestest.Fault{Method: "GET", Status: 403, Times: 1})
	status, _, _ := call(t, "export", "--repo", "acme/site", "--file", filepath.Join(directory, "v.yaml"))
	require.Equal(t, cli.Trouble, status)
	status, _, stderr := call(t, "export", "--repo", "acme/site", "--file", filepath.Join(directory, "not", "there.yaml"))
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "no such file or directory")
	left, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestExportRefusesWhatTheFileCantHave(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "TWO WORDS", Value: "hush"})
	directory := t.TempDir()
	status, _, stderr := call(t, "export", "--repo", "acme/site", "--file", filepath.Join(directory, ".env"))
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, `a .env file can't have the name "TWO WORDS": export to YAML`)
	require.NotContains(t, stderr, "hush")
	require.NoFileExists(t, filepath.Join(directory, ".env"))

	for _, key := range []string{"<<", "null", "~", "7", "a: b", "#", "*a", "é", "\u0085", "x\ny", "- a", "true", "variables", "secured"} {
		r.AddVariable(pipelines.Variable{Key: key, Value: "1"})
	}
	file := filepath.Join(directory, "v.yaml")
	status, _, stderr = call(t, "export", "--repo", "acme/site", "--file", file)
	require.Equal(t, cli.Success, status, stderr)
	status, stdout, stderr := call(t, "plan", "--repo", "acme/site", "--file", file, "--prune")
	require.Equal(t, cli.Success, status, stdout+stderr)

	one, same := &pipelines.Variable{Key: "A", Value: "hush"}, &pipelines.Variable{Key: "A", Value: "2"}
	_, err := render([]*pipelines.Variable{one, same}, "acme/site", false)
	require.EqualError(t, err, `the service lists "A" twice: delete one of the two`)
	_, err = render([]*pipelines.Variable{{Key: "A", Value: "hush\xff"}}, "acme/site", true)
	require.EqualError(t, err, `"A" or its value is not UTF-8 and can't be written`)
}
