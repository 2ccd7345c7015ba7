package main

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// listed is a fault that lets the service list variables in this form.
func listed(body string) pipelinestest.Fault {
	return pipelinestest.Fault{Method: http.MethodGet, Status: http.StatusOK, Body: body, Times: 1}
}

const unclearList = `{"values":[{"uuid":"{1}","key":"A","value":"1"},{"uuid":"{2}","key":"HIDDEN"},{"uuid":"{3}","key":"NULLS","secured":null,"value":null},` +
	`{"uuid":"{4}","key":"EMPTY","value":""},{"uuid":"{5}","key":"S","secured":true}]}`

func TestWhatTheServiceLeavesOpenIsNotExported(t *testing.T) {
	srv, _ := serve(t)
	for body, want := range map[string]string{
		unclearList: "the service doesn't say what value HIDDEN, NULLS has, or whether that is secured",
		`{"values":[{"key":"A","value":1.10,"secured":false}]}`: "the service doesn't say what value A has, or whether that is secured",
		`{"values":[{"key":"A","value":["x"]}]}`:                "the service doesn't say what value A has, or whether that is secured",
		`{"values":[{"key":"A","secured":"yes"}]}`:              "the service doesn't say what value A has, or whether that is secured",
		`{}`:              "the service sent an object that is not a page of a list",
		`{"values":null}`: "the service sent an object that is not a page of a list",
		`{"values":[{"uuid":"{1}","value":"x"}]}`: "the service lists a variable without a name",
	} {
		for _, name := range []string{"v.yaml", ".env"} {
			srv.Inject(listed(body))
			file := filepath.Join(t.TempDir(), name)
			status, _, stderr := call(t, "export", "--repo", "acme/site", "--file", file)
			require.Equal(t, cli.Trouble, status, body)
			require.Contains(t, stderr, want)
			require.NoFileExists(t, file)
		}
	}
	for _, body := range []string{`{"values":[]}`, `{"size":0}`, `{"values":null,"size":0}`} {
		srv.Inject(listed(body))
		status, _, stderr := call(t, "export", "--repo", "acme/site", "--file", filepath.Join(t.TempDir(), "v.yaml"))
		require.Equal(t, cli.Success, status, stderr)
	}
}

func TestAVariableThatMayBeSecuredIsNotWrittenWithoutBeingTold(t *testing.T) {
	srv, _ := serve(t)
	for _, c := range []struct {
		name, text, want string
		args             []string
	}{
		{".env", "A=1\nHIDDEN=hush\n", "the service doesn't say whether HIDDEN is secured", nil},
		{"v.yaml", "variables: {NULLS: hush}", "the service doesn't say whether NULLS is secured", nil},
		{".env", "HIDDEN=hush\n", "~ HIDDEN = ****** (secured), rewritten", []string{"--secured"}},
		{".env", "A=1\nEMPTY=\n", "2 unchanged", nil},
		{".env", "A=1\n", "Not deleted, since an exported .env file lacks secured variables: HIDDEN, NULLS, S.", []string{"--prune"}},
	} {
		srv.Inject(listed(unclearList))
		_, stdout, stderr := call(t, append([]string{"plan", "--repo", "acme/site", "--file", write(t, c.name, c.text)}, c.args...)...)
		require.Contains(t, stdout+stderr, c.want)
		require.NotContains(t, stdout+stderr, "hush")
	}
}

// The service is reported to take names that differ only in case for the same.
func TestANameInOtherLettersDoesNotMakeASecretReadable(t *testing.T) {
	_, r := serve(t)
	r.AddVariable(pipelines.Variable{Key: "TOKEN", Value: "old", Secured: true})
	r.AddVariable(pipelines.Variable{Key: "level", Value: "old", Secured: true})
	r.AddVariable(pipelines.Variable{Key: "LEVEL", Value: "old"})
	for _, c := range [][]string{{".env", "Token=hush\nLEVEL=1\nOPEN=2\n"}, {"v.yaml", "variables: {Token: hush, LEVEL: 1, OPEN: 2}", "--prune"}} {
		args := append([]string{"plan", "--repo", "acme/site", "--file", write(t, c[0], c[1])}, c[2:]...)
		_, stdout, _ := call(t, args...)
		require.Contains(t, stdout, "+ Token = ****** (secured)\n+ OPEN = \"2\"\n~ LEVEL = \"old\" -> \"1\"\n")
	}
	_, stdout, _ := call(t, "plan", "--repo", "acme/site", "--file", write(t, ".env", "Token=x\n"), "--secured=false")
	require.Contains(t, stdout, "+ Token = \"x\"\n", "the flag says so")
}

func TestOfSeveralVariablesWithOneNameTheSecuredOneCounts(t *testing.T) {
	srv, _ := serve(t)
	srv.Inject(listed(`{"values":[{"uuid":"{1}","key":"T","value":"x","secured":false},{"uuid":"{2}","key":"T","secured":true}]}`))
	_, stdout, _ := call(t, "plan", "--repo", "acme/site", "--file", write(t, ".env", "T=hush\n"))
	require.Contains(t, stdout, "~ T = ****** (secured), was not secured")
}
