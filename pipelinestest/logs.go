package pipelinestest

import (
	"mime"
	"net/http"
	"strings"
	"time"
)

var logRoutes = []route{
	{http.MethodGet, stepPath + "/log", readPipeline, (*call).stepLog},
	{http.MethodGet, stepPath + "/logs/{log_uuid}", readPipeline, (*call).containerLog},
}

func (c *call) stepLog() *response { return c.log(c.params["step_uuid"]) }

func (c *call) containerLog() *response { return c.log(c.params["log_uuid"]) }

// log serves a log: directly while the step runs, from the storage once it has ended.
func (c *call) log(id string) *response {
	if !acceptsBytes(c.request.Header) {
		return errorResponse(http.StatusNotAcceptable, "Not acceptable", "A log is application/octet-stream.")
	}
	r, i, errResp := c.step()
	if errResp != nil {
		return errResp
	}
	text, done := r.logAt(i, r.steps[i].log(id), c.now)
	switch {
	case text == "":
		return serviceError(http.StatusNotFound, "result-service.log.not-found",
			"Log in step "+r.steps[i].uuid+" does not exist.", map[string]string{"stepId": r.steps[i].uuid})
	case !done:
		return contentResponse(text, "")
	}
	stored := newObject(id, text)
	if c.request.Header.Get("If-None-Match") == stored.etag {
		resp := emptyResponse(http.StatusNotModified)
		resp.header.Set("Etag", stored.etag)
		return resp
	}
	resp := emptyResponse(http.StatusTemporaryRedirect)
	resp.header.Set("Location", c.store("/logs/"+bare(r.steps[i].uuid)+"/"+bare(id), stored))
	return resp
}

// log is the text of a log. The UUID of the step names that of the build container; others are of services.
func (s *step) log(id string) string {
	if id == s.uuid {
		return s.script.Log
	}
	return s.script.Services[id]
}

// acceptsBytes reports whether the Accept header allows the media type of logs.
func acceptsBytes(header http.Header) bool {
	accept := strings.Join(header.Values("Accept"), ",")
	if accept == "" {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		switch mediaType, _, _ := mime.ParseMediaType(part); mediaType {
		case "*/*", "application/*", "application/octet-stream":
			return true
		}
	}
	return false
}

// logAt returns the whole lines of a step's log that exist at a time, and reports whether the step has ended.
func (r *run) logAt(i int, text string, now time.Time) (log string, done bool) {
	planned, total := r.plan().spans[i], r.steps[i].script.Duration
	elapsed := planned.elapsed(now)
	switch {
	case !planned.started(now):
		return "", planned.done(now)
	case elapsed >= total:
		return text, planned.done(now)
	}
	lines := strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1
	return firstLines(text, int(float64(lines)*float64(elapsed)/float64(total))), planned.done(now)
}

func firstLines(text string, n int) string {
	end := 0
	for range n {
		end += strings.IndexByte(text[end:], '\n') + 1
	}
	return text[:end]
}
