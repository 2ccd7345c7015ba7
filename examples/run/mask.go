package main

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

const (
	mask           = redact.Mask
	shortestPiece  = 8                 // characters; fewer stand in other texts
	longestPiece   = 5 * shortestPiece // of hex, with what may be between its digits
	shortestLatin1 = 4                 // characters
)

// secrets are texts to mask: in the encodings that package redact finds, and as they are even if they are too short for it.
type secrets struct {
	encoded *redact.Masker
	plain   []string
	pieces  map[[shortestPiece]byte]bool // each part of them in base64 and hex, and of tokens: programs divide these into lines
	longest int                          // bytes of one of plain or pieces
}

// newSecrets takes the values of variables. Printed text is sanitized or cleaned, so it takes these forms of a value, and each line of a
// multi-line value by itself.
func newSecrets(variables []pipelines.VariableRequest) secrets {
	s := secrets{pieces: make(map[[shortestPiece]byte]bool)}
	var values []string
	for _, v := range variables {
		values = append(values, v.Value)
		for _, line := range strings.FieldsFunc(v.Value, func(r rune) bool { return r == '\n' || r == '\r' }) {
			s.add(strings.Join(plainLines(line, secrets{}), ""))
			s.add(clean(line, secrets{}))
			s.add(strings.Join(plainLines(latin1(line), secrets{}), ""))
		}
		s.addEncoded(v.Value)
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

// latin1 returns a text in that charset, which a program may write it in. It returns "" for what isn't in it, what is the same, and what is so
// short that it would be any character that isn't ASCII.
func latin1(text string) string {
	coded := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return ""
		}
		coded = append(coded, byte(r)) //nolint:gosec // it is one byte
	}
	if len(coded) == len(text) || len(coded) < shortestLatin1 {
		return ""
	}
	return string(coded)
}

// random matches parts of tokens, and hardly a word.
var random = regexp.MustCompile(`^[0-9A-Za-z]*([0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z])[0-9A-Za-z]*$`)

// addEncoded adds what a value becomes within a text in hex, and in base64, where it may begin at any byte of three. The characters that
// depend on what stands around it are left out.
func (s *secrets) addEncoded(value string) {
	if value = strings.TrimSpace(value); value == "" {
		return
	}
	for from := 0; from+shortestPiece <= len(value); from++ {
		if piece := value[from : from+shortestPiece]; random.MatchString(piece) {
			s.addPieces(piece)
		}
	}
	coded := hex.EncodeToString([]byte(value))
	s.addPieces(coded)
	s.addPieces(strings.ToUpper(coded))
	for before := range 3 {
		text := []byte(strings.Repeat("\x00", before) + value)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			s.addPieces(encoding.EncodeToString(text)[(8*before+5)/6 : 8*len(text)/6])
		}
	}
}

func (s *secrets) addPieces(coded string) {
	for from := 0; from+shortestPiece <= len(coded); from++ {
		s.pieces[windowOf(coded[from:])] = true
		s.longest = max(s.longest, longestPiece)
	}
}

// windowOf returns the first characters of a text that has as many.
func windowOf(text string) [shortestPiece]byte {
	return [shortestPiece]byte([]byte(text[:shortestPiece]))
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
	if len(s.pieces) > 0 {
		spans = append(append(spans, s.findPieces(text)...), s.findDigits(text)...)
	}
	return redact.Union(spans)
}

func (s *secrets) findPieces(text string) (spans []redact.Span) {
	length := 0 // of the text in base64, of which hex is a part, before byte i
	for i := range len(text) {
		if !isBase64(text[i]) {
			length = 0
			continue
		}
		length++
		if from := i + 1 - shortestPiece; length >= shortestPiece && s.pieces[windowOf(text[from:])] {
			spans = append(spans, redact.Span{From: from, To: i + 1})
		}
	}
	return spans
}

// findDigits finds pieces in hex between whose digits others are: 68:75:6e, 6875 6e74 or 0x68, 0x75.
func (s *secrets) findDigits(text string) (spans []redact.Span) {
	var digits []byte
	var places []int
	for i := range len(text) {
		switch c := text[i]; {
		case strings.IndexByte("0123456789abcdefABCDEF", c) >= 0:
			digits, places = append(digits, c), append(places, i)
		case strings.IndexByte(" :-,", c) >= 0:
			continue
		case c|' ' == 'x' && i > 0 && text[i-1] == '0':
			digits, places = digits[:len(digits)-1], places[:len(places)-1]
			continue
		default:
			digits, places = digits[:0], places[:0]
			continue
		}
		if from := len(digits) - shortestPiece; from >= 0 && s.pieces[windowOf(string(digits[from:]))] {
			spans = append(spans, redact.Span{From: places[from], To: i + 1})
		}
	}
	return spans
}

func isBase64(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '+' || b == '/' || b == '-' || b == '_'
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
