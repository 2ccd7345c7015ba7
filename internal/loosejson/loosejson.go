// Package loosejson reads JSON whose shape nobody knows, such as the errors of services and gateways, as far as it can be read.
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

// maxNesting is how deep Words tells of lists and objects, and Decode repairs them.
const maxNesting = 8

var options = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Valid reports whether v is one JSON value and nothing else.
func Valid(v jsontext.Value) bool { return v.IsValid(options) }

// Object is a JSON object whose values are not decoded.
type Object []Member

// Member is one of an [Object].
type Member struct {
	Name  string
	Value jsontext.Value
}

// Take removes the members with these names, in upper or lower case, and returns their values in the order of the names.
// It leaves out nulls.
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

// Members splits an object. Of one that ends early, or has a value that can't be read, it returns the members before, and what
// there is of the last.
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
		one, whole := next(dec, array)
		all = append(all, one)
		if !whole {
			break
		}
	}
	return all
}

// next reads a value of text. Of one that can't be read it returns the rest of the text, in which some members may be readable.
func next(dec *jsontext.Decoder, text jsontext.Value) (value jsontext.Value, whole bool) {
	value, err := dec.ReadValue()
	if err != nil {
		return bytes.TrimLeft(text[dec.InputOffset():], " \t\r\n:,"), false
	}
	return value.Clone(), true
}

// Decode decodes a value as encoding/json decodes into an any, or as much of it as there is. Nil: nothing.
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

// Words returns a value as text: a list with commas, an object with the names of its members.
func Words(v jsontext.Value) string { return InWords(Decode(v)) }

// Texts returns values as texts, those of a list one by one.
func Texts(values ...jsontext.Value) (all []string) {
	for _, v := range values {
		if v.Kind() != jsontext.KindBeginArray {
			all = append(all, Words(v))
			continue
		}
		for _, one := range Elements(v) {
			all = append(all, Words(one))
		}
	}
	return all
}

// InWords is [Words] of a value that is decoded.
func InWords(v any) string { return inWords(v, maxNesting) }

func inWords(v any, nesting int) string {
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
		parts = partsInWords(v, nesting-1)
	default:
		return fmt.Sprint(v)
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ", ")
}

func partsInWords(v any, nesting int) (parts []string) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			parts = append(parts, inWords(one, nesting))
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, Named(name, inWords(v[name], nesting)))
		}
	}
	return parts
}

// Named returns "name: text", or one of them if the other is empty.
func Named(name, text string) string {
	if name == "" || text == "" {
		return name + text
	}
	return name + ": " + text
}
