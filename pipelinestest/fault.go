package pipelinestest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Fault makes requests fail or slow. The zero Fault applies to every request to the API and changes nothing. Set the requests to which it
// applies, and its effect.
type Fault struct {
	// Method is the method of the requests; empty: any.
	Method string
	// Path is the path of the requests, below the base URL; empty: any. An element in braces matches any one
	// element, so path templates of the API work ("/repositories/{workspace}/{repo_slug}/pipelines"). Other
	// elements are patterns of [path.Match]. A [Request.Path] matches itself: a leading /2.0 is ignored, and
	// elements may be escaped.
	Path string
	// Match is a further condition; nil: none. It may read the body.
	Match func(*http.Request) bool
	// Storage applies the fault to requests to the storage instead of the API.
	Storage bool
	// Skip is the number of matching requests that pass before the fault applies. Times is the number of
	// requests to which it then applies; 0: all.
	Skip, Times int
	// For is how long the fault applies, by the server's clock, from the first request that it applies to; 0:
	// without end. If Times is set too, the fault ends with the first of the two.
	For time.Duration

	// Latency is how long the request waits first.
	Latency time.Duration
	// Status, if not 0, is the status of a response that is sent instead of the server's own. The request has
	// no effect then. Header and Body belong to this response and require a Status. The Content-Type is
	// text/plain unless Header sets another.
	Status int
	Header http.Header
	Body   string
	// Drop closes the connection.
	Drop Drop
	// Cut closes the connection after After bytes of the response body. Stall instead sends nothing more
	// until the client closes the connection. Either way, Content-Length is that of the whole body. A body of
	// at most After bytes is sent whole.
	Cut, Stall bool
	After      int64
}

// Drop is when a [Fault] closes the connection.
type Drop int

// The times at which a connection is closed.
const (
	NoDrop     Drop = iota
	DropBefore      // the request has no effect
	DropAfter       // the request has taken effect, and no response is sent
)

// activeFault is an injected Fault and its counters. The Fault itself never changes.
type activeFault struct {
	Fault
	skipped, used int
	since         time.Time // when it was first used
}

// Inject adds a fault. A request gets the first fault, in the order of injection, that matches it and is neither skipping nor used up.
// Inject panics on a fault that can't apply to any request: the path is malformed, the method is unknown (such as one in lower case), For
// is negative, or Header or Body is set without a Status.
func (s *Server) Inject(f Fault) {
	f.Path = checkedPath(f.Method, f.Path)
	if f.Status == 0 && (len(f.Header) > 0 || f.Body != "") {
		panic("pipelinestest: a Fault with a Header or a Body needs a Status")
	}
	if f.For < 0 {
		panic(fmt.Sprintf("pipelinestest: a Fault cannot last for %s", f.For))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &activeFault{Fault: f})
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// faultFor returns the fault that applies to a request. It is the zero Fault for most.
func (s *Server) faultFor(r *http.Request, body []byte, storage bool) Fault {
	s.mu.Lock()
	faults := slices.Clone(s.faults)
	s.mu.Unlock()
	for _, f := range faults {
		if f.matches(r, body, storage) && s.use(f) {
			return f.Fault
		}
	}
	return Fault{}
}

func (s *Server) use(f *activeFault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.skipped < f.Skip {
		f.skipped++
		return false
	}
	now := s.now()
	if f.Times > 0 && f.used >= f.Times || f.For > 0 && f.used > 0 && now.Sub(f.since) >= f.For {
		return false
	}
	if f.used == 0 {
		f.since = now
	}
	f.used++
	return true
}

func (f *activeFault) matches(r *http.Request, body []byte, storage bool) bool {
	if f.Storage != storage || f.Method != "" && f.Method != r.Method {
		return false
	}
	if !matchesPath(f.Path, r.URL.EscapedPath()) {
		return false
	}
	if f.Match == nil {
		return true
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return f.Match(r)
}

// before runs before the request takes effect.
func (f Fault) before(w http.ResponseWriter, r *http.Request) {
	if f.Latency > 0 {
		select {
		case <-time.After(f.Latency):
		case <-r.Context().Done():
		}
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	if f.Drop == DropBefore {
		dropConnection(w)
	}
}

// response is the response instead of the server's own, or nil.
func (f Fault) response() *response {
	if f.Status == 0 {
		return nil
	}
	header := http.Header{"Content-Type": {"text/plain"}}
	for key, values := range f.Header {
		header[http.CanonicalHeaderKey(key)] = values
	}
	return &response{status: f.Status, header: header, body: []byte(f.Body)}
}

// after runs once the request has taken effect.
func (f Fault) after(w http.ResponseWriter) {
	if f.Drop == DropAfter {
		dropConnection(w)
	}
}

// wrap returns a writer that breaks the response body where the fault says so.
func (f Fault) wrap(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if !f.Cut && !f.Stall {
		return w
	}
	return &breakingWriter{ResponseWriter: w, left: f.After, broken: func() {
		if f.Stall {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}}
}

// breakingWriter writes a number of bytes and then breaks.
type breakingWriter struct {
	http.ResponseWriter
	left   int64
	broken func() // never returns
}

func (w *breakingWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= w.left {
		w.left -= int64(len(p))
		return w.ResponseWriter.Write(p)
	}
	n, err := w.ResponseWriter.Write(p[:w.left])
	if err == nil {
		err = http.NewResponseController(w.ResponseWriter).Flush()
	}
	w.broken()
	return n, err
}

// dropConnection closes the client's connection and aborts the handler. It sends the beginning of a response first. Without it, net/http
// silently repeats a GET on a reused connection, and the test wouldn't see the fault.
func dropConnection(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}
