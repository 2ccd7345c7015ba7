package pipelines

import "bytes"

const (
	// maxJSONValues bounds the values of a body, where those that may become a struct or a map count twice. Each takes as little as
	// two bytes of JSON, and up to hundreds of memory.
	maxJSONValues = 1 << 19
	// maxJSONDepth is how deep the decoders descend.
	maxJSONDepth = 10_000
)

// tooManyValues reports whether a body would take too much memory decoded.
func tooManyValues(body []byte) bool {
	if len(body) <= maxJSONValues {
		return false
	}
	most := bytes.Count(body, []byte("null")) // some of all these may stand within texts
	for _, c := range []byte(",[{") {
		most += bytes.Count(body, []byte{c})
	}
	if most <= maxJSONValues {
		return false
	}
	values, _ := measure(body)
	return values > maxJSONValues
}

// tooDeep reports whether a body is nested more deeply than the decoders descend.
func tooDeep(body []byte) bool {
	_, depth := measure(body)
	return depth > maxJSONDepth
}

// measure counts the values of a JSON text, objects, arrays and nulls twice, and tells how deep it is nested.
func measure(text []byte) (values, depth int) {
	level := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case '{', '[':
			values++
			level++
			depth = max(depth, level)
		case '}', ']':
			level--
		case ',', 'n': // before the next value; of a null
			values++
		}
	}
	return values, depth
}

// endOfString returns the index of the quote that ends the string which begins at i.
func endOfString(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}
