package pipelinestest_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestInvalidRunRequestsAreRefused(t *testing.T) {
	const pullRequest = `"type":"pipeline_pullrequest_target","source":"a","destination":"b","commit":{"hash":"1"},"destination_commit":{"hash":"2"}`
	for name, c := range map[string]struct {
		body   string
		status int
		detail string
	}{
		"a body that is no JSON":            {`{`, 400, "The request body contains invalid properties"},
		"a body that is no object":          {`[]`, 400, "The request body contains invalid properties"},
		"a body without a target":           {`{}`, 400, "The request body contains invalid properties"},
		"a target that is no object":        {`{"target":1}`, 400, "The request body contains invalid properties"},
		"a target without a type":           {`{"target":{"ref_type":"branch","ref_name":"main"}}`, 400, "The request body contains invalid properties"},
		"a target without a reference":      {`{"target":{"type":"pipeline_ref_target","ref_type":"branch"}}`, 400, "The target has no ref_name."},
		"a reference of unknown type":       {`{"target":{"type":"pipeline_ref_target","ref_type":"twig","ref_name":"main"}}`, 400, "The target has no ref_type, or an unknown one."},
		"a selector without a type":         {`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"pattern":"x"}}}`, 400, "The selector has no type."},
		"a commit target without a commit":  {`{"target":{"type":"pipeline_commit_target","selector":{"type":"default"}}}`, 400, "The target has no commit."},
		"a commit target without selector":  {`{"target":{"type":"pipeline_commit_target","commit":{"hash":"1"}}}`, 400, "The target has no selector."},
		"an incomplete pull request":        {`{"target":{` + pullRequest + `}}`, 400, "The target needs source, destination, commit, destination_commit and pullrequest."},
		"a pull request whose ID is a word": {`{"target":{` + pullRequest + `,"pullrequest":{"id":"x"}}}`, 400, "The request body contains invalid properties"},
		"a variable without a key":          {`{"target":` + mainBranch + `,"variables":[{"value":"x"}]}`, 400, "A variable has no key."},
		"an unknown custom pipeline":        {`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":"no"}}}`, 400, "There is no custom pipeline no in the repository's YAML."},
		"an unknown branch":                 {`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"no"}}`, 404, "Could not find last reference for branch no"},
		"an unknown tag":                    {`{"target":{"type":"pipeline_ref_target","ref_type":"tag","ref_name":"main"}}`, 404, "Could not find last reference for tag main"},
		"the fallback isn't a branch":       {`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"default"}}`, 404, "Could not find last reference for branch default"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.repo.Script("", pipelinestest.Script{})
			a := f.send(http.MethodPost, site+"/pipelines", c.body, "Content-Type", "application/json")
			require.Equal(t, c.status, a.StatusCode)
			require.Equal(t, c.detail, a.At("error.detail"))
			require.Empty(t, f.repo.Pipelines())
		})
	}
}

func TestARunKeepsTheCommitOfItsRequest(t *testing.T) {
	f := setup(t)
	a := f.run(`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","commit":{"type":"commit","hash":"abcdef"}}`)
	require.Equal(t, "abcdef", a.At("target.commit.hash"))
}

func TestAnOnDemandRunHasItsYAMLInTheBody(t *testing.T) {
	f := setup(t)
	query := url.Values{
		"target.type": {"pipeline_ref_target"}, "target.ref_type": {"branch"}, "target.ref_name": {"main"}, "target.commit.hash": {"abc"},
		"target.selector.type": {"custom"}, "target.selector.pattern": {"only here"}, "target_branch_to_create": {"new"},
		"variables[0].key": {"A"}, "variables[0].value": {"1"}, "variables[1].key": {"B"}, "variables[1].secured": {"true"},
	}
	start := func(yaml string, without ...string) response {
		q := url.Values{}
		for name := range query {
			q.Set(name, query.Get(name))
		}
		for _, name := range without {
			q.Del(name)
		}
		return f.send(http.MethodPost, site+"/pipelines?"+q.Encode(), yaml, "Content-Type", "application/yaml; charset=utf-8")
	}
	a := start("pipelines: {}")
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, "abc", a.At("target.commit.hash"))
	require.Equal(t, []pipelines.Variable{{Key: "A", Value: "1"}, {Key: "B", Secured: true}}, f.repo.Pipelines()[0].Variables)
	created := f.run(`{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"new"}`)
	require.Equal(t, "abc", created.At("target.commit.hash"))

	require.Equal(t, http.StatusBadRequest, start("").StatusCode)
	require.Equal(t, http.StatusBadRequest, start("pipelines: {}", "target.type").StatusCode)
	query = url.Values{
		"target.type": {"pipeline_pullrequest_target"}, "target.source": {"a"}, "target.destination": {"b"}, "target.commit.hash": {"1"},
		"target.destination_commit.hash": {"2"}, "target.pullrequest.id": {"7"},
	}
	require.EqualValues(t, 7, start("pipelines: {}").At("target.pullrequest.id"))
	require.Equal(t, http.StatusBadRequest, start("pipelines: {}", "target.pullrequest.id").StatusCode)
}
