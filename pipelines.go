package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-querystring/query"
)

// PipelinesService lists, starts, stops and follows pipelines.
type PipelinesService struct{ client *Client }

const (
	repositoryPath = "/repositories/{workspace}/{repo_slug}"
	pipelinesPath  = repositoryPath + "/pipelines"
	pipelinePath   = pipelinesPath + "/{pipeline_uuid}"
)

var (
	opPipelinesList        = op("Pipelines.List", http.MethodGet, pipelinesPath, idempotent)
	opPipelinesGet         = op("Pipelines.Get", http.MethodGet, pipelinePath, idempotent)
	opPipelinesRun         = op("Pipelines.Run", http.MethodPost, pipelinesPath, once)
	opPipelinesRunOnDemand = op("Pipelines.RunOnDemand", http.MethodPost, pipelinesPath, once)
	// Stopping a pipeline twice stops it once.
	opPipelinesStop = op("Pipelines.Stop", http.MethodPost, pipelinePath+"/stopPipeline", idempotent)
)

// Pipeline is one run of a repository's pipeline. UUID and BuildNumber both name it in methods that take its ID. CompletedOn may
// lie before CreatedOn.
type Pipeline struct {
	Type                 string                `json:"type,omitzero"`
	UUID                 string                `json:"uuid,omitzero"`
	BuildNumber          int                   `json:"build_number,omitzero"` // names the run too
	RunNumber            int                   `json:"run_number,omitzero"`   // counts from 1
	State                PipelineState         `json:"state,omitzero"`
	Target               Target                `json:"target,omitzero"`
	Trigger              *Trigger              `json:"trigger,omitzero"`
	Creator              *Account              `json:"creator,omitzero"`
	Repository           *Repository           `json:"repository,omitzero"`
	CreatedOn            time.Time             `json:"created_on,omitzero"`
	RunCreationDate      time.Time             `json:"run_creation_date,omitzero"`
	CompletedOn          time.Time             `json:"completed_on,omitzero"`        // zero until it ends
	DurationInSeconds    int                   `json:"duration_in_seconds,omitzero"` // seconds
	BuildSecondsUsed     int                   `json:"build_seconds_used,omitzero"`  // sum over the steps
	FirstSuccessful      bool                  `json:"first_successful,omitzero"`
	Expired              bool                  `json:"expired,omitzero"`       // an old run, without logs
	HasVariables         bool                  `json:"has_variables,omitzero"` // not reliable
	Variables            []Variable            `json:"variables,omitzero"`     // the service sends none
	ConfigurationSources []ConfigurationSource `json:"configuration_sources,omitzero"`
	Labels               map[string]any        `json:"labels,omitzero"`
	Links                *Links                `json:"links,omitzero"`
}

// plainPipeline is a Pipeline without its methods.
type plainPipeline Pipeline

// Format implements [fmt.Formatter]: secured values are masked under every verb. Of a pointer under a verb that pointers don't
// have, such as %s, fmt would print all there is without asking the variables.
func (p Pipeline) Format(f fmt.State, verb rune) { formatMasked(f, verb, plainPipeline(p)) }

// WebURL returns the page of the run in the browser. The service sends no link to it, so it is made from repo and the
// build number.
func (p *Pipeline) WebURL(repo Repo) string {
	return "https://bitbucket.org/" + url.PathEscape(braced(repo.Workspace)) + "/" + url.PathEscape(braced(repo.Slug)) +
		"/pipelines/results/" + strconv.Itoa(p.BuildNumber)
}

// ConfigurationSource says where the YAML of a run came from.
type ConfigurationSource struct {
	Source string `json:"source,omitzero"` // such as "STATIC_LOCAL"
	URI    string `json:"uri,omitzero"`    // relative to the API's root, without a host
}

// TriggerName says what started a run.
type TriggerName string

// The known triggers. The last is known as a filter of [PipelinesService.List] only.
const (
	TriggerPush       TriggerName = "PUSH"
	TriggerManual     TriggerName = "MANUAL"
	TriggerSchedule   TriggerName = "SCHEDULE"
	TriggerParentStep TriggerName = "PARENT_STEP"
)

// Trigger is what started a run.
type Trigger struct {
	Type string      `json:"type,omitzero"`
	Name TriggerName `json:"name,omitzero"`
}

// PipelineSort is an order of [PipelinesService.List]. A leading "-" reverses it.
type PipelineSort string

// The known orders. The default is the oldest run first.
const (
	SortOldestFirst PipelineSort = "created_on"
	SortNewestFirst PipelineSort = "-created_on"
	SortCreator     PipelineSort = "creator.uuid" // by the UUID of the account that started the run
	SortRunCreation PipelineSort = "run_creation_date"
)

// PipelineStatus is a value of the status filter of [PipelinesService.List]. The filter has other words than [PipelineState].
type PipelineStatus string

