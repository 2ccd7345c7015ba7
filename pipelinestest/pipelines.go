package pipelinestest

import (
	"cmp"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	pipelinesPath = repositoryPath + "/pipelines"
	pipelinePath  = pipelinesPath + "/{pipeline_uuid}"
)

var pipelineRoutes = []route{
	{http.MethodGet, pipelinesPath, readPipeline, (*call).listPipelines},
	{http.MethodPost, pipelinesPath, readPipeline, (*call).runPipeline},
	{http.MethodGet, pipelinePath, readPipeline, (*call).getPipeline},
	{http.MethodPost, pipelinePath + "/stopPipeline", writePipeline, (*call).stopPipeline},
}

// wirePipeline is a pipeline as the service writes it: with members that are zero, false, empty or null, which the model omits.
type wirePipeline struct {
	pipelines.Pipeline
	Target            wireTarget     `json:"target"`
	DurationInSeconds int            `json:"duration_in_seconds"`
	BuildSecondsUsed  int            `json:"build_seconds_used"`
	FirstSuccessful   bool           `json:"first_successful"`
	Expired           bool           `json:"expired"`
	HasVariables      bool           `json:"has_variables"`
	Labels            map[string]any `json:"labels"`
}

type wireTarget struct {
	pipelines.Target
	Selector    *pipelines.Selector `json:"selector"`
	PullRequest *wirePullRequest    `json:"pullrequest,omitzero"`
}

// wirePullRequest is a pull request as the service writes it: with what is false.
type wirePullRequest struct {
	pipelines.PullRequest
	Draft  bool `json:"draft"`
	Queued bool `json:"queued"`
}

// wire writes a pipeline down. Variables are for nobody to read.
func (c *call) wire(p pipelines.Pipeline) any {
	p.Variables = nil
	p.Links = &pipelines.Links{
		Self:  &pipelines.Link{Href: c.pipelineURL(p.UUID)},
		Steps: &pipelines.Link{Href: c.pipelineURL(p.UUID) + "/steps"},
	}
	p.Repository = c.linkedRepository(c.repo)
	p.Creator = c.linkedAccount(p.Creator)
	p.Target.Commit = c.linkedCommit(p.Target.Commit)
	if result := p.State.Result; result != nil {
		linked := *result
		linked.Terminator = c.linkedAccount(result.Terminator)
		p.State.Result = &linked
	}
	return wirePipeline{
		Pipeline: p, Target: wireTarget{p.Target, p.Target.Selector, c.linkedPullRequest(p.Target.PullRequest)},
		DurationInSeconds: p.DurationInSeconds, BuildSecondsUsed: p.BuildSecondsUsed,
		FirstSuccessful: p.FirstSuccessful, Expired: p.Expired, HasVariables: p.HasVariables, Labels: p.Labels,
	}
}

// run finds the pipeline that the path names by its UUID or build number.
func (c *call) run() (*run, *reply) {
	id := c.params["pipeline_uuid"]
	if r := c.repo.find(id); r != nil {
		return r, nil
	}
	return nil, serviceFailure(http.StatusNotFound, "result-service.pipeline-id.not-found",
		"There is no pipeline "+id+".", map[string]string{"pipelineId": id})
}

func (c *call) getPipeline() *reply {
	r, refusal := c.run()
	if refusal != nil {
		return refusal
	}
	return c.json(http.StatusOK, c.wire(r.snapshot(c.now)))
}

func (c *call) stopPipeline() *reply {
	r, refusal := c.run()
	if refusal != nil {
		return refusal
	}
	if state := r.snapshot(c.now).State; state.Done() {
		return c.badRequest("Cannot stop pipeline result that is already complete with status " + state.String())
	}
	r.stop(c.now)
	return emptyReply(http.StatusNoContent)
}

// badRequest refuses a request on pipelines as the service does.
func (c *call) badRequest(detail string) *reply {
	return serviceFailure(http.StatusBadRequest, "result-service.request.invalid", detail, map[string]string{})
}

