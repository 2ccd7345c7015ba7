package pipelinestest

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var logRoutes = []route{
	{http.MethodGet, stepPath + "/log", readPipeline, (*call).stepLog},
	{http.MethodGet, stepPath + "/logs/{log_uuid}", readPipeline, (*call).containerLog},
}

func (c *call) stepLog() *reply { return c.log(c.params["step_uuid"]) }

func (c *call) containerLog() *reply { return c.log(c.params["log_uuid"]) }

// log serves a log: directly while the step runs, from the storage once it has ended.
func (c *call) log(id string) *reply {
	if !acceptsBytes(c.request.Header) {
		return failure(http.StatusNotAcceptable, "Not acceptable", "A log is application/octet-stream.")
	}
	r, i, refusal := c.step()
	if refusal != nil {
		return refusal
	}
	text, done := r.written(i, r.steps[i].log(id), c.now)
	switch {
	case text == "":
		return serviceFailure(http.StatusNotFound, "result-service.log.not-found",
			"Log in step "+r.steps[i].uuid+" does not exist.", map[string]string{"stepId": r.steps[i].uuid})
	case !done:
		return rangedReply(text, "")
	}
	stored := newObject(id, text)
	if c.request.Header.Get("If-None-Match") == stored.etag {
		a := emptyReply(http.StatusNotModified)
		a.header.Set("Etag", stored.etag)
		return a
	}
	a := emptyReply(http.StatusTemporaryRedirect)
	a.header.Set("Location", c.store("/logs/"+bare(r.steps[i].uuid)+"/"+bare(id), stored))
	return a
}

// log is the text of the build container's log, which has the step's UUID, or of a service's.
func (s *step) log(id string) string {
	if id == s.uuid {
		return s.script.Log
	}
	return s.script.Services[id]
}

// acceptsBytes reports whether the caller takes what logs are. One that asks for JSON doesn't.
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

// object is what lies in the storage.
type object struct{ content, etag string }

func newObject(id, content string) object {
	return object{content, fmt.Sprintf(`"%x"`, sha256.Sum256(fmt.Appendf(nil, "%s %d", id, len(content))))}
}

// store puts an object into the storage and returns a link to it that works for a while.
func (c *call) store(path string, o object) string {
	s := c.server
	s.objects[path] = o
	expires := strconv.FormatInt(c.now.Add(s.linkLifetime).UnixMilli(), 10)
	query := url.Values{"Expires": {expires}, "Signature": {signature(path, expires)}}
	return s.storageURL(c.request) + path + "?" + query.Encode()
}

// storageURL is the storage's origin as the sender of a request can reach it: over a socket only if there may be one. It has another host
// name than the API, because what most clients keep to themselves on a redirect depends on the name and not on the port.
func (s *Server) storageURL(r *http.Request) string {
	if inProcess(r) || s.inProcess || inBubble() {
		return scheme(r) + "://" + storageHost
	}
	address := s.storage.serve(s.storageHandler())
	const name = "localhost"
	if api := (&url.URL{Host: host(r)}).Hostname(); !strings.EqualFold(api, name) {
		_, port, _ := net.SplitHostPort(address) // it is a listener's
		address = net.JoinHostPort(name, port)
	}
	return "http://" + address
}

func (s *Server) storageHandler() http.Handler { return s.endpoint(true, s.answerStorage) }

func signature(path, expires string) string {
	mac := hmac.New(sha256.New, []byte("pipelinestest"))
	fmt.Fprintf(mac, "%s\n%s", path, expires)
	return fmt.Sprintf("%x", mac.Sum(nil))
}

// answerStorage answers one request to the storage. The link is the credential; a second one is refused.
func (s *Server) answerStorage(r *http.Request, _ []byte) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	expires, _ := strconv.ParseInt(query.Get("Expires"), 10, 64)
	stored, found := s.objects[r.URL.Path]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return storageFailure(http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed against this resource.")
	case r.Header.Get("Authorization") != "":
		return storageFailure(http.StatusBadRequest, "InvalidArgument", "The link and an Authorization header are two credentials; only one is allowed.")
	case query.Get("Signature") != signature(r.URL.Path, query.Get("Expires")):
		return storageFailure(http.StatusForbidden, "SignatureDoesNotMatch", "The signature does not match the link.")
	case !s.now().Before(time.UnixMilli(expires)):
		return storageFailure(http.StatusForbidden, "AccessDenied", "Request has expired")
	case !found:
		return storageFailure(http.StatusNotFound, "NoSuchKey", "The key does not exist.")
	}
	return rangedReply(stored.content, stored.etag)
}

func storageFailure(status int, code, message string) *reply {
	return textReply(status, "application/xml",
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>"+code+"</Code><Message>"+message+"</Message></Error>\n")
}
