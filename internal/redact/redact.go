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
	first     [256]bool                    // which bytes are the first of one
	second    [256]bool                    // and which the second
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
		m.first[spelling[0]], m.second[spelling[1]] = true, true
	}
	return m
}

// headOf returns the first bytes of a text that has as many.
func headOf(text string) [minSecret]byte { return [minSecret]byte([]byte(text[:minSecret])) }

// Span is the part of a text from byte From to before byte To.
type Span struct{ From, To int }

// Text returns text with the secrets masked.
func (m *Masker) Text(text string) string {
	return mask(text, m.Find(text), len(text))
}

// Truncated returns a text whose rest is missing, with the secrets masked. It leaves out the end where that may be the
// beginning of a secret.
func (m *Masker) Truncated(text string) string {
	return mask(text, m.Find(text), m.Cut(text))
}

// Cut returns where the end of a text begins that may be the beginning of a secret, or the text's length.
func (m *Masker) Cut(text string) int {
	end := len(text)
	if m != nil {
		eachLayer(text, func(l *layer) { end = min(end, m.cutSecret(l)) })
	}
	return end
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

// Find returns where in a text the secrets are, in order and without overlaps.
func (m *Masker) Find(text string) []Span {
	if m == nil || len(m.byHead) == 0 {
		return nil
	}
	var found []Span
	eachLayer(text, func(l *layer) { found = m.findIn(l, found) })
	return Union(found)
}

// findIn adds the secrets of a layer. Every place is tried, because secrets may overlap.
func (m *Masker) findIn(l *layer, found []Span) []Span {
	text := spaced(l.text)
	for i := 0; i+minSecret <= len(text); i++ {
		if !m.first[text[i]] || !m.second[text[i+1]] { // most of a text is passed over
			continue
		}
		for _, spelling := range m.byHead[headOf(text[i:])] {
			if strings.HasPrefix(text[i:], spelling) {
				found = append(found, Span{l.from(i), l.to(i + len(spelling))})
				break
			}
		}
	}
	return found
}

// cutSecret returns where the layer's end begins that may be the beginning of a secret. The last escape may be incomplete, in
// each of the encodings: it is left out too, and the text before it may be that beginning.
func (m *Masker) cutSecret(l *layer) int {
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

// Union sorts spans, and joins those that touch.
func Union(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	var joined []Span
	for _, s := range spans {
		if last := len(joined) - 1; last >= 0 && s.From <= joined[last].To {
			joined[last].To = max(joined[last].To, s.To)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// mask returns the text up to end with the spans masked. A span that begins before end is masked whole.
func mask(text string, spans []Span, end int) string {
	if len(spans) == 0 {
		return text[:end]
	}
	var b strings.Builder
	pos := 0
	for _, s := range spans {
		if s.From >= end {
			break
		}
		b.WriteString(text[pos:s.From] + Mask)
		pos = s.To
	}
	b.WriteString(text[pos:max(pos, end)])
	return b.String()
}