func (c *call) listPipelines() *reply {
	var found []pipelines.Pipeline
	for _, r := range c.repo.runs {
		if p := r.snapshot(c.now); passes(&p, c.query) {
			found = append(found, p)
		}
	}
	key := cmp.Or(c.query.Get("sort"), "created_on")
	compare, ok := pipelineOrders[strings.TrimPrefix(key, "-")]
	if !ok {
		return failure(http.StatusBadRequest, "Invalid sort", "There is no order "+key+".")
	}
	slices.SortStableFunc(found, func(a, b pipelines.Pipeline) int {
		if strings.HasPrefix(key, "-") {
			a, b = b, a
		}
		return cmp.Or(compare(&a, &b), cmp.Compare(a.BuildNumber, b.BuildNumber))
	})
	return page(c, found, c.wire)
}

var pipelineOrders = map[string]func(a, b *pipelines.Pipeline) int{
	"created_on":        func(a, b *pipelines.Pipeline) int { return a.CreatedOn.Compare(b.CreatedOn) },
	"run_creation_date": func(a, b *pipelines.Pipeline) int { return a.CreatedOn.Compare(b.CreatedOn) },
	"creator.uuid":      func(a, b *pipelines.Pipeline) int { return cmp.Compare(a.Creator.UUID, b.Creator.UUID) },
}

// pipelineFilters say whether a pipeline fits a word. They compare as the service does: by case, and to nothing where the word is unknown.
var pipelineFilters = map[string]func(p *pipelines.Pipeline, word string) bool{
	"creator.uuid":       func(p *pipelines.Pipeline, word string) bool { return bare(p.Creator.UUID) == bare(word) },
	"created_on":         createdOn,
	"trigger_type":       byTrigger,
	"status":             hasStatus,
	"target.branch":      onBranch,
	"target.commit.hash": func(p *pipelines.Pipeline, word string) bool { return p.Target.Commit.Hash == word },
	"target.ref_name":    func(p *pipelines.Pipeline, word string) bool { return p.Target.RefName == word },
	"target.ref_type": func(p *pipelines.Pipeline, word string) bool {
		return strings.ToUpper(string(p.Target.RefType)) == word
	},
	"target.selector.pattern": func(p *pipelines.Pipeline, word string) bool { return selectorOf(p).Pattern == word },
	"target.selector.type":    bySelector,
}

// passes reports whether a pipeline fits each filter that is given, and one of its words where there are several.
func passes(p *pipelines.Pipeline, query url.Values) bool {
	for name, fits := range pipelineFilters {
		words := query[name]
		if len(words) > 0 && !slices.ContainsFunc(words, func(word string) bool { return fits(p, word) }) {
			return false
		}
	}
	return true
}

// The words of the filters that differ from those in the pipelines.
var (
	triggerWords = map[string]pipelines.TriggerName{
		"PUSH": pipelines.TriggerPush, "MANUAL": pipelines.TriggerManual, "SCHEDULED": pipelines.TriggerSchedule, "PARENT_STEP": pipelines.TriggerParentStep,
	}
	selectorWords = map[string]pipelines.SelectorType{
		"BRANCH": pipelines.SelectorBranches, "TAG": pipelines.SelectorTags, "CUSTOM": pipelines.SelectorCustom,
		"PULLREQUESTS": pipelines.SelectorPullRequests, "DEFAULT": pipelines.SelectorDefault,
	}
	statusWords = map[string]string{ // what PipelineState.String says
		"PARSING": "PARSING", "PENDING": "PENDING", "PAUSED": "PAUSED", "HALTED": "HALTED", "BUILDING": "RUNNING",
		"PASSED": "SUCCESSFUL", "FAILED": "FAILED", "ERROR": "ERROR", "STOPPED": "STOPPED",
	}
)

func hasStatus(p *pipelines.Pipeline, word string) bool {
	state, known := statusWords[word]
	return known && p.State.String() == state
}

