package pipelines

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/header"
)

// endpoint is an operation with its path's parameters filled in. The call returns its error.
type endpoint struct {
	op    *operation
	path  string // escaped, below the base URL
	query url.Values
	err   error
}

// at fills in the path's parameters, in their order. It is the only place where paths are made: it escapes each element, and refuses
// one that would change the path's shape.
func (o *operation) at(elements ...string) endpoint {
	var b strings.Builder
	b.WriteString(o.literals[0])
	for i, element := range elements {
		if err := checkElement(element); err != nil {
			return endpoint{op: o, err: invalidArgument("%s %w", o.params[i], err)}
		}
		b.WriteString(url.PathEscape(braced(element)))
		b.WriteString(o.literals[i+1])
	}
	return endpoint{op: o, path: b.String()}
}

// with adds a query to the endpoint.
func (at endpoint) with(query url.Values) endpoint {
	at.query = query
	return at
}

// withError adds an error found in the other arguments.
func (at endpoint) withError(err error) endpoint {
	if at.err == nil {
		at.err = err
	}
	return at
}

func checkElement(element string) error {
	switch element {
	case "":
		return errors.New("is empty")
	case ".", "..":
		return fmt.Errorf("is %q", element)
	}
	return nil
}

// customEndpoint returns the endpoint of a path that the caller gives.
func customEndpoint(name, method, path string) endpoint {
	o := &operation{Operation: Operation{Name: name, Method: method}, custom: true}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions:
		o.safety = idempotent
	}
	if !header.ValidName(method) {
		return endpoint{op: o, err: invalidArgument("method %q is not an HTTP method", method)}
	}
	if strings.Contains(path, "://") {
		return endpoint{op: o, err: invalidArgument("path is a URL: give what comes after the base URL")}
	}
	u, err := url.Parse("/" + strings.TrimPrefix(path, "/"))
	if err != nil || strings.HasPrefix(path, "//") || strings.Contains(path, "#") {
		return endpoint{op: o, err: invalidArgument("path is not a path below the base URL")}
	}
	escaped := u.EscapedPath()
	elements := strings.Split(escaped[1:], "/")
	for i, element := range elements {
		text, err := url.PathUnescape(element)
		slashAtEnd := text == "" && i > 0 && i == len(elements)-1 // a form of the service's own
		if err == nil && !slashAtEnd {
			err = checkElement(text)
		}
		if err != nil {
			return endpoint{op: o, err: invalidArgument("element %d of the path %w", i+1, err)}
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return endpoint{op: o, err: invalidArgument("the path's query is malformed")}
	}
	return endpoint{op: o, path: escaped, query: query}
}
