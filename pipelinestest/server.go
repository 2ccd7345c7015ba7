package pipelinestest

import (
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	apiPrefix    = "/2.0"
	apiHost      = "api.bitbucket.test"     // the API without a socket
	storageHost  = "storage.bitbucket.test" // the storage without a socket
	defaultToken = "pipelinestest-token"
)

// Server is a fake of Bitbucket Pipelines. Make one with [NewServer]. It is safe for concurrent use.
type Server struct {
	clock        func() time.Time
	inProcess    bool // also set for a server made in a bubble
	withoutNext  bool
	quota        int // 0: none
	linkLifetime time.Duration
	clientToken  string

	lateVariables, lateEnvironments time.Duration

	scheduleLimit int // 0: none
	runnerLimit   int // 0: none

	api, storage socket
	added        *http.ServeMux // the endpoints of [Server.Handle]

	mu           sync.Mutex
	ids          int // counts UUIDs
	arrivals     int // counts requests
	repositories []*Repository
	gone         []goneName
	workspaces   []*Workspace
	teams, users []*Owner
	signingKeys  []*rsa.PrivateKey // generated when first used; the last one signs
	creator      pipelines.Account
	access       access
	counted      map[quotaOwner][]time.Time // times of the requests that count against a quota
	objects      map[string]object
	faults       []*activeFault
	requests     []*Request
}

// NewServer returns a server without repositories. It opens no socket; [Server.URL] does. In a bubble of testing/synctest it implies
// [WithInProcess].
func NewServer(opts ...ServerOption) *Server {
	s := &Server{
		clock:            time.Now,
		inProcess:        inBubble(),
		linkLifetime:     time.Hour,
		lateVariables:    defaultLateVariables,
		lateEnvironments: defaultLateEnvironments,
		scheduleLimit:    defaultScheduleLimit,
		runnerLimit:      defaultRunnerLimit,
		counted:          map[quotaOwner][]time.Time{},
		objects:          map[string]object{},
		access:           newAccess(),
		added:            http.NewServeMux(),
	}
	s.creator = pipelines.Account{
		Type: "user", UUID: s.newUUID(), DisplayName: "Pipelines Test", Nickname: "pipelinestest", AccountID: "557058:" + identifier("account", 1),
	}
	for _, opt := range opts {
		if opt != nil {
			opt(s)
		}
	}
	return s
}

// Format implements [fmt.Formatter]. Every verb prints only the name of the type, because the server holds credentials.
func (s *Server) Format(f fmt.State, _ rune) { fmt.Fprint(f, "pipelinestest.Server") }

// URL returns the base URL of the API. The first call opens a loopback socket. With [WithInProcess], and if the server was made in a bubble
// of testing/synctest, it opens none, and only [Server.Transport] serves the URL. After [Server.Close] it opens none either, and the URL
// stays the same. URL panics in a bubble if the server was made outside of it, and if no port of the loopback interface is free.
func (s *Server) URL() string {
	switch {
	case s.inProcess:
		return "http://" + apiHost + apiPrefix
	case inBubble():
		panic(outsideBubbleMessage)
	}
	return "http://" + s.api.serve(s.Handler()) + apiPrefix
}

// Client returns a client of the server with credentials that the server accepts. Opts are applied last and may replace anything. Client
// panics if opts are invalid, and if [Server.URL] does.
func (s *Server) Client(opts ...pipelines.Option) *pipelines.Client {
	token := s.clientToken
	if token == "" {
		token = defaultToken
	}
	own := []pipelines.Option{pipelines.WithBaseURL(s.URL()), pipelines.WithToken(token)}
	if s.inProcess {
		own = append(own, pipelines.WithHTTPClient(&http.Client{Transport: s.Transport()}))
	} else {
		own = append(own, pipelines.WithLimiter(bubbleLimiter{}))
	}
	client, err := pipelines.NewClient(append(own, opts...)...)
	if err != nil {
		panic("pipelinestest: invalid options for Server.Client: " + err.Error())
	}
	return client
}

// Close closes the sockets and their connections, and keeps the server from opening others. Recorded requests stay readable.
// [Server.Transport] and [Server.Handler] need no socket and continue to work.
func (s *Server) Close() {
	s.api.close()
	s.storage.close()
}

// Handler serves the API and the OAuth token endpoint, with or without the prefix /2.0, for use in a server of your own. Logs of ended
// steps still redirect to a storage that the Server opens itself.
func (s *Server) Handler() http.Handler { return s.handler(false, s.serveAPI) }

// handler does what both origins have in common: it records the request, applies its fault, and writes the response.
func (s *Server) handler(storage bool, serve func(*http.Request, []byte) *response) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = withEncodedBraces(r)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the client disconnected
		}
		record, id := s.record(r, body, storage)
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("Date", s.now().Format(http.TimeFormat)) // by the clock that sets all other times
		fault := s.faultFor(r, body, storage)
		fault.before(w, r)
		resp := fault.response()
		if resp == nil {
			resp = serve(r, body)
		}
		fault.after(w)
		resp.write(&recorder{ResponseWriter: fault.wrap(w, r), note: func(status int) { s.setStatus(record, status) }}, r)
	})
}

func (s *Server) now() time.Time { return s.clock().UTC() }

// identifier returns 32 hexadecimal digits that look random and are the same in every run of a test.
func identifier(kind string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, n))
	return fmt.Sprintf("%x", sum[:16])
}

// newUUID returns a UUID of version 4, in braces as the service writes it.
func (s *Server) newUUID() string {
	s.ids++
	id := []byte(identifier("uuid", s.ids))
	id[12], id[16] = '4', '8'
	return fmt.Sprintf("{%s-%s-%s-%s-%s}", id[:8], id[8:12], id[12:16], id[16:20], id[20:])
}
