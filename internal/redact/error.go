package redact

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Error hides the secrets that err, or any error inside it, shows, and makes its text printable. It returns err itself if that shows
// nothing. What err wraps is found by [errors.Is], and by [errors.As] unless it shows a secret.
func (m *Masker) Error(err error) error {
	harmless, whole := m.harmless(err)
	text := Printable(m.Text(err.Error()))
	if whole && text == err.Error() {
		return err
	}
	return &maskedError{text, err, harmless}
}

// maskedError is an error that shows a secret or control characters, or that wraps one which shows a secret: net/http quotes what it
// can't read.
type maskedError struct {
	text     string
	err      error
	harmless []error // the errors inside that show no secret
}

// Error implements [error].
func (e *maskedError) Error() string { return e.text }

// Is finds what is inside. There is no Unwrap, which would lead to the secret.
func (e *maskedError) Is(target error) bool { return errors.Is(e.err, target) }

// As finds what is inside and shows no secret.
func (e *maskedError) As(target any) bool {
	return slices.ContainsFunc(e.harmless, func(err error) bool { return errors.As(err, target) })
}

// Format implements [fmt.Formatter]: every verb prints the text only.
func (e *maskedError) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", e.text)
		return
	}
	fmt.Fprint(f, e.text)
}

// harmless returns the outermost errors in err that show no secret, nor does any inside them. whole reports whether err itself is
// one.
func (m *Masker) harmless(err error) (harmless []error, whole bool) {
	whole = m.Text(err.Error()) == err.Error()
	for _, inner := range unwrap(err) {
		some, clean := m.harmless(inner)
		harmless = append(harmless, some...)
		whole = whole && clean
	}
	if whole {
		return []error{err}, true
	}
	return harmless, false
}

func unwrap(err error) []error {
	switch err := err.(type) { //nolint:errorlint // one level is wanted
	case interface{ Unwrap() []error }:
		return slices.DeleteFunc(slices.Clone(err.Unwrap()), func(inner error) bool { return inner == nil })
	case interface{ Unwrap() error }:
		if inner := err.Unwrap(); inner != nil {
			return []error{inner}
		}
	}
	return nil
}

// Printable replaces what a terminal would obey by spaces: ends of lines, other control characters, and those that change the
// direction of writing.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
