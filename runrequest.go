package pipelines

import (
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
)

// RunRequest is a pipeline to start.
type RunRequest struct {
	// Target is the branch, tag, commit or pull request to run on. Its selector says which pipeline to run.
	Target Target `json:"target"`
	// Variables are for this run only. Whether the service uses them for other pipelines than custom ones is
	// unknown.
	Variables []VariableRequest `json:"variables,omitempty"`
}

// plainRunRequest is a RunRequest without its methods.
type plainRunRequest RunRequest

// Format implements [fmt.Formatter]: every verb masks secured values, as [Pipeline.Format] does.
func (r RunRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, plainRunRequest(r)) }

func (r RunRequest) validate() error {
	if err := r.Target.validate(); err != nil {
		return err
	}
	for i, v := range r.Variables {
		if v.Key == "" {
			return invalidArgument("variable %d has no key", i)
		}
		if err := v.validate(nil); err != nil {
			return err
		}
	}
	return nil
}

// secrets returns the texts that errors must mask.
func (r RunRequest) secrets() []string {
	var all []string
	for _, v := range r.Variables {
		all = append(all, v.secrets()...)
	}
	return all
}

// OnDemandRequest is a pipeline to start, with its YAML.
type OnDemandRequest struct {
	RunRequest
	YAML                 []byte `json:"yaml,omitzero"`                    // the configuration to run
	MergeDefaults        bool   `json:"merge_defaults,omitzero"`          // merge it with the repository's own
	TargetBranchToCreate string `json:"target_branch_to_create,omitzero"` // empty: none
}

func (r OnDemandRequest) validate() error {
	if err := r.RunRequest.validate(); err != nil {
		return err
	}
	if len(r.YAML) == 0 {
		return invalidArgument("YAML is empty")
	}
	return nil
}

// Format implements [fmt.Formatter]: every verb masks secured values and prints the YAML's length instead of the YAML.
func (r OnDemandRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue implements [slog.LogValuer]: secured values are masked.
func (r OnDemandRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r OnDemandRequest) masked() any {
	return struct {
		RunRequest           RunRequest
		YAMLBytes            int
		MergeDefaults        bool
		TargetBranchToCreate string
	}{r.RunRequest, len(r.YAML), r.MergeDefaults, r.TargetBranchToCreate}
}

// query returns target and variables as query parameters, since the body is the YAML.
func (r OnDemandRequest) query() url.Values {
	q := url.Values{}
	set := func(key, value string) {
		if value != "" {
			q.Set(key, value)
		}
	}
	t := r.Target
	set("target.type", string(t.Type))
	set("target.ref_type", string(t.RefType))
	set("target.ref_name", t.RefName)
	set("target.source", t.Source)
	set("target.destination", t.Destination)
	if t.Commit != nil {
		set("target.commit.hash", t.Commit.Hash)
	}
	if t.DestinationCommit != nil {
		set("target.destination_commit.hash", t.DestinationCommit.Hash)
	}
	if t.Selector != nil {
		set("target.selector.type", string(t.Selector.Type))
		set("target.selector.pattern", t.Selector.Pattern)
	}
	if t.PullRequest != nil {
		set("target.pullrequest.id", strconv.Itoa(t.PullRequest.ID))
	}
	for i, v := range r.Variables {
		prefix := "variables[" + strconv.Itoa(i) + "]."
		q.Set(prefix+"key", v.Key)
		q.Set(prefix+"value", v.Value)
		if v.secured(nil) {
			q.Set(prefix+"secured", "true")
		}
	}
	if r.MergeDefaults {
		q.Set("merge_defaults", "true")
	}
	set("target_branch_to_create", r.TargetBranchToCreate)
	return q
}
