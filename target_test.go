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
