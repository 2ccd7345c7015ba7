package pipelines

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// SchedulesService manages the schedules that start pipelines.
type SchedulesService struct{ client *Client }

const (
	schedulesPath = configPath + "/schedules"
	schedulePath  = schedulesPath + "/{schedule_uuid}"
)

var (
	opSchedulesList       = op("Schedules.List", http.MethodGet, schedulesPath, idempotent)
	opSchedulesGet        = op("Schedules.Get", http.MethodGet, schedulePath, idempotent)
	opSchedulesCreate     = op("Schedules.Create", http.MethodPost, schedulesPath, once)
	opSchedulesUpdate     = op("Schedules.Update", http.MethodPut, schedulePath, idempotent)
	opSchedulesDelete     = op("Schedules.Delete", http.MethodDelete, schedulePath, idempotent)
	opSchedulesExecutions = op("Schedules.ListExecutions", http.MethodGet, schedulePath+"/executions", idempotent)
)

// Schedule starts a pipeline at certain times.
type Schedule struct {
	Type        string    `json:"type,omitzero"`
	UUID        string    `json:"uuid,omitzero"`
	Enabled     bool      `json:"enabled,omitzero"`
	Target      Target    `json:"target,omitzero"`
	CronPattern string    `json:"cron_pattern,omitzero"` // see ScheduleRequest
	CreatedOn   time.Time `json:"created_on,omitzero"`
	UpdatedOn   time.Time `json:"updated_on,omitzero"`
}

// ScheduleRequest is a schedule to create. Target and CronPattern are required.
type ScheduleRequest struct {
	// Target is a branch; whether the service takes a tag is unknown. Without a selector it gets the one of
	// the branch's own pipeline.
	Target Target `json:"target"`
	// CronPattern has seven fields in the form of Quartz, in UTC: second, minute, hour, day of month,
	// month, day of week, year. "0 0 12 * * ? *" is noon.
	CronPattern string `json:"cron_pattern"`
	// Enabled says whether the schedule starts pipelines; nil: it does.
	Enabled *bool `json:"enabled,omitzero"`
}

// cronFields is the number of fields of a cron pattern: second, minute, hour, day of month, month, day of week, year.
const cronFields = 7

func (r ScheduleRequest) check() error {
	if n := len(strings.Fields(r.CronPattern)); n != cronFields {
		return invalidArgument("CronPattern %q has %d fields and needs %d: second, minute, hour, day of month, month, day of week, year",
			r.CronPattern, n, cronFields)
	}
	if r.Target.Type != TargetRef {
		return invalidArgument("a schedule's target is a branch, not a %q", r.Target.Type)
	}
	return r.Target.check()
}

// body fills in the selector, which the service demands here.
func (r ScheduleRequest) body() ScheduleRequest {
	if r.Target.Selector == nil {
		kind := SelectorBranches
		if r.Target.RefType == RefTag {
			kind = SelectorTags
		}
		r.Target = r.Target.With(Selector{Type: kind, Pattern: r.Target.RefName})
	}
	return r
}

// ScheduleUpdate is what to change of a schedule. The service changes neither target nor pattern: create another schedule.
type ScheduleUpdate struct {
	Enabled *bool `json:"enabled,omitzero"`
}

// ScheduleExecution is one time that a schedule was due: Pipeline is the run that it started, or Error is why it started none.
// The service documents no more of it; Raw has what it sent.
type ScheduleExecution struct {
	Type     string       `json:"type,omitzero"`
	Pipeline *Pipeline    `json:"pipeline,omitzero"`
	Error    *ErrorDetail `json:"error,omitzero"`
	Raw      []byte       `json:"-"` // the execution as it came, JSON
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]. A pipeline may be an object or its UUID, an error an object or a
// text.
func (e *ScheduleExecution) UnmarshalJSON(data []byte) error {
	var loose struct {
		Type     string         `json:"type"`
		Pipeline jsontext.Value `json:"pipeline"`
		Error    jsontext.Value `json:"error"`
	}
	if err := informing.Unmarshal(data, &loose); err != nil {
		return err
	}
	*e = ScheduleExecution{Type: loose.Type, Raw: append([]byte(nil), data...)}
	var err error
	switch loose.Pipeline.Kind() {
	case jsontext.KindString:
		e.Pipeline = new(Pipeline)
		err = informing.Unmarshal(loose.Pipeline, &e.Pipeline.UUID)
	case jsontext.KindBeginObject:
		err = informing.Unmarshal(loose.Pipeline, &e.Pipeline)
	default: // no pipeline
	}
	if err != nil {
		return err
	}
	switch loose.Error.Kind() {
	case jsontext.KindString:
		e.Error = new(ErrorDetail)
		return informing.Unmarshal(loose.Error, &e.Error.Message)
	case jsontext.KindBeginObject:
		return informing.Unmarshal(loose.Error, &e.Error)
	default: // no error
		return nil
	}
}

