package main

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

const (
	mask           = redact.Mask
	shortestBase64 = 8 // characters; fewer stand in other texts
)

// secrets are texts to mask: in the encodings that package redact finds, and as they are even if they are too short for it.
type secrets struct {
	encoded *redact.Masker
	plain   []string
	longest int // bytes of one of plain
}

// newSecrets takes the values of variables. Printed text is sanitized or cleaned, so it takes these forms of a value, and each line of a
// multi-line value by itself.
func newSecrets(variables []pipelines.VariableRequest) secrets {
	var s secrets
	var values []string
	for _, v := range variables {
		values = append(values, v.Value)
		for _, line := range strings.FieldsFunc(v.Value, func(r rune) bool { return r == '\n' || r == '\r' }) {
			s.add(strings.Join(plainLines(line, secrets{}), ""))
			s.add(clean(line, secrets{}))
		}
		for _, line := range base64Lines(v.Value) {
			s.add(line)
		}
	}
	s.encoded = redact.New(values...)
	return s
}

func (s *secrets) add(text string) {
	if text = strings.TrimSpace(text); text != "" {
		s.plain = append(s.plain, text)
		s.longest = max(s.longest, len(text))
	}
}

// base64Lines returns the lines in which programs such as base64 and openssl write a long value. Of the last one it leaves out what depends on
// what follows the value.
func base64Lines(value string) []string {
	var lines []string
	encoded := []byte(base64.StdEncoding.EncodeToString([]byte(value)))[:8*len(value)/6]
	for _, width := range []int{64, 76} {
		for line := range slices.Chunk(encoded, width) {
			if len(encoded) > width && len(line) >= shortestBase64 {
				lines = append(lines, string(line))
			}
		}
	}
	return lines
}

// find returns where in a text the secrets are, in order and without overlaps.
func (s *secrets) find(text string) []redact.Span {
	spans := s.encoded.Find(text)
	for _, secret := range s.plain {
		for from := 0; ; from++ { // they may overlap
			i := strings.Index(text[from:], secret)
			if i < 0 {
				break
			}
			from += i
			spans = append(spans, redact.Span{From: from, To: from + len(secret)})
		}
	}
	return redact.Union(spans)
}

// cut returns where the end of a text begins that may be the beginning of a secret, given the secrets in the text.
func (s *secrets) cut(text string, found []redact.Span) int {
	end := min(s.encoded.Cut(text), len(text)-max(0, s.longest-1))
	for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	for _, span := range found { // it may go on as another, which overlaps it
		if span.From > 0 && span.From < end && end < span.To {
			return span.From
		}
	}
	return max(0, end)
}
