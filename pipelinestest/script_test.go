package pipelinestest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheScriptOfATarget(t *testing.T) {
	named := func(name string) pipelinestest.Script {
		return pipelinestest.Script{Steps: []pipelinestest.Step{{Name: name}}}
	}
	const pullRequest = `"type":"pipeline_pullrequest_target","destination":"main","commit":{"hash":"1"},"destination_commit":{"hash":"2"}`
	for name, c := range map[string]struct{ target, step, selector string }{
		"a branch's own":              {mainBranch, "main", `{"type":"branches","pattern":"main"}`},
		"a branch's by pattern":       {`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"feature/x"}`, "feature", `{"type":"branches","pattern":"feature/*"}`},
		"a tag's by pattern":          {`{"type":"pipeline_ref_target","ref_type":"tag","ref_name":"v1"}`, "version", `{"type":"tags","pattern":"v?"}`},
		"the fallback":                {`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"other"}`, "fallback", `{"type":"default"}`},
		"a custom one":                {`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":"deploy"}}`, "deploy", `{"type":"custom","pattern":"deploy"}`},
		"a commit's":                  {`{"type":"pipeline_commit_target","commit":{"hash":"1"},"selector":{"type":"custom","pattern":"deploy"}}`, "deploy", `{"type":"custom","pattern":"deploy"}`},
		"a commit's by another kind":  {`{"type":"pipeline_commit_target","commit":{"hash":"1"},"selector":{"type":"branches","pattern":"main"}}`, "main", `{"type":"branches","pattern":"main"}`},
		"a pull request's, by source": {`{"source":"feature/x","pullrequest":{"id":"7"},` + pullRequest + `}`, "feature", `{"type":"pull-requests","pattern":"feature/*"}`},
		"a pull request's fallback":   {`{"source":"other","pullrequest":{"id":7},` + pullRequest + `}`, "fallback", `{"type":"pull-requests","pattern":"**"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			for selector, script := range map[string]string{"main": "main", "feature/*": "feature", "v?": "version", "": "fallback", "deploy": "deploy"} {
				f.repo.Script(selector, named(script))
			}
			f.repo.AddBranch("feature/x", "1")
			f.repo.AddBranch("other", "1")
			f.repo.AddTag("v1", "1")
			a := f.run(c.target)
			require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
			require.Equal(t, []any{c.step}, f.get(site+"/pipelines/1/steps").Values("name"))
			got := f.get(site + "/pipelines/1?fields=target.selector").text
			require.JSONEq(t, `{"target":{"selector":`+c.selector+`}}`, got)
		})
	}
}

func TestAScriptCreatesItsBranchAndTag(t *testing.T) {
	f := setup(t)
	f.repo.Script("release", pipelinestest.Script{})
	branch := f.run(`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"release"}`)
	tag := f.run(`{"type":"pipeline_ref_target","ref_type":"tag","ref_name":"release"}`)
	require.Equal(t, http.StatusCreated, branch.StatusCode)
	require.Equal(t, http.StatusCreated, tag.StatusCode)
	require.Regexp(t, "^[0-9a-f]{40}$", branch.At("target.commit.hash"))
	require.Equal(t, "COMPLETED SUCCESSFUL", f.state(site+"/pipelines/1"), "a script without steps has nothing to do")
}

func TestAScriptWithAnInvalidResultPanics(t *testing.T) {
	f := setup(t)
	for _, result := range []pipelines.ResultName{"", "SUCCESSFUL", "FAILED", "ERROR", "STOPPED", "EXPIRED"} {
		f.repo.Script("main", pipelinestest.Script{Steps: []pipelinestest.Step{{Result: result}}})
	}
	for _, result := range []pipelines.ResultName{pipelines.ResultNotRun, "PASSED", "failed"} {
		script := pipelinestest.Script{Steps: []pipelinestest.Step{{}, {Name: "Test", Result: result}}}
		message := `pipelinestest: step "Test" cannot end with the result ` + string(result)
		require.PanicsWithValue(t, message, func() { f.repo.Script("main", script) })
		require.PanicsWithValue(t, message, func() { f.repo.AddRun(script, f.clock.Now()) })
	}
}
