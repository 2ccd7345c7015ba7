// Package jsonsize bounds what a JSON text takes decoded, which may be hundreds of times its length.
package jsonsize

import "bytes"

// MoreValues reports whether a text has more than limit values. Objects, arrays and nulls count twice: each costs far more memory
// decoded than as JSON.
func MoreValues(text []byte, limit int) bool {
	if len(text) <= limit {
		return false
	}
	most := bytes.Count(text, []byte("null")) // some of all these may stand within strings
	for _, c := range []byte(",[{") {
		most += bytes.Count(text, []byte{c})
	}
	if most <= limit {
		return false
	}
	values, _ := measure(text)
	return values > limit
}

// Depth returns how deep a text is nested.
func Depth(text []byte) int {
	_, depth := measure(text)
	return depth
}

// measure counts the values of a text, and its levels.
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
