package pipelinestest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

func TestPipelineListFilters(t *testing.T) {
	f := setup(t)
	base := f.clock.Now()
	state := func(name pipelines.StateName, stage pipelines.StageName, result pipelines.ResultName) pipelines.PipelineState {
		s := pipelines.PipelineState{Name: name}
		if stage != "" {
			s.Stage = &pipelines.Stage{Name: stage}
		}
		if result != "" {
			s.Result = &pipelines.Result{Name: result}
		}
		return s
	}
	hash := strings.Repeat("ab", 20)
	for i, p := range []pipelines.Pipeline{
		{State: state("PARSING", "PARSING", ""), Target: pipelines.BranchTarget("main").At(hash)},
		{State: state("IN_PROGRESS", "RUNNING", ""), Target: pipelines.TagTarget("v1").With(pipelines.Selector{Type: "tags", Pattern: "v*"})},
		{State: state("IN_PROGRESS", "PAUSED", ""), Target: pipelines.BranchTarget("v1").With(pipelines.CustomSelector("deploy"))},
		{State: state("COMPLETED", "", "FAILED"), Trigger: &pipelines.Trigger{Name: pipelines.TriggerSchedule}},
		{State: state("COMPLETED", "", "SUCCESSFUL"), Creator: &pipelines.Account{UUID: "{0}"}, Trigger: &pipelines.Trigger{Name: pipelines.TriggerPush}},
	} {
		p.CreatedOn = base.Add(-time.Duration(i) * time.Minute)
		f.repo.AddPipeline(p)
	}
	for query, want := range map[string][]any{
		"":                        {5.0, 4.0, 3.0, 2.0, 1.0},
		"sort=created_on":         {5.0, 4.0, 3.0, 2.0, 1.0},
		"sort=-created_on":        {1.0, 2.0, 3.0, 4.0, 5.0},
		"sort=-run_creation_date": {1.0, 2.0, 3.0, 4.0, 5.0},
		"sort=creator.uuid&status=PASSED&status=FAILED": {5.0, 4.0},
		"status=PARSING":                         {1.0},
		"status=BUILDING":                        {2.0},
		"status=PAUSED":                          {3.0},
		"status=FAILED":                          {4.0},
		"status=PASSED":                          {5.0},
		"status=PASSED&status=PARSING":           {5.0, 1.0},
		"status=SUCCESSFUL":                      {},
		"status=passed":                          {},
		"status=UNKNOWN":                         {},
		"target.branch=v1":                       {3.0},
		"target.ref_name=v1":                     {3.0, 2.0},
		"target.ref_name=v1&target.ref_type=TAG": {2.0},
		"target.ref_type=tag":                    {},
		"target.commit.hash=" + hash:             {1.0},
		"target.commit.hash=" + hash[:12]:        {},
		"target.selector.type=CUSTOM":            {3.0},
		"target.selector.type=TAG":               {2.0},
		"target.selector.type=custom":            {},
		"target.selector.pattern=deploy":         {3.0},
		"trigger_type=SCHEDULED":                 {4.0},
		"trigger_type=SCHEDULE":                  {},
		"trigger_type=PUSH":                      {5.0},
		"creator.uuid=%7B0%7D":                   {5.0},
		"creator.uuid=0":                         {5.0},
		"created_on=2026-03-01T12:58:00%2B01:00": {3.0},
		"created_on=yesterday":                   {},
		"q=state%3D1":                            {5.0, 4.0, 3.0, 2.0, 1.0},
	} {
		require.Equal(t, want, f.get(site+"/pipelines?"+query).Values("build_number"), query)
	}
	require.Equal(t, http.StatusBadRequest, f.get(site+"/pipelines?sort=name").StatusCode)
}
