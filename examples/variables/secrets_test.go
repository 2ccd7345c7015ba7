package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestAnErrorOfTheServiceShowsNoValueThatThePlanMasks(t *testing.T) {
	srv, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "LEVEL", Value: "info"})
	t.Setenv("MY_LEVEL", "from-the-environment")
	srv.Inject(pipelinestest.Fault{Method: http.MethodPut, Status: http.StatusBadRequest, Body: `{"error":{"message":"from-the-environment is too long"}}`})
	status, stdout, stderr := call(t, "apply", "--repo", "acme/site", "--file", write(t, "v.yaml", "variables:\n  LEVEL: {env: MY_LEVEL}\n"))
	require.Equal(t, cli.Trouble, status)
	require.Contains(t, stderr, "update LEVEL")
	require.Contains(t, stderr, "****** is too long")
	require.NotContains(t, stdout+stderr, "from-the-environment")
}

func TestAValueIsMaskedWholeIfAnotherIsAPartOfIt(t *testing.T) {
	for range 20 {
		s := job{hidden: map[string]string{"A": "hush-1", "B": "hush-1-and-2", "C": "and-2"}}
		require.Equal(t, "****** is too long", s.withoutHidden(errors.New("hush-1-and-2 is too long")).Error())
	}
}

// An exported file names the environment variable of the same name, and BITBUCKET_TOKEN is an ordinary name of a secured variable.
func TestTheCredentialsOfTheProgramNeverBecomeAVariable(t *testing.T) {
	for _, name := range []string{"BITBUCKET_TOKEN", "BITBUCKET_API_TOKEN", "BITBUCKET_CLIENT_SECRET"} {
		srv, r := serve(t)
		r.AddVariable(pipelines.Variable{Key: name, Value: "of the pipelines", Secured: true})
		file := write(t, "v.yaml", "variables:\n  "+name+": {secured: true, env: "+name+"}\n")
		status, _, stderr := call(t, "apply", "--repo", "acme/site", "--file", file)
		require.Equal(t, cli.Trouble, status)
		require.Contains(t, stderr, "line 2: "+name+": the environment variable "+name+" has the credentials of this program")
		require.Empty(t, srv.Requests())
		status, _, stderr = call(t, "plan", "--repo", "acme/site", "--file", file, "--keep-secured")
		require.Equal(t, cli.Success, status, stderr)
	}
}

// Shells end the value at the quote, other programs go on to the next one, which may be that of another variable.
func TestABackslashBeforeASingleQuoteIsRefused(t *testing.T) {
	for _, text := range []string{"A='C:\\dir\\'\nB='# x'\n", "A='C:\\dir\\'\nB='x'\n", "A='it\\'s'", "A='\\\\\\'b'"} {
		_, err := parseDotenv(text)
		require.EqualError(t, err, `line 1: A: programs read \' in single quotes differently: write the value in double quotes`, text)
	}
	all, err := parseDotenv(`A='C:\dir\\'`)
	require.NoError(t, err)
	require.Equal(t, `C:\dir\\`, all[0].Value)
}

func TestAnInterruptEndsReadingTheStandardInput(t *testing.T) {
	serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stdin, w := io.Pipe() // nobody types anything
	defer w.Close()
	status := run(ctx, []string{"plan", "--repo", "acme/site", "--file", "-"}, cli.Env{Stdin: stdin, Stdout: io.Discard, Stderr: io.Discard})
	require.Equal(t, cli.Interrupted, status)
}

func TestASecuredVariableWithoutAValueIsExplained(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "SECRET", Value: "x", Secured: true})
	r.AddVariable(pipelines.Variable{Key: "PLAIN", Value: "x"})
	for want, c := range map[string][]string{
		"SECRET is secured, and its value is empty": {".env", "SECRET=\n"},
		"PLAIN has no value, which it needs":        {"v.yaml", "variables:\n  SECRET: {secured: true, env: NOT_SET}\n  PLAIN: {secured: true, env: NOT_SET}\n", "--keep-secured"},
		"NEW has no value, which it needs":          {"v.yaml", "variables:\n  NEW: {secured: true, env: NOT_SET}\n", "--keep-secured"},
	} {
		status, _, stderr := call(t, append([]string{"plan", "--repo", "acme/site", "--file", write(t, c[0], c[1])}, c[2:]...)...)
		require.Equal(t, cli.Trouble, status)
		require.Contains(t, stderr, want)
	}
}
