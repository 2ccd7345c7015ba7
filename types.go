package pipelines

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Repo names a repository. Each part is a slug or a UUID, with or without its braces.
type Repo struct {
	Workspace, Slug string
}

// ParseRepo parses "workspace/slug". Anything else, such as a clone URL, is an [ErrInvalidArgument].
func ParseRepo(s string) (Repo, error) {
	workspace, slug, ok := strings.Cut(s, "/")
	if !ok || printable(s) != s || strings.ContainsFunc(s, inNoRepo) || checkElement(workspace) != nil || checkElement(slug) != nil || strings.Contains(slug, "/") {
		return Repo{}, fmt.Errorf("pipelines: %w", invalidArgument("repository %sis not of the form workspace/slug", quotedRepo(s)))
	}
	return Repo{Workspace: workspace, Slug: slug}, nil
}

// inNoRepo reports whether a character stands in no slug and no UUID, but may stand in a URL.
func inNoRepo(r rune) bool { return r <= ' ' || strings.ContainsRune(`@:?#%\`, r) }

// quotedRepo quotes what was given for a repository, unless it may be a clone URL with a token inside.
func quotedRepo(s string) string {
	if strings.ContainsAny(s, "@:%") {
		return ""
	}
	return strconv.Quote(s) + " "
}

// RepoFromEnv returns the repository of the step that the program runs in, from BITBUCKET_REPO_FULL_NAME, which Bitbucket
// Pipelines sets. If that isn't set, or isn't of the form workspace/slug, the error is an [ErrInvalidArgument].
func RepoFromEnv() (Repo, error) {
	const name = "BITBUCKET_REPO_FULL_NAME"
	text, ok := os.LookupEnv(name)
	if !ok {
		return Repo{}, fmt.Errorf("pipelines: %w", invalidArgument("%s is not set: the program runs in no step of Bitbucket Pipelines", name))
	}
	repo, err := ParseRepo(text)
	if err != nil {
		return Repo{}, fmt.Errorf("%w (from %s)", err, name)
	}
	return repo, nil
}

// String returns "workspace/slug", the form that [ParseRepo] reads.
func (r Repo) String() string { return r.Workspace + "/" + r.Slug }

// MarshalText implements [encoding.TextMarshaler], in the form of [Repo.String]: a Repo may be a key of a map in JSON. The zero
// Repo is an empty text.
func (r Repo) MarshalText() ([]byte, error) {
	if r == (Repo{}) {
		return nil, nil
	}
	return []byte(r.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler], with [ParseRepo]; an empty text gives the zero Repo. Package flag repeats a
// value that is refused, which may be a clone URL with a token.
func (r *Repo) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Repo{}
		return nil
	}
	repo, err := ParseRepo(string(text))
	if err == nil {
		*r = repo
	}
	return err
}

var bareUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// braced puts a bare UUID into braces, the only form the service takes, and returns anything else as it is.
func braced(id string) string {
	if len(id) == 36 && bareUUID.MatchString(id) {
		return "{" + id + "}"
	}
	return id
}

// Account is a user, a team or an app: who created, stopped or deployed something. Which members the service fills depends
// on Type and on the caller's access.
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

// Link is a link to another resource. Treat Href as text: old runs link to hosts that are not Bitbucket's API.
type Link struct {
	Type string `json:"type,omitzero"`
	Href string `json:"href,omitzero"`
	Name string `json:"name,omitzero"`
}

// Links are the links of a resource. Each resource has some of them; those that it doesn't have are nil.
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

// Repository is a repository as it appears inside other resources, mostly with its names, UUID and links only.
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

// Ref is a branch or a tag, told apart by Type.
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

// Commit is a commit. Inside pipelines only its type, hash and links are filled, and the hash may be shortened to 12 digits.
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

// CommitSummary is a commit message as text and rendered.
type CommitSummary struct {
	Raw    string `json:"raw,omitzero"`
	Markup string `json:"markup,omitzero"` // "markdown", "creole", "plaintext"
	HTML   string `json:"html,omitzero"`
}

// Author is the author or committer of a commit, or who made a tag.
type Author struct {
	Type string   `json:"type,omitzero"`
	Raw  string   `json:"raw,omitzero"` // "Name <address>"
	User *Account `json:"user,omitzero"`
}

// Participant is somebody who took part in a commit's review.
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

// String returns the message, or the key where there is none.
func (e ErrorDetail) String() string {
	if e.Message == "" {
		return e.Key
	}
	return e.Message
}

// StateName is the name of a pipeline's or a step's state. An unknown name counts as still running.
type StateName string

// The known states. READY is a step's only, PARSING a pipeline's only. COMPLETED is the one that never changes again.
const (
	StateParsing    StateName = "PARSING"
	StatePending    StateName = "PENDING"
	StateReady      StateName = "READY"
	StateInProgress StateName = "IN_PROGRESS"
	StateCompleted  StateName = "COMPLETED"
)

// StageName refines a state that is not COMPLETED.
type StageName string

// The known stages. PAUSED and HALTED wait for a person.
const (
	StageParsing StageName = "PARSING"
	StagePending StageName = "PENDING"
	StageRunning StageName = "RUNNING"
	StagePaused  StageName = "PAUSED"
	StageHalted  StageName = "HALTED"
)

// ResultName says how something that is COMPLETED ended.
type ResultName string

// The known results. NOT_RUN is a step's only.
const (
	ResultSuccessful ResultName = "SUCCESSFUL"
	ResultFailed     ResultName = "FAILED"
	ResultError      ResultName = "ERROR"
	ResultStopped    ResultName = "STOPPED"
	ResultExpired    ResultName = "EXPIRED"
	ResultNotRun     ResultName = "NOT_RUN"
)

// PipelineState is the state of a run. Stage is nil once the run is COMPLETED, Result is nil before.
type PipelineState struct {
	Type   string    `json:"type,omitzero"`
	Name   StateName `json:"name,omitzero"`
	Stage  *Stage    `json:"stage,omitzero"`
	Result *Result   `json:"result,omitzero"`
}

// Stage is the stage within a state.
type Stage struct {
	Type string    `json:"type,omitzero"`
	Name StageName `json:"name,omitzero"`
}

// Result is how a run or a step ended.
type Result struct {
	Type       string       `json:"type,omitzero"`
	Name       ResultName   `json:"name,omitzero"`
	Error      *ErrorDetail `json:"error,omitzero"`      // why; on ERROR and on some FAILED results
	Terminator *Account     `json:"terminator,omitzero"` // who stopped it; on STOPPED
}

// Done reports whether the run has ended, well or not. An unknown state is not done.
func (s PipelineState) Done() bool { return stateDone(s.Name) }

// Succeeded reports whether the run has ended successfully.
func (s PipelineState) Succeeded() bool { return stateSucceeded(s.Name, s.Result) }

// Paused reports whether the run waits for a person: its stage is PAUSED (a manual step) or HALTED. There is no operation
// that lets it go on; somebody has to do so in the browser.
func (s PipelineState) Paused() bool { return statePaused(s.Name, s.Stage) }

// String returns the most telling word: the result of an ended run ("SUCCESSFUL"), else the stage ("RUNNING"), else the
// state's name.
func (s PipelineState) String() string { return stateWord(s.Name, s.Stage, s.Result) }

// StepState is the state of a step. Stage is nil once the step is COMPLETED, Result is nil before.
type StepState struct {
	Type   string    `json:"type,omitzero"`
	Name   StateName `json:"name,omitzero"`
	Stage  *Stage    `json:"stage,omitzero"`
	Result *Result   `json:"result,omitzero"`
}

// Done reports whether the step has ended, well or not, or was never run. An unknown state is not done.
func (s StepState) Done() bool { return stateDone(s.Name) }

// Succeeded reports whether the step has ended successfully.
func (s StepState) Succeeded() bool { return stateSucceeded(s.Name, s.Result) }

// Paused reports whether the step waits for a person: its stage is PAUSED (a manual step) or HALTED.
func (s StepState) Paused() bool { return statePaused(s.Name, s.Stage) }

// String returns the most telling word: the result of an ended step, else the stage, else the state's name.
func (s StepState) String() string { return stateWord(s.Name, s.Stage, s.Result) }

func stateDone(name StateName) bool { return name == StateCompleted }

func stateSucceeded(name StateName, result *Result) bool {
	return stateDone(name) && result != nil && result.Name == ResultSuccessful
}

func statePaused(name StateName, stage *Stage) bool {
	return !stateDone(name) && stage != nil && (stage.Name == StagePaused || stage.Name == StageHalted)
}

func stateWord(name StateName, stage *Stage, result *Result) string {
	switch {
	case result != nil && result.Name != "":
		return string(result.Name)
	case !stateDone(name) && stage != nil && stage.Name != "":
		return string(stage.Name)
	}
	return string(name)
}
