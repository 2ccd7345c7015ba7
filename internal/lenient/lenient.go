// Package lenient decodes JSON whose values may be of other kinds than their Go types. It converts such a value if that is plausible,
// such as "12" to 12, and else leaves it at zero, so that one odd member doesn't lose all the others.
package lenient

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-85ed9bfd/pipelines/internal/exactjson"
)

// A Decoder decodes JSON into structs, maps, slices, pointers, any, strings, booleans, signed integers, floats, [time.Time] and types
// with an UnmarshalJSON method. It is safe for concurrent use.
type Decoder struct {
	required func(jsontext.Pointer, reflect.Type) bool
	exact    bool // JSON that fits is decoded by package exactjson
	strict   json.Options
	tolerant json.Options
	optional *Decoder // the same decoder without required values
}

// requiredDepth is how deep a required value may lie.
const requiredDepth = 8

// NewDecoder returns a decoder with the options. It tolerates duplicate names and invalid UTF-8.
//
// required reports whether a value is required, by its location and type. A required value must be null or of the right kind of
// JSON; only numbers and types that decode themselves may have any plausible form. The outermost value is always required. Values
// more than 8 levels deep, and those of type any, never are. required may be nil.
func NewDecoder(required func(jsontext.Pointer, reflect.Type) bool, opts ...json.Options) *Decoder {
	d := &Decoder{required: required, exact: len(opts) == 0}
	if d.optional = d; required != nil {
		d.optional = NewDecoder(nil, opts...)
	}
	d.strict = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), json.JoinOptions(opts...))
	d.tolerant = json.JoinOptions(d.strict, json.WithUnmarshalers(json.UnmarshalFromFunc(d.unmarshal)))
	return d
}

// Unmarshal decodes data into the value that out points to. If a required value can't be read, the error is a [*MismatchError]. JSON
// that fits is decoded faster than by [json.Unmarshal]; other JSON is decoded a second time.
func (d *Decoder) Unmarshal(data []byte, out any) error {
	if d.exact && exactjson.Unmarshal(data, out, d.strict) {
		return nil
	}
	err := json.Unmarshal(data, out, d.strict)
	if semantic := (*json.SemanticError)(nil); !errors.As(err, &semantic) {
		return err
	}
	reflect.ValueOf(out).Elem().SetZero()
	err = json.Unmarshal(data, out, d.tolerant)
	mismatch := (*MismatchError)(nil)
	if !errors.As(err, &mismatch) {
		return err
	}
	if err := json.Unmarshal(data, new(jsontext.Value), d.strict); err != nil { // a syntax error after the mismatch
		return err
	}
	return mismatch
}

// MismatchError says that a required value is of another kind of JSON than its Go type.
type MismatchError struct {
	Pointer jsontext.Pointer
	Kind    jsontext.Kind
	Type    reflect.Type
}

// Error returns the location and kind of the value, without the value itself.
func (e *MismatchError) Error() string {
	got, want := kindName(e.Kind), typeName(e.Type)
	if got == want {
		return fmt.Sprintf("JSON of another shape at %q: %s out of range", string(e.Pointer), got)
	}
	return fmt.Sprintf("JSON of another shape at %q: %s in place of %s", string(e.Pointer), got, want)
}

// typeName returns the name of the kind of JSON that a type decodes from.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	default:
		return "number"
	}
}

// kindName returns the name of a kind of JSON.
func kindName(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindBeginObject:
		return "object"
	case jsontext.KindBeginArray:
		return "array"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "boolean"
	default:
		return kind.String()
	}
}

// unmarshal reads the next value if it doesn't fit into v. It leaves a value that fits to package json, which calls it again for the
// values inside.
func (d *Decoder) unmarshal(dec *jsontext.Decoder, v any) error {
	into := reflect.ValueOf(v).Elem()
	if fits(into.Type(), dec.PeekKind()) {
		return errSkip
	}
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	required := d.requires(dec, into.Type())
	if required && !readable(into.Type()) {
		err = errMismatch
	} else {
		err = d.read(into, value)
	}
	if err == nil {
		return nil
	}
	into.SetZero()
	inner := (*MismatchError)(nil)
	switch {
	case errors.As(err, &inner) && inner.Pointer != "": // from a type's own UnmarshalJSON
		return &MismatchError{dec.StackPointer() + inner.Pointer, inner.Kind, inner.Type}
	case required:
		return &MismatchError{dec.StackPointer(), value.Kind(), into.Type()}
	}
	return nil
}

