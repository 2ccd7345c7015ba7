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
// [http.ServeMux], below the base URL and without a host; a leading /2.0 doesn't count. The handler gets the request with its path values
// and without the prefix.
//
// Requests to it are treated as all others are: they are recorded, suffer faults, need credentials, and count against the quota where the
// path begins with /repositories/. No scope is asked for, and the repository needn't exist. The handler may use the server. Its response
// is sent when the handler returns.
//
// A pattern goes before the endpoints that the server has itself, unless it stands for all that is below a path, by a slash at its end or a
// wildcard such as {rest...}: then it serves what is left. Handle panics where [http.ServeMux.Handle] does, and where no request can fit.
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

// addedEndpoint is an endpoint that the test has added, on its way to serve a request.
type addedEndpoint struct {
	mux     *http.ServeMux
	request *http.Request // with the path below the base URL
}

// findAdded returns the endpoint that the test has added for a request, whose path has a prefix. Known is true where there is one for
// another method. Own says whether the server has an endpoint itself.
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
	u.Path, _ = url.PathUnescape(escaped) // part of a path that was parsed
	u.RawPath = escaped
	copied.URL = &u
	return copied
}

// refusesMethod reports whether a ServeMux found a path and no method: it has a handler for that, too.
func refusesMethod(errResp http.Handler, r *http.Request) bool {
	w := httptest.NewRecorder()
	errResp.ServeHTTP(w, r)
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
