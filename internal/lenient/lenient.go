// Package lenient decodes JSON that comes in other shapes than its Go types expect. A value that doesn't fit is read in its most
// plausible form, and left at zero where there is none, so that one odd member doesn't lose all the others.
package lenient

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Decoder decodes JSON into what models are made of: structs, maps, slices, pointers, any, strings, booleans, signed integers,
// floats, [time.Time] and types with an UnmarshalJSON of their own. It is safe for concurrent use.
type Decoder struct {
	required  func(jsontext.Pointer, reflect.Type) bool
	strict    json.Options
	tolerant  json.Options
	informing *Decoder // the same without required values
}

// requiredDepth is how deep a required value may lie.
const requiredDepth = 8

// NewDecoder returns a decoder that tolerates duplicate names and invalid UTF-8, and to which opts apply. Values that required
// reports true for must be of the right JSON kind, or null, and numbers of any plausible form; required is not asked about values
// more than 8 levels deep, nor about those of type any. The outermost value is always required; required may be nil.
func NewDecoder(required func(jsontext.Pointer, reflect.Type) bool, opts ...json.Options) *Decoder {
	d := &Decoder{required: required}
	if d.informing = d; required != nil {
		d.informing = NewDecoder(nil, opts...)
	}
	d.strict = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), json.JoinOptions(opts...))
	d.tolerant = json.JoinOptions(d.strict, json.WithUnmarshalers(json.UnmarshalFromFunc(d.unmarshal)))
	return d
}

// Unmarshal decodes data into the value that out points to. A required value that can't be read is a [*MismatchError]. JSON that
// fits costs no more than [json.Unmarshal] does: only what doesn't fit is decoded a second time.
func (d *Decoder) Unmarshal(data []byte, out any) error {
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
	if err := json.Unmarshal(data, new(jsontext.Value), d.strict); err != nil { // what is cut off later has no shape yet
		return err
	}
	return mismatch
}

// MismatchError is a required value of another shape.
type MismatchError struct {
	Pointer jsontext.Pointer
	Kind    jsontext.Kind
	Type    reflect.Type
}

// Error says where the value is and what shape it has, without repeating any of it.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("JSON of another shape at %q: %s does not fit into %v", string(e.Pointer), KindName(e.Kind), e.Type)
}

// KindName returns the name of a kind of JSON.
func KindName(kind jsontext.Kind) string {
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

// unmarshal reads the next value if it doesn't fit into what v points to. What fits is left to package json, which asks about the
// values within in turn.
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
	case errors.As(err, &inner) && inner.Pointer != "": // of a type that decodes itself
		return &MismatchError{dec.StackPointer() + inner.Pointer, inner.Kind, inner.Type}
	case required:
		return &MismatchError{dec.StackPointer(), value.Kind(), into.Type()}
	}
	return nil
}

func (d *Decoder) requires(dec *jsontext.Decoder, t reflect.Type) bool {
	depth := dec.StackDepth()
	if t.Kind() == reflect.Interface && depth > 0 { // the pointer to each of many may repeat a name that fills the body
		return false
	}
	return depth == 0 || (d.required != nil && depth <= requiredDepth && d.required(dec.StackPointer(), t))
}

var errMismatch = errors.New("another shape")

// fits reports whether package json decodes JSON of a kind into a type.
func fits(t reflect.Type, kind jsontext.Kind) bool {
	notJSON := kind == jsontext.KindInvalid || kind == jsontext.KindEndObject || kind == jsontext.KindEndArray
	switch {
	case kind == jsontext.KindNull, notJSON: // which json reports
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
	default: // numbers, which may be out of range
		return false
	}
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// decodesItself reports whether a type has a form of its own, as time.Time does.
func decodesItself(t reflect.Type) bool { return reflect.PointerTo(t).Implements(unmarshaler) }

// readable reports whether a required value of type t may come in several forms.
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

// read reads a value of a shape that doesn't fit.
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
		return d.readOne(into, value)
	default:
		return readScalar(into, value)
	}
}

// readOne reads a single value in place of a list. An empty one is an empty list.
func (d *Decoder) readOne(list reflect.Value, value jsontext.Value) error {
	if isEmpty(value) {
		return nil
	}
	one := reflect.MakeSlice(list.Type(), 1, 1)
	if err := d.informing.Unmarshal(value, one.Index(0).Addr().Interface()); err != nil {
		return errMismatch
	}
	list.Set(one)
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

// textOf returns the text of a string without the spaces around it, or a number as it is written.
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
