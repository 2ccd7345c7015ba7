package pipelines

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// TargetType says what a [Target] is.
type TargetType string

// The known target types. The last one occurs only in responses.
const (
	TargetRef           TargetType = "pipeline_ref_target"
	TargetCommit        TargetType = "pipeline_commit_target"
	TargetPullRequest   TargetType = "pipeline_pullrequest_target"
	TargetMergeQueueRef TargetType = "pipeline_merge_queue_ref_target"
)

// RefType is the kind of reference that a target names.
type RefType string

// The known reference types.
const (
	RefBranch       RefType = "branch"
	RefTag          RefType = "tag"
	RefAnnotatedTag RefType = "annotated_tag"
	RefNamedBranch  RefType = "named_branch"
	RefBookmark     RefType = "bookmark"
)

// Target is what a pipeline runs on. Make one with [BranchTarget], [TagTarget], [CommitTarget] or [PullRequestTarget]. Type says
// which fields are set.
type Target struct {
	Type     TargetType `json:"type,omitzero"`
	RefType  RefType    `json:"ref_type,omitzero"`
	RefName  string     `json:"ref_name,omitzero"`
	Commit   *Commit    `json:"commit,omitzero"`
	Selector *Selector  `json:"selector,omitzero"` // nil until the service has parsed the YAML

	Source            string       `json:"source,omitzero"`      // branch of a pull request
	Destination       string       `json:"destination,omitzero"` // branch of a pull request
	DestinationCommit *Commit      `json:"destination_commit,omitzero"`
	PullRequest       *PullRequest `json:"pullrequest,omitzero"`

	TargetBranch   string `json:"target_branch,omitzero"`   // of a merge queue
	PullRequestIDs []int  `json:"pullrequest_ids,omitzero"` // of a merge queue
}

// PullRequest is the pull request of a [Target].
type PullRequest struct {
	Type   string `json:"type,omitzero"`
	ID     int    `json:"id,omitzero"`
	Title  string `json:"title,omitzero"`
	Draft  bool   `json:"draft,omitzero"`
	Queued bool   `json:"queued,omitzero"`
	Links  *Links `json:"links,omitzero"`
}

// BranchTarget runs on the head of a branch.
func BranchTarget(name string) Target {
	return Target{Type: TargetRef, RefType: RefBranch, RefName: name}
}

// TagTarget runs on a tag.
func TagTarget(name string) Target {
	return Target{Type: TargetRef, RefType: RefTag, RefName: name}
}

// CommitTarget runs on a commit without a branch. The service requires a [Selector]: add one with [Target.With].
func CommitTarget(hash string) Target {
	return Target{Type: TargetCommit, Commit: commitRef(hash)}
}

// PullRequestRef identifies a pull request and what it merges. All five fields are required, since the service doesn't look them up.
type PullRequestRef struct {
	ID                int    `json:"id"`
	Source            string `json:"source"`             // branch
	Destination       string `json:"destination"`        // branch
	Commit            string `json:"commit"`             // hash of the source branch's head
	DestinationCommit string `json:"destination_commit"` // hash of the destination branch's head
}

// PullRequestTarget runs the pipeline of a pull request.
func PullRequestTarget(pr PullRequestRef) Target {
	return Target{
		Type: TargetPullRequest, Source: pr.Source, Destination: pr.Destination,
		Commit: commitRef(pr.Commit), DestinationCommit: commitRef(pr.DestinationCommit),
		PullRequest: &PullRequest{ID: pr.ID},
	}
}

// At returns a copy of the target that runs on a commit of its reference. The service doesn't check that the commit is on it.
func (t Target) At(hash string) Target {
	t.Commit = commitRef(hash)
	return t
}

// With returns a copy of the target with a selector, which picks one pipeline of the YAML.
func (t Target) With(s Selector) Target {
	t.Selector = &s
	return t
}

// String describes the target for people: "branch main", "commit 1a2b3c of branch main", "pull request 7 (feature to main)". A
// selector follows it: "branch main, custom: deploy".
func (t Target) String() string {
	source := t.describeSource()
	if t.Selector != nil && (t.Selector.Pattern != "" || t.Selector.Type != "") {
		return strings.TrimPrefix(source+", "+strings.TrimSuffix(string(t.Selector.Type)+": "+t.Selector.Pattern, ": "), ", ")
	}
	return source
}

// describeSource describes the target without its selector.
func (t Target) describeSource() string {
	commit := ""
	if t.Commit != nil && t.Commit.Hash != "" {
		commit = "commit " + t.Commit.Hash
	}
	switch {
	case t.PullRequest != nil:
		return fmt.Sprintf("pull request %d (%s to %s)", t.PullRequest.ID, t.Source, t.Destination)
	case t.RefName != "" && commit != "":
		return fmt.Sprintf("%s of %s %s", commit, cmp.Or(t.RefType, "reference"), t.RefName)
	case t.RefName != "":
		return fmt.Sprintf("%s %s", cmp.Or(t.RefType, "reference"), t.RefName)
	}
	return cmp.Or(commit, string(t.Type))
}

