package pipelinestest

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// Request is a request that the server has received. Its fields include credentials. Printed or logged, it shows only its method, path and
// status, and whether it was sent to the storage.
type Request struct {
	Time    time.Time
	Method  string
	Host    string
	Path    string // escaped, as received, without the query
	Query   url.Values
	Header  http.Header
	Body    []byte
	Storage bool // sent to the storage instead of the API
	Status  int  // of the response; 0: none was sent
}

// String returns the method, the path and the status.
func (r Request) String() string {
	text := fmt.Sprintf("%s %s %d", r.Method, r.Path, r.Status)
	if r.Storage {
		text += " (storage)"
	}
	return text
}

// Format implements [fmt.Formatter]: every verb prints what [Request.String] returns.
func (r Request) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// LogValue implements [slog.LogValuer]. It leaves out headers, query and body.
func (r Request) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("method", r.Method), slog.String("path", r.Path), slog.Int("status", r.Status), slog.Bool("storage", r.Storage),
	)
}

// MarshalJSON implements [encoding/json.Marshaler]. It encodes no more than [Request.LogValue] logs.
func (r Request) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Method  string `json:"method"`
		Path    string `json:"path"`
		Status  int    `json:"status"`
		Storage bool   `json:"storage"`
	}{r.Method, r.Path, r.Status, r.Storage})
}

func (r Request) clone() Request {
	r.Query, r.Header, r.Body = maps.Clone(r.Query), r.Header.Clone(), bytes.Clone(r.Body)
	return r
}

// Requests returns the requests received so far, to the API and to the storage, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, 0, len(s.requests))
	for _, r := range s.requests {
		requests = append(requests, r.clone())
	}
	return requests
}

// RequestsTo returns those of [Server.Requests] with a method and a path; empty: any. The path is a pattern as in [Fault.Path]. RequestsTo
// panics if no request can match, so that a typo doesn't look like a request that wasn't sent.
func (s *Server) RequestsTo(method, path string) []Request {
	path = checkedPath(method, path)
	return slices.DeleteFunc(s.Requests(), func(r Request) bool {
		return method != "" && r.Method != method || !matchesPath(path, r.Path)
	})
}

// ClearRequests removes all recorded requests. Requests that arrive later are recorded.
func (s *Server) ClearRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

func (s *Server) record(r *http.Request, body []byte, storage bool) (record *Request, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record = &Request{
		Time: s.now(), Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.Query(),
		Header: r.Header.Clone(), Body: slices.Clip(body), Storage: storage,
	}
	s.requests = append(s.requests, record)
	s.arrivals++
	return record, identifier("request", s.arrivals)
}

func (s *Server) setStatus(record *Request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record.Status = status
}

// recorder records the status before it is written.
type recorder struct {
	http.ResponseWriter
	note  func(status int)
	noted bool
}

func (w *recorder) WriteHeader(status int) {
	if !w.noted {
		w.noted = true
		w.note(status)
	}
	w.ResponseWriter.WriteHeader(status)
}