// The known values of the status filter.
const (
	StatusParsing  PipelineStatus = "PARSING"
	StatusPending  PipelineStatus = "PENDING"
	StatusPaused   PipelineStatus = "PAUSED"
	StatusHalted   PipelineStatus = "HALTED"
	StatusBuilding PipelineStatus = "BUILDING" // in progress and running
	StatusPassed   PipelineStatus = "PASSED"   // completed and successful
	StatusFailed   PipelineStatus = "FAILED"
	StatusError    PipelineStatus = "ERROR"
	StatusStopped  PipelineStatus = "STOPPED"
	StatusUnknown  PipelineStatus = "UNKNOWN" // its meaning is undocumented
)

// stateWords are words of [PipelineState] that the filter takes without complaint and finds nothing by.
var stateWords = map[PipelineStatus]string{
	"SUCCESSFUL": "use StatusPassed", "IN_PROGRESS": "use StatusBuilding", "RUNNING": "use StatusBuilding",
	"COMPLETED": "name the results, such as StatusPassed and StatusFailed", "EXPIRED": "the filter has no word for it",
	"NOT_RUN": "no pipeline ends so",
}

// ListPipelinesOptions filter and sort [PipelinesService.List]. A zero field does not filter; a run must fit all that are set. A
// filter that the service is known to answer with an empty list, such as a shortened hash, is an [ErrInvalidArgument].
type ListPipelinesOptions struct {
	PageLen int `url:"-"` // items a page, 1 to 100; 0: 100

	// Sort is the order; empty: the oldest first.
	Sort PipelineSort `url:"sort,omitempty"`

	// Branch is the branch that a run was started on. RefType (RefBranch, RefTag or RefAnnotatedTag) and
	// RefName name the reference of a run that has one, tags included.
	Branch  string  `url:"target.branch,omitempty"`
	RefType RefType `url:"target.ref_type,omitempty"`
	RefName string  `url:"target.ref_name,omitempty"`

	// CommitHash is a full hash: the service finds nothing by part of one.
	CommitHash string `url:"target.commit.hash,omitempty"`

	// SelectorType and SelectorPattern say which pipeline of the YAML ran, such as SelectorCustom and its
	// name.
	SelectorType    SelectorType `url:"target.selector.type,omitempty"`
	SelectorPattern string       `url:"target.selector.pattern,omitempty"`

	// CreatorUUID is the account that started the run. It is sent as it is: whether the service wants
	// braces around it isn't documented.
	CreatorUUID string `url:"creator.uuid,omitempty"`

	// CreatedOn is when the run was created; whether the service compares it exactly isn't documented.
	CreatedOn time.Time `url:"created_on,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`

	// TriggerType is what started the run, such as TriggerSchedule.
	TriggerType TriggerName `url:"trigger_type,omitempty"`

	// Status lists the statuses of which a run must have one.
	Status []PipelineStatus `url:"status,omitempty"`
}

var fullHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// filterWords maps words of pipelines to the other words that the filters use for the same thing.
var filterWords = map[string]string{
	string(SelectorBranches): "BRANCH", string(SelectorTags): "TAG", string(SelectorPullRequests): "PULLREQUESTS",
	string(TriggerSchedule): "SCHEDULED",
}

func filterWord[W ~string](w W) W {
	if word, ok := filterWords[string(w)]; ok {
		return W(word)
	}
	return W(strings.ToUpper(string(w)))
}

func (q *ListPipelinesOptions) params() listParams {
	if q == nil {
		return listParams{}
	}
	filter := *q
	filter.RefType, filter.SelectorType, filter.TriggerType = filterWord(q.RefType), filterWord(q.SelectorType), filterWord(q.TriggerType)
	filter.CommitHash = strings.ToLower(q.CommitHash)
	values, err := query.Values(filter)
	if err == nil {
		err = q.check()
	}
	return listParams{pageLen: q.PageLen, query: values, err: err}
}

// check refuses filters that the service would answer with an empty list.
func (q *ListPipelinesOptions) check() error {
	if q.CommitHash != "" && !fullHash.MatchString(strings.ToLower(q.CommitHash)) {
		return invalidArgument("CommitHash %q is not a full commit hash, and the service finds nothing by part of one", q.CommitHash)
	}
	for _, status := range q.Status {
		if upper := PipelineStatus(strings.ToUpper(string(status))); upper != status {
			return invalidArgument("Status %q finds nothing: the service wants %q", status, upper)
		}
		if advice, ok := stateWords[status]; ok {
			return invalidArgument("Status %q is no word of the filter: %s", status, advice)
		}
	}
	return nil
}

