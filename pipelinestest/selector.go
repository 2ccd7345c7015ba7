package pipelinestest

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines"
)

// selector is what a script is for, or what a run requests: a name or pattern in a section of the YAML.
type selector struct {
	section pipelines.SelectorType // empty: any section
	pattern string
}

// defaultSelector is the selector of the script for runs that no other script matches.
var defaultSelector = selector{pattern: "default"}

// sections may stand before a colon in a selector. Names of branches and tags have no colon.
var sections = []pipelines.SelectorType{
	pipelines.SelectorCustom, pipelines.SelectorBranches, pipelines.SelectorTags, pipelines.SelectorPullRequests,
}

// parseSelector parses a selector of a test. It panics if nothing can match it.
func parseSelector(text string) selector {
	s := selector{pattern: cmp.Or(text, defaultSelector.pattern)}
	section, pattern, typed := strings.Cut(text, ":")
	if typed && slices.Contains(sections, pipelines.SelectorType(section)) {
		s = selector{pipelines.SelectorType(section), pattern}
	}
	_, err := path.Match(s.pattern, "")
	if s.pattern == "" || err != nil && s.section != pipelines.SelectorCustom {
		panic("pipelinestest: malformed selector " + text)
	}
	return s
}

// bare is the selector without its section.
func (s selector) bare() selector { return selector{pattern: s.pattern} }

// plain reports whether the selector without its section may be the name of a custom pipeline, a branch or a tag.
func (s selector) plain() bool { return s.bare() != defaultSelector && !s.glob() }

func (s selector) glob() bool { return strings.ContainsAny(s.pattern, `*?[\`) }

// matches reports whether a script of selector s is for a requested selector. Custom pipelines match by exact name only.
func (s selector) matches(wanted selector) bool {
	if wanted.section == pipelines.SelectorCustom || s.section != "" && s.section != wanted.section {
		return false
	}
	return s.pattern == wanted.pattern || matchGlob(s.pattern, wanted.pattern)
}

// compare orders selectors, the most specific first: those with a section, then longer patterns.
func (s selector) compare(other selector) int {
	return cmp.Or(
		-cmp.Compare(s.section, other.section), cmp.Compare(len(other.pattern), len(s.pattern)), cmp.Compare(s.pattern, other.pattern),
	)
}

// matchGlob matches a name with a pattern of [path.Match], in which ** matches any text, also slashes.
func matchGlob(pattern, name string) bool {
	head, tail, deep := strings.Cut(pattern, "**")
	if !deep {
		ok, _ := path.Match(pattern, name) // parseSelector has checked the pattern
		return ok
	}
	for i := range len(name) + 1 {
		if ok, _ := path.Match(head, name[:i]); ok && anyTail(tail, name[i:]) {
			return true
		}
	}
	return false
}

// anyTail reports whether a pattern matches any suffix of a text.
func anyTail(pattern, text string) bool {
	for i := range len(text) + 1 {
		if matchGlob(pattern, text[i:]) {
			return true
		}
	}
	return false
}

// requested are the selectors that a target requests, the most specific first.
func requested(target pipelines.Target) []selector {
	all := []selector{{sectionOf(target), cmp.Or(target.RefName, target.Source)}}
	if s := target.Selector; s != nil {
		all = slices.Insert(all, 0, selector{s.Type, s.Pattern})
	}
	return slices.DeleteFunc(all, func(s selector) bool { return s.pattern == "" })
}

// sectionOf is the section of the YAML in which the service looks if a target has no selector.
func sectionOf(target pipelines.Target) pipelines.SelectorType {
	switch {
	case target.Type == pipelines.TargetPullRequest:
		return pipelines.SelectorPullRequests
	case target.Type == pipelines.TargetMergeQueueRef:
		return pipelines.SelectorMergeQueues
	case target.RefType == pipelines.RefTag || target.RefType == pipelines.RefAnnotatedTag:
		return pipelines.SelectorTags
	}
	return pipelines.SelectorBranches
}

// withSelector returns a target with its own selector, or the one that the service finds while parsing.
func withSelector(target pipelines.Target, matched selector) pipelines.Target {
	if target.Selector == nil {
		target.Selector = selectorFor(target, matched)
	}
	return target
}

// selectorFor is the selector that the service finds while parsing if the request has none.
func selectorFor(target pipelines.Target, matched selector) *pipelines.Selector {
	section := sectionOf(target)
	switch {
	case matched != defaultSelector:
		return &pipelines.Selector{Type: section, Pattern: matched.pattern}
	case section == pipelines.SelectorPullRequests:
		return &pipelines.Selector{Type: section, Pattern: "**"}
	}
	return &pipelines.Selector{Type: pipelines.SelectorDefault}
}

// exactScript finds the selector of the script for exactly one name, with the section or without one.
func (r *Repository) exactScript(s selector) (selector, bool) {
	if _, ok := r.scripts[s]; ok {
		return s, true
	}
	_, ok := r.scripts[s.bare()]
	return s.bare(), ok && s.plain()
}

// chooseScript returns the script for a target and its selector.
func (r *Repository) chooseScript(target pipelines.Target) (Script, selector) {
	asked := requested(target)
	for _, s := range asked {
		if found, ok := r.exactScript(s); ok {
			return r.scripts[found], found
		}
	}
	for _, s := range r.selectors() {
		if slices.ContainsFunc(asked, s.matches) {
			return r.scripts[s], s
		}
	}
	if s, ok := r.scripts[defaultSelector]; ok {
		return s, defaultSelector
	}
	return defaultScript, defaultSelector
}

// selectors returns the selectors of all scripts in order of precedence.
func (r *Repository) selectors() []selector {
	all := make([]selector, 0, len(r.scripts))
	for s := range r.scripts {
		all = append(all, s)
	}
	slices.SortFunc(all, selector.compare)
	return all
}

// hasRef reports whether a branch or a tag exists, and returns its commit.
func (r *Repository) hasRef(section pipelines.SelectorType, name string) (hash string, ok bool) {
	refs := r.branches
	if section == pipelines.SelectorTags {
		refs = r.tags
	}
	if hash, ok := refs[name]; ok {
		return hash, true
	}
	s := selector{section, name}
	if _, ok := r.exactScript(s); ok && !s.glob() {
		return commitHash(name), true
	}
	return "", false
}

// hasCustom reports whether the custom pipeline of a selector exists. It is true for selectors of other types.
func (r *Repository) hasCustom(s pipelines.Selector) bool {
	_, known := r.exactScript(selector{s.Type, s.Pattern})
	return known || s.Type != pipelines.SelectorCustom
}