func (d *Decoder) requires(dec *jsontext.Decoder, t reflect.Type) bool {
	depth := dec.StackDepth()
	if t.Kind() == reflect.Interface && depth > 0 { // any may hold many values, and each StackPointer repeats all names above it
		return false
	}
	return depth == 0 || (d.required != nil && depth <= requiredDepth && d.required(dec.StackPointer(), t))
}

var errMismatch = errors.New("another shape")

// fits reports whether package json decodes this kind of JSON into the type.
func fits(t reflect.Type, kind jsontext.Kind) bool {
	notJSON := kind == jsontext.KindInvalid || kind == jsontext.KindEndObject || kind == jsontext.KindEndArray
	switch {
	case kind == jsontext.KindNull, notJSON: // package json reports the error
		return true
	case decodesItself(t):
		return false
	}
	switch t.Kind() {
	case reflect.Pointer:
		return fits(t.Elem(), kind)
	case reflect.Struct, reflect.Map:
		return kind == jsontext.KindBeginObject
	case reflect.Slice:
		return kind == jsontext.KindBeginArray
	case reflect.Interface:
		return kind != jsontext.KindNumber
	case reflect.String:
		return kind == jsontext.KindString
	case reflect.Bool:
		return kind == jsontext.KindTrue || kind == jsontext.KindFalse
	default: // a number may be out of range
		return false
	}
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// decodesItself reports whether a type has an UnmarshalJSON method.
func decodesItself(t reflect.Type) bool { return reflect.PointerTo(t).Implements(unmarshaler) }

// readable reports whether a required value of type t may have another kind of JSON.
func readable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer:
		return readable(t.Elem())
	case reflect.Int, reflect.Int64, reflect.Float64:
		return true
	default:
		return decodesItself(t)
	}
}

// read converts a value that doesn't fit.
func (d *Decoder) read(into reflect.Value, value jsontext.Value) error {
	if into.Type() == timeType {
		return readTime(into, value)
	}
	if own, ok := into.Addr().Interface().(json.Unmarshaler); ok {
		return own.UnmarshalJSON(value)
	}
	switch into.Kind() {
	case reflect.Pointer:
		elem := reflect.New(into.Type().Elem())
		if err := d.read(elem.Elem(), value); err != nil {
			return err
		}
		into.Set(elem)
		return nil
	case reflect.Slice:
		return d.readElement(into, value)
	default:
		return readScalar(into, value)
	}
}

// readElement reads a single value as a list of one. An empty value is an empty list.
func (d *Decoder) readElement(list reflect.Value, value jsontext.Value) error {
	if isEmpty(value) {
		return nil
	}
	single := reflect.MakeSlice(list.Type(), 1, 1)
	if err := d.optional.Unmarshal(value, single.Index(0).Addr().Interface()); err != nil {
		return errMismatch
	}
	list.Set(single)
	return nil
}

func isEmpty(value jsontext.Value) bool {
	switch value.Kind() {
	case jsontext.KindString:
		text, _ := textOf(value)
		return text == ""
	case jsontext.KindBeginObject:
		return len(bytes.TrimSpace(value[1:len(value)-1])) == 0
	default:
		return false
	}
}

// textOf returns a string without surrounding spaces, or the digits of a number.
func textOf(value jsontext.Value) (string, bool) {
	switch value.Kind() {
	case jsontext.KindNumber:
		return string(value), true
	case jsontext.KindString:
		text, err := jsontext.AppendUnquote(nil, value)
		if len(text) == 0 && err != nil {
			return "", false
		}
		return strings.TrimSpace(string(text)), true
	default:
		return "", false
	}
}
