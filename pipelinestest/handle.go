package pipelinestest

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
)

// Handle adds an endpoint that the server lacks, such as "GET /repositories/{workspace}/{repo_slug}/pullrequests". The pattern is one of
// [http.ServeMux], below the base URL and without a host; a leading /2.0 is ignored. The handler gets the request with its path values and
// without the prefix.
//
// The server treats these requests like all others: it records them, applies faults, requires credentials, and counts them against the
// quota if the path begins with /repositories/. It requires no scope, and the repository need not exist. The handler may use the server.
// Its response is sent when the handler returns.
//
// The pattern takes precedence over the server's own endpoints, unless it matches everything below a path, by a slash at the end or a
// wildcard such as {rest...}; it then serves what the server doesn't. Handle panics if [http.ServeMux.Handle] does, or if no request can
// match.
func (s *Server) Handle(pattern string, handler http.Handler) {
	method, below, _ := strings.Cut(pattern, " ")
	if strings.HasPrefix(method, "/") {
		method, below = "", pattern
	}
	if below = checkedPath(method, strings.TrimSpace(below)); !strings.HasPrefix(below, "/") {
		panic("pipelinestest: the pattern " + pattern + " has no path that begins with a slash")
	}
	s.added.Handle(strings.TrimSpace(method+" "+below), handler)
}

// addedEndpoint is an endpoint of [Server.Handle] that matched a request.
type addedEndpoint struct {
	mux     *http.ServeMux
	request *http.Request // its path is relative to the base URL
}

// findAdded returns the endpoint of [Server.Handle] for a request whose path has a prefix. Known reports whether there is one for another
// method. Own is whether the server has an endpoint itself.
func (s *Server) findAdded(r *http.Request, prefix string, own bool) (found *addedEndpoint, known bool) {
	below := cmp.Or(strings.TrimPrefix(r.URL.EscapedPath(), prefix), "/")
	shortened := strings.TrimSuffix(below, "/")
	if cleaned := path.Clean(below); cleaned != below && cleaned != shortened {
		return nil, false // a ServeMux would redirect it
	}
	for _, p := range []string{below, shortened} {
		if p == "" {
			continue
		}
		request := withPath(r, p)
		handler, pattern := s.added.Handler(request)
		switch {
		case pattern == "":
			known = known || !own && refusesMethod(handler, request)
		case own && (strings.HasSuffix(pattern, "/") || strings.HasSuffix(pattern, "...}")):
		default:
			return &addedEndpoint{s.added, request}, true
		}
	}
	return nil, known
}

// withPath returns a copy of a request with another path, which is escaped.
func withPath(r *http.Request, escaped string) *http.Request {
	copied := r.WithContext(r.Context())
	u := *r.URL
	u.Path, _ = url.PathUnescape(escaped) // part of a valid path
	u.RawPath = escaped
	copied.URL = &u
	return copied
}

// refusesMethod reports whether a ServeMux matched the path but not the method: its handler then responds with 405.
func refusesMethod(h http.Handler, r *http.Request) bool {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code == http.StatusMethodNotAllowed
}

// serve runs the handler, which may call the server.
func (e *addedEndpoint) serve(body []byte) *response {
	e.request.Body = io.NopCloser(bytes.NewReader(body))
	w := httptest.NewRecorder()
	e.mux.ServeHTTP(w, e.request)
	resp := w.Result()
	defer resp.Body.Close()
	return &response{status: resp.StatusCode, header: resp.Header, body: w.Body.Bytes()}
}
