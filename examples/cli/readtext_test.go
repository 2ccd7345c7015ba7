package cli

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

func inUTF16(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

func TestATextMayBeginWithAByteOrderMark(t *testing.T) {
	for content, want := range map[string]string{
		"": "", "a": "a", "a\r\nä\n": "a\r\nä\n", "\ufeffa\n": "a\n", "\ufeff": "", "a\ufeff": "a\ufeff", "a\x00b": "a\x00b", "\ufffd": "\ufffd",
	} {
		got, err := ReadText("-", strings.NewReader(content))
		require.NoError(t, err, "%q", content)
		require.Equal(t, want, got)
	}
}

func TestATextThatIsNotUTF8IsRefusedWithItsLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "list.txt")
	for content, want := range map[string]string{
		"a\nb\xff\n":           "line 2 of NAME is not UTF-8 text: save it as UTF-8",
		"\ufeffa\n\n\xe4\nb\n": "line 3 of NAME is not UTF-8 text: save it as UTF-8",
		"a\xc3":                "line 1 of NAME is not UTF-8 text: save it as UTF-8",
		inUTF16(binary.LittleEndian, "\ufeffacme/site\n"): "NAME is UTF-16 text: save it as UTF-8",
		inUTF16(binary.BigEndian, "\ufeffacme/site\n"):    "NAME is UTF-16 text: save it as UTF-8",
		inUTF16(binary.LittleEndian, "acme/site\n"):       "NAME is UTF-16 text: save it as UTF-8",
		inUTF16(binary.BigEndian, "acme/site\n"):          "NAME is UTF-16 text: save it as UTF-8",
	} {
		_, err := ReadText("-", strings.NewReader(content))
		require.EqualError(t, err, strings.ReplaceAll(want, "NAME", "the standard input"), "%q", content)
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		_, err = ReadText(name, nil)
		require.EqualError(t, err, strings.ReplaceAll(want, "NAME", name), "%q", content)
	}
	_, err := ReadText("-", iotest.ErrReader(errors.New("broken")))
	require.EqualError(t, err, "reading the standard input: broken")
	_, err = ReadText("-", nil)
	require.ErrorIs(t, err, os.ErrNotExist, "without Stdin it is a file like others")
	_, err = ReadText(filepath.Join(t.TempDir(), "none"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRepositoriesAreReadFromTextsOfAnyEditor(t *testing.T) {
	for _, text := range []string{"acme/site\nacme/shop\n", "\ufeffacme/site\r\n\r\n# more\r\n acme/shop\r\nacme/site", "\ufeff# list\nacme/site\nacme/shop"} {
		names, err := ReadRepos("-", strings.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, []string{"acme/site", "acme/shop"}, names)
	}
	_, err := ReadRepos("-", strings.NewReader("acme/site\nnonsense\n"))
	require.ErrorContains(t, err, "line 2 of the repositories")
	_, err = ReadRepos("-", strings.NewReader(inUTF16(binary.LittleEndian, "\ufeffacme/site")))
	require.ErrorContains(t, err, "UTF-16")
}
