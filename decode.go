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

	"github.com/seed-85ed9bfd/pipelines/internal/lenient"
)

const (
	maxJSONBody   = 32 << 20
	maxPooledBody = 1 << 20
)

// decodeOptions tolerate what the service may send. Unknown members and null are no error to begin with.
var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

var (
	errEmptyBody       = errors.New("it is empty")
	errNullBody  error = &shapeError{"it is null", nil}
)

// actedOn are the members of a resource that the package acts on, as pointers: its UUID and its state. All others only inform.
var actedOn = map[string]bool{
	"": true, "/uuid": true, "/state": true, "/state/name": true, "/state/stage": true, "/state/stage/name": true,
	"/state/result": true, "/state/result/name": true, "/state/status": true, "/state/status/name": true,
}

// isActedOn reports whether the package acts on a value that decodes into type t. A body is a resource, a page of them or a bare
// list.
func isActedOn(p jsontext.Pointer, t reflect.Type) bool {
	switch p {
	case "/values", "/size", "/uri":
		return true
	case "/next": // a link and no build number
		return t.Kind() == reflect.String
	}
	path := strings.TrimPrefix(string(p), "/values")
	if len(path) > 1 && '0' <= path[1] && path[1] <= '9' { // an item of a page, or of a bare list
		path = strings.TrimLeft(path[1:], "0123456789")
	}
	return actedOn[path]
}

var (
	models = lenient.NewDecoder(isActedOn)
	// customModels read models for Do, whose caller may rely on names of another case.
	customModels = lenient.NewDecoder(isActedOn, json.MatchCaseInsensitiveNames(true))
	// informing decodes members of which nothing is acted on.
	informing = lenient.NewDecoder(nil)
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
	if k.raw != nil {
		*k.raw = bytes.Clone(body)
	}
	switch into := out.(type) {
	case nil:
		return k.checkPage(resp)
	case *[]byte:
		*into = bytes.Clone(body)
		return nil
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	switch text := bytes.TrimSpace(body); {
	case len(text) == 0 && k.mayBeEmpty(resp):
		return nil
	case len(text) == 0:
		return errEmptyBody
	case string(text) == "null" && !k.at.op.custom:
		return errNullBody
	case tooManyValues(body):
		return ErrResponseTooLarge
	}
	err := k.unmarshal(body, out)
	if err != nil { // a further attempt starts from nothing
		reflect.ValueOf(out).Elem().SetZero()
	}
	return err
}

func (k *call) unmarshal(body []byte, out any) error {
	if k.at.op.custom {
		return unmarshalCustom(body, out)
	}
	if err := models.Unmarshal(body, out); err != nil {
		return jsonError(body, err)
	}
	return k.checkCreated(out)
}

// checkPage refuses a web page where an operation answers with nothing of use: it comes from something between the service and
// here, which may have passed nothing on.
func (k *call) checkPage(resp *http.Response) error {
	if !k.at.op.custom && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return errors.New("it is a web page")
	}
	return nil
}

// mayBeEmpty holds for answers that don't claim to have content.
func (k *call) mayBeEmpty(resp *http.Response) bool {
	switch {
	case k.at.op.emptyOK:
		return true
	case k.at.op.custom:
		return k.at.op.Method == http.MethodHead || !strings.Contains(resp.Header.Get("Content-Type"), "json")
	}
	return resp.StatusCode == http.StatusNoContent && k.at.op.Method == http.MethodPut
}

// shapeError says that a body is well-formed JSON and not what was asked for. Another attempt would only bring it again.
type shapeError struct {
	text  string
	cause error // reachable, but not shown: it may repeat what came
}

func (e *shapeError) Error() string { return e.text }

func (e *shapeError) Unwrap() error { return e.cause }

// jsonError tells where a JSON text doesn't fit without repeating any of it.
func jsonError(body []byte, err error) error {
	var mismatch *lenient.MismatchError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &mismatch):
		return &shapeError{mismatch.Error(), nil}
	case errors.As(err, &syntactic):
		return notJSON(body, syntactic.ByteOffset)
	}
	return &shapeError{"JSON of another shape", nil}
}

func notJSON(body []byte, offset int64) error {
	if tooDeep(body) {
		return &shapeError{fmt.Sprintf("JSON nested more than %d levels deep", maxJSONDepth), nil}
	}
	return fmt.Errorf("not JSON after %d bytes: %w", offset, io.ErrUnexpectedEOF)
}
