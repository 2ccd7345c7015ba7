package pipelinestest

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

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

func (s *Server) storageHandler() http.Handler { return s.handler(true, s.serveStorage) }

func signature(path, expires string) string {
	mac := hmac.New(sha256.New, []byte("pipelinestest"))
	fmt.Fprintf(mac, "%s\n%s", path, expires)
	return fmt.Sprintf("%x", mac.Sum(nil))
}

// serveStorage answers one request to the storage. The link is the credential; a second one is refused.
func (s *Server) serveStorage(r *http.Request, _ []byte) *response {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	expires, _ := strconv.ParseInt(query.Get("Expires"), 10, 64)
	stored, found := s.objects[r.URL.Path]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return storageError(http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed against this resource.")
	case r.Header.Get("Authorization") != "":
		return storageError(http.StatusBadRequest, "InvalidArgument", "The link and an Authorization header are two credentials; only one is allowed.")
	case query.Get("Signature") != signature(r.URL.Path, query.Get("Expires")):
		return storageError(http.StatusForbidden, "SignatureDoesNotMatch", "The signature does not match the link.")
	case !s.now().Before(time.UnixMilli(expires)):
		return storageError(http.StatusForbidden, "AccessDenied", "Request has expired")
	case !found:
		return storageError(http.StatusNotFound, "NoSuchKey", "The key does not exist.")
	}
	return contentResponse(stored.content, stored.etag)
}

func storageError(status int, code, message string) *response {
	return textResponse(status, "application/xml",
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>"+code+"</Code><Message>"+message+"</Message></Error>\n")
}
