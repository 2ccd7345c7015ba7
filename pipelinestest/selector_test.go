package pipelinestest_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// script is a script whose only step has a name.
func script(name string) pipelinestest.Script {
	return pipelinestest.Script{Steps: []pipelinestest.Step{{Name: name}}}
}

func ref(kind, name string) string {
	return fmt.Sprintf(`{"type":"pipeline_ref_target","ref_type":%q,"ref_name":%q}`, kind, name)
}

func custom(name string) string {
	return fmt.Sprintf(`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":%q}}`, name)
}

func TestSelectorsMatchTargets(t *testing.T) {
	for _, c := range []struct {
		selector, target string
		status           int
	}{
		{"deploy", custom("deploy"), 201},
		{"deploy", ref("branch", "deploy"), 201},
		{"deploy", ref("tag", "deploy"), 201},
		{"custom:deploy", custom("deploy"), 201},
		{"custom:deploy", ref("branch", "deploy"), 404},
		{"custom:deploy", ref("tag", "deploy"), 404},
		{"custom:default", custom("default"), 201},
		{"custom:release/*", custom("release/*"), 201},
		{"custom:[prod", custom("[prod"), 201},
		{"branches:deploy", ref("branch", "deploy"), 201},
		{"branches:default", ref("branch", "default"), 201},
		{"branches:deploy", ref("tag", "deploy"), 404},
		{"branches:deploy", custom("deploy"), 400},
		{"branches:release/*", ref("branch", "release/*"), 404},
		{"tags:deploy", ref("tag", "deploy"), 201},
		{"tags:deploy", ref("annotated_tag", "deploy"), 201},
		{"tags:deploy", ref("branch", "deploy"), 404},
		{"tags:deploy", custom("deploy"), 400},
		{"pull-requests:deploy", ref("branch", "deploy"), 404},
		{"pull-requests:deploy", custom("deploy"), 400},
		{"default", custom("default"), 400},
		{"", custom("default"), 400},
		{"default", ref("branch", "default"), 404},
		{"release/*", custom("release/*"), 400},
		{"release/*", custom("release/1"), 400},
		{"release/*", ref("branch", "release/*"), 404},
		{"v?", custom("v?"), 400},
		{"v[1]", custom("v[1]"), 400},
		{"other:deploy", custom("other:deploy"), 201},
	} {
		f := setup(t)
		f.repo.Script(c.selector, script("scripted"))
		a := f.run(c.target)
		require.Equal(t, c.status, a.StatusCode, "%s for %s: %s", c.selector, c.target, a.text)
		if c.status == http.StatusCreated {
			require.Equal(t, []any{"scripted"}, f.get(site+"/pipelines/1/steps").Values("name"), c.selector)
		}
	}
}

func TestThePrecedenceOfScripts(t *testing.T) {
	pullRequest := func(source string) string {
		return fmt.Sprintf(`{"type":"pipeline_pullrequest_target","source":%q,"destination":"main","commit":{"hash":"1"},`+
			`"destination_commit":{"hash":"2"},"pullrequest":{"id":7}}`, source)
	}
	selectors := []string{
		"main", "branches:main", "custom:main", "release/*", "branches:release/**", "pull-requests:release/*", "fix/**/end", "pull-requests:**", "tags:v*", "default",
	}
	for _, c := range []struct{ target, script string }{
		{ref("branch", "main"), "branches:main"},
		{custom("main"), "custom:main"},
		{ref("branch", "release/1"), "branches:release/**"},
		{ref("branch", "release/1/2"), "branches:release/**"},
		{ref("tag", "release/1"), "release/*"},
		{ref("tag", "release/1/2"), "default"},
		{ref("tag", "fix/1/2/end"), "fix/**/end"},
		{ref("tag", "fix/1/2"), "default"},
		{ref("tag", "v1"), "tags:v*"},
		{ref("branch", "v1"), "default"},
		{pullRequest("main"), "main"},
		{pullRequest("release/1"), "pull-requests:release/*"},
		{pullRequest("any/thing"), "pull-requests:**"},
		{ref("branch", "any/thing"), "default"},
	} {
		f := setup(t)
		for _, selector := range selectors {
			f.repo.Script(selector, script(selector))
		}
		for _, name := range []string{"release/1", "release/1/2", "fix/1/2/end", "fix/1/2", "v1", "any/thing"} {
			f.repo.AddBranch(name, "1")
			f.repo.AddTag(name, "1")
		}
		a := f.run(c.target)
		require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
		require.Equal(t, []any{c.script}, f.get(site+"/pipelines/1/steps").Values("name"), c.target)
	}
}

func TestTheSelectorOfARunIsThePatternOfItsScript(t *testing.T) {
	f := setup(t)
	f.repo.Script("branches:main", script("scripted"))
	path := f.started()
	require.Equal(t, map[string]any{"type": "branches", "pattern": "main"}, f.get(path).At("target.selector"))
}

func TestAMalformedSelectorPanics(t *testing.T) {
	for _, selector := range []string{"[", "branches:[", "custom:", "tags:"} {
		require.PanicsWithValue(t, "pipelinestest: malformed selector "+selector, func() { setup(t).repo.Script(selector, script("")) })
	}
}
