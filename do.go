package pipelines

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
)

// Do sends a request to any path below the base URL, such as "/repositories/acme/site/commits?pagelen=5", with the credentials,
// limiter, retries and errors of every other call. GET, HEAD, PUT, DELETE and OPTIONS count as safe to repeat. A bare UUID in
// path is sent as it is: put braces around it, percent-encoded.
//
// A body is encoded as [encoding/json] does; nil is none. A []byte is sent as it is, with the Content-Type application/json
// unless [WithHeader] sets another.
//
// The response is decoded into out as encoding/json does. out may be nil; a *[]byte gets the body as it is. If the body is empty,
// out stays as it was, unless the response claims to be JSON. If the body can't be decoded, out is zero.
//
// A type of this package, or a list or map of one, is encoded and decoded as by the package's own methods: secrets are sent,
// and a member of another shape is read or left at zero.
func (c *Client) Do(ctx context.Context, method, path string, body, out any, opts ...CallOption) error {
	at := customEndpoint("Do", method, path)
	if v := reflect.ValueOf(out); out != nil && (v.Kind() != reflect.Pointer || v.IsNil()) {
		at = at.withError(invalidArgument("out is a %T and not a pointer to decode into", out))
	}
	k, err := c.newCall(ctx, at, body, opts)
	if err != nil {
		return err
	}
	return k.sendJSON(ctx, out)
}

// The types that callers give to Do are written for encoding/json, so it encodes and decodes them.

// encodeCustom encodes a body of Do. The package's own types are encoded as in its own requests, secrets included.
func encodeCustom(body any) ([]byte, error) {
	if isModel(reflect.TypeOf(body)) {
		return json.Marshal(body, encodeOptions)
	}
	return stdjson.Marshal(body)
}

// unmarshalCustom decodes a response to Do. Of the package's own types, what encoding/json refuses is read as in the package's
// own responses.
func unmarshalCustom(body []byte, out any) error {
	err := stdjson.Unmarshal(body, out)
	switch {
	case err == nil:
		return nil
	case !stdjson.Valid(body):
		return notJSON(body, syntaxOffset(err))
	case isModel(reflect.TypeOf(out)):
		reflect.ValueOf(out).Elem().SetZero()
		if err := customModels.Unmarshal(body, out); err != nil {
			return jsonError(body, err)
		}
		return nil
	}
	return customMismatch(err)
}

func syntaxOffset(err error) int64 {
	if syntax := (*stdjson.SyntaxError)(nil); errors.As(err, &syntax) {
		return syntax.Offset
	}
	return 0
}

// customMismatch tells what doesn't fit into the caller's type. An error of the caller's own UnmarshalJSON can be reached by
// [errors.As].
func customMismatch(err error) error {
	var mismatch *stdjson.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		kind, _, _ := strings.Cut(mismatch.Value, " ")
		return &shapeError{fmt.Sprintf("JSON of another shape at %q: %s does not fit into %v", mismatch.Field, kind, mismatch.Type), nil}
	}
	return &shapeError{fmt.Sprintf("JSON of another shape: %T", err), err}
}

// isModel reports whether t is a type of this package, or a pointer to or a list or map of one.
func isModel(t reflect.Type) bool {
	switch {
	case t == nil:
		return false
	case t.Name() != "":
		return t.PkgPath() == reflect.TypeFor[Client]().PkgPath()
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return isModel(t.Elem())
	default:
		return false
	}
}
