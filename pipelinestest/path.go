package pipelinestest

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// checkedPath returns a path pattern in the form that [matchesPath] expects. It panics if no request can have the method or the path.
func checkedPath(method, pattern string) string {
	if method != "" && !slices.Contains(methods, method) {
		panic(fmt.Sprintf("pipelinestest: unknown method %q", method))
	}
	for element := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(element, ""); err != nil {
			panic("pipelinestest: malformed path " + pattern)
		}
	}
	if below, ok := strings.CutPrefix(pattern, apiPrefix+"/"); ok {
		return "/" + below
	}
	return pattern
}

// matchesPath reports whether an escaped path matches a pattern. An empty pattern matches any path.
func matchesPath(pattern, escaped string) bool {
	_, elements := splitPath(escaped)
	_, ok := matchPath(pattern, elements)
	return pattern == "" || ok
}

var braces = strings.NewReplacer("{", "%7B", "}", "%7D")

// withEncodedBraces returns the request with the braces in its path percent-encoded, as most clients send them. The service accepts both
// forms.
func withEncodedBraces(r *http.Request) *http.Request {
	if !strings.ContainsAny(r.URL.RawPath, "{}") {
		return r
	}
	u := *r.URL
	u.RawPath = braces.Replace(u.RawPath)
	encoded := r.WithContext(r.Context()) // shallow copy
	encoded.URL = &u
	return encoded
}

// splitPath splits a path and decodes its elements one by one, so that an escaped slash stays within its element. It ignores a slash at the
// end.
func splitPath(escaped string) (prefix string, elements []string) {
	for element := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/"), "/") {
		decoded, _ := url.PathUnescape(element) // an EscapedPath is valid
		elements = append(elements, decoded)
	}
	if "/"+elements[0] == apiPrefix {
		return apiPrefix, elements[1:]
	}
	return "", elements
}

// matchPath matches elements with a template. An element of the template in braces is a parameter, which is never empty.
func matchPath(template string, elements []string) (map[string]string, bool) {
	want := strings.Split(strings.Trim(template, "/"), "/")
	if len(want) != len(elements) {
		return nil, false
	}
	params := map[string]string{}
	for i, element := range elements {
		if name, ok := paramName(want[i]); ok && element != "" {
			params[name] = element
		} else if !matchElement(want[i], element) {
			return nil, false
		}
	}
	return params, true
}

// matchElement matches an element with a pattern of [path.Match], or with its own escaped form.
func matchElement(pattern, element string) bool {
	if literal, err := url.PathUnescape(pattern); err == nil && literal == element {
		return true
	}
	ok, err := path.Match(pattern, element)
	return ok && err == nil
}

func paramName(element string) (string, bool) {
	name, opened := strings.CutPrefix(element, "{")
	name, closed := strings.CutSuffix(name, "}")
	return name, opened && closed
}
