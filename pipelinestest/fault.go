package pipelinestest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Fault is something that goes wrong with requests. The zero Fault strikes every request to the API and does nothing to it; set
// what it strikes and what it does.
type Fault struct {
	// Method is the method to strike; empty: any.
	Method string
	// Path is the path to strike, below the base URL; empty: any. An element in braces stands for any one element, so the
	// templates of the API fit ("/repositories/{workspace}/{repo_slug}/pipelines"); other elements are patterns of [path.Match]. A
	// [Request.Path] fits itself: a leading /2.0 doesn't count, and elements may be escaped.
	Path string
	// Match is a further condition; nil: none. It may read the body.
	Match func(*http.Request) bool
	// Storage strikes requests to the storage's origin instead of the API's.
	Storage bool
	// Skip lets so many matching requests pass first, then the fault strikes Times of them; Times 0: all.
	Skip, Times int
	// For is how long the fault strikes, counted from its first strike by the server's clock; 0: for good. With Times, whichever ends
	// first counts.
	For time.Duration

	// Latency is waited before anything else happens.
	Latency time.Duration
	// Status, if set, is answered in place of the server's own answer; the request has no effect then. Header and Body go with it, and
	// only with it. The Content-Type is text/plain unless Header says otherwise.
	Status int
	Header http.Header
	Body   string
	// Drop loses the connection.
	Drop Drop
	// Cut breaks the connection off once After bytes of the answer's body were sent; Stall sends nothing more from there on, until
	// the caller goes away. The full Content-Length has been announced in both cases. A body that isn't longer passes whole.
	Cut, Stall bool
	After      int64
}

// Drop says when a [Fault] loses the connection.
type Drop int

// The moments at which a connection is lost.
const (
	NoDrop     Drop = iota
	DropBefore      // the request has no effect
	DropAfter       // the request took effect, and the caller doesn't hear of it
)

// activeFault is a Fault, which never changes, and what it counts.
type activeFault struct {
	Fault
	skipped, used int
	since         time.Time // when it first struck
}

// Inject adds a fault. A request suffers the first fault, in the order of injection, that matches it and is neither skipping nor
// used up. It panics on a fault that could never strike: where the path is malformed, the method unknown, such as one in lower case, or
// For negative, or where there is a Header or a Body without a Status.
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

// faultFor returns the fault that the request suffers, which is the zero one for most.
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

// before does what happens before the request takes effect.
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

// response is the answer in place of the server's own, or nil.
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

// after does what happens when the request has taken effect.
func (f Fault) after(w http.ResponseWriter) {
	if f.Drop == DropAfter {
		dropConnection(w)
	}
}

// wrap makes the answer's body break where the fault says so.
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

// breakingWriter passes some bytes on and then breaks.
type breakingWriter struct {
	http.ResponseWriter
	left   int64
	broken func() // doesn't return
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

// dropConnection closes the caller's connection and ends the handler. The beginning of an answer goes out first: without it, net/http
// silently repeats a GET that was sent over a connection it had used before, and nobody would notice the fault.
func dropConnection(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}
