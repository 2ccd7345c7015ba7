package pipelinestest_test

import (
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestSeededResourcesGetDiscriminators(t *testing.T) {
	f := setup(t)
	commit := &pipelines.Commit{Hash: "1f4a9c"}
	for i, c := range []struct {
		seed pipelines.Pipeline
		want map[string]string
	}{
		{
			pipelines.Pipeline{Target: pipelines.Target{RefName: "dev"}, State: pipelines.PipelineState{
				Name: pipelines.StateInProgress, Stage: &pipelines.Stage{Name: pipelines.StageHalted},
			}},
			map[string]string{
				"state.type": "pipeline_state_in_progress", "state.stage.type": "pipeline_state_in_progress_halted",
				"target.type": "pipeline_ref_target", "target.ref_type": "branch", "trigger.type": "pipeline_trigger_manual",
			},
		}, {
			pipelines.Pipeline{Target: pipelines.Target{Commit: commit}, State: pipelines.PipelineState{
				Result: &pipelines.Result{Name: pipelines.ResultFailed},
			}, Trigger: &pipelines.Trigger{Name: pipelines.TriggerPush}},
			map[string]string{
				"state.type": "pipeline_state_completed", "state.name": "COMPLETED", "state.result.type": "pipeline_state_completed_failed",
				"target.type": "pipeline_commit_target", "target.commit.hash": "1f4a9c", "trigger.type": "pipeline_trigger_push",
			},
		}, {
			pipelines.Pipeline{Target: pipelines.Target{Source: "dev", Destination: "main"}, Trigger: &pipelines.Trigger{Type: "pipeline_trigger_other"}},
			map[string]string{
				"target.type": "pipeline_pullrequest_target", "trigger.type": "pipeline_trigger_other",
				"state.result.type": "pipeline_state_completed_successful",
			},
		}, {
			pipelines.Pipeline{Target: pipelines.Target{Selector: &pipelines.Selector{Type: pipelines.SelectorCustom, Pattern: "deploy"}}},
			map[string]string{"target.type": "pipeline_ref_target", "target.ref_name": "main", "target.selector.pattern": "deploy"},
		},
	} {
		f.repo.AddPipeline(c.seed)
		a := f.get(site + "/pipelines/" + strconv.Itoa(i+1))
		for path, want := range c.want {
			require.Equal(t, want, a.At(path), path)
		}
	}
	schedule := f.repo.AddSchedule(pipelines.Schedule{Target: pipelines.Target{RefName: "dev"}})
	require.Equal(t, pipelines.TargetRef, schedule.Target.Type)
	deployment := f.repo.AddDeployment(pipelines.Deployment{State: pipelines.DeploymentState{
		Name: pipelines.StateCompleted, Status: &pipelines.DeploymentStatus{Name: pipelines.ResultFailed},
	}})
	require.Equal(t, "deployment_state_completed", deployment.State.Type)
	require.Equal(t, "deployment_state_completed_failed", deployment.State.Status.Type)
}

// untyped are models whose type no payload shows or is unknown.
var untyped = map[reflect.Type]bool{
	reflect.TypeFor[pipelines.Link]():       true,
	reflect.TypeFor[pipelines.Links]():      true,
	reflect.TypeFor[pipelines.LockOpener](): true,
}

// full sets all fields down to a depth, and leaves every Type empty.
func full[T any]() T {
	var v T
	populate(reflect.ValueOf(&v).Elem(), 7)
	return v
}

func populate(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			populate(v.Elem(), depth-1)
		}
	case reflect.Slice:
		if depth > 0 && v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			populate(v.Index(0), depth-1)
		}
	case reflect.String:
		v.SetString("X")
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Type" {
				populate(v.Field(i), depth)
			}
		}
	default: // has no fields
	}
}

// withoutType lists the models within a value that have no type.
func withoutType(v reflect.Value, path string) []string {
	var found []string
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return withoutType(v.Elem(), path)
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = append(found, withoutType(v.Index(i), path+"[]")...)
		}
	case reflect.Struct:
		if typ := v.FieldByName("Type"); typ.IsValid() && typ.String() == "" && !untyped[v.Type()] {
			found = append(found, path)
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && v.Type() != reflect.TypeFor[time.Time]() {
				found = append(found, withoutType(v.Field(i), path+"."+f.Name)...)
			}
		}
	default: // has no fields
	}
	return found
}

