package pipelinestest

import (
	"cmp"
	"fmt"
	"reflect"

	"github.com/seed-85ed9bfd/pipelines"
)

// mainTarget is the target of a run for which the test names none.
func mainTarget() pipelines.Target {
	return pipelines.BranchTarget("main").With(pipelines.Selector{Type: pipelines.SelectorDefault})
}

// setTargetDefaults infers the missing types within a target from its other fields. An empty target becomes main.
func setTargetDefaults(t *pipelines.Target) {
	t.Type = cmp.Or(t.Type, targetType(*t))
	if t.Type == "" {
		*t = mainTarget().With(*cmp.Or(t.Selector, mainTarget().Selector))
	}
	if t.Type == pipelines.TargetRef || t.Type == pipelines.TargetMergeQueueRef {
		t.RefType = cmp.Or(t.RefType, pipelines.RefBranch)
	}
	if t.Selector != nil && t.Selector.Type == "" {
		t.Selector.Type = selectorType(*t)
	}
	if pr := t.PullRequest; pr != nil {
		pr.Title = cmp.Or(pr.Title, fmt.Sprintf("Pull request %d", pr.ID))
	}
}

// targetType infers the type of a target from its fields. It is empty for an empty target.
func targetType(t pipelines.Target) pipelines.TargetType {
	switch {
	case t.PullRequest != nil || t.Source != "" || t.Destination != "":
		return pipelines.TargetPullRequest
	case t.TargetBranch != "" || len(t.PullRequestIDs) > 0:
		return pipelines.TargetMergeQueueRef
	case t.RefName != "":
		return pipelines.TargetRef
	case t.Commit != nil:
		return pipelines.TargetCommit
	}
	return ""
}

// selectorType infers the type of a target's selector from its pattern. A pattern that matches the reference belongs to the section of the
// reference; any other names a custom pipeline.
func selectorType(t pipelines.Target) pipelines.SelectorType {
	section := selector{sectionOf(t), t.Selector.Pattern}
	switch {
	case section.pattern == "":
		return pipelines.SelectorDefault
	case section.matches(selector{section.section, cmp.Or(t.RefName, t.Source)}):
		return section.section
	}
	return pipelines.SelectorCustom
}

// setStateDefaults makes a run without a state successful.
func setStateDefaults(s *pipelines.PipelineState) {
	if s.Name == "" {
		s.Name = pipelines.StateCompleted
		s.Result = cmp.Or(s.Result, &pipelines.Result{Name: pipelines.ResultSuccessful})
	}
}

// fixedTypes are the discriminators of models that have the same one everywhere. Links have none.
var fixedTypes = map[reflect.Type]string{
	reflect.TypeFor[pipelines.Author]():                 "author",
	reflect.TypeFor[pipelines.Commit]():                 "commit",
	reflect.TypeFor[pipelines.Deployment]():             "deployment",
	reflect.TypeFor[pipelines.DeploymentRelease]():      "deployment_release",
	reflect.TypeFor[pipelines.DeploymentRestrictions](): "deployment_restrictions_configuration",
	reflect.TypeFor[pipelines.Environment]():            "deployment_environment",
	reflect.TypeFor[pipelines.EnvironmentType]():        "deployment_environment_type",
	reflect.TypeFor[pipelines.ErrorDetail]():            "pipeline_error",
	reflect.TypeFor[pipelines.Participant]():            "participant",
	reflect.TypeFor[pipelines.Pipeline]():               "pipeline",
	reflect.TypeFor[pipelines.PipelineRef]():            "pipeline",
	reflect.TypeFor[pipelines.Project]():                "project",
	reflect.TypeFor[pipelines.Workspace]():              "workspace",
	reflect.TypeFor[pipelines.PullRequest]():            "pullrequest",
	reflect.TypeFor[pipelines.Ref]():                    "branch",
	reflect.TypeFor[pipelines.Repository]():             "repository",
	reflect.TypeFor[pipelines.Runner]():                 "pipeline_runner",
	reflect.TypeFor[pipelines.RunnerOAuthClient]():      "pipeline_runner_oauth_client",
	reflect.TypeFor[pipelines.RunnerState]():            "pipeline_runner_state",
	reflect.TypeFor[pipelines.RunnerVersion]():          "pipeline_runner_version",
	reflect.TypeFor[pipelines.Schedule]():               "pipeline_schedule",
}

// setTypes sets the missing discriminators in v and everything below it. V is a pointer, and shares no memory with the test's values.
func setTypes(v any) { setValueTypes(reflect.ValueOf(v)) }

func setValueTypes(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			setValueTypes(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			setValueTypes(v.Index(i))
		}
	case reflect.Struct:
		setType(v.Addr().Interface())
		if typ := v.FieldByName("Type"); typ.IsValid() && typ.IsZero() {
			typ.SetString(fixedTypes[v.Type()])
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				setValueTypes(v.Field(i))
			}
		}
	default: // has no fields
	}
}

// setType sets the discriminators that depend on other fields.
func setType(v any) {
	switch v := v.(type) {
	case *pipelines.Account:
		if v.Kind != "" {
			v.Type = cmp.Or(v.Type, "app_user")
		}
		v.Type = cmp.Or(v.Type, "user")
	case *pipelines.Target:
		setTargetDefaults(v)
	case *pipelines.Trigger:
		if v.Type == "" {
			v.Name = cmp.Or(v.Name, pipelines.TriggerManual)
			v.Type = discriminator("pipeline_trigger", v.Name)
		}
	case *pipelines.PipelineState:
		v.Type = cmp.Or(v.Type, discriminator("pipeline_state", v.Name))
		if v.Stage != nil {
			v.Stage.Type = cmp.Or(v.Stage.Type, discriminator(v.Type, v.Stage.Name))
		}
		if v.Result != nil {
			v.Result.Type = cmp.Or(v.Result.Type, discriminator(v.Type, v.Result.Name))
		}
	case *pipelines.DeploymentState:
		v.Type = cmp.Or(v.Type, discriminator("deployment_state", v.Name))
		if v.Status != nil {
			v.Status.Type = cmp.Or(v.Status.Type, discriminator(v.Type, v.Status.Name))
		}
	case *pipelines.EnvironmentLock:
		v.Name = cmp.Or(v.Name, "OPEN")
		v.Type = cmp.Or(v.Type, discriminator("deployment_environment_lock", v.Name))
	}
}
