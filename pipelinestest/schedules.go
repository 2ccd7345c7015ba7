package pipelinestest

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"

	"github.com/seed-85ed9bfd/pipelines"
)

// defaultScheduleLimit is invented; the service's limit is unknown.
const defaultScheduleLimit = 10

type schedule struct {
	pipelines.Schedule
	executions []execution
}

func (s *schedule) id() string { return s.UUID }

// execution is the run that a schedule started, or the reason why it started none.
type execution struct {
	run    *run
	reason *pipelines.ErrorDetail
}

// AddSchedule adds a schedule and returns it as stored. It is disabled unless s.Enabled is set. Missing fields get defaults: main at noon,
// created now. The limit of [WithScheduleLimit] doesn't apply.
func (r *Repository) AddSchedule(s pipelines.Schedule) *pipelines.Schedule {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	stored := r.addSchedule(clone(s))
	c := clone(stored.Schedule)
	return &c
}

// Schedules returns the schedules in the order in which they were created.
func (r *Repository) Schedules() []pipelines.Schedule {
	return copies(r.server, &r.schedules, func(s *schedule) pipelines.Schedule { return clone(s.Schedule) })
}

// FireSchedule runs a schedule. Nothing else does, because the server doesn't evaluate cron patterns. It starts a run, or records why it
// can't, such as a missing branch. It returns an error if the schedule doesn't exist or is disabled.
func (r *Repository) FireSchedule(id string) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	s, ok := r.schedules.find(id)
	switch {
	case !ok:
		return fmt.Errorf("pipelinestest: no schedule %s in %s", id, r.repo())
	case !s.Enabled:
		return fmt.Errorf("pipelinestest: schedule %s is disabled", id)
	}
	s.executions = append(s.executions, r.execute(s.Target))
	return nil
}

func (r *Repository) addSchedule(s pipelines.Schedule) *schedule {
	now := r.server.now()
	s.UUID = cmp.Or(s.UUID, r.server.newUUID())
	s.CronPattern = cmp.Or(s.CronPattern, "0 0 12 * * ? *")
	s.CreatedOn = cmp.Or(s.CreatedOn, now)
	s.UpdatedOn = cmp.Or(s.UpdatedOn, s.CreatedOn)
	setTargetDefaults(&s.Target)
	if s.Target.Selector == nil {
		s.Target.Selector = &pipelines.Selector{Type: sectionOf(s.Target), Pattern: s.Target.RefName}
	}
	setTypes(&s)
	stored := &schedule{Schedule: s}
	r.schedules = append(r.schedules, stored)
	return stored
}

// execute starts the run of a schedule.
func (r *Repository) execute(target pipelines.Target) execution {
	hash, exists := r.hasRef(pipelines.SelectorBranches, target.RefName)
	switch {
	case !r.runsPipelines():
		return failedExecution("result-service.request.invalid", "Pipelines is not enabled in the repository.")
	case !exists:
		return failedExecution("result-service.reference.not-found", "Could not find last reference for branch "+target.RefName)
	case target.Selector != nil && !r.hasCustom(*target.Selector):
		return failedExecution("result-service.request.invalid", "There is no custom pipeline "+target.Selector.Pattern+" in the repository's YAML.")
	}
	if noHash(target.Commit) {
		target.Commit = &pipelines.Commit{Type: "commit", Hash: hash}
	}
	trigger := &pipelines.Trigger{Name: pipelines.TriggerSchedule}
	return execution{run: r.start(pipelines.Pipeline{Target: target, Trigger: trigger}, r.server.now())}
}

func failedExecution(key, message string) execution {
	return execution{reason: &pipelines.ErrorDetail{Type: "pipeline_error", Key: key, Message: message}}
}

const (
	schedulesPath   = configPath + "/schedules"
	schedulePath    = schedulesPath + "/{schedule_uuid}"
	scheduleService = "schedule-service"
)

var schedules = kind[*schedule]{"schedule", scheduleService, func(c *call) (*collection[*schedule], *response) {
	return &c.repo.schedules, nil
}, encodeSchedule}

var scheduleRoutes = []route{
	{http.MethodGet, schedulesPath, readPipeline, schedules.list},
	{http.MethodPost, schedulesPath, writePipeline, (*call).createSchedule},
	{http.MethodGet, schedulePath, readPipeline, schedules.get},
	{http.MethodPut, schedulePath, writePipeline, (*call).updateSchedule},
	{http.MethodDelete, schedulePath, writePipeline, schedules.delete},
	{http.MethodGet, schedulePath + "/executions", readPipeline, (*call).listExecutions},
}

// scheduleJSON is the JSON of a schedule. Unlike the model it has an enabled that is false.
type scheduleJSON struct {
	pipelines.Schedule
	Enabled bool `json:"enabled"`
}

func encodeSchedule(_ *call, s *schedule) any { return scheduleJSON{s.Schedule, s.Enabled} }

// cronPattern matches seven fields, as in Quartz. Their values aren't checked.
var cronPattern = regexp.MustCompile(`^[0-9A-Za-z*?,/#-]+( +[0-9A-Za-z*?,/#-]+){6}$`)

func (c *call) createSchedule() *response {
	var req struct {
		Target      *pipelines.Target `json:"target"`
		CronPattern string            `json:"cron_pattern"`
	}
	switch {
	case !c.decode(&req):
		return invalidRequest(scheduleService, "The request body contains invalid properties")
	case !cronPattern.MatchString(req.CronPattern):
		return invalidRequest(scheduleService, "The cron_pattern needs seven fields: second, minute, hour, day of month, month, day of week, year.")
	case !validScheduleTarget(req.Target):
		return invalidRequest(scheduleService, "The target needs type, ref_type, ref_name and selector, and has to be a branch.")
	case c.server.scheduleLimit > 0 && len(c.repo.schedules) >= c.server.scheduleLimit:
		return serviceError(http.StatusUnauthorized, scheduleService+".schedule.limit-reached",
			fmt.Sprintf("The repository has %d schedules already.", len(c.repo.schedules)), map[string]string{})
	}
	// Like the service, ignore enabled: a new schedule is enabled.
	s := c.repo.addSchedule(pipelines.Schedule{Target: *req.Target, CronPattern: req.CronPattern, Enabled: true})
	return c.created(s.UUID, encodeSchedule(c, s))
}

// validScheduleTarget reports whether a schedule may have the target. The branch need not exist.
func validScheduleTarget(t *pipelines.Target) bool {
	return t != nil && t.Type == pipelines.TargetRef && t.RefType == pipelines.RefBranch && t.RefName != "" &&
		t.Selector != nil && t.Selector.Type != ""
}

func (c *call) updateSchedule() *response {
	s, errResp := schedules.find(c)
	if errResp != nil {
		return errResp
	}
	var req struct {
		Enabled *bool `json:"enabled"`
	}
	if !c.decode(&req) {
		return invalidRequest(scheduleService, "The request body contains invalid properties")
	}
	if req.Enabled != nil {
		s.Enabled, s.UpdatedOn = *req.Enabled, c.now
	}
	return c.json(http.StatusOK, encodeSchedule(c, s))
}

func (c *call) listExecutions() *response {
	s, errResp := schedules.find(c)
	if errResp != nil {
		return errResp
	}
	return page(c, s.executions, c.encodeExecution)
}

func (c *call) encodeExecution(e execution) any {
	if e.run == nil {
		return map[string]any{"type": "pipeline_schedule_execution_errored", "error": e.reason}
	}
	return map[string]any{"type": "pipeline_schedule_execution_executed", "pipeline": c.encodePipeline(e.run.snapshot(c.now))}
}
