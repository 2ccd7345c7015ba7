package pipelinestest

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// selectFields applies the fields parameter. Plain names select; a name after a minus is removed; a name after a plus adds nothing, because
// the response already has every field. Names are dotted paths, also through lists; * matches any name.
func selectFields(body []byte, fields string) []byte {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return body
	}
	var kept, added [][]string
	for field := range strings.SplitSeq(fields, ",") {
		field = strings.TrimSpace(strings.Replace(field, " ", "+", 1)) // a plus sign in a query decodes to a space
		switch {
		case strings.HasPrefix(field, "-"):
			removePath(value, strings.Split(field[1:], "."))
		case strings.HasPrefix(field, "+"):
			added = append(added, strings.Split(field[1:], "."))
		default:
			kept = append(kept, strings.Split(field, "."))
		}
	}
	if len(kept) > 0 {
		value, _ = selectPaths(value, append(kept, added...))
	}
	selected, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return body
	}
	return selected
}

// selectPaths removes everything but the paths from value, and reports whether anything in value can match.
func selectPaths(value any, paths [][]string) (any, bool) {
	if slices.ContainsFunc(paths, func(path []string) bool { return len(path) == 0 }) {
		return value, true
	}
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i], _ = selectPaths(v[i], paths)
		}
		return v, len(paths) > 0
	case map[string]any:
		for name := range v {
			kept, ok := selectPaths(v[name], subpaths(paths, name))
			if !ok {
				delete(v, name)
				continue
			}
			v[name] = kept
		}
		return v, len(paths) > 0
	}
	return nil, false
}

// subpaths returns the rest of the paths that begin with name.
func subpaths(paths [][]string, name string) [][]string {
	var below [][]string
	for _, path := range paths {
		if path[0] == name || path[0] == "*" {
			below = append(below, path[1:])
		}
	}
	return below
}

// removePath removes path from value.
func removePath(value any, path []string) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			removePath(item, path)
		}
	case map[string]any:
		for name := range v {
			switch {
			case path[0] != name && path[0] != "*":
			case len(path) == 1:
				delete(v, name)
			default:
				removePath(v[name], path[1:])
			}
		}
	}
}
