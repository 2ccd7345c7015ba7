package pipelines

import (
	"bytes"
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
	// Target is a branch. Whether the service accepts a tag is unknown. The default selector is that of the
	// branch's own pipeline.
	Target Target `json:"target"`
	// CronPattern has seven fields in the format of Quartz, in UTC: second, minute, hour, day of month,
	// month, day of week, year. "0 0 12 * * ? *" is noon.
	CronPattern string `json:"cron_pattern"`
	// Enabled says whether the schedule starts pipelines. The default is true.
	Enabled *bool `json:"enabled,omitzero"`
}

// cronFields is the number of fields of a cron pattern: second, minute, hour, day of month, month, day of week, year.
const cronFields = 7

func (r ScheduleRequest) validate() error {
	if n := len(strings.Fields(r.CronPattern)); n != cronFields {
		return invalidArgument("CronPattern %q has %d fields and needs %d: second, minute, hour, day of month, month, day of week, year",
			r.CronPattern, n, cronFields)
	}
	if r.Target.Type != TargetRef {
		return invalidArgument("a schedule's target is a branch, not a %q", r.Target.Type)
	}
	return r.Target.validate()
}

// body sets the selector, which the service requires here.
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

// ScheduleUpdate is a change of a schedule. The service can't change target or pattern: create another schedule instead.
type ScheduleUpdate struct {
	Enabled *bool `json:"enabled,omitzero"`
}

func (u ScheduleUpdate) validate() error {
	if u == (ScheduleUpdate{}) {
		return invalidArgument("update changes nothing")
	}
	return nil
}

// ScheduleExecution is one execution of a schedule. Pipeline is the run that it started, or Error says why it started none. The
// service documents no other members; Raw has the JSON itself.
type ScheduleExecution struct {
	Type     string       `json:"type,omitzero"`
	Pipeline *Pipeline    `json:"pipeline,omitzero"`
	Error    *ErrorDetail `json:"error,omitzero"`
	Raw      []byte       `json:"-"` // JSON
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]. The pipeline may be an object or a UUID, the error an object or a string.
func (e *ScheduleExecution) UnmarshalJSON(data []byte) error {
	var body struct {
		Type     string         `json:"type"`
		Pipeline jsontext.Value `json:"pipeline"`
		Error    jsontext.Value `json:"error"`
	}
	if err := informing.Unmarshal(data, &body); err != nil {
		return err
	}
	*e = ScheduleExecution{Type: body.Type, Raw: bytes.Clone(data)}
	if err := unmarshalObjectOrString(body.Pipeline, &e.Pipeline, func(p *Pipeline) *string { return &p.UUID }); err != nil {
		return err
	}
	return unmarshalObjectOrString(body.Error, &e.Error, func(d *ErrorDetail) *string { return &d.Message })
}

// unmarshalObjectOrString decodes an object into *into, and a string into one field of it. It leaves *into nil for anything else.
func unmarshalObjectOrString[T any](v jsontext.Value, into **T, field func(*T) *string) error {
	switch v.Kind() {
	case jsontext.KindString:
		*into = new(T)
		return informing.Unmarshal(v, field(*into))
	case jsontext.KindBeginObject:
		return informing.Unmarshal(v, into)
	default:
		return nil
	}
}

