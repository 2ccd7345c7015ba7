package redact

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

const (
	minSecret = 4 // bytes of the shortest secret that is searched for
	minLine   = 8 // bytes of a line that is a secret by itself
)

// spellings are the forms in which a secret may stand in a layer of a text, as spaced makes them.
func spellings(secret string) []string {
	var all []string
	for _, text := range parts(secret) {
		all = append(all, text, decodedUTF8(text), latin1(text), hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))))
		all = append(all, inBase64(text)...)
		all = append(all, inQuotes(text)...)
	}
	long := all[:0]
	for _, spelling := range all {
		if len(spelling) >= minSecret {
			long = append(long, spaced(spelling))
		}
	}
	return long
}

// parts are a secret without the white space around it, which many trim; the same with either end of line; its longer lines.
func parts(secret string) []string {
	trimmed := strings.TrimSpace(secret)
	if len(trimmed) < minSecret && trimmed != "" {
		trimmed = secret
	}
	if len(trimmed) < minSecret {
		return nil
	}
	text := strings.ReplaceAll(trimmed, "\r\n", "\n")
	lines := strings.Split(text, "\n")
	if len(lines) == 1 {
		return lines
	}
	all := []string{trimmed, text, strings.ReplaceAll(text, "\n", "\r\n")}
	for _, line := range lines {
		if line = strings.TrimSpace(line); len(line) >= minLine {
			all = append(all, line)
		}
	}
	return all
}

// decodedUTF8 is what decoders of JSON make of a text that is no UTF-8.
func decodedUTF8(text string) string { return string([]rune(text)) }

// latin1 returns a text in that charset, and nothing where it can't be or is the same.
func latin1(text string) string {
	coded := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return ""
		}
		coded = append(coded, byte(r)) //nolint:gosec // it is one byte
	}
	if len(coded) == len(text) {
		return ""
	}
	return string(coded)
}

// inQuotes returns what text becomes within quotes, where its own are written in another way: a shell closes the quotes before each, and
// opens them after it; SQL, YAML and CSV double it. A backslash before it may have been taken off.
func inQuotes(text string) []string {
	all := []string{strings.ReplaceAll(text, `"`, `""`)}
	for _, quote := range []string{`'\''`, `'''`, `'"'"'`, `''`} {
		all = append(all, strings.ReplaceAll(text, "'", quote))
	}
	return all
}

// inBase64 returns what text becomes within a longer text in base64: it may begin at any byte of three. The characters that
// depend on what stands around it are left out.
func inBase64(text string) []string {
	var all []string
	for shift := range 3 {
		plain := []byte(strings.Repeat("\x00", shift) + text)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			coded := encoding.EncodeToString(plain)
			all = append(all, coded[(8*shift+5)/6:8*len(plain)/6])
		}
	}
	return all
}

// spaced writes each "+" as the space that it stands for in a form or a query.
func spaced(text string) string { return strings.ReplaceAll(text, "+", " ") }