func byTrigger(p *pipelines.Pipeline, word string) bool {
	name, known := triggerWords[word]
	return known && p.Trigger.Name == name
}

func bySelector(p *pipelines.Pipeline, word string) bool {
	kind, known := selectorWords[word]
	return known && selectorOf(p).Type == kind
}

func createdOn(p *pipelines.Pipeline, word string) bool {
	t, err := time.Parse(time.RFC3339, word)
	return err == nil && p.CreatedOn.Equal(t)
}

func onBranch(p *pipelines.Pipeline, word string) bool {
	return p.Target.RefName == word && (p.Target.RefType == pipelines.RefBranch || p.Target.RefType == pipelines.RefNamedBranch)
}

func selectorOf(p *pipelines.Pipeline) pipelines.Selector {
	if p.Target.Selector == nil {
		return pipelines.Selector{}
	}
	return *p.Target.Selector
}

// runRequest is the body of a request to start a pipeline, or what stands for it in the query.
type runRequest struct {
	Target    *targetRequest       `json:"target"`
	Variables []pipelines.Variable `json:"variables"`
	onDemand  bool
}

type targetRequest struct {
	pipelines.Target
	PullRequest *struct {
		ID looseInt `json:"id"`
	} `json:"pullrequest"`
}

// looseInt is a number that may come as a string.
type looseInt int

// UnmarshalJSON implements [json.Unmarshaler].
func (n *looseInt) UnmarshalJSON(data []byte) error {
	i, err := strconv.Atoi(strings.Trim(string(data), `"`))
	*n = looseInt(i)
	return err
}

func (c *call) runPipeline() *reply {
	if !c.repo.runsPipelines() {
		return c.badRequest("Pipelines is not enabled in the repository.")
	}
	req, refusal := c.runRequest()
	if refusal != nil {
		return refusal
	}
	target, complaint := req.target()
	if complaint != "" {
		return c.badRequest(complaint)
	}
	if refusal := c.resolve(&target, req.onDemand); refusal != nil {
		return refusal
	}
	if branch := c.query.Get("target_branch_to_create"); req.onDemand && branch != "" {
		c.repo.branches[branch] = target.Commit.Hash
	}
	r := c.repo.start(pipelines.Pipeline{Target: target, Variables: req.Variables}, c.now)
	a := c.json(http.StatusCreated, c.wire(r.snapshot(c.now.Add(-1)))) // a moment ago, when it could only be PARSING
	a.header.Set("Location", c.pipelineURL(r.model.UUID))
	return a
}

// runRequest reads the request from the body, or from the query where the body is the pipeline's YAML.
func (c *call) runRequest() (runRequest, *reply) {
	var req runRequest
	mediaType, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if mediaType == "application/yaml" {
		req.readQuery(c.query)
		if len(c.body) == 0 {
			return req, c.badRequest("The request has no YAML.")
		}
	} else if json.Unmarshal(c.body, &req) != nil || req.Target == nil {
		return req, c.badRequest("The request body contains invalid properties")
	}
	if slices.ContainsFunc(req.Variables, func(v pipelines.Variable) bool { return v.Key == "" }) {
		return req, c.badRequest("A variable has no key.")
	}
	return req, nil
}

