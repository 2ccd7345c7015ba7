package redact

import (
	"html"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxNesting is how many encodings around a secret are taken off: JSON of a page of a quoted text of a URL.
const maxNesting = 4

// escapes are the encodings that leave most characters as they are and escape the others.
var escapes = []struct {
	lead   byte
	decode func(string) (decoded string, n int) // the escape that a text begins with and its length; 0: there is none
}{
	{'\\', backslash},
	{'%', percent},
	{'&', entity},
}

// layer is a text after encodings were taken off.
type layer struct {
	text  string
	outer *layer // with the last encoding; nil: text is what the caller has
	taken []taken
}

// taken is an escape that was taken off: where what it stands for is in the layer, and where it is in the outer one.
type taken struct{ inner, outer Span }

// from returns where byte i begins, or the end of the text, in the text that the caller has.
func (l *layer) from(i int) int {
	if l.outer == nil {
		return i
	}
	return l.outer.from(l.place(i).From)
}

// to returns the end of what lies before byte i, which is not the first.
func (l *layer) to(i int) int {
	if l.outer == nil {
		return i
	}
	return l.outer.to(l.place(i - 1).To)
}

// place returns where byte i is in the outer layer.
func (l *layer) place(i int) Span {
	next := sort.Search(len(l.taken), func(k int) bool { return l.taken[k].inner.To > i })
	if next < len(l.taken) && l.taken[next].inner.From <= i {
		return l.taken[next].outer
	}
	if next > 0 {
		i += l.taken[next-1].outer.To - l.taken[next-1].inner.To
	}
	return Span{i, i + 1}
}

// eachLayer visits a text as it is and after each sequence of encodings was taken off.
func eachLayer(text string, visit func(*layer)) {
	seen := map[string]bool{text: true}
	layers := []*layer{{text: text}}
	for nesting := 0; len(layers) > 0; nesting++ {
		var inner []*layer
		for _, l := range layers {
			visit(l)
			for _, escape := range escapes {
				if nesting == maxNesting || strings.IndexByte(l.text, escape.lead) < 0 {
					continue
				}
				if decoded := l.decode(escape.lead, escape.decode); !seen[decoded.text] {
					seen[decoded.text] = true
					inner = append(inner, decoded)
				}
			}
		}
		layers = inner
	}
}

// decode takes one encoding off.
func (l *layer) decode(lead byte, escape func(string) (string, int)) *layer {
	inner := &layer{outer: l}
	text := make([]byte, 0, len(l.text))
	begin := 0 // of what is not in text yet
	for i := nextByte(l.text, lead, 0); i < len(l.text); i = nextByte(l.text, lead, i) {
		one, n := escape(l.text[i:])
		if n == 0 {
			i++
			continue
		}
		text = append(text, l.text[begin:i]...)
		inner.taken = append(inner.taken, taken{Span{len(text), len(text) + len(one)}, Span{i, i + n}})
		text = append(text, one...)
		i += n
		begin = i
	}
	if len(inner.taken) == 0 {
		return l
	}
	inner.text = string(append(text, l.text[begin:]...))
	return inner
}

// nextByte returns where the next such byte of a text is from a place on, or the text's length.
func nextByte(text string, b byte, from int) int {
	if i := strings.IndexByte(text[from:], b); i >= 0 {
		return from + i
	}
	return len(text)
}

// backslash decodes an escape of JSON, JavaScript, Go, C or Python.
func backslash(s string) (string, int) {
	if len(s) < 2 {
		return "", 0
	}
	switch c := s[1]; {
	case c == 'u':
		return utf16Escape(s, `\u`)
	case c >= ' ' && c < 0x7f && !isWord(c): // itself: \" \' \\ \/, a shell's escaped space, and what else is escaped for no need
		return s[1:2], 2
	}
	r, multibyte, rest, err := strconv.UnquoteChar(s, 0)
	switch {
	case err != nil:
		return "", 0
	case multibyte:
		return string(r), len(s) - len(rest)
	}
	return string([]byte{byte(r)}), len(s) - len(rest) //nolint:gosec // it is one byte
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// percent decodes %2F and, as JavaScript's escape writes it, %u00e4.
func percent(s string) (string, int) {
	if strings.HasPrefix(s, "%u") {
		return utf16Escape(s, "%u")
	}
	if len(s) < 3 {
		return "", 0
	}
	b, err := strconv.ParseUint(s[1:3], 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(b)}), 3
}

// utf16Escape decodes the four hexadecimal digits after a prefix. A pair of surrogates is one character.
func utf16Escape(s, prefix string) (string, int) {
	unit := func(s string) (rune, bool) {
		if len(s) < 6 || !strings.HasPrefix(s, prefix) {
			return 0, false
		}
		n, err := strconv.ParseUint(s[2:6], 16, 16)
		return rune(n), err == nil
	}
	r, ok := unit(s)
	if !ok {
		return "", 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := unit(s[6:]); ok && utf16.IsSurrogate(low) {
			return string(utf16.DecodeRune(r, low)), 12
		}
	}
	return string(r), 6
}

// longestEntity is that of an HTML entity's name which somebody might write for a character of a secret.
const longestEntity = 12

// entity decodes &amp; &#39; or &#x27;.
func entity(s string) (string, int) {
	end := strings.IndexAny(s[1:min(len(s), longestEntity)], "&;") + 2
	if end < 2 || s[end-1] != ';' {
		return "", 0
	}
	decoded := html.UnescapeString(s[:end])
	if decoded == s[:end] {
		return "", 0
	}
	return decoded, end
}

// lastEscape returns where the last escape of a text begins that may be incomplete, or the text's length.
func lastEscape(text string) int {
	start := max(0, len(text)-longestEntity)
	if i := strings.LastIndexAny(text[start:], `\%&`); i >= 0 {
		return start + i
	}
	return len(text)
}
