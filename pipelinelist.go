package pipelines

import (
	"regexp"
	"strings"
	"time"

	"github.com/google/go-querystring/query"
)

// PipelineSort is an order of [PipelinesService.List]. A leading "-" reverses it.
type PipelineSort string

// The known orders. The default is the oldest run first.
const (
	SortOldestFirst PipelineSort = "created_on"
	SortNewestFirst PipelineSort = "-created_on"
	SortCreator     PipelineSort = "creator.uuid" // by the UUID of the account that started the run
	SortRunCreation PipelineSort = "run_creation_date"
)

// PipelineStatus is a value of the status filter of [PipelinesService.List]. The values differ from those of [PipelineState].
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

// notStatuses are values of [PipelineState] that the filter accepts but that match no run, with advice.
var notStatuses = map[PipelineStatus]string{
	"SUCCESSFUL": "use StatusPassed", "IN_PROGRESS": "use StatusBuilding", "RUNNING": "use StatusBuilding",
	"COMPLETED": "list the results, such as StatusPassed and StatusFailed", "EXPIRED": "the filter has no value for it",
	"NOT_RUN": "no pipeline has this result",
}

// ListPipelinesOptions filter and sort [PipelinesService.List]. A zero field does not filter, and a run must match all fields that
// are set. A filter that is known to match nothing, such as a shortened hash, is an [ErrInvalidArgument].
type ListPipelinesOptions struct {
	PageLen int `url:"-"` // items per page, 1 to 100; 0: 100

	// Sort is the order; empty: the oldest first.
	Sort PipelineSort `url:"sort,omitempty"`

	// Branch is the branch of the run. RefType (RefBranch, RefTag or RefAnnotatedTag) and RefName match
	// tags too.
	Branch  string  `url:"target.branch,omitempty"`
	RefType RefType `url:"target.ref_type,omitempty"`
	RefName string  `url:"target.ref_name,omitempty"`

	// CommitHash is a full hash: the service matches no part of one.
	CommitHash string `url:"target.commit.hash,omitempty"`

	// SelectorType and SelectorPattern select a pipeline of the YAML, such as SelectorCustom and its name.
	SelectorType    SelectorType `url:"target.selector.type,omitempty"`
	SelectorPattern string       `url:"target.selector.pattern,omitempty"`

	// CreatorUUID is the account that started the run. It is sent unchanged: whether the service expects
	// braces is not documented.
	CreatorUUID string `url:"creator.uuid,omitempty"`

	// CreatedOn is when the run was created. Whether the service compares it exactly is not documented.
	CreatedOn time.Time `url:"created_on,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`

	// TriggerType is what started the run, such as TriggerSchedule.
	TriggerType TriggerName `url:"trigger_type,omitempty"`

	// Status matches a run that has any of these statuses.
	Status []PipelineStatus `url:"status,omitempty"`
}

var fullHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// filterValues maps values in pipelines to those that the filters use instead.
var filterValues = map[string]string{
	string(SelectorBranches): "BRANCH", string(SelectorTags): "TAG", string(SelectorPullRequests): "PULLREQUESTS",
	string(TriggerSchedule): "SCHEDULED",
}

func filterValue[T ~string](v T) T {
	if value, ok := filterValues[string(v)]; ok {
		return T(value)
	}
	return T(strings.ToUpper(string(v)))
}

func (q *ListPipelinesOptions) params() listParams {
	if q == nil {
		return listParams{}
	}
	filter := *q
	filter.RefType, filter.SelectorType, filter.TriggerType = filterValue(q.RefType), filterValue(q.SelectorType), filterValue(q.TriggerType)
	filter.CommitHash = strings.ToLower(q.CommitHash)
	values, err := query.Values(filter)
	if err == nil {
		err = q.validate()
	}
	return listParams{pageLen: q.PageLen, query: values, err: err}
}

// validate returns an error for a filter that is known to match nothing.
func (q *ListPipelinesOptions) validate() error {
	if q.CommitHash != "" && !fullHash.MatchString(strings.ToLower(q.CommitHash)) {
		return invalidArgument("CommitHash %q is not a full commit hash, and the service matches no part of one", q.CommitHash)
	}
	for _, status := range q.Status {
		if upper := PipelineStatus(strings.ToUpper(string(status))); upper != status {
			return invalidArgument("Status %q matches nothing: the service wants %q", status, upper)
		}
		if advice, ok := notStatuses[status]; ok {
			return invalidArgument("Status %q is not a value of the filter: %s", status, advice)
		}
	}
	return nil
}
