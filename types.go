package pipelines

import "time"

// Account is a user, a team or an app that created, stopped or deployed something. Which fields the service sends depends on Type
// and on the caller's access.
type Account struct {
	Type          string    `json:"type,omitzero"` // "user", "team", "app_user"
	UUID          string    `json:"uuid,omitzero"`
	AccountID     string    `json:"account_id,omitzero"`
	AccountStatus string    `json:"account_status,omitzero"`
	DisplayName   string    `json:"display_name,omitzero"`
	Nickname      string    `json:"nickname,omitzero"`
	Kind          string    `json:"kind,omitzero"` // of an app_user
	Has2FAEnabled bool      `json:"has_2fa_enabled,omitzero"`
	IsStaff       bool      `json:"is_staff,omitzero"`
	CreatedOn     time.Time `json:"created_on,omitzero"`
	Links         *Links    `json:"links,omitzero"`
}

// Link is a link to another resource. Don't send credentials to Href: old runs link to hosts that are not Bitbucket's API.
type Link struct {
	Type string `json:"type,omitzero"`
	Href string `json:"href,omitzero"`
	Name string `json:"name,omitzero"`
}

// Links are the links of a resource. Those that the resource doesn't have are nil.
type Links struct {
	Type         string `json:"type,omitzero"`
	Self         *Link  `json:"self,omitzero"`
	HTML         *Link  `json:"html,omitzero"` // in the browser
	Avatar       *Link  `json:"avatar,omitzero"`
	Steps        *Link  `json:"steps,omitzero"`        // of a pipeline
	Commits      *Link  `json:"commits,omitzero"`      // of a repository, a reference or a pull request
	PullRequests *Link  `json:"pullrequests,omitzero"` // of a repository
	Forks        *Link  `json:"forks,omitzero"`        // of a repository
	Watchers     *Link  `json:"watchers,omitzero"`     // of a repository
	Downloads    *Link  `json:"downloads,omitzero"`    // of a repository
	Clone        []Link `json:"clone,omitzero"`        // of a repository, a link for each protocol
	Hooks        *Link  `json:"hooks,omitzero"`        // of a repository or a workspace
	Branches     *Link  `json:"branches,omitzero"`     // of a repository
	Tags         *Link  `json:"tags,omitzero"`         // of a repository
	Source       *Link  `json:"source,omitzero"`       // of a repository
	Members      *Link  `json:"members,omitzero"`      // of a team or a workspace
	Owners       *Link  `json:"owners,omitzero"`       // of a workspace
	Projects     *Link  `json:"projects,omitzero"`     // of a team or a workspace
	Snippets     *Link  `json:"snippets,omitzero"`     // of a workspace
	Repositories *Link  `json:"repositories,omitzero"` // of a team, a workspace or a project
	Statuses     *Link  `json:"statuses,omitzero"`     // of a commit or a pull request
	Diff         *Link  `json:"diff,omitzero"`         // of a commit or a pull request
	Patch        *Link  `json:"patch,omitzero"`        // of a commit
	Comments     *Link  `json:"comments,omitzero"`     // of a commit or a pull request
	Approve      *Link  `json:"approve,omitzero"`      // of a commit or a pull request
}

// Repository is a repository inside another resource, mostly with names, UUID and links only.
type Repository struct {
	Type        string      `json:"type,omitzero"`
	UUID        string      `json:"uuid,omitzero"`
	Name        string      `json:"name,omitzero"`
	FullName    string      `json:"full_name,omitzero"` // "workspace/slug"
	Slug        string      `json:"slug,omitzero"`
	Workspace   *Workspace  `json:"workspace,omitzero"`
	Description string      `json:"description,omitzero"`
	Website     string      `json:"website,omitzero"`
	IsPrivate   bool        `json:"is_private,omitzero"`
	Parent      *Repository `json:"parent,omitzero"`
	SCM         string      `json:"scm,omitzero"`
	Owner       *Account    `json:"owner,omitzero"`
	CreatedOn   time.Time   `json:"created_on,omitzero"`
	UpdatedOn   time.Time   `json:"updated_on,omitzero"`
	Size        int64       `json:"size,omitzero"` // bytes
	Language    string      `json:"language,omitzero"`
	HasIssues   bool        `json:"has_issues,omitzero"`
	HasWiki     bool        `json:"has_wiki,omitzero"`
	ForkPolicy  string      `json:"fork_policy,omitzero"`
	Project     *Project    `json:"project,omitzero"`
	MainBranch  *Ref        `json:"mainbranch,omitzero"`
	Links       *Links      `json:"links,omitzero"`
}

