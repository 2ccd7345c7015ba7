package pipelinestest

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // commit hashes are SHA-1
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

// Repository is a repository of a [Server]: a test seeds it, and looks at it afterwards. It is safe for concurrent use.
type Repository struct {
	variableSet
	runnerSet

	server    *Server
	workspace *Workspace
	slug      string
	uuid      string
	created   time.Time

	branches, tags map[string]string // commit by name
	scripts        map[selector]Script
	runs           []*run // in the order in which they were added
	latest         int    // highest build number
	next           int    // build number of the next run; 0: the one after latest
	enabled        *bool  // nil: never was

	environments collection[*Environment]
	deployments  collection[*deployment] // those that no run has made
	schedules    collection[*schedule]
	caches       collection[*cache]
	knownHosts   collection[*knownHost]
	keyPair      *pipelines.KeyPair // nil: none
}

// Script says what a run does. Durations that are zero take no time: the next look at the run finds it a state further on. A run that
// was started just now is PARSING in the answer all the same.
type Script struct {
	// Parsing and Pending are how long the run stays in these states before its steps begin.
	Parsing, Pending time.Duration
	// Steps run one after the other.
	Steps []Step
	// Error ends the run after Parsing with the result ERROR and without steps, as YAML does that can't be parsed.
	Error *pipelines.ErrorDetail
	// Halted keeps the run from ending: once its steps have run it is in the stage HALTED, and the steps behind one that failed are PENDING
	// and HALTED. [Repository.Resume] lets it end as it would have, and a request to stop it stops it.
	Halted bool
}

// Step is a step of a [Script].
type Step struct {
	Name     string
	Duration time.Duration
	// Log is written evenly over Duration, line by line. A step without text has no log.
	Log string
	// Result is how the step ends; empty: SUCCESSFUL, or ERROR where there is an Error. FAILED, ERROR, STOPPED and EXPIRED become the run's
	// result too, and later steps are NOT_RUN then, which can't be asked for here.
	Result pipelines.ResultName
	// Error says why the step ends with FAILED or ERROR. The result of the run carries it too.
	Error *pipelines.ErrorDetail
	// Parallel makes the step run side by side with the one before it.
	Parallel bool
	// Manual makes the run pause before the step, and before those that are parallel to it, until [Repository.Resume].
	Manual bool
	// Deployment is the name of the environment that the step deploys to. One that doesn't exist is made when the run starts.
	Deployment string
	// TestReport is what the step's tests have come to; nil: it has no report.
	TestReport *TestReport
	// Services are the logs of service containers, by the containers' UUIDs in braces. The map isn't copied.
	Services map[string]string
	Image    string
	Commands []string
}

// builtinScript is what a run does that no script fits.
var builtinScript = Script{Steps: []Step{{
	Name: "Build", Duration: time.Second, Log: "+ echo building\nbuilding\nBuild finished.\n", Commands: []string{"echo building"},
}}}

// AddRepository adds a repository with the branch main, where Pipelines is enabled, and its workspace. One that is there already is
// returned as it is.
func (s *Server) AddRepository(workspace, slug string) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.findRepository(workspace, slug); r != nil {
		return r
	}
	enabled := true
	r := &Repository{
		variableSet: variableSet{server: s}, runnerSet: runnerSet{server: s},
		server: s, workspace: s.addWorkspace(workspace), slug: slug, uuid: s.newUUID(), created: s.now(), enabled: &enabled,
		branches: map[string]string{"main": commitHash("main")}, tags: map[string]string{}, scripts: map[selector]Script{},
	}
	s.repositories = append(s.repositories, r)
	return r
}

// findRepository finds a repository whose workspace and name are each a slug or a UUID.
func (s *Server) findRepository(workspace, slug string) *Repository {
	for _, r := range s.repositories {
		if r.workspace.named(workspace) && (slug == r.slug || slug == r.uuid) {
			return r
		}
	}
	return nil
}

// commitHash makes up the hash of the commit that a name points to.
func commitHash(name string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(name))) } //nolint:gosec // as Git does

// Repo returns the repository's name, as the client's methods take it.
func (r *Repository) Repo() pipelines.Repo {
	return pipelines.Repo{Workspace: r.workspace.slug, Slug: r.slug}
}

// model is the repository as it stands inside other resources.
func (r *Repository) model() *pipelines.Repository {
	return &pipelines.Repository{Type: "repository", UUID: r.uuid, Name: r.slug, FullName: r.Repo().String()}
}

// UUID returns the repository's UUID, in braces.
func (r *Repository) UUID() string { return r.uuid }

// AddBranch adds a branch, or moves it to another commit.
func (r *Repository) AddBranch(name, hash string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.branches[name] = hash
}