// Matches reports whether other, a target that the service returned, may be what was requested as t. Commits, a selector's pattern and
// the title of a pull request that t leaves out don't count, because the service fills them in. All else but the selector has to be
// the same. A shortened hash matches the whole one, and a tag an annotated tag.
//
// Without a selector, t matches every pipeline that the service may have chosen by itself, which is any but a custom one. So does
// an other without a selector match any t, because the service adds it later.
func (t Target) Matches(other Target) bool {
	return (t.Type == other.Type || other.Type == "") && t.RefType.matches(other.RefType) && t.RefName == other.RefName &&
		t.Commit.matches(other.Commit) && t.Selector.matches(other.Selector) &&
		t.Source == other.Source && t.Destination == other.Destination && t.DestinationCommit.matches(other.DestinationCommit) &&
		t.pullRequestID() == other.pullRequestID() &&
		t.TargetBranch == other.TargetBranch && slices.Equal(t.PullRequestIDs, other.PullRequestIDs)
}

// matches reports whether two types may be the same. The service calls some tags annotated that were requested as tags, and a partial
// response may lack the type.
func (t RefType) matches(other RefType) bool {
	return t == other || other == "" || t == RefTag && other == RefAnnotatedTag
}

func (t Target) pullRequestID() int {
	if t.PullRequest == nil {
		return 0
	}
	return t.PullRequest.ID
}

// matches reports whether a requested commit may be other. Either hash may be a shortened one.
func (c *Commit) matches(other *Commit) bool {
	if c == nil || c.Hash == "" {
		return true
	}
	if other == nil || other.Hash == "" {
		return false
	}
	n := min(len(c.Hash), len(other.Hash))
	return strings.EqualFold(c.Hash[:n], other.Hash[:n])
}

// matches reports whether a requested selector may be other.
func (s *Selector) matches(other *Selector) bool {
	switch {
	case other == nil || other.Type == "":
		return true
	case s == nil:
		return other.Type != SelectorCustom
	case s.Type == SelectorDefault:
		return other.Type == SelectorDefault
	}
	return s.Type == other.Type && (s.Pattern == "" || s.Pattern == other.Pattern)
}

func commitRef(hash string) *Commit { return &Commit{Type: "commit", Hash: hash} }

// validate returns an error that names the missing field. The service's own error often doesn't.
func (t Target) validate() error {
	if t.Type == "" {
		return invalidArgument("target has no type: make it with BranchTarget, TagTarget, CommitTarget or PullRequestTarget")
	}
	for _, field := range t.requiredFields() {
		if field.missing {
			return invalidArgument("target of type %s has no %s", t.Type, field.name)
		}
	}
	if t.Selector != nil {
		return t.Selector.validate()
	}
	return nil
}

type requiredField struct {
	name    string
	missing bool
}

// requiredFields returns the fields that a target of this type requires. For an unknown type it returns none.
func (t Target) requiredFields() []requiredField {
	noHash := func(c *Commit) bool { return c == nil || c.Hash == "" }
	switch t.Type {
	case TargetRef:
		return []requiredField{
			{"reference type", t.RefType == ""},
			{"reference name", t.RefName == ""},
			{"hash for its commit", t.Commit != nil && noHash(t.Commit)},
		}
	case TargetCommit:
		return []requiredField{
			{"commit hash", noHash(t.Commit)},
			{"selector: add one with Target.With", t.Selector == nil},
		}
	case TargetPullRequest:
		return []requiredField{
			{"pull request ID", t.PullRequest == nil || t.PullRequest.ID <= 0},
			{"source branch", t.Source == ""},
			{"destination branch", t.Destination == ""},
			{"commit hash", noHash(t.Commit)},
			{"destination commit hash", noHash(t.DestinationCommit)},
		}
	case TargetMergeQueueRef:
	}
	return nil
}

// SelectorType says which section of the YAML a [Selector] looks in.
type SelectorType string

// The known selector types. The last one occurs only in responses.
const (
	SelectorBranches     SelectorType = "branches"
	SelectorTags         SelectorType = "tags"
	SelectorBookmarks    SelectorType = "bookmarks"
	SelectorDefault      SelectorType = "default"
	SelectorCustom       SelectorType = "custom"
	SelectorPullRequests SelectorType = "pull-requests"
	SelectorMergeQueues  SelectorType = "merge-queues"
)

// Selector picks one pipeline of the YAML.
type Selector struct {
	Type         SelectorType  `json:"type,omitzero"`
	Pattern      string        `json:"pattern,omitzero"` // glob or name; empty for the default pipeline
	ImportedFrom *ImportedFrom `json:"imported_from,omitzero"`
}

// ImportedFrom says from which repository a shared pipeline is imported.
type ImportedFrom struct {
	RepoUUID     string `json:"repo_uuid,omitzero"`
	Revision     string `json:"revision,omitzero"`
	PipelineName string `json:"pipelineName,omitzero"`
}

// CustomSelector picks a pipeline of the YAML's custom section by name.
func CustomSelector(name string) Selector { return Selector{Type: SelectorCustom, Pattern: name} }

func (s Selector) validate() error {
	switch {
	case s.Type == "":
		return invalidArgument("selector has no type")
	case s.Type == SelectorCustom && s.Pattern == "":
		return invalidArgument("selector of type %s needs the pipeline's name as its pattern", s.Type)
	}
	return nil
}
