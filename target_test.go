package pipelines_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestATargetDescribesItself(t *testing.T) {
	for want, target := range map[string]pipelines.Target{
		"branch main":                         pipelines.BranchTarget("main"),
		"tag v1":                              pipelines.TagTarget("v1"),
		"commit abc of branch main":           pipelines.BranchTarget("main").At("abc"),
		"branch main, custom: deploy":         pipelines.BranchTarget("main").With(pipelines.CustomSelector("deploy")),
		"commit abc, default":                 pipelines.CommitTarget("abc").With(pipelines.Selector{Type: pipelines.SelectorDefault}),
		"pull request 17 (feature/x to main)": pipelines.PullRequestTarget(pullRequest),
		"":                                    {},
		"reference main":                      {RefName: "main"},
		"pull request 17 (feature/x to main), custom: x": pipelines.PullRequestTarget(pullRequest).With(pipelines.CustomSelector("x")),
	} {
		t.Run(want, func(t *testing.T) {
			require.Equal(t, want, target.String())
		})
	}
}

func TestATargetMatchesWhatTheServiceMakesOfIt(t *testing.T) {
	main, sha := pipelines.BranchTarget("main"), "0123456789abcdef0123456789abcdef01234567"
	pr := pipelines.PullRequestRef{ID: 7, Source: "dev", Destination: "main", Commit: sha, DestinationCommit: "fedcba98"}
	titled := pipelines.PullRequestTarget(pr)
	titled.PullRequest = &pipelines.PullRequest{Type: "pullrequest", ID: 7, Title: "Faster"}
	annotated, untyped := pipelines.TagTarget("v1"), main
	annotated.RefType, untyped.Type, untyped.RefType = pipelines.RefAnnotatedTag, "", ""
	selector := func(kind pipelines.SelectorType, pattern string) pipelines.Selector {
		return pipelines.Selector{Type: kind, Pattern: pattern, ImportedFrom: &pipelines.ImportedFrom{Revision: "r"}}
	}
	deploy := main.With(pipelines.CustomSelector("deploy"))
	queue := pipelines.Target{Type: pipelines.TargetMergeQueueRef, RefName: "q", TargetBranch: "main", PullRequestIDs: []int{1, 2}}

	for name, tc := range map[string]struct {
		wanted, there pipelines.Target
		want          bool
	}{
		"a branch with a commit and a selector":        {main, main.At(sha).With(selector(pipelines.SelectorBranches, "ma*")), true},
		"a branch of the default pipeline":             {main, main.With(selector(pipelines.SelectorDefault, "")), true},
		"a branch that is not parsed yet":              {deploy, main.At(sha), true},
		"a partial response without the types":         {main, untyped, true},
		"a custom pipeline":                            {deploy, main.At(sha).With(selector(pipelines.SelectorCustom, "deploy")), true},
		"a custom pipeline that was not requested":     {main, deploy, false},
		"another custom pipeline":                      {deploy, main.With(pipelines.CustomSelector("destroy")), false},
		"the default pipeline whatever it matches":     {main.With(selector(pipelines.SelectorDefault, "")), main.With(selector(pipelines.SelectorDefault, "main")), true},
		"a section whose pattern the service fills in": {main.With(selector(pipelines.SelectorBranches, "")), main.With(selector(pipelines.SelectorBranches, "ma*")), true},
		"another pattern of the section":               {main.With(selector(pipelines.SelectorBranches, "main")), main.With(selector(pipelines.SelectorBranches, "ma*")), false},
		"another section":                              {main.With(selector(pipelines.SelectorBranches, "main")), main.With(selector(pipelines.SelectorDefault, "")), false},
		"another branch":                               {main, pipelines.BranchTarget("Main"), false},
		"a tag of the branch's name":                   {main, pipelines.TagTarget("main"), false},
		"an annotated tag":                             {pipelines.TagTarget("v1"), annotated, true},
		"a shortened hash":                             {main.At("0123456789AB"), main.At(sha), true},
		"another commit":                               {main.At("0123456789ac"), main.At(sha), false},
		"no commit":                                    {main.At(sha), main, false},
		"a commit without a branch":                    {pipelines.CommitTarget(sha), main.At(sha), false},
		"a pull request":                               {pipelines.PullRequestTarget(pr), titled, true},
		"a branch of a pull request":                   {main, titled, false},
		"a merge queue":                                {queue, queue, true},
		"nothing":                                      {pipelines.Target{}, main, false},
	} {
		require.Equal(t, tc.want, tc.wanted.Matches(tc.there), name)
	}
	pr.ID = 8
	require.False(t, pipelines.PullRequestTarget(pr).Matches(titled), "another pull request")
	other := queue
	other.PullRequestIDs = []int{1}
	require.False(t, queue.Matches(other), "another merge queue")
}
