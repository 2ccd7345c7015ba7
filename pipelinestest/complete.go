package pipelinestest

import (
	"cmp"

	"github.com/seed-85ed9bfd/pipelines"
)

// mainTarget is what a run is of where nothing is said.
func mainTarget() pipelines.Target {
	return pipelines.BranchTarget("main").With(pipelines.Selector{Type: pipelines.SelectorDefault})
}

// completeTarget fills in the type of a target from what the target says, and main where it says nothing.
func completeTarget(t *pipelines.Target) {
	switch {
	case t.Type != "":
	case t.Pullrequest != nil || t.Source != "" || t.Destination != "":
		t.Type = pipelines.TargetPullRequest
	case t.RefName != "":
		t.Type = pipelines.TargetRef
	case t.Commit != nil:
		t.Type = pipelines.TargetCommit
	default:
		*t = mainTarget().With(*cmp.Or(t.Selector, mainTarget().Selector))
	}
	if t.Type == pipelines.TargetRef {
		t.RefType = cmp.Or(t.RefType, pipelines.RefBranch)
	}
}

func completeTrigger(t *pipelines.Trigger) {
	if t.Name != "" {
		t.Type = cmp.Or(t.Type, discriminator("pipeline_trigger", t.Name))
	}
}

// completeState fills in the types within a run's state. A run that says nothing about it was successful.
func completeState(s *pipelines.PipelineState) {
	if s.Name == "" {
		s.Name = pipelines.StateCompleted
		s.Result = cmp.Or(s.Result, &pipelines.Result{Name: pipelines.ResultSuccessful})
	}
	s.Type = cmp.Or(s.Type, discriminator("pipeline_state", s.Name))
	if s.Stage != nil {
		s.Stage.Type = cmp.Or(s.Stage.Type, discriminator(s.Type, s.Stage.Name))
	}
	if s.Result != nil {
		s.Result.Type = cmp.Or(s.Result.Type, discriminator(s.Type, s.Result.Name))
	}
}

func completeDeploymentState(s *pipelines.DeploymentState) {
	s.Type = cmp.Or(s.Type, discriminator("deployment_state", s.Name))
	if s.Status != nil {
		s.Status.Type = cmp.Or(s.Status.Type, discriminator(s.Type, s.Status.Name))
	}
}
