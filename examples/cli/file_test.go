package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func writeText(name, text string) error {
	return WriteFile(name, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func TestALinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	require.NoError(t, writeText(file, "old"))
	require.NoError(t, os.Symlink(file, link))
	require.NoError(t, writeText(link, "new"))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&fs.ModeSymlink)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "new", string(text))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 2)
}

// Root could replace /dev/null and /dev/stdout by a file.
func TestADeviceIsWrittenToAndNotReplaced(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	name := fmt.Sprintf("/dev/fd/%d", w.Fd())
	if _, err := os.Stat(name); err != nil {
		t.Skip("this system has no such names")
	}
	require.NoError(t, writeText(name, "text"))
	require.NoError(t, w.Close())
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
}

func TestAFileThatCannotBeWrittenIsLeftAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, writeText(file, "old"))
	require.ErrorIs(t, WriteFile(file, 0o600, func(io.Writer) error { return io.ErrShortWrite }), io.ErrShortWrite)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "old", string(text))
}