// readQuery reads an on-demand request from its query.
func (req *runRequest) readQuery(query url.Values) {
	req.onDemand = true
	req.Target = &targetRequest{Target: pipelines.Target{
		Type:        pipelines.TargetType(query.Get("target.type")),
		RefType:     pipelines.RefType(query.Get("target.ref_type")),
		RefName:     query.Get("target.ref_name"),
		Source:      query.Get("target.source"),
		Destination: query.Get("target.destination"),
	}}
	t := req.Target
	if hash := query.Get("target.commit.hash"); hash != "" {
		t.Commit = &pipelines.Commit{Type: "commit", Hash: hash}
	}
	if hash := query.Get("target.destination_commit.hash"); hash != "" {
		t.DestinationCommit = &pipelines.Commit{Type: "commit", Hash: hash}
	}
	if kind := query.Get("target.selector.type"); kind != "" {
		t.Selector = &pipelines.Selector{Type: pipelines.SelectorType(kind), Pattern: query.Get("target.selector.pattern")}
	}
	if id, err := strconv.Atoi(query.Get("target.pullrequest.id")); err == nil {
		t.Target.PullRequest = &pipelines.PullRequest{ID: id}
	}
	for i := 0; ; i++ {
		prefix := "variables[" + strconv.Itoa(i) + "]."
		if !query.Has(prefix + "key") {
			return
		}
		req.Variables = append(req.Variables, pipelines.Variable{
			Key: query.Get(prefix + "key"), Value: query.Get(prefix + "value"), Secured: query.Get(prefix+"secured") == "true",
		})
	}
}

// target returns the target to run on, or what is wrong with it.
func (req *runRequest) target() (target pipelines.Target, complaint string) {
	target = req.Target.Target
	if pr := req.Target.PullRequest; pr != nil {
		target.PullRequest = &pipelines.PullRequest{Type: "pullrequest", ID: int(pr.ID)}
	}
	if selector := target.Selector; selector != nil && selector.Type == "" {
		return target, "The selector has no type."
	}
	switch target.Type {
	case pipelines.TargetRef:
		return target, checkRefTarget(target)
	case pipelines.TargetCommit:
		return target, checkCommitTarget(target)
	case pipelines.TargetPullRequest:
		return target, checkPullRequestTarget(target)
	default:
		return target, "The request body contains invalid properties"
	}
}

func checkRefTarget(t pipelines.Target) string {
	known := []pipelines.RefType{pipelines.RefBranch, pipelines.RefTag, pipelines.RefAnnotatedTag, pipelines.RefNamedBranch, pipelines.RefBookmark}
	switch {
	case t.RefName == "":
		return "The target has no ref_name."
	case !slices.Contains(known, t.RefType):
		return "The target has no ref_type, or an unknown one."
	}
	return ""
}

func checkCommitTarget(t pipelines.Target) string {
	switch {
	case noHash(t.Commit):
		return "The target has no commit."
	case t.Selector == nil:
		return "The target has no selector."
	}
	return ""
}

func checkPullRequestTarget(t pipelines.Target) string {
	if t.Source == "" || t.Destination == "" || noHash(t.Commit) || noHash(t.DestinationCommit) || t.PullRequest == nil || t.PullRequest.ID <= 0 {
		return "The target needs source, destination, commit, destination_commit and pullrequest."
	}
	return ""
}

func noHash(c *pipelines.Commit) bool { return c == nil || c.Hash == "" }

// resolve looks up what the target names. The names of custom pipelines in a request's own YAML are taken on trust.
func (c *call) resolve(target *pipelines.Target, onDemand bool) *reply {
	if target.Type == pipelines.TargetRef {
		if refusal := c.resolveRef(target); refusal != nil {
			return refusal
		}
	}
	s := target.Selector
	if onDemand || s == nil || c.repo.hasCustom(*s) {
		return nil
	}
	return c.badRequest("There is no custom pipeline " + s.Pattern + " in the repository's YAML.")
}

// resolveRef looks up a branch or tag. Whether a given commit is on it isn't checked, as the service doesn't either.
func (c *call) resolveRef(target *pipelines.Target) *reply {
	section := sectionOf(*target)
	hash, ok := c.repo.hasRef(section, target.RefName)
	if !ok {
		kind := map[pipelines.SelectorType]string{pipelines.SelectorBranches: "branch", pipelines.SelectorTags: "tag"}[section]
		return serviceFailure(http.StatusNotFound, "result-service.reference.not-found",
			"Could not find last reference for "+kind+" "+target.RefName, map[string]string{"name": target.RefName})
	}
	if noHash(target.Commit) {
		target.Commit = &pipelines.Commit{Type: "commit", Hash: hash}
	}
	return nil
}