// Workspace is the workspace that a repository belongs to.
type Workspace struct {
	Type  string `json:"type,omitzero"`
	UUID  string `json:"uuid,omitzero"`
	Name  string `json:"name,omitzero"`
	Slug  string `json:"slug,omitzero"`
	Links *Links `json:"links,omitzero"`
}

// Project is the project that a repository belongs to.
type Project struct {
	Type                    string    `json:"type,omitzero"`
	UUID                    string    `json:"uuid,omitzero"`
	Key                     string    `json:"key,omitzero"`
	Name                    string    `json:"name,omitzero"`
	Description             string    `json:"description,omitzero"`
	Owner                   *Account  `json:"owner,omitzero"`
	IsPrivate               bool      `json:"is_private,omitzero"`
	HasPubliclyVisibleRepos bool      `json:"has_publicly_visible_repos,omitzero"`
	CreatedOn               time.Time `json:"created_on,omitzero"`
	UpdatedOn               time.Time `json:"updated_on,omitzero"`
	Links                   *Links    `json:"links,omitzero"`
}

// Ref is a branch or a tag, as Type says.
type Ref struct {
	Type                 string    `json:"type,omitzero"` // "branch", "tag", "annotated_tag", …
	Name                 string    `json:"name,omitzero"`
	Target               *Commit   `json:"target,omitzero"`
	MergeStrategies      []string  `json:"merge_strategies,omitzero"`       // of a branch
	DefaultMergeStrategy string    `json:"default_merge_strategy,omitzero"` // of a branch
	Message              string    `json:"message,omitzero"`                // of a tag
	Date                 time.Time `json:"date,omitzero"`                   // of a tag
	Tagger               *Author   `json:"tagger,omitzero"`                 // of a tag
	Links                *Links    `json:"links,omitzero"`
}

// Commit is a commit. Inside a pipeline it has only type, hash and links, and the hash may be shortened to 12 digits.
type Commit struct {
	Type         string         `json:"type,omitzero"`
	Hash         string         `json:"hash,omitzero"`
	Date         time.Time      `json:"date,omitzero"`
	Author       *Author        `json:"author,omitzero"`
	Committer    *Author        `json:"committer,omitzero"`
	Message      string         `json:"message,omitzero"`
	Summary      *CommitSummary `json:"summary,omitzero"`
	Parents      []Commit       `json:"parents,omitzero"`
	Repository   *Repository    `json:"repository,omitzero"`
	Participants []Participant  `json:"participants,omitzero"`
	Links        *Links         `json:"links,omitzero"`
}

// CommitSummary is a commit message, raw and rendered.
type CommitSummary struct {
	Raw    string `json:"raw,omitzero"`
	Markup string `json:"markup,omitzero"` // "markdown", "creole", "plaintext"
	HTML   string `json:"html,omitzero"`
}

// Author is the author or committer of a commit, or the tagger of a tag.
type Author struct {
	Type string   `json:"type,omitzero"`
	Raw  string   `json:"raw,omitzero"` // "Name <address>"
	User *Account `json:"user,omitzero"`
}

// Participant is a participant in the review of a commit.
type Participant struct {
	Type           string    `json:"type,omitzero"`
	User           *Account  `json:"user,omitzero"`
	Role           string    `json:"role,omitzero"` // "PARTICIPANT", "REVIEWER"
	Approved       bool      `json:"approved,omitzero"`
	State          string    `json:"state,omitzero"` // "approved", "changes_requested"
	ParticipatedOn time.Time `json:"participated_on,omitzero"`
}

// ErrorDetail says why a run or a step ended as it did.
type ErrorDetail struct {
	Type      string         `json:"type,omitzero"`
	Key       string         `json:"key,omitzero"` // such as "plan-service.parse.parsing-error"
	Message   string         `json:"message,omitzero"`
	Arguments map[string]any `json:"arguments,omitzero"`
}

// String returns the message, or the key if there is no message.
func (e ErrorDetail) String() string {
	if e.Message == "" {
		return e.Key
	}
	return e.Message
}
