package pipelinestest

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// response is an answer that is complete before any of it is sent, so that the server's lock is free by then.
type response struct {
	status int
	header http.Header
	body   []byte
	content *string // content that is served in ranges, in place of status and body
}

func (resp *response) write(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), resp.header)
	if resp.content != nil {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(*resp.content))
		return
	}
	if resp.status != http.StatusNoContent && resp.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(resp.body)))
	}
	w.WriteHeader(resp.status)
	if len(resp.body) > 0 {
		_, _ = w.Write(resp.body) // the caller may be gone
	}
}

func emptyResponse(status int) *response { return &response{status: status, header: http.Header{}} }

func textResponse(status int, contentType, text string) *response {
	return &response{status: status, header: http.Header{"Content-Type": {contentType}}, body: []byte(text)}
}

func jsonResponse(status int, v any) *response {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return textResponse(http.StatusInternalServerError, "text/plain", "pipelinestest: the answer cannot be encoded: "+err.Error())
	}
	return &response{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// contentResponse serves content in ranges. An empty etag sends none.
func contentResponse(content, etag string) *response {
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	if etag != "" {
		header.Set("Etag", etag)
	}
	return &response{header: header, content: &content}
}

// errorResponse is an error in the standard form. Detail is a text or an object; nil: none.
func errorResponse(status int, message string, detail any) *response {
	problem := map[string]any{"message": message}
	if detail != nil {
		problem["detail"] = detail
	}
	return jsonResponse(status, map[string]any{"type": "error", "error": problem})
}

// serviceError is an error in the form of the service behind the API, with a key and its arguments.
func serviceError(status int, key, detail string, arguments map[string]string) *response {
	message := http.StatusText(status)
	return jsonResponse(status, map[string]any{"error": map[string]any{
		"message": message[:1] + strings.ToLower(message[1:]), "detail": detail,
		"data": map[string]any{"key": key, "arguments": arguments},
	}})
}

// invalidRequest refuses a body as the services behind the API do.
func invalidRequest(service, detail string) *response {
	return serviceError(http.StatusBadRequest, service+".request.invalid", detail, map[string]string{})
}

// notFoundPage is what a missing repository is answered with: a web page, and a long one.
var notFoundPage = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Repository not found</title></head>\n<body>\n" +
	strings.Repeat("<p>We can't let you see this page, or there is nothing to see.</p>\n", 370) + "</body>\n</html>\n"

// json answers with v, or with the part of it that the fields parameter asks for.
func (c *call) json(status int, v any) *response {
	resp := jsonResponse(status, v)
	if fields := c.query.Get("fields"); fields != "" {
		resp.body = selectFields(resp.body, fields)
	}
	return resp
}
