package main

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/seed-85ed9bfd/pipelines"
)

const (
	mask    = "******"
	maxHeld = 64 << 10 // characters and colours
)

// secrets are texts to mask.
type secrets struct {
	texts   [][]byte
	longest int // bytes
}

// newSecrets takes the values of variables. Printed text is sanitized or cleaned, so it takes these forms of a value, and each line of a
// multi-line value by itself.
func newSecrets(variables []pipelines.VariableRequest) secrets {
	var s secrets
	for _, v := range variables {
		for _, line := range strings.FieldsFunc(v.Value, func(r rune) bool { return r == '\n' || r == '\r' }) {
			s.add(strings.Join(plainLines(line, secrets{}), ""))
			s.add(clean(line, secrets{}))
		}
	}
	return s
}

func (s *secrets) add(text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	s.texts = append(s.texts, []byte(text))
	s.longest = max(s.longest, len(text))
}

// masker takes the text and colours of a sanitizer, masks secrets, even those with colours within them, and passes the rest on. To do so it
// holds back what may be the beginning of a secret.
type masker struct {
	secrets

	text   func(r rune)
	colour func(params string)

	held    []piece
	plain   []byte // characters of held
	masking bool   // the mask for the current secret is already written
}

// piece is a character or, if colour is set, the parameters of a sequence that sets a colour.
type piece struct {
	r      rune
	secret bool // part of a secret
	colour bool
	params string
}

func (m *masker) addText(r rune) {
	if m.longest == 0 {
		m.text(r)
		return
	}
	m.held = append(m.held, piece{r: r})
	m.plain = utf8.AppendRune(m.plain, r)
	for _, secret := range m.texts {
		if bytes.HasSuffix(m.plain, secret) {
			m.mark(len(secret))
		}
	}
	m.release(m.longest - 1)
}

// addColour takes the parameters of a sequence. It drops them if too much is held back, so that colours without text don't accumulate.
func (m *masker) addColour(params string) {
	switch {
	case len(m.held) == 0:
		m.colour(params)
	case len(m.held) < maxHeld:
		m.held = append(m.held, piece{colour: true, params: params})
	}
}

// mark marks the last characters, so many bytes of them, as a secret.
func (m *masker) mark(size int) {
	for i := len(m.held) - 1; size > 0; i-- {
		if m.held[i].colour {
			continue
		}
		m.held[i].secret = true
		size -= utf8.RuneLen(m.held[i].r)
	}
}

// flush releases everything at the end of the text.
func (m *masker) flush() {
	m.release(0)
	m.masking = false
}

// release releases everything but the last bytes.
func (m *masker) release(keep int) {
	for len(m.held) > 0 && (m.held[0].colour || len(m.plain) > keep) {
		first := m.held[0]
		m.held = m.held[1:]
		m.give(first)
	}
}

func (m *masker) give(p piece) {
	if p.colour {
		m.colour(p.params)
		return
	}
	m.plain = m.plain[utf8.RuneLen(p.r):]
	begins := p.secret && !m.masking
	m.masking = p.secret
	switch {
	case begins:
		for _, r := range mask {
			m.text(r)
		}
	case !p.secret:
		m.text(p.r)
	}
}
