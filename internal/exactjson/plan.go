package exactjson

import (
	"cmp"
	"encoding"
	"reflect"
	"regexp"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// plan is how to decode a type.
type plan struct {
	typ     reflect.Type
	decode  func(*decoder, *plan, reflect.Value)
	foreign bool             // package json decodes the type
	elem    *plan            // of a pointer or a slice
	fields  map[string]field // of a struct, by their names in JSON
}

// field is a field of a struct.
type field struct {
	index int
	plan  *plan
}

// maxFields is how many fields a struct may have.
const maxFields = 64

// plans has the plans of all types that were decoded, which a program has a fixed number of.
var plans sync.Map // reflect.Type to *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	made := make(planner)
	p := made.plan(t)
	for t, p := range made {
		plans.Store(t, p)
	}
	return p
}

// planner makes plans. It contains those it has begun, because a type may contain itself.
type planner map[reflect.Type]*plan

func (m planner) plan(t reflect.Type) *plan {
	if p := m[t]; p != nil {
		return p
	}
	p := &plan{typ: t}
	m[t] = p
	if p.decode = m.decoderOf(p); p.decode == nil {
		p.decode, p.foreign = (*decoder).foreign, true
	}
	return p
}

// decoderOf returns the method that decodes a type, or nil if package json has to. It completes the plan.
func (m planner) decoderOf(p *plan) func(*decoder, *plan, reflect.Value) {
	t := p.typ
	switch {
	case t == timeType:
		return (*decoder).time
	case decodesItself(t) || t == durationType:
		return nil
	}
	switch kind := t.Kind(); kind {
	case reflect.Pointer:
		p.elem = m.plan(t.Elem())
		return (*decoder).pointer
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 { // which are in base64
			p.elem = m.plan(t.Elem())
			return (*decoder).list
		}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return (*decoder).dictionary
		}
	case reflect.Struct:
		if p.fields = m.fields(t); p.fields != nil {
			return (*decoder).object
		}
	default:
		return scalars[kind]
	}
	return nil
}

// scalars are the methods that decode values without elements.
var scalars = map[reflect.Kind]func(*decoder, *plan, reflect.Value){
	reflect.String: (*decoder).string, reflect.Bool: (*decoder).boolean, reflect.Int: (*decoder).integer, reflect.Int8: (*decoder).integer,
	reflect.Int16: (*decoder).integer, reflect.Int32: (*decoder).integer, reflect.Int64: (*decoder).integer,
}

// fields returns the fields of a struct, or nil if package json has rules for it that aren't known here.
func (m planner) fields(t reflect.Type) map[string]field {
	if t.NumField() > maxFields {
		return nil
	}
	fields := make(map[string]field, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if isIgnored(f) {
			continue
		}
		name, ok := nameOf(f)
		if _, twice := fields[name]; twice || !ok {
			return nil
		}
		fields[name] = field{i, m.plan(f.Type)}
	}
	return fields
}

func isIgnored(f reflect.StructField) bool {
	tag, tagged := f.Tag.Lookup("json")
	return tag == "-" || !tagged && !f.IsExported() && !f.Anonymous
}

// plainTag matches a tag that only names the field, and says when it is omitted.
var plainTag = regexp.MustCompile(`^([A-Za-z0-9_-]*)(,omitzero|,omitempty)?$`)

// nameOf returns the name of a field in JSON. ok is false if other rules hold for the field.
func nameOf(f reflect.StructField) (name string, ok bool) {
	tag := plainTag.FindStringSubmatch(f.Tag.Get("json"))
	if tag == nil || f.Anonymous || !f.IsExported() {
		return "", false
	}
	return cmp.Or(tag[1], f.Name), true
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	decoderTypes = []reflect.Type{
		reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[json.UnmarshalerFrom](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

// decodesItself reports whether a type has a method that decodes it.
func decodesItself(t reflect.Type) bool {
	for _, decoder := range decoderTypes {
		if reflect.PointerTo(t).Implements(decoder) {
			return true
		}
	}
	return false
}
