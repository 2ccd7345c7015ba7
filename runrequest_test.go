package pipelines_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestRunSendsItsTargetAndVariables(t *testing.T) {
	for name, tc := range map[string]struct {
		run  pipelines.RunRequest
		want string
	}{
		"a branch": {pipelines.RunRequest{Target: pipelines.BranchTarget("main")}, `{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main"}}`},
		"a tag":    {pipelines.RunRequest{Target: pipelines.TagTarget("v1")}, `{"target":{"type":"pipeline_ref_target","ref_type":"tag","ref_name":"v1"}}`},
		"a commit on a branch": {
			pipelines.RunRequest{Target: pipelines.BranchTarget("main").At("abc")},
			`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","commit":{"type":"commit","hash":"abc"}}}`,
		},
		"a custom pipeline of a branch": {
			pipelines.RunRequest{Target: pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy"))},
			`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"main","selector":{"type":"custom","pattern":"deploy"}}}`,
		},
		"a commit": {
			pipelines.RunRequest{Target: pipelines.CommitTarget("abc").With(pipelines.Selector{Type: pipelines.SelectorDefault})},
			`{"target":{"type":"pipeline_commit_target","commit":{"type":"commit","hash":"abc"},"selector":{"type":"default"}}}`,
		},
		"a pull request": {
			pipelines.RunRequest{Target: pipelines.PullRequestTarget(pullRequest)},
			`{"target":{"type":"pipeline_pullrequest_target","commit":{"type":"commit","hash":"abc"},"source":"feature/x","destination":"main","destination_commit":{"type":"commit","hash":"def"},"pullrequest":{"id":17}}}`,
		},
		"variables": {
			pipelines.RunRequest{Target: pipelines.BranchTarget("<main>&"), Variables: []pipelines.VariableRequest{{Key: "A", Value: "1"}, {Key: "B"}, {Key: "C", Value: "s3cret", Secured: new(true)}}},
			`{"target":{"type":"pipeline_ref_target","ref_type":"branch","ref_name":"<main>&"},"variables":[{"key":"A","value":"1","secured":false},{"key":"B","value":"","secured":false},{"key":"C","value":"s3cret","secured":true}]}`,
		},
		"a target of a type to come": {pipelines.RunRequest{Target: pipelines.Target{Type: "pipeline_moon_target"}}, `{"target":{"type":"pipeline_moon_target"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serve(201, "application/json", `{"build_number":8,"state":{"name":"PARSING"}}`))
			p, err := newClient(t, srv.base()).Pipelines.Run(t.Context(), repo, tc.run)
			require.NoError(t, err)
			require.Equal(t, 8, p.BuildNumber)
			got := srv.only(t)
			require.Equal(t, tc.want, got.Body)
			require.Equal(t, "POST /2.0/repositories/acme/site/pipelines?", got.Method+" "+got.Path+"?"+got.Query)
			require.Equal(t, "application/json", got.Header.Get("Content-Type"))
		})
	}
}

func TestAnOnDemandRunSendsItsYAMLAndTheRestInTheQuery(t *testing.T) {
	srv := record(t, serve(201, "application/json", `{"build_number":8}`))
	c := newClient(t, srv.base())
	_, err := c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{
		RunRequest: pipelines.RunRequest{
			Target:    pipelines.BranchTarget("main").At("abc").With(pipelines.CustomSelector("deploy")),
			Variables: []pipelines.VariableRequest{{Key: "A", Value: "1 2"}, {Key: "B", Value: "s3cret", Secured: new(true)}},
		},
		YAML: []byte("pipelines: {}\n"), MergeDefaults: true, TargetBranchToCreate: "try",
	})
	require.NoError(t, err)
	_, err = c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{
		RunRequest: pipelines.RunRequest{Target: pipelines.PullRequestTarget(pullRequest)}, YAML: []byte("x"),
	})
	require.NoError(t, err)
	seen := srv.seen()
	require.Equal(t, "pipelines: {}\n", seen[0].Body)
	require.Equal(t, "application/yaml", seen[0].Header.Get("Content-Type"))
	require.Equal(t, "application/json", seen[0].Header.Get("Accept"))
	for i, want := range []string{
		"merge_defaults=true&target.commit.hash=abc&target.ref_name=main&target.ref_type=branch&target.selector.pattern=deploy&target.selector.type=custom" +
			"&target.type=pipeline_ref_target&target_branch_to_create=try&variables[0].key=A&variables[0].value=1 2&variables[1].key=B&variables[1].secured=true&variables[1].value=s3cret",
		"target.commit.hash=abc&target.destination=main&target.destination_commit.hash=def&target.pullrequest.id=17&target.source=feature/x&target.type=pipeline_pullrequest_target",
	} {
		got, err := url.QueryUnescape(seen[i].Query)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestRunsThatTheServiceWouldRefuseAreNotSent(t *testing.T) {
	srv := record(t, serve(201, "application/json", `{}`))
	c := newClient(t, srv.base())
	without := func(change func(*pipelines.PullRequestRef)) pipelines.Target {
		pr := pullRequest
		change(&pr)
		return pipelines.PullRequestTarget(pr)
	}
	for says, run := range map[string]pipelines.RunRequest{
		"target has no type":         {},
		"no reference name":          {Target: pipelines.BranchTarget("")},
		"no reference type":          {Target: pipelines.Target{Type: pipelines.TargetRef, RefName: "main"}},
		"no hash for its commit":     {Target: pipelines.BranchTarget("main").At("")},
		"no selector":                {Target: pipelines.CommitTarget("abc")},
		"no commit hash":             {Target: pipelines.CommitTarget("").With(pipelines.CustomSelector("x"))},
		"selector has no type":       {Target: pipelines.BranchTarget("main").With(pipelines.Selector{Pattern: "x"})},
		"needs the pipeline's name":  {Target: pipelines.BranchTarget("main").With(pipelines.CustomSelector(""))},
		"no pull request ID":         {Target: without(func(pr *pipelines.PullRequestRef) { pr.ID = 0 })},
		"no source branch":           {Target: without(func(pr *pipelines.PullRequestRef) { pr.Source = "" })},
		"no destination branch":      {Target: without(func(pr *pipelines.PullRequestRef) { pr.Destination = "" })},
		"no commit hash ":            {Target: without(func(pr *pipelines.PullRequestRef) { pr.Commit = "" })},
		"no destination commit hash": {Target: without(func(pr *pipelines.PullRequestRef) { pr.DestinationCommit = "" })},
		"variable 1 has no key":      {Target: pipelines.BranchTarget("main"), Variables: []pipelines.VariableRequest{{Key: "A"}, {Value: "s3cret"}}},
	} {
		t.Run(says, func(t *testing.T) {
			_, err := c.Pipelines.Run(t.Context(), repo, run)
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument, says)
			require.ErrorContains(t, err, strings.TrimSpace(says))
			require.NotContains(t, err.Error(), "s3cret")
			_, err = c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: run, YAML: []byte("x")})
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument, says)
		})
	}
	_, err := c.Pipelines.RunOnDemand(t.Context(), repo, pipelines.OnDemandRequest{RunRequest: pipelines.RunRequest{Target: pipelines.BranchTarget("main")}})
	require.ErrorContains(t, err, "YAML is empty")
	srv.requireSent(t, 0)
}
