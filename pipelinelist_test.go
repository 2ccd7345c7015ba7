package pipelines_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestPipelineListSendsItsFilters(t *testing.T) {
	for name, tc := range map[string]struct {
		q    *pipelines.ListPipelinesOptions
		want string
	}{
		"none":     {nil, "pagelen=100"},
		"defaults": {&pipelines.ListPipelinesOptions{}, "pagelen=100"},
		"all": {&pipelines.ListPipelinesOptions{
			PageLen: 50, Sort: pipelines.SortNewestFirst, Branch: "feature/ä", RefType: pipelines.RefAnnotatedTag, RefName: "v1", CommitHash: fullHash,
			SelectorType: pipelines.SelectorCustom, SelectorPattern: "deploy *", CreatorUUID: "11111111-2222-4333-8444-555555555555",
			CreatedOn: date("2026-08-01T10:12:13.671Z"), TriggerType: pipelines.TriggerParentStep,
			Status: []pipelines.PipelineStatus{pipelines.StatusFailed, pipelines.StatusError},
		}, "created_on=2026-08-01T10:12:13.671Z&creator.uuid=11111111-2222-4333-8444-555555555555&pagelen=50&sort=-created_on&status=FAILED&status=ERROR" +
			"&target.branch=feature/ä&target.commit.hash=" + fullHash + "&target.ref_name=v1&target.ref_type=ANNOTATED_TAG" +
			"&target.selector.pattern=deploy *&target.selector.type=CUSTOM&trigger_type=PARENT_STEP"},
		"in the words of pipelines": {&pipelines.ListPipelinesOptions{
			RefType: pipelines.RefBranch, SelectorType: pipelines.SelectorBranches, TriggerType: pipelines.TriggerSchedule,
		}, "pagelen=100&target.ref_type=BRANCH&target.selector.type=BRANCH&trigger_type=SCHEDULED"},
		"in the words of the filters": {&pipelines.ListPipelinesOptions{RefType: "TAG", SelectorType: "PULLREQUESTS", TriggerType: "SCHEDULED"},
			"pagelen=100&target.ref_type=TAG&target.selector.type=PULLREQUESTS&trigger_type=SCHEDULED"},
		"of other selectors": {&pipelines.ListPipelinesOptions{SelectorType: pipelines.SelectorPullRequests}, "pagelen=100&target.selector.type=PULLREQUESTS"},
		"of unknown words":   {&pipelines.ListPipelinesOptions{Status: []pipelines.PipelineStatus{"DREAMING"}}, "pagelen=100&status=DREAMING"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := record(t, serveJSON(`{"values":[]}`))
			_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, tc.q).Collect()
			require.NoError(t, err)
			got, err := url.QueryUnescape(srv.only(t).Query)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Equal(t, "/2.0/repositories/acme/site/pipelines", srv.only(t).Path)
		})
	}
}

func TestPipelineListRefusesFiltersThatFindNothing(t *testing.T) {
	srv := record(t, serveJSON(`{"values":[]}`))
	for says, q := range map[string]*pipelines.ListPipelinesOptions{
		"StatusPassed":       {Status: []pipelines.PipelineStatus{"SUCCESSFUL"}},
		"StatusBuilding":     {Status: []pipelines.PipelineStatus{pipelines.StatusFailed, "IN_PROGRESS"}},
		"not a full commit":  {CommitHash: "0123456"},
		"not a full commit ": {CommitHash: fullHash + "0"},
		"the service wants":  {Status: []pipelines.PipelineStatus{"Passed"}},
	} {
		t.Run(says, func(t *testing.T) {
			_, err := newClient(t, srv.base()).Pipelines.List(t.Context(), repo, q).Collect()
			require.ErrorIs(t, err, pipelines.ErrInvalidArgument)
			require.ErrorContains(t, err, strings.TrimSpace(says))
		})
	}
	srv.requireSent(t, 0)
}
