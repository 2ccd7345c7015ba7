package pipelinestest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

func (c *call) listPipelines() *response {
	var found []pipelines.Pipeline
	for _, r := range c.repo.runs {
		if p := r.snapshot(c.now); matchesFilters(&p, c.query) {
			found = append(found, p)
		}
	}
	key := cmp.Or(c.query.Get("sort"), "created_on")
	compare, ok := pipelineOrders[strings.TrimPrefix(key, "-")]
	if !ok {
		return errorResponse(http.StatusBadRequest, "Invalid sort", "Unknown sort order "+key+".")
	}
	slices.SortStableFunc(found, func(a, b pipelines.Pipeline) int {
		if strings.HasPrefix(key, "-") {
			a, b = b, a
		}
		return cmp.Or(compare(&a, &b), cmp.Compare(a.BuildNumber, b.BuildNumber))
	})
	return page(c, found, c.encodePipeline)
}

var pipelineOrders = map[string]func(a, b *pipelines.Pipeline) int{
	"created_on":        func(a, b *pipelines.Pipeline) int { return a.CreatedOn.Compare(b.CreatedOn) },
	"run_creation_date": func(a, b *pipelines.Pipeline) int { return a.CreatedOn.Compare(b.CreatedOn) },
	"creator.uuid":      func(a, b *pipelines.Pipeline) int { return cmp.Compare(a.Creator.UUID, b.Creator.UUID) },
}

// pipelineFilters report whether a pipeline matches the value of a filter. Like the service's they are case-sensitive, and an unknown value
// matches nothing.
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

// matchesFilters reports whether a pipeline matches every filter of the query. A filter with several values matches any of them.
func matchesFilters(p *pipelines.Pipeline, query url.Values) bool {
	for name, match := range pipelineFilters {
		words := query[name]
		if len(words) > 0 && !slices.ContainsFunc(words, func(word string) bool { return match(p, word) }) {
			return false
		}
	}
	return true
}

// The filter values that differ from those in a pipeline.
var (
	triggerWords = map[string]pipelines.TriggerName{
		"PUSH": pipelines.TriggerPush, "MANUAL": pipelines.TriggerManual, "SCHEDULED": pipelines.TriggerSchedule, "PARENT_STEP": pipelines.TriggerParentStep,
	}
	selectorWords = map[string]pipelines.SelectorType{
		"BRANCH": pipelines.SelectorBranches, "TAG": pipelines.SelectorTags, "CUSTOM": pipelines.SelectorCustom,
		"PULLREQUESTS": pipelines.SelectorPullRequests, "DEFAULT": pipelines.SelectorDefault,
	}
	statusWords = map[string]string{ // values of PipelineState.String
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
