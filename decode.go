package pipelines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-85ed9bfd/pipelines/internal/jsonsize"
	"github.com/seed-85ed9bfd/pipelines/internal/lenient"
)

const (
	maxJSONBody   = 32 << 20
	maxPooledBody = 1 << 20
	// maxJSONValues bounds the values of a body, as jsonsize counts them. Each takes as little as two bytes of JSON, and up to
	// hundreds of memory.
	maxJSONValues = 1 << 19
	// maxJSONDepth is how deep the decoders descend.
	maxJSONDepth = 10_000
)

// decodeOptions tolerate what the service may send. Unknown members and null are valid by default.
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

// unreadableError is the error of a 2xx response whose body can't be used.
type unreadableError struct {
	status int
	err    error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("the service answered %d, but its body cannot be read: %v", e.status, e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

var bodyPool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// decode reads the body of a 2xx response into k.out.
func (k *call) decode(resp *http.Response) error {
	defer resp.Body.Close()
	buf := bodyPool.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxPooledBody {
			bodyPool.Put(buf)
		}
	}()
	buf.Reset()
	k.arrive(nil)
	if k.decoded != nil {
		defer k.decoded()
	}
	err := readBounded(buf, resp)
	if err == nil {
		k.arrive(buf.Bytes())
		err = k.decodeBody(buf.Bytes(), resp)
	}
	if err != nil {
		return &unreadableError{resp.StatusCode, err}
	}
	return nil
}

func (k *call) arrive(body []byte) {
	if k.arriving != nil {
		k.arriving(body)
	}
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

func (k *call) decodeBody(body []byte, resp *http.Response) error {
	if k.raw != nil {
		*k.raw = bytes.Clone(body)
	}
	switch into := k.out.(type) {
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
	case jsonsize.MoreValues(body, maxJSONValues):
		return ErrResponseTooLarge
	}
	if err := k.unmarshal(body); err != nil {
		reflect.ValueOf(k.out).Elem().SetZero() // for the next attempt
		return err
	}
	return nil
}

func (k *call) unmarshal(body []byte) error {
	if k.at.op.custom {
		return unmarshalCustom(body, k.out)
	}
	if err := models.Unmarshal(body, k.out); err != nil {
		return jsonError(body, err)
	}
	if k.at.op.safety == once {
		return k.checkCreated()
	}
	return nil
}

// checkPage refuses a web page as the response of an operation whose response has nothing of use. HTML here comes from a proxy that
// may not have forwarded the request.
func (k *call) checkPage(resp *http.Response) error {
	if !k.at.op.custom && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return errors.New("it is a web page, not JSON")
	}
	return nil
}

// mayBeEmpty reports whether an empty body is valid.
func (k *call) mayBeEmpty(resp *http.Response) bool {
	switch {
	case k.at.op.emptyOK:
		return true
	case k.at.op.custom:
		return k.at.op.Method == http.MethodHead || !strings.Contains(resp.Header.Get("Content-Type"), "json")
	}
	return resp.StatusCode == http.StatusNoContent && k.at.op.Method == http.MethodPut
}

// shapeError is the error of a body that is well-formed JSON, but not of the expected shape. Another attempt would bring it again.
type shapeError struct {
	text  string
	cause error // can be unwrapped, but isn't shown: it may repeat the body
}

func (e *shapeError) Error() string { return e.text }

func (e *shapeError) Unwrap() error { return e.cause }

// jsonError returns the error of a body that can't be decoded: where, without repeating any of it.
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
	if jsonsize.Depth(body) > maxJSONDepth {
		return &shapeError{fmt.Sprintf("JSON nested more than %d levels deep", maxJSONDepth), nil}
	}
	switch text := bytes.TrimSpace(body); {
	case len(text) == 0:
	case text[0] == '<':
		return &notJSONError{"it is a web page, not JSON"}
	case !beginsAsJSON(text):
		return &notJSONError{"it is text, not JSON"}
	}
	return fmt.Errorf("not JSON after %d bytes: %w", offset, io.ErrUnexpectedEOF)
}

func beginsAsJSON(text []byte) bool {
	if strings.IndexByte(`{["-0123456789`, text[0]) >= 0 {
		return true
	}
	return slices.ContainsFunc([]string{"true", "false", "null"}, func(literal string) bool {
		return bytes.HasPrefix(text, []byte(literal))
	})
}

// notJSONError is the error of a body that doesn't even begin as JSON. It is an [io.ErrUnexpectedEOF], as that of one that is cut off.
type notJSONError struct{ text string }

func (e *notJSONError) Error() string { return e.text }

func (e *notJSONError) Unwrap() error { return io.ErrUnexpectedEOF }
