package pipelinestest

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/seed-85ed9bfd/pipelines"
)

// runRequest is the body of a request to start a pipeline, or the same in the query.
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

// looseInt is a number that may be encoded as a string.
type looseInt int

// UnmarshalJSON implements [json.Unmarshaler].
func (n *looseInt) UnmarshalJSON(data []byte) error {
	i, err := strconv.Atoi(strings.Trim(string(data), `"`))
	*n = looseInt(i)
	return err
}

func (c *call) runPipeline() *response {
	if !c.repo.runsPipelines() {
		return c.badRequest("Pipelines is not enabled in the repository.")
	}
	req, errResp := c.runRequest()
	if errResp != nil {
		return errResp
	}
	target, problem := req.target()
	if problem != "" {
		return c.badRequest(problem)
	}
	if errResp := c.resolve(&target, req.onDemand); errResp != nil {
		return errResp
	}
	if branch := c.query.Get("target_branch_to_create"); req.onDemand && branch != "" {
		c.repo.branches[branch] = target.Commit.Hash
	}
	r := c.repo.start(pipelines.Pipeline{Target: target, Variables: req.Variables}, c.now)
	// Before c.now the run can only be PARSING.
	resp := c.json(http.StatusCreated, c.encodePipeline(r.snapshot(c.now.Add(-1))))
	resp.header.Set("Location", c.pipelineURL(r.model.UUID))
	return resp
}

// runRequest reads the request from the body, or from the query if the body is YAML.
func (c *call) runRequest() (runRequest, *response) {
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

// target returns the target of the run, or what is wrong with it.
func (req *runRequest) target() (target pipelines.Target, problem string) {
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

// resolve looks up the references and the custom pipeline of a target. Custom pipelines in YAML of the request aren't checked.
func (c *call) resolve(target *pipelines.Target, onDemand bool) *response {
	if target.Type == pipelines.TargetRef {
		if errResp := c.resolveRef(target); errResp != nil {
			return errResp
		}
	}
	s := target.Selector
	if onDemand || s == nil || c.repo.hasCustom(*s) {
		return nil
	}
	return c.badRequest("There is no custom pipeline " + s.Pattern + " in the repository's YAML.")
}

// resolveRef looks up a branch or tag. Like the service it doesn't check whether a given commit is on it.
func (c *call) resolveRef(target *pipelines.Target) *response {
	section := sectionOf(*target)
	hash, ok := c.repo.hasRef(section, target.RefName)
	if !ok {
		kind := map[pipelines.SelectorType]string{pipelines.SelectorBranches: "branch", pipelines.SelectorTags: "tag"}[section]
		return serviceError(http.StatusNotFound, "result-service.reference.not-found",
			"Could not find last reference for "+kind+" "+target.RefName, map[string]string{"name": target.RefName})
	}
	if noHash(target.Commit) {
		target.Commit = &pipelines.Commit{Type: "commit", Hash: hash}
	}
	return nil
}
