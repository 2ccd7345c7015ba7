package pipelines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxJSONBody    = 32 << 20
	maxJSONObjects = 1 << 18 // nulls in their place too: each takes a few bytes of JSON and hundreds of memory
	maxPooledBody  = 1 << 20
)

// decodeOptions tolerate what the service may send. Unknown members and null are no error to begin with.
var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

var (
	errEmptyBody = errors.New("it is empty")
	errNullBody  = errors.New("it is null")
)

// unreadableError says that the answer has a good status and a body that can't be used.
type unreadableError struct {
	status int
	err    error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("the service answered %d, but its body cannot be read: %v", e.status, e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

var bodyPool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// decode reads a 2xx answer into out.
func (k *call) decode(resp *http.Response, out any) error {
	defer resp.Body.Close()
	buf := bodyPool.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxPooledBody {
			bodyPool.Put(buf)
		}
	}()
	buf.Reset()
	if err := readBounded(buf, resp); err != nil {
		return &unreadableError{resp.StatusCode, err}
	}
	if err := k.decodeBody(buf.Bytes(), resp, out); err != nil {
		return &unreadableError{resp.StatusCode, err}
	}
	return nil
}

func readBounded(buf *bytes.Buffer, resp *http.Response) error {
	if n := resp.ContentLength; n > 0 && n <= maxJSONBody {
		buf.Grow(int(n) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, maxJSONBody+1))
	if n > maxJSONBody {
		return ErrResponseTooLarge
	}
	return err
}

func (k *call) decodeBody(body []byte, resp *http.Response, out any) error {
	switch into := out.(type) {
	case nil:
		return k.checkPage(resp)
	case *[]byte:
		*into = bytes.Clone(body)
		return nil
	}
	switch text := bytes.TrimSpace(body); {
	case len(text) == 0 && k.mayBeEmpty(resp):
		return nil
	case len(text) == 0:
		return errEmptyBody
	case string(text) == "null" && !k.at.op.custom():
		return errNullBody
	case len(body) > maxJSONObjects && bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("null")) > maxJSONObjects:
		return ErrResponseTooLarge
	}
	err := json.Unmarshal(body, out, decodeOptions)
	if err != nil { // a further attempt starts from nothing
		reflect.ValueOf(out).Elem().SetZero()
	}
	return jsonError(err)
}

// checkPage refuses a web page where an operation answers with nothing of use: it comes from something between the service and
// here, which may have passed nothing on.
func (k *call) checkPage(resp *http.Response) error {
	if !k.at.op.custom() && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return errors.New("it is a web page")
	}
	return nil
}

// mayBeEmpty holds for answers that don't claim to have content.
func (k *call) mayBeEmpty(resp *http.Response) bool {
	switch {
	case k.at.emptyOK:
		return true
	case k.at.op.custom():
		return k.at.op.Method == http.MethodHead || !strings.Contains(resp.Header.Get("Content-Type"), "json")
	}
	return resp.StatusCode == http.StatusNoContent && k.at.op.Method == http.MethodPut
}

// jsonError tells where a JSON text doesn't fit without repeating any of it.
func jsonError(err error) error {
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic):
		return fmt.Errorf("JSON of another shape at %q: %s does not fit into %v", semantic.JSONPointer, semantic.JSONKind, semantic.GoType)
	case errors.As(err, &syntactic):
		return fmt.Errorf("not JSON after %d bytes: %w", syntactic.ByteOffset, io.ErrUnexpectedEOF)
	}
	return errors.New("not JSON")
}
