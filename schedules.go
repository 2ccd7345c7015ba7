package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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

// ScheduleRequest is a schedule to create, or to find by its Target and CronPattern. Both are required.
type ScheduleRequest struct {
	// Target is a branch. Whether the service accepts a tag is unknown. The default selector is that of the
	// branch's own pipeline.
	Target Target `json:"target"`
	// CronPattern has seven fields in the format of Quartz, in UTC: second, minute, hour, day of month,
	// month, day of week, year. "0 0 12 * * ? *" is noon.
	CronPattern string `json:"cron_pattern"`
	// Enabled says whether the schedule starts pipelines. If nil, a new schedule does, and Set leaves an
	// existing one as it is.
	Enabled *bool `json:"enabled,omitzero"`
}

// Matches reports whether s is the requested schedule: it starts the same pipeline of the same branch at the same times, enabled or
// not. Without a selector a target means the branch's own pipeline. The commit of a target doesn't count, because a schedule runs on
// the head of its branch. Nor do spaces and case of the pattern; but MON and 2 are two patterns, though they mean the same times. A
// nil s doesn't match.
func (r ScheduleRequest) Matches(s *Schedule) bool {
	if s == nil {
		return false
	}
	wanted, there := r.body().Target, ScheduleRequest{Target: s.Target}.body().Target
	wanted.Commit = nil
	return wanted.Matches(there) && r.hasPattern(s.CronPattern)
}

func (r ScheduleRequest) hasPattern(pattern string) bool {
	return slices.EqualFunc(strings.Fields(r.CronPattern), strings.Fields(pattern), strings.EqualFold)
}

// isUnclear reports whether s may match, because the service sent too little of it.
func (r ScheduleRequest) isUnclear(s *Schedule) bool {
	noTarget, noPattern := s.Target.RefName == "", s.CronPattern == ""
	return (noTarget || noPattern) && (noTarget || s.Target.RefName == r.Target.RefName) && (noPattern || r.hasPattern(s.CronPattern))
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
	response, err := send[receivedSchedule](ctx, s.client, at, schedule.body(), opts)
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

// receivedSchedule is a Schedule that distinguishes a response without Enabled from one that says false.
type receivedSchedule struct {
	Schedule

	Enabled *bool `json:"enabled"`
}

func (s *receivedSchedule) schedule() *Schedule {
	s.Schedule.Enabled = s.Enabled != nil && *s.Enabled
	return &s.Schedule
}

func (s *receivedSchedule) isDisabled() bool { return s.Enabled != nil && !*s.Enabled }

// disable disables a schedule that was just created. Its UUID is empty if the caller asked for a response without it.
func (s *SchedulesService) disable(ctx context.Context, repo Repo, id string) (*Schedule, error) {
	if id == "" {
		return nil, errors.New("the response has no UUID by which to disable it")
	}
	return s.setEnabled(ctx, repo, id, false, nil)
}

// setEnabled enables or disables a schedule. The service accepts some changes and ignores them.
func (s *SchedulesService) setEnabled(ctx context.Context, repo Repo, id string, enabled bool, opts []CallOption) (*Schedule, error) {
	updated, err := s.Update(ctx, repo, id, ScheduleUpdate{Enabled: &enabled}, opts...)
	if err == nil && !enabled && updated.Enabled {
		return nil, fmt.Errorf("pipelines: Schedules.Update: the service accepted the change and left schedule %s enabled", oneLine(id))
	}
	return updated, err
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

// Set creates the schedule, or enables or disables the one that [ScheduleRequest.Matches]. It deletes none, and changes nothing if
// the schedule is as requested. If several match, the error is an [ErrConflict] that names them: delete all but one.
//
// Set is safe to repeat. After a creation it lists the schedules until the new one is there, for up to 15 seconds. If the outcome of
// the creation is unknown and the schedule isn't listed by then, the error is an [ErrOutcomeUnknown]. If Set returns a schedule with
// an error, it has created that one. The service lets two programs create the same schedule at the same time: the next Set finds
// both.
//
// Partial responses must have the members that Set goes by: values.uuid, values.target, values.cron_pattern, values.enabled and, to
// create a disabled schedule, uuid. Otherwise the error is an [ErrInvalidArgument].
//
// API: as [SchedulesService.List], [SchedulesService.Create] and [SchedulesService.Update].
//
// Scope: pipeline:write; API tokens need read:pipeline:bitbucket and write:pipeline:bitbucket.
func (s *SchedulesService) Set(
	ctx context.Context, repo Repo, schedule ScheduleRequest, opts ...CallOption,
) (*Schedule, error) {
	if err := schedule.validate(); err != nil {
		return nil, fmt.Errorf("pipelines: Schedules.Set: %w", err)
	}
	at := opSchedulesList.at(repo.Workspace, repo.Slug)
	ensured := ensurer[receivedSchedule]{
		ctx: ctx, method: "Schedules.Set", what: fmt.Sprintf("the schedule of %s at %q", schedule.Target, schedule.CronPattern),
		list: list[receivedSchedule](ctx, s.client, at, listParams{}, opts),
		needs: []string{
			"values.target.ref_type", "values.target.ref_name", "values.target.selector.type", "values.target.selector.pattern",
			"values.cron_pattern", "values.enabled",
		},
		uuid:    func(one *receivedSchedule) string { return one.UUID },
		is:      func(one *receivedSchedule) bool { return schedule.Matches(&one.Schedule) },
		unclear: func(one *receivedSchedule) bool { return schedule.isUnclear(&one.Schedule) },
		isWanted: func(one *receivedSchedule) bool {
			return schedule.Enabled == nil || one.Enabled != nil && *one.Enabled == *schedule.Enabled
		},
		change: func(one *receivedSchedule) (*receivedSchedule, error) {
			return received(s.setEnabled(ctx, repo, one.UUID, *schedule.Enabled, opts))
		},
		create: func() (*receivedSchedule, error) { return received(s.createForSet(ctx, repo, schedule, opts)) },
	}
	set, err := ensured.set()
	if set == nil {
		return nil, err
	}
	return set.schedule(), err
}

// received converts what a method of the service returned.
func received(s *Schedule, err error) (*receivedSchedule, error) {
	if s == nil {
		return nil, err
	}
	return &receivedSchedule{*s, &s.Enabled}, err
}

// createForSet creates a schedule unless it is to be disabled and the response would lack the UUID by which that is done.
func (s *SchedulesService) createForSet(
	ctx context.Context, repo Repo, schedule ScheduleRequest, opts []CallOption,
) (*Schedule, error) {
	if schedule.Enabled != nil && !*schedule.Enabled {
		if err := s.client.checkFields(ctx, opSchedulesCreate.at(repo.Workspace, repo.Slug), opts, "uuid"); err != nil {
			return nil, err
		}
	}
	return s.Create(ctx, repo, schedule, opts...)
}

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