// MarshalJSON implements [encoding/json.Marshaler]. It returns Raw if that is valid JSON, and else an object of the other fields.
func (e ScheduleExecution) MarshalJSON() ([]byte, error) {
	if jsontext.Value(e.Raw).IsValid(decodeOptions) {
		return e.Raw, nil
	}
	type plain ScheduleExecution // without this method
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

// Get returns one schedule. If there is none, the error is an [ErrNotFound].
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/schedules/{schedule_uuid}
//
// Scope: pipeline.
func (s *SchedulesService) Get(
	ctx context.Context, repo Repo, id string, opts ...CallOption,
) (*Schedule, error) {
	return send[Schedule](ctx, s.client, opSchedulesGet.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// Create creates a schedule. The service enables every new schedule, so Create disables it with a second request if Enabled points
// to false. If only that fails, Create returns both the schedule and the error.
//
// If the repository has as many schedules as the service allows, the error is an [ErrTooManySchedules]. A request that may have
// reached the service is not sent again: the error is then an [ErrOutcomeUnknown].
//
// API: POST /repositories/{workspace}/{repo_slug}/pipelines_config/schedules
//
// Scope: pipeline:write; API tokens need read:pipeline:bitbucket and write:pipeline:bitbucket.
func (s *SchedulesService) Create(
	ctx context.Context, repo Repo, schedule ScheduleRequest, opts ...CallOption,
) (*Schedule, error) {
	at := opSchedulesCreate.at(repo.Workspace, repo.Slug).withError(schedule.validate())
	response, err := send[createdSchedule](ctx, s.client, at, schedule.body(), opts)
	if errors.Is(err, ErrUnauthorized) {
		return nil, s.explainUnauthorized(ctx, repo, err)
	}
	if err != nil {
		return nil, err
	}
	created := response.schedule()
	if schedule.Enabled == nil || *schedule.Enabled || response.isDisabled() {
		return created, nil
	}
	disabled, err := s.disable(ctx, repo, created.UUID)
	if err != nil {
		return created, fmt.Errorf("pipelines: Schedules.Create: schedule %s was created, but it is enabled: %w", oneLine(created.UUID), err)
	}
	return disabled, nil
}

// createdSchedule is a Schedule that distinguishes a partial response without Enabled from one that says false.
type createdSchedule struct {
	Schedule

	Enabled *bool `json:"enabled"`
}

func (s *createdSchedule) schedule() *Schedule {
	s.Schedule.Enabled = s.Enabled != nil && *s.Enabled
	return &s.Schedule
}

func (s *createdSchedule) isDisabled() bool { return s.Enabled != nil && !*s.Enabled }

// disable disables a schedule that was just created. Its UUID is empty if the caller asked for a response without it.
func (s *SchedulesService) disable(ctx context.Context, repo Repo, id string) (*Schedule, error) {
	if id == "" {
		return nil, errors.New("the response has no UUID by which to disable it")
	}
	return s.Update(ctx, repo, id, ScheduleUpdate{Enabled: new(false)})
}

// explainUnauthorized distinguishes the two meanings of a 401. The service sends it also for one schedule too many: then the same
// credentials can still read the list.
func (s *SchedulesService) explainUnauthorized(ctx context.Context, repo Repo, err error) error {
	if _, listErr := s.List(ctx, repo, nil).First(); listErr != nil {
		return err
	}
	return &tooManySchedulesError{err}
}

// tooManySchedulesError is the 401 of a repository that has as many schedules as the service allows.
type tooManySchedulesError struct{ err error }

func (e *tooManySchedulesError) Error() string {
	const prefix = "pipelines: Schedules.Create: "
	return prefix + ErrTooManySchedules.Error() + ": " + strings.TrimPrefix(e.err.Error(), prefix)
}

func (e *tooManySchedulesError) Unwrap() []error { return []error{ErrTooManySchedules, e.err} }

// Update enables or disables a schedule. If there is none, the error is an [ErrNotFound].
//
// API: PUT /repositories/{workspace}/{repo_slug}/pipelines_config/schedules/{schedule_uuid}
//
// Scope: pipeline:write; API tokens need read:pipeline:bitbucket and write:pipeline:bitbucket.
func (s *SchedulesService) Update(
	ctx context.Context, repo Repo, id string, update ScheduleUpdate, opts ...CallOption,
) (*Schedule, error) {
	at := opSchedulesUpdate.at(repo.Workspace, repo.Slug, id).withError(update.validate())
	return send[Schedule](ctx, s.client, at, update, opts)
}

// Delete deletes a schedule. If there is none, the error is an [ErrNotFound].
//
// API: DELETE /repositories/{workspace}/{repo_slug}/pipelines_config/schedules/{schedule_uuid}
//
// Scope: pipeline:write.
func (s *SchedulesService) Delete(ctx context.Context, repo Repo, id string, opts ...CallOption) error {
	return exec(ctx, s.client, opSchedulesDelete.at(repo.Workspace, repo.Slug, id), nil, opts)
}

// ListExecutions lists the executions of a schedule.
//
// API: GET /repositories/{workspace}/{repo_slug}/pipelines_config/schedules/{schedule_uuid}/executions
//
// Scope: pipeline.
func (s *SchedulesService) ListExecutions(
	ctx context.Context, repo Repo, id string, q *ListOptions, opts ...CallOption,
) *Pager[ScheduleExecution] {
	return list[ScheduleExecution](ctx, s.client, opSchedulesExecutions.at(repo.Workspace, repo.Slug, id), q.params(), opts)
}
