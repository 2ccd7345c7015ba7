package pipelinestest

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// reply is an answer that is complete before any of it is sent, so that the server's lock is free by then.
type reply struct {
	status int
	header http.Header
	body   []byte
	ranged *string // content that is served in ranges, in place of status and body
}

func (a *reply) write(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), a.header)
	if a.ranged != nil {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(*a.ranged))
		return
	}
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if len(a.body) > 0 {
		_, _ = w.Write(a.body) // the caller may be gone
	}
}

func emptyReply(status int) *reply { return &reply{status: status, header: http.Header{}} }

func textReply(status int, contentType, text string) *reply {
	return &reply{status: status, header: http.Header{"Content-Type": {contentType}}, body: []byte(text)}
}

func jsonReply(status int, v any) *reply {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return textReply(http.StatusInternalServerError, "text/plain", "pipelinestest: the answer cannot be encoded: "+err.Error())
	}
	return &reply{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// rangedReply serves content in ranges. An empty etag sends none.
func rangedReply(content, etag string) *reply {
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	if etag != "" {
		header.Set("Etag", etag)
	}
	return &reply{header: header, ranged: &content}
}

// failure is an error in the standard form. Detail is a text or an object; nil: none.
func failure(status int, message string, detail any) *reply {
	problem := map[string]any{"message": message}
	if detail != nil {
		problem["detail"] = detail
	}
	return jsonReply(status, map[string]any{"type": "error", "error": problem})
}

// serviceFailure is an error in the form of the service behind the API, with a key and its arguments.
func serviceFailure(status int, key, detail string, arguments map[string]string) *reply {
	message := http.StatusText(status)
	return jsonReply(status, map[string]any{"error": map[string]any{
		"message": message[:1] + strings.ToLower(message[1:]), "detail": detail,
		"data": map[string]any{"key": key, "arguments": arguments},
	}})
}

// invalid refuses a body as the services behind the API do.
func invalid(service, detail string) *reply {
	return serviceFailure(http.StatusBadRequest, service+".request.invalid", detail, map[string]string{})
}

// notFoundPage is what a missing repository is answered with: a web page, and a long one.
var notFoundPage = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Repository not found</title></head>\n<body>\n" +
	strings.Repeat("<p>We can't let you see this page, or there is nothing to see.</p>\n", 370) + "</body>\n</html>\n"

// json answers with v, or with the part of it that the fields parameter asks for.
func (c *call) json(status int, v any) *reply {
	a := jsonReply(status, v)
	if fields := c.query.Get("fields"); fields != "" {
		a.body = selectFields(a.body, fields)
	}
	return a
}

// envelope is a page of a list.
type envelope struct {
	Page     int    `json:"page"`
	PageLen  int    `json:"pagelen"`
	Size     int    `json:"size"`
	Next     string `json:"next,omitzero"`
	Previous string `json:"previous,omitzero"`
	Values   []any  `json:"values"`
}

const (
	defaultPageLen = 10
	maxPageLen     = 100
)

// page answers with the page that the caller asks for.
func page[T any](c *call, items []T, wire func(T) any) *reply {
	return pageUpTo(maxPageLen, c, items, wire)
}

// pageUpTo is page for a list with another bound of its pages.
func pageUpTo[T any](longest int, c *call, items []T, wire func(T) any) *reply {
	pageLen, refusal := c.count("pagelen", defaultPageLen, longest)
	if refusal != nil {
		return refusal
	}
	return pageOf(c, items, pageLen, wire)
}

// wholePage answers with all the items, however many the caller asks for.
func wholePage[T any](c *call, items []T, wire func(T) any) *reply {
	return pageOf(c, items, max(len(items), defaultPageLen), wire)
}

func pageOf[T any](c *call, items []T, pageLen int, wire func(T) any) *reply {
	number, refusal := c.count("page", 1, math.MaxInt32)
	if refusal != nil {
		return refusal
	}
	start := min((number-1)*pageLen, len(items))
	end := min(start+pageLen, len(items))
	e := envelope{Page: number, PageLen: pageLen, Size: len(items)}
	for _, item := range items[start:end] {
		e.Values = append(e.Values, wire(item))
	}
	if start == end {
		e.PageLen = 0 // as seen on the service's pages past the end
	}
	if end < len(items) {
		e.Next = c.pageLink(number+1, pageLen)
	}
	if number > 1 {
		e.Previous = c.pageLink(number-1, pageLen)
	}
	if c.server.withoutNext {
		e.Next, e.Previous = "", ""
	}
	return c.json(http.StatusOK, e)
}

// count reads a query parameter that counts from 1.
func (c *call) count(name string, fallback, limit int) (int, *reply) {
	text := c.query.Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, failure(http.StatusBadRequest, "Invalid "+name, fmt.Sprintf("%s has to be a number from 1 to %d.", name, limit))
	}
	return n, nil
}

func (c *call) pageLink(number, pageLen int) string {
	query := maps.Clone(c.query)
	query.Set("page", strconv.Itoa(number))
	query.Set("pagelen", strconv.Itoa(pageLen))
	return origin(c.request) + c.request.URL.EscapedPath() + "?" + query.Encode()
}

// selectFields carries out a partial response. Plain names leave only what they name; a name after a minus is taken out; one after a
// plus adds nothing, because everything is there already. Names are paths with dots, through lists too; * stands for any name.
func selectFields(body []byte, fields string) []byte {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return body
	}
	var kept, added [][]string
	for field := range strings.SplitSeq(fields, ",") {
		field = strings.TrimSpace(strings.Replace(field, " ", "+", 1)) // a query's plus sign arrives as a space
		switch {
		case strings.HasPrefix(field, "-"):
			drop(value, strings.Split(field[1:], "."))
		case strings.HasPrefix(field, "+"):
			added = append(added, strings.Split(field[1:], "."))
		default:
			kept = append(kept, strings.Split(field, "."))
		}
	}
	if len(kept) > 0 {
		value, _ = keep(value, append(kept, added...))
	}
	selected, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return body
	}
	return selected
}

// keep returns what paths lead to in value, which it changes, and whether they can lead there.
func keep(value any, paths [][]string) (any, bool) {
	if slices.ContainsFunc(paths, func(path []string) bool { return len(path) == 0 }) {
		return value, true
	}
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i], _ = keep(v[i], paths)
		}
		return v, len(paths) > 0
	case map[string]any:
		for name := range v {
			kept, ok := keep(v[name], tails(paths, name))
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

// tails returns what follows name in the paths that begin with it.
func tails(paths [][]string, name string) [][]string {
	var below [][]string
	for _, path := range paths {
		if path[0] == name || path[0] == "*" {
			below = append(below, path[1:])
		}
	}
	return below
}

// drop takes out of value what path leads to.
func drop(value any, path []string) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			drop(item, path)
		}
	case map[string]any:
		for name := range v {
			switch {
			case path[0] != name && path[0] != "*":
			case len(path) == 1:
				delete(v, name)
			default:
				drop(v[name], path[1:])
			}
		}
	}
}
