package pipelinestest

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
)

// closedAddress is the address of a server that was closed before it was opened. Nothing can listen there.
const closedAddress = "127.0.0.1:0"

// socket is a loopback server that opens when its address is first needed, and never again once closed.
type socket struct {
	mu      sync.Mutex
	servers []*httptest.Server // one for each listener; empty unless open
	cancel  context.CancelFunc // ends all requests
	address string             // host and port; never changes once set
}

// serve returns the address at which h is served.
//
//nolint:contextcheck,nolintlint // its callers, also in other modules, pass no context: requests end with the socket
func (l *socket) serve(h http.Handler) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.address != "" {
		return l.address
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for _, listener := range listenOnLoopback() {
		config := &http.Server{Handler: h, BaseContext: func(net.Listener) context.Context { return ctx }} //nolint:gosec // only the test connects
		server := &httptest.Server{Listener: listener, Config: config}
		server.Start()
		l.servers = append(l.servers, server)
	}
	l.address = l.servers[0].Listener.Addr().String()
	return l.address
}

func (l *socket) close() {
	l.mu.Lock()
	servers := l.servers
	l.servers, l.address = nil, cmp.Or(l.address, closedAddress)
	if l.cancel != nil {
		l.cancel() // also requests of clients that connect while their connections are closed
	}
	l.mu.Unlock()
	for _, server := range servers {
		server.CloseClientConnections()
		server.Close()
	}
}

// listenOnLoopback listens on one port of the loopback interface, by IPv4 and IPv6 if the machine has both. Localhost may mean either, and
// some clients try only the first.
func listenOnLoopback() []net.Listener {
	const tries = 10 // the port may be taken in one of the two families
	for try := 1; ; try++ {
		listeners, err := listenOnPort()
		switch {
		case len(listeners) == 2 || len(listeners) == 1 && try == tries:
			return listeners
		case try == tries:
			panic("pipelinestest: no port of the loopback interface is free: " + err.Error())
		}
		for _, l := range listeners {
			_ = l.Close() // no client has connected yet
		}
	}
}

// listenOnPort listens on a port by IPv4 and IPv6, as far as possible. The error is the last one.
func listenOnPort() (listeners []net.Listener, err error) {
	port := "0"
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, failed := net.Listen("tcp", net.JoinHostPort(host, port)) //nolint:noctx // doesn't block
		if failed != nil {
			err = failed
			continue
		}
		_, port, _ = net.SplitHostPort(l.Addr().String()) // a TCP address has a port
		listeners = append(listeners, l)
	}
	return listeners, err
}