// AddTag adds a tag, or moves it to another commit.
func (r *Repository) AddTag(name, hash string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.tags[name] = hash
}

// Script sets what the runs do that are started from now on. The selector names a section of the YAML and what is there:
// "custom:NAME", "branches:PATTERN", "tags:PATTERN", or "pull-requests:PATTERN" for the source branches of pull requests. Bare, it
// serves all sections at once: "deploy" is a custom pipeline, a branch and a tag. "default", or "", is for what nothing else fits, and
// like a pattern it is no custom pipeline.
//
// Patterns are those of [path.Match]: * doesn't cross a slash; beyond them, ** does. An exact name goes before a pattern, a selector with
// a section before a bare one, and a longer pattern before a shorter. A branch or tag with a script of exactly its name, bare or in its
// section, exists without being added.
//
// Script panics where the selector is malformed, and where the script contradicts itself: where a step has a Result that no step ends with,
// or an Error and another Result than FAILED or ERROR, and where a script with an Error is to be Halted.
func (r *Repository) Script(selector string, s Script) {
	parsed, checked := parseSelector(selector), s.checked()
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.scripts[parsed] = checked
}

// checked returns a copy of the script. It panics where the script can't be carried out.
func (s Script) checked() Script {
	if s.Error != nil && s.Halted {
		panic("pipelinestest: a script with an Error ends at once and cannot be Halted")
	}
	s.Error = cloned(s.Error)
	s.Steps = slices.Clone(s.Steps)
	for i, step := range s.Steps {
		switch {
		case !slices.Contains(stepResults, step.Result):
			panic(fmt.Sprintf("pipelinestest: step %q cannot end with the result %s", step.Name, step.Result))
		case step.Error != nil && step.result() != pipelines.ResultFailed && step.result() != pipelines.ResultError:
			panic(fmt.Sprintf("pipelinestest: step %q has an Error and cannot end with the result %s", step.Name, step.Result))
		}
		s.Steps[i].Error = cloned(step.Error)
	}
	return s
}

// cloned returns a pointer to a copy, or nil.
func cloned[T any](v *T) *T {
	if v == nil {
		return nil
	}
	return new(clone(*v))
}

// result is how the step ends.
func (s *Step) result() pipelines.ResultName {
	switch {
	case s.Result != "":
		return s.Result
	case s.Error != nil:
		return pipelines.ResultError
	}
	return pipelines.ResultSuccessful
}

// stepResults are the results that a step which runs can end with.
var stepResults = []pipelines.ResultName{
	"", pipelines.ResultSuccessful, pipelines.ResultFailed, pipelines.ResultError, pipelines.ResultStopped, pipelines.ResultExpired,
}

// Resume starts the manual step that a run waits for, or ends one that is halted, as a person would in the browser. The run is named by its
// UUID or build number.
func (r *Repository) Resume(id string) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	run := r.find(id)
	if run == nil {
		return fmt.Errorf("pipelinestest: no pipeline %s in %s", id, r.Repo())
	}
	if !run.resume(r.server.now()) {
		return fmt.Errorf("pipelinestest: pipeline %s waits for no manual step and is not halted", id)
	}
	return nil
}

// AddPipeline adds a run that was there before the test, and returns it as it is kept. Its state is what p says and doesn't move, other
// than by being stopped; what p leaves out is filled in: a successful run of main, created now, with the next build number, and the
// type discriminators of what p does say. It panics where the build number is taken.
func (r *Repository) AddPipeline(p pipelines.Pipeline) *pipelines.Pipeline {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if p.BuildNumber != 0 && r.find(strconv.Itoa(p.BuildNumber)) != nil {
		panic(fmt.Sprintf("pipelinestest: build number %d is taken in %s", p.BuildNumber, r.Repo()))
	}
	seeded := copyPipeline(p)
	for i := range seeded.Variables {
		seeded.Variables[i].Type = cmp.Or(seeded.Variables[i].Type, variableType)
	}
	r.complete(seeded)
	r.runs = append(r.runs, &run{repo: r, model: *seeded, seeded: true})
	return copyPipeline(*seeded)
}

// AddRun adds a run of a script that was started at a moment up to now, and returns it as it looks now. It is a run of the target, such as
// [pipelines.BranchTarget]; without one, of main. Unlike one of [Repository.AddPipeline] it has steps, logs, test reports and deployments,
// and moves on if it hasn't ended yet. AddRun panics where [Repository.Script] does, and where at is still to come.
func (r *Repository) AddRun(script Script, at time.Time, target ...pipelines.Target) *pipelines.Pipeline {
	if len(target) > 1 {
		panic(fmt.Sprintf("pipelinestest: a run has one target, not %d", len(target)))
	}
	script = script.checked()
	of := mainTarget()
	if len(target) > 0 {
		of = clone(target[0])
	}
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	now := r.server.now()
	if at.After(now) {
		panic(fmt.Sprintf("pipelinestest: a run cannot have been started at %s, which is still to come", at.UTC()))
	}
	completeTarget(&of)
	_, matched := r.choose(of)
	added := r.begin(pipelines.Pipeline{Target: withSelector(of, matched)}, script, at.UTC())
	return copyPipeline(added.snapshot(now))
}

