package pipelines

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/exchange"
)

// proxyError is the failure of a proxy that can't be used, or that refuses to connect to the API. Nothing was sent to the API.
type proxyError struct{ err error }

func (e *proxyError) Error() string { return "the proxy refuses the connection: " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// proxyFailure returns err, or a proxyError if the proxy caused it and another attempt would bring the same.
func proxyFailure(transport http.RoundTripper, req *http.Request, x *exchange.Exchange, err error) error {
	inner, ok := transport.(*http.Transport)
	if !ok || inner.Proxy == nil || x.Connected() {
		return err
	}
	proxy, failed := inner.Proxy(req)
	switch {
	case failed != nil && err.Error() == failed.Error() && !x.AskedForConnection(): // net/http asks for the proxy first
		if strings.Contains(failed.Error(), "@") { // it quotes an address with a password that net/http can't parse
			failed = errors.New("its address can't be used")
		}
		return &proxyError{failed}
	case proxy != nil && req.URL.Scheme == "https" && x.AskedForConnection() && refusesConnect(err):
		return &proxyError{err}
	}
	return err
}

// untyped is the type of the errors that net/http makes of a response to CONNECT: the words behind its status, and no more.
var untyped = reflect.TypeOf(errors.New(""))

func refusesConnect(err error) bool {
	others := []error{io.EOF, io.ErrUnexpectedEOF, exchange.ErrStalled}
	return reflect.TypeOf(err) == untyped && !slices.Contains(others, err)
}
