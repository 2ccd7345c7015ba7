package pipelinestest

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// response is complete before any of it is written, so that the server's lock isn't held while writing.
type response struct {
	status  int
	header  http.Header
	body    []byte
	content *string // served with ranges, instead of status and body
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
		_, _ = w.Write(resp.body) // the client may have disconnected
	}
}

func emptyResponse(status int) *response { return &response{status: status, header: http.Header{}} }

func textResponse(status int, contentType, text string) *response {
	return &response{status: status, header: http.Header{"Content-Type": {contentType}}, body: []byte(text)}
}

func jsonResponse(status int, v any) *response {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return textResponse(http.StatusInternalServerError, "text/plain", "pipelinestest: cannot encode the response: "+err.Error())
	}
	return &response{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// contentResponse serves content and supports ranges. With an empty etag it has no Etag header.
func contentResponse(content, etag string) *response {
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	if etag != "" {
		header.Set("Etag", etag)
	}
	return &response{header: header, content: &content}
}

// errorResponse is an error of the API. Detail is a string or an object; nil: none.
func errorResponse(status int, message string, detail any) *response {
	problem := map[string]any{"message": message}
	if detail != nil {
		problem["detail"] = detail
	}
	return jsonResponse(status, map[string]any{"type": "error", "error": problem})
}

// serviceError is an error of a service behind the API, with a key and its arguments.
func serviceError(status int, key, detail string, arguments map[string]string) *response {
	message := http.StatusText(status)
	return jsonResponse(status, map[string]any{"error": map[string]any{
		"message": message[:1] + strings.ToLower(message[1:]), "detail": detail,
		"data": map[string]any{"key": key, "arguments": arguments},
	}})
}

// invalidRequest is the response of a service behind the API to an invalid body.
func invalidRequest(service, detail string) *response {
	return serviceError(http.StatusBadRequest, service+".request.invalid", detail, map[string]string{})
}

// goneMessage is the message of the response for a repository that was deleted or renamed.
const goneMessage = "You may not have access to this repository or it no longer exists in this workspace. " +
	"If you think this repository exists and you have access, make sure you are authenticated."

// notFoundPage is the body of the response for a repository that never existed: a long HTML page.
var notFoundPage = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Repository not found</title></head>\n<body>\n" +
	strings.Repeat("<p>We can't let you see this page, or there is nothing to see.</p>\n", 370) + "</body>\n</html>\n"

// json is a response with v, or with those of its members that the fields parameter selects.
func (c *call) json(status int, v any) *response {
	resp := jsonResponse(status, v)
	if fields := c.query.Get("fields"); fields != "" {
		resp.body = selectFields(resp.body, fields)
	}
	return resp
}
