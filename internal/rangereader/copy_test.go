package rangereader_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/internal/rangereader"
)

// body is a reader that knows whether it was closed.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestCopyCopiesToTheEnd(t *testing.T) {
	content := noise(300_000)
	b := &body{Reader: bytes.NewReader(content)}
	var got bytes.Buffer
	n, err := rangereader.Copy(&got, b)
	require.NoError(t, err)
	require.EqualValues(t, len(content), n)
	equal(t, content, got.Bytes())
	require.False(t, b.closed)
}

func TestCopyTakesAWrappedEOFForAnError(t *testing.T) {
	lost := fmt.Errorf("connection lost: %w", io.EOF)
	require.False(t, rangereader.IsEOF(lost))
	n, err := rangereader.Copy(io.Discard, &body{Reader: io.MultiReader(bytes.NewReader(noise(10)), failingReader{lost})})
	require.Equal(t, lost, err)
	require.EqualValues(t, 10, n)
}

func TestCopyEndsWithAnErrorOfTheWriter(t *testing.T) {
	full := errors.New("disk full")
	n, err := rangereader.Copy(writerFunc(func([]byte) (int, error) { return 3, full }), &body{Reader: bytes.NewReader(noise(10))})
	require.Equal(t, full, err)
	require.EqualValues(t, 3, n)
	_, err = rangereader.Copy(writerFunc(func([]byte) (int, error) { return 3, nil }), &body{Reader: bytes.NewReader(noise(10))})
	require.Equal(t, io.ErrShortWrite, err)
}

func TestCopyClosesTheReaderIfTheWriterPanics(t *testing.T) {
	b := &body{Reader: bytes.NewReader(noise(10))}
	require.PanicsWithValue(t, "a bug", func() { _, _ = rangereader.Copy(writerFunc(func([]byte) (int, error) { panic("a bug") }), b) })
	require.True(t, b.closed)
}
