// Package redact takes secrets out of texts that others have written, such as the error of a service that repeats what it was
// sent. It finds them in the encodings that such texts have.
package redact

import (
	"cmp"
	"slices"
	"strings"
)

// Mask stands in the place of a secret.
const Mask = "******"

// Masker takes its secrets out of texts. A nil Masker has none.
type Masker struct {
	spellings []string                     // the longest first
	byHead    map[[minSecret]byte][]string // the same by their first bytes
}

// New returns a Masker of these secrets. One of less than four bytes is not searched for: it stands in many words, and
// masking it there would tell it. Of a secret with several lines, each line of at least eight bytes counts too.
func New(secrets ...string) *Masker {
	m := &Masker{byHead: make(map[[minSecret]byte][]string)}
	for _, secret := range secrets {
		m.spellings = append(m.spellings, spellings(secret)...)
	}
	slices.SortFunc(m.spellings, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	m.spellings = slices.Compact(m.spellings)
	for _, spelling := range m.spellings {
		head := headOf(spelling)
		m.byHead[head] = append(m.byHead[head], spelling)
	}
	return m
}

// headOf returns the first bytes of a text that has as many.
func headOf(text string) [minSecret]byte { return [minSecret]byte([]byte(text[:minSecret])) }

// span is a part of a text.
type span struct{ from, to int }

// Text returns text with the secrets masked.
func (m *Masker) Text(text string) string {
	return mask(text, m.find(text), len(text))
}

// Truncated returns a text whose rest is missing, with the secrets masked. It leaves out the end where that may be the
// beginning of a secret.
func (m *Masker) Truncated(text string) string {
	end := len(text)
	if m != nil {
		eachLayer(text, func(l layer) { end = min(end, m.cutSecret(l)) })
	}
	return mask(text, m.find(text), end)
}

// Value masks the texts in v, a value as JSON decodes to, and in its lists and maps, whose names it masks too. It changes
// lists in place.
func (m *Masker) Value(v any) any {
	switch v := v.(type) {
	case string:
		return m.Text(v)
	case []string:
		for i := range v {
			v[i] = m.Text(v[i])
		}
	case []any:
		for i := range v {
			v[i] = m.Value(v[i])
		}
	case map[string]any:
		masked := make(map[string]any, len(v))
		for name, value := range v {
			masked[m.Text(name)] = m.Value(value)
		}
		return masked
	}
	return v
}

// find returns where in the text the secrets are, in order and without overlaps.
func (m *Masker) find(text string) []span {
	if m == nil || len(m.byHead) == 0 {
		return nil
	}
	var found []span
	eachLayer(text, func(l layer) { found = m.findIn(l, found) })
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	return union(found)
}

// findIn adds the secrets of a layer. Every place is tried, because secrets may overlap.
func (m *Masker) findIn(l layer, found []span) []span {
	text := spaced(l.text)
	for i := 0; i+minSecret <= len(text); i++ {
		for _, spelling := range m.byHead[headOf(text[i:])] {
			if strings.HasPrefix(text[i:], spelling) {
				found = append(found, span{l.from(i), l.to(i + len(spelling))})
				break
			}
		}
	}
	return found
}

// cutSecret returns where the layer's end begins that may be the beginning of a secret. The last escape may be incomplete, in
// each of the encodings: it is left out too, and the text before it may be that beginning.
func (m *Masker) cutSecret(l layer) int {
	text := spaced(l.text)
	end := len(text)
	for nesting, upto := 0, len(text); nesting <= maxNesting; nesting++ {
		end = min(end, upto)
		for _, spelling := range m.spellings {
			n := min(len(spelling)-1, upto)
			for n > 0 && !strings.HasSuffix(text[:upto], spelling[:n]) {
				n--
			}
			end = min(end, upto-n)
		}
		upto = lastEscape(text[:upto])
	}
	return l.from(end)
}

// union joins spans that touch, given in the order of their beginnings.
func union(spans []span) []span {
	var joined []span
	for _, s := range spans {
		if last := len(joined) - 1; last >= 0 && s.from <= joined[last].to {
			joined[last].to = max(joined[last].to, s.to)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// mask returns the text up to end with the spans masked. A span that begins before end is masked whole.
func mask(text string, spans []span, end int) string {
	if len(spans) == 0 {
		return text[:end]
	}
	var b strings.Builder
	pos := 0
	for _, s := range spans {
		if s.from >= end {
			break
		}
		b.WriteString(text[pos:s.from] + Mask)
		pos = s.to
	}
	b.WriteString(text[pos:max(pos, end)])
	return b.String()
}