// MarshalJSON implements [encoding/json.Marshaler]: what came, or an object.
func (e ScheduleExecution) MarshalJSON() ([]byte, error) {
	if jsontext.Value(e.Raw).IsValid(decodeOptions) {
		return e.Raw, nil
	}
	type plain ScheduleExecution
	return json.Marshal(plain(e), jsontext.AllowInvalidUTF8(true))
}

// List lists the schedules of a repository.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/schedules
//
// Scope: pipeline.
func (s *SchedulesService) List(
	ctx context.Context, repo Repo, q *ListOptions, opts ...CallOption,
) *Pager[Schedule] {
	return list[Schedule](ctx, s.client, opSchedulesList.at(repo.Workspace, repo.Slug), q.params(), opts)
}

// Get returns one schedule. One that does not exist is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/schedules/{schedule_uuid}
//
// Scope: pipeline.
func (s *SchedulesService) Get(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*Schedule, error) {
	return send[Schedule](ctx, s.client, opSchedulesGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// Create creates a schedule. The service creates it enabled, so one that is to be disabled is then updated; if only that fails,
// Create returns the schedule and the error. If the repository has as many schedules as the service allows, the error is an
// [ErrTooManySchedules]. A request that may have reached the service is not sent again: the error is then an
// [ErrOutcomeUnknown].
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines_config/schedules
//
// Scope: pipeline:write.
func (s *SchedulesService) Create(
	ctx context.Context, repo Repo, schedule ScheduleRequest, opts ...CallOption,
) (*Schedule, error) {
	at := opSchedulesCreate.at(repo.Workspace, repo.Slug).withError(schedule.check())
	created, err := send[Schedule](ctx, s.client, at, schedule.body(), opts)
	if errors.Is(err, ErrUnauthorized) {
		return nil, s.whyUnauthorized(ctx, repo, err)
	}
	if err != nil || schedule.Enabled == nil || *schedule.Enabled || !created.Enabled {
		return created, err
	}
	disabled, err := s.Update(ctx, repo, created.UUID, ScheduleUpdate{Enabled: schedule.Enabled})
	if err != nil {
		return created, fmt.Errorf("pipelines: Schedules.Create: schedule %s was created, but it is enabled: %w", oneLine(created.UUID), err)
	}
	return disabled, nil
}

// whyUnauthorized tells the two meanings of a 401 apart, which the service gives also for one schedule too many: then the
// same credentials still read the list.
func (s *SchedulesService) whyUnauthorized(ctx context.Context, repo Repo, err error) error {
	if _, listErr := s.List(ctx, repo, nil).First(); listErr != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrTooManySchedules, err)
}

// Update enables or disables a schedule. One that does not exist is an [ErrNotFound].
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config/schedules/{schedule_uuid}
//
// Scope: pipeline:write.
func (s *SchedulesService) Update(
	ctx context.Context, repo Repo, id string, update ScheduleUpdate, opts ...CallOption,
) (*Schedule, error) {
	var err error
	if update == (ScheduleUpdate{}) {
		err = invalidArgument("update changes nothing")
	}
	return send[Schedule](ctx, s.client, opSchedulesUpdate.at(repo.Workspace, repo.Slug, id).withError(err), update, opts)
}

// Delete deletes a schedule. One that does not exist is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines_config/schedules/{schedule_uuid}
//
// Scope: pipeline:write.
func (s *SchedulesService) Delete(ctx context.Context, repo Repo, id string, opts ...CallOption) error {
	return exec(ctx, s.client, opSchedulesDelete.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// ListExecutions lists the times that a schedule was due.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/schedules/{schedule_uuid}/executions
//
// Scope: pipeline.
func (s *SchedulesService) ListExecutions(
	ctx context.Context, repo Repo, id string, q *ListOptions, opts ...CallOption,
) *Pager[ScheduleExecution] {
	return list[ScheduleExecution](ctx, s.client, opSchedulesExecutions.at(repo.Workspace, repo.Slug, id), q.params(), opts)
}