// RunRequest is a pipeline to start.
type RunRequest struct {
	// Target is the branch, tag, commit or pull request to run on, and which pipeline of the YAML to run.
	Target Target `json:"target"`
	// Variables are for this run only. Whether the service uses them for pipelines other than custom ones
	// is unknown.
	Variables []VariableRequest `json:"variables,omitempty"`
}

// plainRunRequest is a RunRequest without its methods.
type plainRunRequest RunRequest

// Format implements [fmt.Formatter]: secured values are masked under every verb, for the reason that [Pipeline.Format] has.
func (r RunRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, plainRunRequest(r)) }

func (r RunRequest) check() error {
	if err := r.Target.check(); err != nil {
		return err
	}
	for i, v := range r.Variables {
		if v.Key == "" {
			return invalidArgument("variable %d has no key", i)
		}
		if err := v.check(nil); err != nil {
			return err
		}
	}
	return nil
}

func (r RunRequest) secrets() []string {
	var all []string
	for _, v := range r.Variables {
		all = append(all, v.secrets()...)
	}
	return all
}

// OnDemandRequest is a pipeline to start whose YAML comes with the request.
type OnDemandRequest struct {
	RunRequest
	YAML                 []byte `json:"yaml,omitzero"`                    // the YAML to run
	MergeDefaults        bool   `json:"merge_defaults,omitzero"`          // merge with the repository's
	TargetBranchToCreate string `json:"target_branch_to_create,omitzero"` // empty: none
}

// Format implements [fmt.Formatter]: secured values are masked under every verb, and the YAML shows as its length.
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

// query puts target and variables where the service reads them when the body is YAML.
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

// List lists the pipelines of a repository, the oldest first unless q.Sort says otherwise. A run that was started just now
// may be missing for a moment.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines
//
// Scope: pipeline.
func (s *PipelinesService) List(
	ctx context.Context, repo Repo, q *ListPipelinesOptions, opts ...CallOption,
) *Pager[Pipeline] {
	return list[Pipeline](ctx, s.client, opPipelinesList.at(repo.Workspace, repo.Slug), q.params(), opts)
}

// Get returns one pipeline, named by its UUID or its build number. One that does not exist is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}
//
// Scope: pipeline.
func (s *PipelinesService) Get(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*Pipeline, error) {
	return send[Pipeline](ctx, s.client, opPipelinesGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// Run starts a pipeline and returns it in its first state. An unknown branch or tag is an [ErrNotFound], an unknown custom
// pipeline an [ErrInvalidRequest].
//
// Two equal requests start two runs, so a request that may have reached the service is never sent again. The error is then an
// [ErrOutcomeUnknown]: [PipelinesService.List] shows whether the run exists.
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines
//
// Scope: pipeline; API tokens need read:pipeline:bitbucket and write:pipeline:bitbucket.
func (s *PipelinesService) Run(
	ctx context.Context, repo Repo, run RunRequest, opts ...CallOption,
) (*Pipeline, error) {
	return send[Pipeline](ctx, s.client, opPipelinesRun.at(repo.Workspace, repo.Slug).withError(run.check()), run, opts)
}

// RunOnDemand starts a pipeline whose YAML comes with the request. It needs write access to the branch. Errors are those of
// [PipelinesService.Run].
//
// The service reads the variables from the URL, secured ones too. This package shows no URL in errors and logs, but a proxy
// might.
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines
//
// Scope: pipeline; API tokens need read:pipeline:bitbucket and write:pipeline:bitbucket.
func (s *PipelinesService) RunOnDemand(
	ctx context.Context, repo Repo, run OnDemandRequest, opts ...CallOption,
) (*Pipeline, error) {
	err := run.check()
	if err == nil && len(run.YAML) == 0 {
		err = invalidArgument("YAML is empty")
	}
	at := opPipelinesRunOnDemand.at(repo.Workspace, repo.Slug).with(run.query()).withError(err)
	return send[Pipeline](ctx, s.client, at, rawBody{"application/yaml", run.YAML, run.secrets()}, opts)
}

// Stop stops a running pipeline. It returns at once, and the run becomes STOPPED a little later; [PipelinesService.Wait] waits
// for that. A run that is paused at a manual step stays paused. A pipeline that has ended is an [ErrInvalidRequest].
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/stopPipeline
//
// Scope: pipeline:write.
func (s *PipelinesService) Stop(ctx context.Context, repo Repo, id string, opts ...CallOption) error {
	err := exec(ctx, s.client, opPipelinesStop.at(repo.Workspace, repo.Slug, id), nil, opts)
	var refused *APIError
	if !errors.As(err, &refused) || !errors.Is(err, ErrInvalidRequest) || refused.Attempts == 1 {
		return err
	}
	// An earlier attempt may have stopped it, and its answer been lost.
	p, getErr := s.Get(ctx, repo, id)
	if getErr == nil && p.State.Result != nil && p.State.Result.Name == ResultStopped {
		return nil
	}
	return err
}
