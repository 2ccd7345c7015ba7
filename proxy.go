package pipelines

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-85ed9bfd/pipelines/internal/stall"
)

// proxyError says that the proxy on the way can't be used, or refuses to connect to the API. Nothing was sent to the API.
type proxyError struct{ err error }

func (e *proxyError) Error() string { return "the proxy refuses the connection: " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// proxyFailure returns err, as a proxyError if the proxy is the reason and another attempt would only bring the same.
func (t *transport) proxyFailure(req *http.Request, a *attempt, err error) error {
	inner, ok := t.inner.(*http.Transport)
	if !ok || inner.Proxy == nil || a.connected.Load() {
		return err
	}
	proxy, failed := inner.Proxy(req)
	switch {
	case failed != nil && !a.asked.Load(): // net/http asks the function before it asks for a connection
		a.handedOver = false
		if strings.Contains(failed.Error(), "@") { // it quotes an address with a password, which net/http can't take apart
			failed = errors.New("its address can't be used")
		}
		return &proxyError{failed}
	case proxy != nil && req.URL.Scheme == "https" && a.asked.Load() && refusesConnect(err):
		return &proxyError{err}
	}
	return err
}

// untyped is the type of the errors that net/http makes of a response to CONNECT: the words behind its status, and no more.
var untyped = reflect.TypeOf(errors.New(""))

func refusesConnect(err error) bool {
	others := []error{io.EOF, io.ErrUnexpectedEOF, stall.ErrStalled}
	return reflect.TypeOf(err) == untyped && !slices.Contains(others, err)
}
