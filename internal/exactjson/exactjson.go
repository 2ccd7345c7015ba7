// Package exactjson decodes JSON that fits its Go types exactly, in a fraction of the time that package json takes and with fewer
// allocations. It leaves all other JSON to package json.
package exactjson

import (
	"bytes"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	maxDepth   = 64       // of a text
	maxScratch = 64 << 10 // that is kept
)

// Unmarshal decodes data into the zero value that out points to, and reports whether it could. If so, the value is the one that
// package json decodes with the options. If not, the value is zero again, and package json has to decode it.
//
// That is so if data is malformed or doesn't fit, but also if it repeats a member, is nested deeper than 64 levels or has invalid
// UTF-8. The options are for the types that package json decodes by itself; they must not change how it decodes the others.
func Unmarshal(data []byte, out any, options json.Options) bool {
	v := reflect.ValueOf(out)
	if v.Kind() != reflect.Pointer || v.IsNil() || !v.Elem().IsZero() {
		return false
	}
	p := planOf(v.Type().Elem())
	if p.foreign {
		return false
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	d.data, d.options = data, options
	d.value(p, v.Elem())
	if d.space(); d.failed || d.at < len(data) {
		v.Elem().SetZero()
		return false
	}
	return true
}

// Text returns the string that a member of an object is. It reads data only that far, and returns an empty string if it finds none.
func Text(data []byte, member string) string {
	if !bytes.Contains(data, []byte(`"`+member+`"`)) { // much faster
		return ""
	}
	s := scanner{data: data}
	s.open('{')
	for n := 0; s.more(n, '}'); n++ {
		if string(s.name()) == member {
			return string(s.text())
		}
		s.skip()
	}
	return ""
}

var decoders = sync.Pool{New: func() any { return &decoder{strings: newStringCache()} }}

// decoder decodes one text. A method that takes a plan reads the next value into the zero value v.
type decoder struct {
	scanner
	options json.Options
	strings *stringCache
}

// release makes the decoder ready for another text.
func (d *decoder) release() {
	d.scanner, d.options = scanner{scratch: d.scratch}, nil
	if cap(d.scratch) <= maxScratch {
		decoders.Put(d)
	}
}

func (d *decoder) value(p *plan, v reflect.Value) {
	if d.peek() == 'n' && !p.foreign {
		d.literal("null")
		return
	}
	p.decode(d, p, v)
}

func (d *decoder) pointer(p *plan, v reflect.Value) {
	elem := reflect.New(p.elem.typ)
	v.Set(elem)
	d.value(p.elem, elem.Elem())
}

func (d *decoder) object(p *plan, v reflect.Value) {
	var seen uint64
	d.open('{')
	for n := 0; d.more(n, '}'); n++ {
		f, known := p.fields[string(d.name())]
		switch {
		case !known:
			d.skip()
		case seen>>f.index&1 == 1: // package json merges the two
			d.fail()
		default:
			seen |= 1 << f.index
			d.value(f.plan, v.Field(f.index))
		}
	}
}

func (d *decoder) list(p *plan, v reflect.Value) {
	d.open('[')
	n := 0
	for ; d.more(n, ']'); n++ {
		v.Grow(1)
		v.SetLen(n + 1)
		d.value(p.elem, v.Index(n))
	}
	if n == 0 {
		v.Set(reflect.MakeSlice(p.typ, 0, 0))
	}
}

// dictionary decodes a map. Most are empty.
func (d *decoder) dictionary(p *plan, v reflect.Value) {
	start := d.at
	d.open('{')
	if d.more(0, '}') {
		d.at = start
		d.depth--
		d.foreign(p, v)
		return
	}
	v.Set(reflect.MakeMap(p.typ))
}

func (d *decoder) string(_ *plan, v reflect.Value) { v.SetString(d.strings.of(d.text())) }

func (d *decoder) boolean(_ *plan, v reflect.Value) {
	if d.peek() == 't' {
		d.literal("true")
		v.SetBool(true)
		return
	}
	d.literal("false")
}

func (d *decoder) integer(_ *plan, v reflect.Value) {
	n, err := strconv.ParseInt(string(d.number()), 10, 64)
	if err != nil || v.OverflowInt(n) {
		d.fail()
		return
	}
	v.SetInt(n)
}

// time decodes a time in UTC. Of others package json refuses some that package time accepts.
func (d *decoder) time(p *plan, v reflect.Value) {
	const format = "2006-01-02T15:04:05Z"
	start := d.at
	text := d.text()
	last := len(text) - 1
	if last < len(format)-1 || text[last] != 'Z' || text[len("2006-01-02T1")] == ':' || text[len(format)-1] == ',' {
		d.at = start
		d.foreign(p, v)
		return
	}
	t, _ := reflect.TypeAssert[*time.Time](v.Addr())
	if t.UnmarshalText(text) != nil {
		d.fail()
	}
}

// foreign lets package json decode the value.
func (d *decoder) foreign(_ *plan, v reflect.Value) {
	d.space()
	start := d.at
	d.skip()
	if !d.failed && json.Unmarshal(d.data[start:d.at], v.Addr().Interface(), d.options) != nil {
		d.fail()
	}
}