func TestEverySeededModelGetsAType(t *testing.T) {
	f := setup(t)
	host, other := full[pipelines.KnownHost](), full[pipelines.KnownHost]()
	host.PublicKey.Key, other.PublicKey.Key = ed25519Key, ed25519Key
	environment := f.repo.AddEnvironment("Staging", pipelines.EnvironmentStaging)
	runner := f.repo.AddRunner(full[pipelines.Runner]())
	require.NoError(t, f.repo.SetRunnerState(f.repo.AddRunner(pipelines.Runner{}).UUID, full[pipelines.RunnerState]()))
	f.repo.SetKeyPair(full[pipelines.KeyPair]())
	script := pipelinestest.Script{Steps: []pipelinestest.Step{{Deployment: "Test"}}}
	for name, seeded := range map[string]any{
		"AddPipeline, full":    f.repo.AddPipeline(full[pipelines.Pipeline]()),
		"AddPipeline, empty":   f.repo.AddPipeline(pipelines.Pipeline{}),
		"AddRun":               f.repo.AddRun(script, f.clock.Now()),
		"AddSchedule, full":    f.repo.AddSchedule(full[pipelines.Schedule]()),
		"AddSchedule, empty":   f.repo.AddSchedule(pipelines.Schedule{}),
		"AddDeployment, full":  f.repo.AddDeployment(full[pipelines.Deployment]()),
		"AddDeployment, empty": f.repo.AddDeployment(pipelines.Deployment{}),
		"AddRunner, full":      runner,
		"AddKnownHost, full":   f.repo.AddKnownHost(host),
		"AddVariable":          f.repo.AddVariable(full[pipelines.Variable]()),
		"of an environment":    environment.AddVariable(full[pipelines.Variable]()),
		"AddCache":             f.repo.AddCache("node", nil),
		"Pipelines":            f.repo.Pipelines(),
		"Schedules":            f.repo.Schedules(),
		"Deployments":          f.repo.Deployments(),
		"Runners":              f.repo.Runners(),
		"KnownHosts":           f.repo.KnownHosts(),
		"KeyPair":              f.repo.KeyPair(),
		"Environments":         f.repo.Environments(),
		"Variables":            f.repo.Variables(),
		"Caches":               f.repo.Caches(),
	} {
		require.Empty(t, withoutType(reflect.ValueOf(seeded), name))
	}
	require.Equal(t, []string{"x"}, withoutType(reflect.ValueOf(pipelines.Commit{}), "x"), "the test sees the type")
}

func TestTypesThatDependOnOtherFields(t *testing.T) {
	f := setup(t)
	queue := f.repo.AddPipeline(pipelines.Pipeline{Target: pipelines.Target{
		RefName: "queue", TargetBranch: "main", PullRequestIDs: []int{1}, Selector: &pipelines.Selector{Pattern: "**"},
	}})
	require.Equal(t, pipelines.TargetMergeQueueRef, queue.Target.Type)
	require.Equal(t, pipelines.SelectorMergeQueues, queue.Target.Selector.Type)
	for pattern, want := range map[string]pipelines.SelectorType{
		"": pipelines.SelectorDefault, "feature/x": pipelines.SelectorBranches, "feature/*": pipelines.SelectorBranches,
		"**": pipelines.SelectorBranches, "deploy": pipelines.SelectorCustom,
	} {
		p := f.repo.AddPipeline(pipelines.Pipeline{Target: pipelines.Target{RefName: "feature/x", Selector: &pipelines.Selector{Pattern: pattern}}})
		require.Equal(t, want, p.Target.Selector.Type, pattern)
	}
	tag := f.repo.AddPipeline(pipelines.Pipeline{Target: pipelines.TagTarget("v1").With(pipelines.Selector{Pattern: "v*"})})
	require.Equal(t, pipelines.SelectorTags, tag.Target.Selector.Type)
	app := f.repo.AddPipeline(pipelines.Pipeline{Creator: &pipelines.Account{Kind: "repository_access_token"}})
	require.Equal(t, "app_user", app.Creator.Type)
	given := f.repo.AddPipeline(pipelines.Pipeline{Creator: &pipelines.Account{Type: "team"}, Trigger: &pipelines.Trigger{}})
	require.Equal(t, "team", given.Creator.Type, "a given type stays")
	require.Equal(t, pipelines.TriggerManual, given.Trigger.Name)
}
