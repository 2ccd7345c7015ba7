package redact_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/redact"
)

type telling struct{ text string }

func (e *telling) Error() string { return e.text }

func TestAnErrorWithoutSecretsStaysAsItIs(t *testing.T) {
	err := fmt.Errorf("no luck: %w", io.EOF)
	require.Same(t, err, redact.New("s3cret-value").Error(err))
}

func TestAnErrorThatShowsASecretIsMasked(t *testing.T) {
	inner := &telling{"malformed s3cret-value"}
	masked := redact.New("s3cret-value").Error(fmt.Errorf("no luck: %w, %w", inner, io.ErrUnexpectedEOF))
	require.EqualError(t, masked, "no luck: malformed ******, unexpected EOF")
	require.ErrorIs(t, masked, io.ErrUnexpectedEOF)
	require.ErrorIs(t, masked, inner)
	require.NoError(t, errors.Unwrap(masked))
	var found *telling
	require.NotErrorAs(t, masked, &found)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		require.NotContains(t, fmt.Sprintf(verb, masked), "s3cret", verb)
	}
}

func TestAnErrorThatHidesASecretInsideIsMasked(t *testing.T) {
	masked := redact.New("s3cret-value").Error(quiet{&telling{"malformed s3cret-value"}})
	require.EqualError(t, masked, "something is wrong")
	var found *telling
	require.NotErrorAs(t, masked, &found)
}

type quiet struct{ err error }

func (e quiet) Error() string { return "something is wrong" }
func (e quiet) Unwrap() error { return e.err }

func TestAHarmlessErrorBesideASecretCanBeReached(t *testing.T) {
	masked := redact.New("s3cret-value").Error(errors.Join(errors.New("s3cret-value"), &telling{"harmless"}))
	var found *telling
	require.ErrorAs(t, masked, &found)
	require.Equal(t, "harmless", found.text)
}

func TestControlCharactersAreNotPrinted(t *testing.T) {
	require.EqualError(t, redact.New().Error(errors.New("a\r\nb\x1b[31m\u202ec\xff")), "a  b [31m c\uFFFD")
}
