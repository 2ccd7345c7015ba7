package pipelinestest

import (
	"maps"
	"net/http"
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
