// Package loosejson reads JSON of unknown shape, such as the errors of services and gateways. It reads as much as it can of JSON that
// is truncated or malformed.
package loosejson

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxNesting is how deep Text formats nested arrays and objects, and how deep Decode repairs them.
const maxNesting = 8

var options = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Valid reports whether v is one JSON value and nothing else.
func Valid(v jsontext.Value) bool { return v.IsValid(options) }

// Object is a JSON object. Its values are not decoded.
type Object []Member

// Member is one of an [Object].
type Member struct {
	Name  string
	Value jsontext.Value
}

// Take removes the members with these names, ignoring case, and returns their values in the order of the names, without nulls.
func (o *Object) Take(names ...string) []jsontext.Value {
	var taken []jsontext.Value
	for _, name := range names {
		*o = slices.DeleteFunc(*o, func(m Member) bool {
			found := strings.EqualFold(m.Name, name)
			if found && m.Value.Kind() != jsontext.KindNull {
				taken = append(taken, m.Value)
			}
			return found
		})
	}
	return taken
}

// Members splits an object. If the object is truncated or has a malformed value, the last member has the rest of the text.
func Members(object jsontext.Value) (all Object) {
	dec := jsontext.NewDecoder(bytes.NewReader(object), options)
	_, _ = dec.ReadToken() // the brace
	for dec.PeekKind() == jsontext.KindString {
		token, err := dec.ReadToken()
		if err != nil {
			break
		}
		name := token.String() // before the next read, which may overwrite it
		value, whole := next(dec, object)
		all = append(all, Member{name, value})
		if !whole {
			break
		}
	}
	return all
}

// Elements splits an array as [Members] splits an object.
func Elements(array jsontext.Value) (all []jsontext.Value) {
	dec := jsontext.NewDecoder(bytes.NewReader(array), options)
	_, _ = dec.ReadToken() // the bracket
	for dec.PeekKind() != jsontext.KindEndArray {
		element, whole := next(dec, array)
		all = append(all, element)
		if !whole {
			break
		}
	}
	return all
}

// next reads the next value of text. If it can't, it returns the rest of the text, which may still have readable members.
func next(dec *jsontext.Decoder, text jsontext.Value) (value jsontext.Value, whole bool) {
	value, err := dec.ReadValue()
	if err != nil {
		return bytes.TrimLeft(text[dec.InputOffset():], " \t\r\n:,"), false
	}
	return value.Clone(), true
}

// Decode decodes a value as encoding/json decodes into an any. Of a malformed value it decodes as much as it can, or returns nil.
func Decode(v jsontext.Value) any { return decode(v, maxNesting) }

func decode(v jsontext.Value, nesting int) (decoded any) {
	switch {
	case Valid(v):
		_ = json.Unmarshal(v, &decoded, options)
	case nesting == 0:
	case v.Kind() == jsontext.KindBeginObject:
		object := make(map[string]any)
		for _, m := range Members(v) {
			if value := decode(m.Value, nesting-1); value != nil {
				object[m.Name] = value
			}
		}
		return object
	case v.Kind() == jsontext.KindBeginArray:
		list := []any{}
		for _, one := range Elements(v) {
			if value := decode(one, nesting-1); value != nil {
				list = append(list, value)
			}
		}
		return list
	}
	return decoded
}

// Text decodes a value and formats it with [Format].
func Text(v jsontext.Value) string { return Format(Decode(v)) }

// Texts returns the text of each value, and of an array the text of each element.
func Texts(values ...jsontext.Value) (all []string) {
	for _, v := range values {
		if v.Kind() != jsontext.KindBeginArray {
			all = append(all, Text(v))
			continue
		}
		for _, element := range Elements(v) {
			all = append(all, Text(element))
		}
	}
	return all
}

// Format formats a decoded value for people: strings as they are, arrays as "a, b", objects as "name: a, name: b".
func Format(v any) string { return format(v, maxNesting) }

func format(v any, nesting int) string {
	var parts []string
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(v)
	case float64:
		return jsontext.Float(v).String()
	case []string:
		parts = slices.Clone(v)
	case []any, map[string]any:
		if nesting == 0 {
			return "…"
		}
		parts = formatParts(v, nesting-1)
	default:
		return fmt.Sprint(v)
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ", ")
}

func formatParts(v any, nesting int) (parts []string) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			parts = append(parts, format(one, nesting))
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, Label(name, format(v[name], nesting)))
		}
	}
	return parts
}

// Label returns "name: text", or only one of the two if the other is empty.
func Label(name, text string) string {
	if name == "" || text == "" {
		return name + text
	}
	return name + ": " + text
}