// AddPipelines adds n successful runs of main that ended before now, one a minute.
func (r *Repository) AddPipelines(n int) {
	now := r.server.now()
	for i := range n {
		r.AddPipeline(pipelines.Pipeline{CreatedOn: now.Add(time.Duration(i-n) * time.Minute), DurationInSeconds: 30})
	}
}

// Pipelines returns all runs as they are now, in the order in which they were added. Unlike the API it tells the variables that
// they were started with.
func (r *Repository) Pipelines() []pipelines.Pipeline {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	all := make([]pipelines.Pipeline, 0, len(r.runs))
	for _, run := range r.runs {
		all = append(all, *copyPipeline(run.snapshot(r.server.now())))
	}
	return all
}

// copyPipeline returns a copy that shares nothing with p.
func copyPipeline(p pipelines.Pipeline) *pipelines.Pipeline {
	variables := slices.Clone(p.Variables)
	p.Variables = nil // encoded, they would lose what is secured
	c := clone(p)
	c.Variables = variables
	return &c
}

// complete fills in what a run leaves out.
func (r *Repository) complete(p *pipelines.Pipeline) {
	creator := r.server.creator
	p.UUID = cmp.Or(p.UUID, r.server.newUUID())
	p.BuildNumber = cmp.Or(p.BuildNumber, max(r.latest+1, r.next))
	r.latest = max(r.latest, p.BuildNumber)
	p.RunNumber = cmp.Or(p.RunNumber, 1)
	p.Creator = cmp.Or(p.Creator, &creator)
	p.Trigger = cmp.Or(p.Trigger, &pipelines.Trigger{Name: pipelines.TriggerManual})
	p.Repository = r.model()
	if p.CreatedOn.IsZero() {
		p.CreatedOn = r.server.now()
	}
	completeTarget(&p.Target)
	if p.Target.Commit == nil {
		name := cmp.Or(p.Target.RefName, p.Target.Source)
		p.Target.Commit = &pipelines.Commit{Hash: cmp.Or(r.branches[name], commitHash(name))}
	}
	completeState(&p.State)
	completeTypes(p)
	if p.State.Done() && p.CompletedOn.IsZero() {
		p.CompletedOn = p.CreatedOn.Add(time.Duration(p.DurationInSeconds) * time.Second)
	}
	if p.ConfigurationSources == nil {
		p.ConfigurationSources = r.configurationSources(p.Target.Commit.Hash)
	}
}

func (r *Repository) configurationSources(hash string) []pipelines.ConfigurationSource {
	uri := "/" + escaped(r.workspace.uuid) + "/" + escaped(r.uuid) + "/src/" + hash + "/bitbucket-pipelines.yml"
	return []pipelines.ConfigurationSource{{Source: "STATIC_LOCAL", URI: uri}}
}

// find finds a run by its UUID or build number.
func (r *Repository) find(id string) *run {
	for _, run := range r.runs {
		if run.model.UUID == id || strconv.Itoa(run.model.BuildNumber) == id {
			return run
		}
	}
	return nil
}

// start starts a run, of which target, variables and trigger may be given.
func (r *Repository) start(model pipelines.Pipeline, now time.Time) *run {
	script, matched := r.choose(model.Target)
	model.Target = withSelector(model.Target, matched)
	return r.begin(model, script, now)
}

// begin begins a run of a script at a moment.
func (r *Repository) begin(model pipelines.Pipeline, script Script, at time.Time) *run {
	model.CreatedOn, model.State.Name = at, pipelines.StateParsing
	r.complete(&model)
	if script.Error != nil {
		script.Steps = nil
	}
	started := &run{repo: r, model: model, script: script}
	for i := range script.Steps {
		started.steps = append(started.steps, r.newStep(&script.Steps[i]))
	}
	r.runs = append(r.runs, started)
	return started
}

func (r *Repository) newStep(script *Step) *step {
	s := &step{uuid: r.server.newUUID(), script: script, cases: script.TestReport.named(r.server)}
	if script.Deployment != "" {
		environment := r.addEnvironment(script.Deployment, environmentTypeOf(script.Deployment))
		s.deployment = &stepDeployment{r.server.newUUID(), r.server.newUUID(), environment.UUID()}
	}
	return s
}
