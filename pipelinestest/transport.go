package pipelinestest

import (
	"net/http"
	"net/url"
)

// Transport returns an [http.RoundTripper] that serves requests without sockets, also in a bubble of testing/synctest. Bodies stream,
// contexts are honoured, and lost connections are the errors of a socket. Every host is the API, so that a client may keep
// https://api.bitbucket.org/2.0 as its base URL, except storage.bitbucket.test, which is the storage.
func (s *Server) Transport() http.RoundTripper {
	return &transport{api: s.Handler(), storage: s.storageHandler()}
}

type transport struct{ api, storage http.Handler }

func (t *transport) handler(u *url.URL) http.Handler {
	if u.Hostname() == storageHost {
		return t.storage
	}
	return t.api
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	body := newOnceBody(req.Body)
	x, err := newExchange(req, body)
	if err == nil {
		err = req.Context().Err() // an ended context sends nothing
	}
	if err != nil {
		body.Close()
		return nil, err
	}
	go x.serve(req.Context(), t.handler(req.URL))
	select {
	case <-x.ready:
	case <-req.Context().Done():
		body.Close()
		return nil, req.Context().Err()
	}
	if x.err != nil && req.Context().Err() != nil { // the handler aborted because the context ended
		return nil, req.Context().Err()
	}
	return x.resp, x.err
}

// inProcessKey marks the context of requests that came through a transport.
type inProcessKey struct{}

func inProcess(r *http.Request) bool { return r.Context().Value(inProcessKey{}) != nil }
