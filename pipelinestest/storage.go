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

// object is a stored file.
type object struct{ content, etag string }

func newObject(id, content string) object {
	return object{content, fmt.Sprintf(`"%x"`, sha256.Sum256(fmt.Appendf(nil, "%s %d", id, len(content))))}
}

// store puts an object into the storage and returns a link to it that expires.
func (c *call) store(path string, o object) string {
	s := c.server
	s.objects[path] = o
	expires := strconv.FormatInt(c.now.Add(s.linkLifetime).UnixMilli(), 10)
	query := url.Values{"Expires": {expires}, "Signature": {signature(path, expires)}}
	return s.storageURL(c.request) + path + "?" + query.Encode()
}

// storageURL is the origin of the storage for the sender of a request. It is a socket's only if the request came through one. Its host name
// differs from that of the API, because most clients drop credentials on a redirect only if the name changes, not the port.
func (s *Server) storageURL(r *http.Request) string {
	if inProcess(r) || s.inProcess || inBubble() {
		return scheme(r) + "://" + storageHost
	}
	address := s.storage.serve(s.storageHandler())
	const name = "localhost"
	if api := (&url.URL{Host: host(r)}).Hostname(); !strings.EqualFold(api, name) {
		_, port, _ := net.SplitHostPort(address) // the address of a listener is valid
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

// serveStorage handles one request to the storage. The link is the credential; the storage refuses a second one.
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
